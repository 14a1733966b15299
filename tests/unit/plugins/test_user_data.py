"""What guests with heat-cfntools are told, and what their alarms look at."""

import email
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from aodh_ha.exceptions import InvalidRequest
from aodh_ha.plugins.heat import bodies, userdata

BOTO = '[Boto]\ndebug = 0\ncfn_region_name = heat\ncfn_region_endpoint = 192.0.2.1'


def made(*parts):
    message = MIMEMultipart()
    for name, kind, text in parts:
        part = MIMEText(text, kind, 'us-ascii')
        part.add_header('Content-Disposition', 'attachment', filename=name)
        message.attach(part)
    return message.as_string()


def read(text):
    return {p.get_filename(): p for p in email.message_from_string(text).get_payload()}


def test_the_guest_is_told_where_cfn_push_stats_sends_to():
    script = '#!/bin/bash -v\n/opt/aws/bin/cfn-init\n'
    before = made(
        ('cfn-userdata', 'x-cfninitdata', script), ('cfn-boto-cfg', 'x-cfninitdata', BOTO)
    )
    after = read(userdata.with_cloudwatch(before, '192.0.2.10'))
    assert list(after) == ['cfn-userdata', 'cfn-boto-cfg', 'aodh-ha-heartbeat']
    assert after['cfn-userdata'].get_payload() == script
    assert after['cfn-boto-cfg'].get_payload() == (
        f'{BOTO}\ncloudwatch_region_name = heat\ncloudwatch_region_endpoint = 192.0.2.10\n'
    )
    assert after['aodh-ha-heartbeat'].get_content_type() == 'text/cloud-boothook'
    assert 'cfn-push-stats --heartbeat' in after['aodh-ha-heartbeat'].get_payload()


@pytest.mark.parametrize('text', ['#!/bin/sh\n', '', made(('user', 'x-shellscript', 'true'))])
def test_other_user_data_stay_as_they_are(text):
    assert userdata.with_cloudwatch(text, '192.0.2.10') == text


def test_without_an_address_nothing_is_told():
    text = made(('cfn-boto-cfg', 'x-cfninitdata', BOTO))
    assert userdata.with_cloudwatch(text, '') == text


PROPERTIES = {
    'ComparisonOperator': 'LessThanThreshold',
    'AlarmDescription': None,
    'EvaluationPeriods': 1,
    'MetricName': 'Heartbeat',
    'Namespace': 'system/linux',
    'Period': 60,
    'Statistic': 'SampleCount',
    'AlarmActions': ['http://x/'],
    'OKActions': [],
    'InsufficientDataActions': None,
    'Dimensions': [],
    'Threshold': 1.0,
    'Units': None,
}


def test_an_alarms_properties_become_a_watch():
    body = bodies.watch(PROPERTIES)
    assert (body['metric'], body['period'], body['threshold']) == ('Heartbeat', 60, 1.0)
    assert body['alarm_actions'] == ['http://x/']
    assert body['insufficient_data_actions'] == []


@pytest.mark.parametrize('given', [[{'Name': 'InstanceId', 'Value': 'i1'}], [{'InstanceId': 'i1'}]])
def test_dimensions_in_both_forms(given):
    assert bodies.watch(PROPERTIES | {'Dimensions': given})['dimensions'] == {'InstanceId': 'i1'}


def test_a_dimension_that_is_none():
    with pytest.raises(InvalidRequest, match='Dimensions'):
        bodies.watch(PROPERTIES | {'Dimensions': ['i1']})
