"""The CloudWatch bridge as guests see it that have cfn-push-stats in their images."""

import pytest
import sqlalchemy as sa

from aodh_ha.db import cloudwatch as cloudwatch_db
from aodh_ha.db import gateways, guests, metrics
from aodh_ha.db.models import cloudwatch_requests
from aodh_ha.rules.gateway import CLOUDWATCH
from tests.functional.http import cloudwatch
from tests.functional.http.cloudwatch import FORM, Caller, code, put, texts
from tests.functional.http.service import refused
from tests.samples import OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID

STACK = '11111111-2222-4333-8444-555555555555'
OTHER_STACK = '99999999-2222-4333-8444-555555555555'
HEAT = {'id': 'heat-domain', 'name': 'heat'}
DEFAULT = {'id': 'default', 'name': 'Default'}

CONFIGURATION = """
[service_credentials]
auth_type = admin_token
endpoint = {keystone}/v3
token = the-services-own
[cloudwatch]
enabled = true
"""


@pytest.fixture
def everywhere(make, database_url, keystone):
    """On every database."""
    keystone.tells_secrets = True
    made = make(database_url, webhook=CONFIGURATION.format(keystone=keystone.url))
    made.enrolled()
    place(made, SERVER_ID)
    return Caller(made, *keystone.access_key('AKEVERY', stack_project(), 'heat_stack_user'))


def stack_project(project=PROJECT, stack=STACK, domain=HEAT):
    return {'id': 'stack-project', 'name': f'{project}-{stack}'[:64], 'domain': domain}


@pytest.fixture
def service(make, sqlite_url, keystone):
    keystone.tells_secrets = True
    keystone.access_keys.clear()
    made = make(sqlite_url, webhook=CONFIGURATION.format(keystone=keystone.url))
    made.enrolled()
    place(made, SERVER_ID)
    keystone.asked.clear()
    return made


@pytest.fixture
def stack(service, keystone):
    """The user of the guest's stack."""
    key = keystone.access_key('AKSTACK', stack_project(), 'heat_stack_user')
    return Caller(service, *key)


def place(service, server_id, stack_id=STACK, name='wordpress'):
    with service.database.write() as c:
        guests.located(c, server_id, service.clock(), stack_id=stack_id, stack_name=name)


def second(service):
    """Another guest of the same stack."""
    service.enrolled(OTHER_ID)
    place(service, OTHER_ID)


def values(service, server_id=SERVER_ID):
    with service.database.read() as c:
        return {m.name: (m.value, m.unit) for m in metrics.of_guest(c, server_id)}


# ---- what is said


def test_a_heartbeat_is_one(service, stack):
    answer = stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert answer.status_code == 200
    assert b'<PutMetricDataResponse' in answer.get_data()
    guest = service.guest()
    assert (guest.last_seen, guest.beats, guest.seen_by) == (service.clock(), 1, 'cloudwatch')
    assert guest.sequence == 0


def test_all_that_is_said_on_every_database(everywhere):
    service = everywhere.service
    service.alarm(name='A')
    params = put(('Heartbeat', 1), ('ServiceFailure', 1), ('Load', 2.5), AlarmName='A')
    signed = everywhere.signed(params)
    for _ in range(2):
        assert everywhere.send(signed).status_code == 200
    guest = service.guest()
    assert (guest.beats, guest.failures) == (1, 1)
    assert values(service) == {'Load': (2.5, 'Counter')}
    assert texts(everywhere.call({'Action': 'ListMetrics'}), 'MetricName') == [
        *('Heartbeat', 'Load', 'ServiceFailure')
    ]
    service.clock.advance(3600)
    with service.database.write() as c:
        cloudwatch_db.settle_all(c, service.clock(), 300)
        cloudwatch_db.prune(c, service.clock(), 300)
        assert c.execute(sa.select(cloudwatch_requests)).all() == []
    assert service.guest().failures == 0


def test_service_failures_count_for_the_period(service, stack):
    for expected in (1, 2, 3):
        assert stack.call(put(('ServiceFailure', 1), InstanceId=SERVER_ID)).status_code == 200
        assert service.guest().failures == expected
        service.clock.advance(10)
    assert service.guest().failing_since == service.clock() - 30
    service.clock.advance(271)  # the first is older than 300 s
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert service.guest().failures == 2
    service.clock.advance(300)
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert (service.guest().failures, service.guest().failing_since) == (0, None)
    assert service.trail().count('service_failure') == 2


def test_service_failures_stand_beside_what_the_agent_reports(service, stack):
    stack.call(put(('ServiceFailure', 1), InstanceId=SERVER_ID))
    key = service.credentials['key']
    body = b'{"services": [{"name": "web", "state": "ok", "failures": 0}]}'
    assert service.beat(key, body).status_code == 202
    service.flush()
    assert {s.name: s.state for s in service.guest().services} == {
        'web': 'ok',
        'ServiceFailure': 'failed',
    }
    assert service.guest().failures == 1


def test_anything_else_is_a_metric(service, stack):
    params = put(('Mem Used', '12.5'), ('Latency', 3), unit='Megabytes', InstanceId=SERVER_ID)
    assert stack.call(params).status_code == 200
    assert values(service) == {'Mem_Used': (12.5, 'Megabytes'), 'Latency': (3.0, 'Megabytes')}
    assert service.guest().last_seen is None


def test_statistics_become_their_mean(service, stack):
    params = put(('a', 0), InstanceId=SERVER_ID)
    del params['MetricData.member.1.Value']
    params['MetricData.member.1.StatisticValues.Sum'] = '9'
    params['MetricData.member.1.StatisticValues.SampleCount'] = '3'
    assert stack.call(params).status_code == 200
    assert values(service)['a'][0] == 3.0


def test_it_is_heard_by_get_too(service, stack):
    params = put(('Heartbeat', 1), InstanceId=SERVER_ID, meta='a b/ü=&~')
    assert stack.call(params, method='GET').status_code == 200
    assert service.guest().beats == 1


def test_it_is_heard_by_signature_version_2(service, stack):
    signed = stack.signed_v2(put(('Heartbeat', 1), InstanceId=SERVER_ID, meta='a b'))
    assert stack.send(signed).status_code == 200
    assert service.guest().beats == 1


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'Action': ''}, (400, 'MissingAction')),
        ({'Action': 'DeleteAlarms'}, (400, 'InvalidAction')),
        ({'MetricData.member.1.MetricName': ''}, (400, 'MissingParameter')),
        ({'MetricData.member.1.Value': 'x'}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Value': 'nan'}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Value': '1e999'}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Timestamp': 'now'}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Timestamp': '2001-01-01T00:00:00Z'}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Unit': 'x' * 33}, (400, 'InvalidParameterValue')),
        ({'MetricData.member.1.Dimensions.member.1.Name': ''}, (400, 'MissingParameter')),
        ({'MetricData.member.1.Dimensions.member.1.Value': 'i'}, (400, 'InvalidParameterValue')),
    ],
)
def test_what_is_wrong_is_said_in_awss_words(service, stack, changes, expected):
    answer = stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID) | changes)
    assert code(answer) == expected
    assert service.guest().beats == 0


# ---- by whom


@pytest.mark.parametrize('tells', [True, False])
def test_a_wrong_signature_never_passes(service, stack, keystone, tells):
    keystone.tells_secrets = tells
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    thief = Caller(service, stack.access, 'guessed')
    for _ in range(2):
        answer = thief.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
        assert code(answer) == (403, 'SignatureDoesNotMatch')
    signed = stack.signed(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    altered = signed['data'].replace('Heartbeat', 'Heartbeet')
    assert code(stack.send(signed, data=altered)) == (403, 'SignatureDoesNotMatch')
    assert service.guest().beats == 1


def test_keystone_is_asked_once_for_many_requests(service, stack, keystone):
    for n in range(20):
        assert stack.call(put(('x', n), InstanceId=SERVER_ID)).status_code == 200
    assert len([p for p in keystone.asked if p.endswith('/ec2tokens')]) == 1
    assert len(keystone.asked) == 2


def test_an_access_key_is_forgotten_after_a_while(service, stack, keystone):
    now = [1000.0]
    service.app.wsgi_app._bridge._keystone._clock = lambda: now[0]
    stack.call(put(('x', 1), InstanceId=SERVER_ID))
    now[0] += 301
    stack.call(put(('x', 2), InstanceId=SERVER_ID))
    # Its secret is known, and asked for no more.
    assert [p.rpartition('/')[2] for p in keystone.asked] == ['ec2tokens', 'AKSTACK', 'ec2tokens']
    del keystone.access_keys['AKSTACK']
    assert stack.call(put(('x', 3), InstanceId=SERVER_ID)).status_code == 200
    now[0] += 301
    answer = stack.call(put(('x', 4), InstanceId=SERVER_ID))
    assert code(answer) == (403, 'InvalidClientTokenId')


def test_keystone_is_asked_each_time_where_it_keeps_secrets(service, stack, keystone):
    keystone.tells_secrets = False
    for n in range(3):
        assert stack.call(put(('x', n), InstanceId=SERVER_ID)).status_code == 200
    assert len([p for p in keystone.asked if p.endswith('/ec2tokens')]) == 3


def test_an_access_key_that_nobody_has(service, keystone):
    stranger = Caller(service, 'AKNOBODY', 's')
    for _ in range(3):
        answer = stranger.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
        assert code(answer) == (403, 'InvalidClientTokenId')
    assert len(keystone.asked) == 1


def test_while_keystone_is_away_it_is_said_so(service, stack, keystone):
    keystone.away = True
    answer = stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert code(answer) == (503, 'ServiceUnavailable')
    assert int(answer.headers['Retry-After']) > 0
    keystone.away = False
    assert stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID)).status_code == 200


def test_while_keystone_is_away_the_silence_is_ours(service, stack, keystone):
    bridge = service.app.extensions['aodh_ha_bridge']

    def listening():
        with service.database.read() as c:
            return gateways.listening_since(c, service.clock(), CLOUDWATCH)

    bridge.look()
    assert listening() == service.clock()
    keystone.away = True
    assert code(stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID)))[0] == 503
    service.clock.advance(10)
    bridge.look()
    assert listening() is None
    keystone.away = False
    bridge.look()
    assert listening() == service.clock()
    assert stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID)).status_code == 200
    assert service.guest().way == CLOUDWATCH


@pytest.mark.parametrize('ago', [901, -901])
def test_an_old_signature_is_refused(service, stack, ago):
    answer = stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID), ago=ago)
    assert code(answer) == (400, 'RequestExpired')


@pytest.mark.parametrize('version', ['4', '2'])
def test_a_replay_is_answered_and_changes_nothing(service, stack, version):
    sign = stack.signed if version == '4' else stack.signed_v2
    beat = sign(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    failure = sign(put(('ServiceFailure', 1), InstanceId=SERVER_ID))
    for signed in (beat, failure):
        assert stack.send(signed).status_code == 200
    seen = service.guest()
    service.clock.advance(600)
    for signed in (beat, failure):
        assert stack.send(signed).status_code == 200
    # Headers that are not signed make no other request of it.
    assert stack.send(beat, headers=beat['headers'] | {'X-Other': '1'}).status_code == 200
    assert service.guest() == seen


def test_what_is_not_signed_is_not_read(service, stack):
    signed = stack.signed(put(('Heartbeat', 1)))
    query = 'MetricData.member.1.Dimensions.member.1.Name=InstanceId'
    assert code(stack.send(signed, query_string=query)) == (400, 'InvalidParameterCombination')
    twice = signed['data'] + '&Action=ListMetrics'
    assert code(stack.send(signed, data=twice)) == (400, 'InvalidParameterCombination')


@pytest.mark.parametrize(
    ('headers', 'expected'),
    [
        ({}, (403, 'MissingAuthenticationToken')),
        ({'Authorization': 'Basic x'}, (400, 'IncompleteSignature')),
        ({'Authorization': 'AWS4-HMAC-SHA256 Credential=a'}, (400, 'IncompleteSignature')),
    ],
)
def test_without_a_signature(service, stack, keystone, headers, expected):
    request = stack.signed(put(('Heartbeat', 1))) | {'headers': {'Content-Type': FORM} | headers}
    assert code(stack.send(request)) == expected
    assert keystone.asked == []


# ---- for whom


def test_a_stacks_user_speaks_for_no_other_guest(service, keystone, lines):
    key = keystone.access_key('AKOTHER', stack_project(stack=OTHER_STACK), 'heat_stack_user')
    forger = Caller(service, *key)
    lines()
    answer = forger.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert code(answer) == (403, 'AccessDenied')
    assert service.guest().beats == 0
    assert 'AccessDenied' in lines()[-1]
    service.state.refusals.flush()
    assert 'heartbeat_refused' in service.trail()


def test_a_project_of_the_same_name_in_another_domain_is_no_stack(service, keystone):
    project = stack_project(domain=DEFAULT)
    forger = Caller(service, *keystone.access_key('AKFORGED', project, 'member'))
    answer = forger.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert code(answer) == (403, 'AccessDenied')


def test_too_early_to_tell_whose_a_guest_is(service, stack):
    service.enrolled(OTHER_ID)
    answer = stack.call(put(('Heartbeat', 1), InstanceId=OTHER_ID))
    assert code(answer) == (503, 'ServiceUnavailable')
    place(service, OTHER_ID, OTHER_STACK)
    answer = stack.call(put(('Heartbeat', 1), InstanceId=OTHER_ID))
    assert code(answer) == (403, 'AccessDenied')


@pytest.mark.parametrize(
    ('project', 'role', 'expected'),
    [(PROJECT, 'member', 200), (PROJECT, 'reader', 403), (OTHER_PROJECT, 'admin', 403)],
)
def test_a_user_of_the_project_speaks_for_its_guests(service, keystone, project, role, expected):
    owner = {'id': project, 'name': 'p', 'domain': DEFAULT}
    user = Caller(service, *keystone.access_key('AKUSER', owner, role))
    answer = user.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert answer.status_code == expected
    assert service.guest().beats == (expected == 200)


def test_the_only_guest_of_a_stack_needs_no_name(service, stack):
    assert stack.call(put(('Heartbeat', 1))).status_code == 200
    assert service.guest().beats == 1
    second(service)
    assert code(stack.call(put(('Heartbeat', 2)))) == (403, 'AccessDenied')


@pytest.mark.parametrize(
    ('name', 'watch'),
    [
        ('HeartbeatFailureAlarm', 'HeartbeatFailureAlarm'),
        ('HeartbeatFailureAlarm', 'wordpress-HeartbeatFailureAlarm-a1b2c3d4e5f6'),
        ('wordpress-HeartbeatFailureAlarm-a1b2c3d4e5f6', 'HeartbeatFailureAlarm'),
    ],
)
def test_watch_tells_which_guest_it_is(service, stack, name, watch):
    second(service)
    service.alarm(name=name)
    assert stack.call(put(('Heartbeat', 1), AlarmName=watch)).status_code == 200
    assert (service.guest().beats, service.guest(OTHER_ID).beats) == (1, 0)
    service.call('POST', '/v1/alarms', {'server_id': OTHER_ID, 'name': name})
    answer = stack.call(put(('Heartbeat', 2), AlarmName=watch))
    assert code(answer) == (403, 'AccessDenied')


def test_watch_tells_nothing_about_other_stacks(service, stack, keystone):
    service.alarm(name='HeartbeatFailureAlarm')
    key = keystone.access_key('AKOTHER', stack_project(stack=OTHER_STACK), 'heat_stack_user')
    answer = Caller(service, *key).call(put(('Heartbeat', 1), AlarmName='HeartbeatFailureAlarm'))
    assert code(answer) == (403, 'AccessDenied')
    assert service.guest().beats == 0


def test_one_metric_that_is_refused_refuses_all(service, stack):
    params = put(('a', 1), ('b', 2), InstanceId=SERVER_ID)
    params['MetricData.member.2.Dimensions.member.1.Value'] = OTHER_ID
    assert code(stack.call(params)) == (403, 'AccessDenied')
    assert values(service) == {}


# ---- what is answered


def test_alarms_are_described(service, stack, keystone):
    service.alarm(name='HeartbeatFailureAlarm')
    service.alarm(trigger='service')
    answer = stack.call({'Action': 'DescribeAlarms'})
    assert sorted(texts(answer, 'MetricName')) == ['Heartbeat', 'ServiceFailure']
    assert texts(answer, 'StateValue') == ['OK', 'OK']
    first = stack.call({'Action': 'DescribeAlarms', 'MaxRecords': '1'})
    (token,) = texts(first, 'NextToken')
    rest = stack.call({'Action': 'DescribeAlarms', 'NextToken': token})
    assert texts(first, 'AlarmArn') + texts(rest, 'AlarmArn') == sorted(texts(answer, 'AlarmArn'))
    named = {'Action': 'DescribeAlarms', 'AlarmNames.member.1': 'HeartbeatFailureAlarm'}
    assert texts(stack.call(named), 'AlarmName') == ['HeartbeatFailureAlarm']
    key = keystone.access_key('AKOTHER', stack_project(stack=OTHER_STACK), 'heat_stack_user')
    assert texts(Caller(service, *key).call({'Action': 'DescribeAlarms'}), 'AlarmName') == []


def test_metrics_are_listed(service, stack):
    stack.call(put(('Heartbeat', 1), ('Load', 2), InstanceId=SERVER_ID))
    answer = stack.call({'Action': 'ListMetrics'})
    assert texts(answer, 'MetricName') == ['Heartbeat', 'Load']
    only = stack.call({'Action': 'ListMetrics', 'MetricName': 'Load'})
    assert texts(only, 'MetricName') == ['Load']
    assert code(stack.call({'Action': 'ListMetrics', 'MaxRecords': '0'}))[0] == 400


def test_a_state_that_is_set_recovers_only_who_is_silent(service, stack):
    service.alarm(name='A')
    params = {'Action': 'SetAlarmState', 'AlarmName': 'A', 'StateValue': 'ALARM'}
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert stack.call(params | {'StateReason': 'a test'}).status_code == 200
    assert service.recoveries() == []
    assert 'not_opened' in service.trail()
    service.clock.advance(60)
    service.listens()  # for guests with an agent
    assert stack.call(params).status_code == 200
    assert service.recoveries() == []
    service.listens(name='cloudwatch:here:8003')
    service.clock.advance(1)
    signed = stack.signed(params)
    assert stack.send(signed).status_code == 200
    (recovery,) = service.recoveries()
    assert stack.send(signed).status_code == 200
    assert service.recoveries() == [recovery]


@pytest.mark.parametrize(
    ('changes', 'expected'),
    [
        ({'AlarmName': 'B'}, (403, 'AccessDenied')),
        ({'AlarmName': ''}, (400, 'MissingParameter')),
        ({'StateValue': 'alarm'}, (400, 'InvalidParameterValue')),
        ({'StateValue': ''}, (400, 'MissingParameter')),
    ],
)
def test_a_state_that_cannot_be_set(service, stack, changes, expected):
    service.alarm(name='A')
    params = {'Action': 'SetAlarmState', 'AlarmName': 'A', 'StateValue': 'ALARM'}
    assert code(stack.call(params | changes)) == expected


# ---- the door


def test_each_port_has_its_own_door(service, stack):
    signed = stack.signed(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    # The Host header is the sender's word.
    other = service.client.open(**(signed | {'base_url': 'http://ha.example.org:8787'}))
    refused(other, 404, 'not_found')
    for path in ('/v1/heartbeats', '/v1/guests', '/healthz', '/', '/v1//', '/v1/alarms/x'):
        for method in ('GET', 'POST'):
            answer = service.client.open(
                path,
                method=method,
                base_url='http://ha.example.org:8003',
                headers={'Host': 'ha.example.org:8787', 'X-Auth-Token': service.member},
            )
            assert code(answer) == (404, 'NotFound')


@pytest.mark.parametrize('method', ['PUT', 'DELETE', 'OPTIONS', 'PATCH'])
def test_other_methods(service, stack, method):
    answer = service.client.open('/v1/', method=method, base_url='http://ha.example.org:8003')
    assert code(answer) == (405, 'MethodNotAllowed')
    assert answer.headers['Allow'] == 'GET, POST'


def test_a_body_that_is_too_large(service, stack):
    signed = stack.signed(put(('Heartbeat', 1), InstanceId=SERVER_ID, more='x' * 65536))
    assert code(stack.send(signed)) == (413, 'RequestLimitExceeded')


def test_errors_of_ours_are_xml_too(service, stack, monkeypatch):
    monkeypatch.setattr(service.app, 'app_context', lambda: 1 / 0)
    answer = stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert code(answer) == (500, 'InternalFailure')
    assert b'ZeroDivision' not in answer.get_data()


def test_no_secret_is_logged(service, stack, caplog):
    caplog.set_level('DEBUG')
    signed = stack.signed(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    stack.send(signed)
    stack.send(signed, data='x')
    signature = signed['headers']['Authorization'].rpartition('=')[2]
    assert stack.secret not in caplog.text
    assert signature not in caplog.text


def test_it_is_off_unless_it_is_switched_on(make, sqlite_url):
    quiet = make(sqlite_url)
    answer = quiet.client.post('/v1/', base_url='http://ha.example.org:8003')
    refused(answer, 404, 'not_found')
    assert cloudwatch.HOST.endswith(':8003')
