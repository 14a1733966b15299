"""Watches: Heat's CloudWatch alarms, from a template to the recovery of a guest."""

import pytest
import sqlalchemy as sa

from aodh_ha.db import attempts, queue, watches
from aodh_ha.db.models import gateways, watch_samples
from aodh_ha.publishers.watched import WatchCollector
from aodh_ha.rules.recovery import SENT
from tests import samples
from tests.functional.http.cloudwatch import Caller, put, texts
from tests.functional.http.service import PUBLIC_URL, notification, refused
from tests.functional.http.test_cloudwatch import CONFIGURATION, STACK, place, stack_project
from tests.samples import OTHER_PROJECT, PROJECT, SERVER_ID

BODY = {
    'name': 'wordpress-HttpFailureAlarm-abcdefghijkl',
    'stack_id': STACK,
    'stack_name': 'wordpress',
    'namespace': 'system/linux',
    'metric': 'ServiceFailure',
    'statistic': 'SampleCount',
    'period': 300,
    'comparison': 'GreaterThanThreshold',
    'threshold': 2,
}
SILENCE = BODY | {
    'name': 'wordpress-HeartbeatFailureAlarm-abcdefghijkl',
    'metric': 'Heartbeat',
    'period': 60,
    'comparison': 'LessThanThreshold',
    'threshold': 1,
}


@pytest.fixture
def everywhere(make, database_url, keystone):
    """On every database."""
    return ready(make, database_url, keystone)


@pytest.fixture
def stack(make, sqlite_url, keystone):
    return ready(make, sqlite_url, keystone)


def ready(make, url, keystone):
    """The stack's user, of a guest that is enrolled under the policy for restarters."""
    keystone.tells_secrets = True
    keystone.access_keys.clear()
    made = make(url, webhook=CONFIGURATION.format(keystone=keystone.url))
    made.enrolled(policy='restarter')
    place(made, SERVER_ID)
    hears(made)
    return Caller(made, *keystone.access_key('AKSTACK', stack_project(), 'heat_stack_user'))


def hears(service, seconds=86400.0):
    """The bridge and the agents' gateway listen for so long."""
    now = service.clock()
    with service.database.write() as c:
        c.execute(sa.delete(gateways))
        for name in ('g', 'cloudwatch:h:8003'):
            values = {'name': name, 'alive_at': now, 'listening_since': now - seconds}
            c.execute(gateways.insert().values(values))


def later(service, seconds):
    service.clock.advance(seconds)
    hears(service)


def restarter(service):
    """The URL of a new one, as a template refers to it."""
    answer = service.call('POST', '/v1/alarms', {'server_id': SERVER_ID, 'trigger': 'restarter'})
    assert answer.status_code == 201, answer.get_data()
    return answer.get_json()['url']


def watch(service, body=BODY, **more):
    answer = service.call('POST', '/v1/watches', body | more)
    assert answer.status_code == 201, answer.get_data()
    return answer.get_json()


def fires(service, url):
    return service.post(url.removeprefix(PUBLIC_URL), notification()).get_json()


def published(service):
    return [s.volume for s in WatchCollector(service.database).collect(service.clock())]


def fail(stack, times, **dimensions):
    for _ in range(times):
        stack.service.clock.advance(1)
        hears(stack.service)
        answer = stack.call(put(('ServiceFailure', 1), InstanceId=SERVER_ID, **dimensions))
        assert answer.status_code == 200, answer.get_data()


def test_failures_over_the_threshold_recover_the_server(everywhere):
    stack, service = everywhere, everywhere.service
    url = restarter(service)
    made = watch(service, alarm_actions=[url])
    assert made['definition']['alarm_actions'] == [url]
    fail(stack, 2, AlarmName='HttpFailureAlarm')
    assert published(service) == [2.0]
    assert fires(service, url)['recovery'] is None
    fail(stack, 1, AlarmName=BODY['name'])
    assert published(service) == [3.0]
    assert service.call('GET', '/v1/watches').get_json()['watches'][0]['alarm'] is True
    assert fires(service, url)['decision'] == 'opened'
    assert fires(service, url)['decision'] == 'joined'
    (recovery,) = service.recoveries()
    assert (recovery.trigger, recovery.policy.name) == ('service', 'restarter')
    assert 'watch:' + BODY['name'][:58] in {s.name for s in service.guest().services}


def test_what_came_before_the_reboot_does_not_recover_it_again(stack):
    service = stack.service
    url = restarter(service)
    watch(service, alarm_actions=[url])
    fail(stack, 3)
    fires(service, url)
    with service.database.write() as c:
        recovery = queue.claim(c, 'w', service.clock(), 60)
        attempt = samples.attempt(0, SENT, service.clock(), recovery_id=recovery.id)
        assert not attempts.intend(c, recovery, attempt, service.clock(), service.guest())
    later(service, 5)
    assert published(service) == [0.0]
    with service.database.write() as c:
        watches.settle_all(c, service.clock())
    (found,) = [s for s in service.guest().services if s.name.startswith('watch:')]
    assert (found.state, found.failures) == ('ok', 0)
    fail(stack, 3)
    assert published(service) == [3.0]  # it may fail again


def test_silence_is_the_same_recovery(stack):
    service = stack.service
    url = restarter(service)
    watch(service, SILENCE, alarm_actions=[url])
    assert stack.call(put(('Heartbeat', 1), AlarmName='HeartbeatFailureAlarm')).status_code == 200
    later(service, 30)
    assert published(service) == []  # it has not looked for a whole period yet
    assert stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID)).status_code == 200
    later(service, 40)
    assert published(service) == [1.0]
    assert 'no watch' in fires(service, url)['decision']
    later(service, 30)
    assert published(service) == [0.0]
    assert fires(service, url)['decision'] == 'opened'
    assert service.recoveries()[0].trigger == 'heartbeat'


def test_nobody_is_recovered_for_what_the_bridge_did_not_hear(stack):
    service = stack.service
    url = restarter(service)
    watch(service, SILENCE, alarm_actions=[url])
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    service.clock.advance(600)
    hears(service, 59)
    assert published(service) == []
    assert fires(service, url)['recovery'] is None
    service.listens()  # the agents' gateway only
    assert published(service) == []
    assert fires(service, url)['recovery'] is None


def test_a_guest_that_never_had_a_heartbeat_is_not_silent_to_a_watch_of_failures(stack):
    service = stack.service
    url = restarter(service)
    watch(service, alarm_actions=[url])
    later(service, 3600)
    assert 'no watch' in fires(service, url)['decision']
    fail(stack, 3)
    fires(service, url)
    assert service.recoveries()[0].trigger == 'service'


def test_a_url_that_other_alarms_call_recovers_who_is_silent_or_fails_only(stack):
    service = stack.service
    url = restarter(service)
    stack.call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert 'heard again' in fires(service, url)['decision']
    later(service, 120)
    assert fires(service, url)['decision'] == 'opened'


def test_a_restarter_may_be_named_anew_and_is_carried_by_nothing(stack):
    service = stack.service
    url = restarter(service)
    (alarm,) = service.call('GET', '/v1/alarms').get_json()['alarms']
    answer = service.call('PUT', f'/v1/alarms/{alarm["id"]}', {'name': 'R', 'threshold': 2})
    assert answer.status_code == 200, answer.get_data()
    assert (answer.get_json()['alarm']['name'], answer.get_json()['url']) == ('R', url)
    body = {'aodh_alarm_id': '77777777-7777-4777-8777-777777777777'}
    refused(service.call('PUT', f'/v1/alarms/{alarm["id"]}', body), 400, 'bad_request')


def test_any_metric_may_be_watched(stack):
    service = stack.service
    url = restarter(service)
    more = {'metric': 'Load Average', 'statistic': 'Average', 'period': 60, 'threshold': 4}
    watch(service, BODY | more, name='Busy', alarm_actions=[url])
    later(service, 60)
    for load in (9, 3):
        stack.call(put(('Load Average', load), InstanceId=SERVER_ID))
        service.clock.advance(1)
    assert published(service) == [6.0]
    assert fires(service, url)['decision'] == 'opened'


def test_who_is_meant_is_told_by_the_watch_where_there_is_no_metadata_service(stack, keystone):
    service = stack.service
    watch(service, SILENCE, alarm_actions=[restarter(service)])
    key = keystone.access_key('AKUSER', {'id': stack_project()['id'], **member()}, 'member')
    user = Caller(service, *key)
    assert user.call(put(('Heartbeat', 1), AlarmName='HeartbeatFailureAlarm')).status_code == 200
    assert service.guest().beats == 1
    assert user.call(put(('Heartbeat', 1), AlarmName='Unknown')).status_code == 403


def member():
    return {'id': PROJECT, 'name': 'demo', 'domain': {'id': 'default', 'name': 'Default'}}


def test_cloudwatch_lists_watches_and_takes_their_state(stack):
    service = stack.service
    watch(service, alarm_actions=[restarter(service)])
    listed = stack.call({'Action': 'DescribeAlarms'})
    assert texts(listed, 'AlarmName') == [BODY['name']]
    assert texts(listed, 'Period') == ['300']
    assert texts(listed, 'StateValue') == ['OK']
    fail(stack, 3)
    assert texts(stack.call({'Action': 'DescribeAlarms'}), 'StateValue') == ['ALARM']
    state = {'Action': 'SetAlarmState', 'AlarmName': 'HttpFailureAlarm', 'StateValue': 'ALARM'}
    assert stack.call(state).status_code == 200
    assert service.recoveries()[0].trigger == 'service'


def test_samples_are_forgotten_when_nobody_looks_back_to_them(stack):
    service = stack.service
    made = watch(service)['watch']
    fail(stack, 3)
    later(service, 299)
    with service.database.write() as c:
        assert watches.prune(c, service.clock()) == 2
    assert service.call('DELETE', f'/v1/watches/{made["id"]}').status_code == 204
    with service.database.read() as c:
        assert c.execute(sa.select(watch_samples)).all() == []
    assert service.call('GET', f'/v1/watches/{made["id"]}').status_code == 404


def test_an_update_keeps_the_watch_and_its_alarm(stack):
    service = stack.service
    made = watch(service)['watch']
    path = f'/v1/watches/{made["id"]}'
    carrier = '77777777-7777-4777-8777-777777777777'
    linked = service.call('PUT', path, {'aodh_alarm_id': carrier}).get_json()['watch']
    assert linked['aodh_alarm_id'] == carrier
    answer = service.call('PUT', path, BODY | {'threshold': 5, 'ok_actions': ['http://x/']})
    changed = answer.get_json()
    assert (changed['watch']['threshold'], changed['watch']['aodh_alarm_id']) == (5.0, carrier)
    assert changed['definition']['ok_actions'] == ['http://x/']
    other = watch(service)['watch']
    again = service.call('PUT', f'/v1/watches/{other["id"]}', {'aodh_alarm_id': carrier})
    refused(again, 409, 'conflict')


@pytest.mark.parametrize(
    ('changes', 'named'),
    [
        ({'statistic': 'Median'}, 'statistic'),
        ({'comparison': 'Above'}, 'comparison'),
        ({'threshold': None}, 'threshold'),
        ({'threshold': 'high'}, 'threshold'),
        ({'period': 0}, 'period'),
        ({'period': 3600, 'evaluation_periods': 25}, 'evaluation_periods'),
        ({'metric': ''}, 'metric'),
        ({'namespace': 7}, 'namespace'),
        ({'name': 'two\nlines'}, 'name'),
        ({'dimensions': ['a']}, 'dimensions'),
        ({'dimensions': {'a': 1}}, 'a must be'),
        ({'alarm_actions': 'http://x'}, 'alarm_actions'),
        ({'ok_actions': ['\ud800']}, 'ok_actions'),
        ({'alarm_actions': ['x'] * 11}, 'alarm_actions'),
        ({'colour': 'red'}, 'colour'),
    ],
)
def test_bad_input_is_refused_by_name(stack, changes, named):
    answer = stack.service.call('POST', '/v1/watches', BODY | changes)
    assert named in refused(answer, 400, 'bad_request')['detail']


def test_another_projects_restarter_is_not_its_own(stack, keystone):
    service = stack.service
    url = restarter(service)
    token = keystone.token(OTHER_PROJECT, 'member', 'reader')
    body = BODY | {'alarm_actions': [url]}
    made = service.call('POST', '/v1/watches', body, token).get_json()['watch']
    assert service.call('GET', f'/v1/watches/{made["id"]}').status_code == 404
    with service.database.read() as c:
        assert watches.get(c, made['id']).restarters == ()
