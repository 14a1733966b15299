"""What a CloudWatch alarm of a template looks at, as Heat of 2014 counted it."""

from dataclasses import replace

import pytest

from aodh_ha.rules import watch as rules
from aodh_ha.rules.alarm import RESOURCE_TYPE
from aodh_ha.rules.cloudwatch import Datum
from aodh_ha.rules.heartbeat import Service
from aodh_ha.rules.watch import Values, Watch
from tests.samples import PROJECT, SERVER_ID, guest

NOW = 1_800_000_000.0
EVER = NOW - 86400

STACK = '11111111-2222-4333-8444-555555555555'
HEARTBEATS = Watch(
    id='33333333-3333-4333-8333-333333333333',
    project_id=PROJECT,
    name='wordpress-HeartbeatFailureAlarm-abcdefghijkl',
    stack_id=STACK,
    stack_name='wordpress',
    namespace='system/linux',
    metric='Heartbeat',
    dimensions=(),
    statistic='SampleCount',
    period=60,
    evaluation_periods=1,
    comparison='LessThanThreshold',
    threshold=1.0,
    restarters=('r1',),
    aodh_alarm_id=None,
    created_at=EVER,
)
FAILURES = replace(
    HEARTBEATS,
    name='HttpFailureAlarm',
    metric='ServiceFailure',
    period=300,
    comparison='GreaterThanThreshold',
    threshold=2.0,
)
LOAD = replace(FAILURES, metric='LoadAverage', statistic='Average', period=60, threshold=4.0)


def told(*ago, value=1.0):
    return [Values(NOW - a, 1.0, value, value, value) for a in ago]


def test_heartbeats_of_the_period_are_counted_and_none_is_0():
    assert rules.value(HEARTBEATS, told(5, 59, 61), NOW, EVER) == 2
    assert rules.value(HEARTBEATS, told(61), NOW, EVER) == 0
    assert HEARTBEATS.breaches(0.0)
    assert not HEARTBEATS.breaches(1.0)


@pytest.mark.parametrize('since', [None, NOW - 59])
def test_silence_that_nobody_listened_to_is_not_known(since):
    assert rules.value(HEARTBEATS, [], NOW, since) is None
    assert not HEARTBEATS.breaches(None)


def test_nor_is_that_from_before_the_watch_was_there():
    assert rules.value(replace(HEARTBEATS, created_at=NOW - 59), [], NOW, EVER) is None
    assert rules.value(replace(HEARTBEATS, created_at=NOW - 60), [], NOW, EVER) == 0


def test_three_failures_are_three_however_short_it_listens():
    assert rules.value(FAILURES, told(1, 2, 3), NOW, NOW - 5) == 3
    assert rules.value(FAILURES, told(1, 2, 301), NOW, EVER) == 2
    assert rules.value(FAILURES, told(1, 2, 3), NOW, None) is None


@pytest.mark.parametrize(
    ('statistic', 'expected'),
    [('SampleCount', 4), ('Sum', 14), ('Average', 3.5), ('Minimum', 1), ('Maximum', 8)],
)
def test_the_statistics(statistic, expected):
    samples = [Values(NOW, 3.0, 6.0, 1.0, 3.0), Values(NOW - 1, 1.0, 8.0, 8.0, 8.0)]
    assert rules.value(replace(LOAD, statistic=statistic), samples, NOW, EVER) == expected


@pytest.mark.parametrize('statistic', ['Average', 'Minimum', 'Maximum'])
def test_of_no_data_there_is_no_average(statistic):
    assert rules.value(replace(LOAD, statistic=statistic), [], NOW, EVER) is None


def test_every_one_of_the_periods_must_be_beyond():
    two = replace(LOAD, evaluation_periods=2)
    high, low = told(10, value=9.0), told(70, value=2.0)
    assert rules.value(two, high + low, NOW, EVER) == 2.0
    assert rules.value(two, high, NOW, EVER) is None  # of the period before nothing is known
    silent = replace(HEARTBEATS, evaluation_periods=2)
    assert rules.value(silent, told(70), NOW, EVER) == 1.0
    assert rules.value(silent, told(121), NOW, EVER) == 0.0
    assert rules.value(silent, [], NOW, NOW - 119) is None


def test_what_came_before_an_action_is_no_failure_but_a_sign_of_life():
    assert rules.value(FAILURES, told(1, 20, 30), NOW, EVER, acted_at=NOW - 10) == 1
    assert rules.value(HEARTBEATS, told(20), NOW, EVER, acted_at=NOW - 10) == 1
    assert rules.value(LOAD, told(20), NOW, EVER, acted_at=NOW - 10) is None


@pytest.mark.parametrize(
    ('comparison', 'values'),
    [
        ('GreaterThanOrEqualToThreshold', [False, True, True]),
        ('GreaterThanThreshold', [False, False, True]),
        ('LessThanThreshold', [True, False, False]),
        ('LessThanOrEqualToThreshold', [True, True, False]),
    ],
)
def test_the_comparisons(comparison, values):
    found = replace(LOAD, comparison=comparison)
    assert [found.breaches(v) for v in (3.0, 4.0, 5.0)] == values


# ---- which samples are its own


def datum(**changes):
    values = {'name': 'Heartbeat', 'value': 1.0, 'unit': '', 'at': None, 'instance_id': SERVER_ID}
    values |= {'alarm_name': '', 'namespace': 'system/linux', 'dimensions': {}}
    return Datum(**(values | changes))


MINE = guest(stack_id=STACK, stack_name='wordpress')


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({}, True),
        ({'alarm_name': 'HeartbeatFailureAlarm'}, True),
        ({'alarm_name': HEARTBEATS.name}, True),
        ({'alarm_name': HEARTBEATS.id}, True),
        ({'alarm_name': 'AnotherAlarm'}, False),
        ({'name': 'ServiceFailure'}, False),
        ({'namespace': 'AWS/ELB'}, False),
    ],
)
def test_by_metric_and_name(changes, expected):
    assert rules.wants(HEARTBEATS, datum(**changes), MINE) is expected


def test_another_stacks_and_another_projects_samples_are_not():
    another = guest(stack_id='another')
    assert not rules.wants(HEARTBEATS, datum(), another)
    assert not rules.wants(HEARTBEATS, datum(alarm_name='HeartbeatFailureAlarm'), another)
    assert rules.wants(HEARTBEATS, datum(alarm_name=HEARTBEATS.name), another)
    stranger = guest(stack_id=STACK, project_id='stranger')
    assert not rules.wants(HEARTBEATS, datum(alarm_name=HEARTBEATS.name), stranger)


def test_every_dimension_must_be_there():
    narrow = replace(HEARTBEATS, dimensions=(('InstanceId', SERVER_ID), ('role', 'web')))
    given = {'InstanceId': SERVER_ID, 'role': 'web', 'more': 'x'}
    assert rules.wants(narrow, datum(dimensions=given), MINE)
    assert not rules.wants(narrow, datum(dimensions={'InstanceId': SERVER_ID}), MINE)


# ---- what stands for it


def test_a_watch_that_fires_is_a_failed_service_until_it_does_no_more():
    before = (Service('web', 'ok', 0),)
    assert rules.services(before, [(FAILURES, 0.0), (HEARTBEATS, 0.0)]) == before
    failed = rules.services(before, [(FAILURES, 3.0)])
    assert failed == (*before, Service('watch:HttpFailureAlarm', 'failed', 1))
    assert rules.services(failed, [(FAILURES, None)]) == (
        *before,
        Service('watch:HttpFailureAlarm', 'ok', 0),
    )
    assert rules.services(failed, []) == before  # the watch was deleted


def test_the_alarm_for_aodh():
    made = rules.definition(HEARTBEATS, {'alarm_actions': ['http://a'], 'ok_actions': []})
    rule = made['gnocchi_resources_threshold_rule']
    assert (rule['comparison_operator'], rule['threshold']) == ('lt', 1.0)
    assert (rule['resource_type'], rule['resource_id']) == (RESOURCE_TYPE, HEARTBEATS.resource_id)
    assert (made['alarm_actions'], made['ok_actions'], made['state']) == (['http://a'], [], 'ok')
    assert made['repeat_actions']
