"""Aodh's door: what opens a recovery, what never does, and what every refusal says."""

import json
import threading

import pytest
from itsdangerous import URLSafeTimedSerializer

from aodh_ha import keys
from aodh_ha.db import alarms, queue
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, QUEUED
from tests.functional.http.service import notification, refused
from tests.samples import OTHER_ID, SERVER_ID

AODH_ID = '22222222-2222-4222-8222-222222222222'


def test_an_alarm_of_a_silent_guest_opens_a_recovery_that_is_kept(service):
    service.silent()
    path, _ = service.alarm()
    answer = service.post(path, notification())
    assert answer.status_code == 202
    (recovery,) = service.recoveries()
    assert answer.get_json() == {'recovery': recovery.id, 'decision': 'opened'}
    assert (recovery.status, recovery.server_id, recovery.trigger) == (
        *(QUEUED, SERVER_ID, 'heartbeat'),
    )
    assert recovery.reason.startswith('Transition to alarm')


def test_a_repeated_callback_joins_the_same_recovery(service):
    service.silent()
    path, _ = service.alarm()
    first = service.post(path, notification()).get_json()
    for n in range(2, 5):
        again = service.post(path, notification()).get_json()
        assert again == {'recovery': first['recovery'], 'decision': 'joined'}
        assert service.recoveries()[0].callbacks == n
    assert service.trail().count('alarm') == 1, 'the trail needs it once'


def test_callbacks_that_arrive_together_open_one_recovery(service):
    service.silent()
    path, _ = service.alarm()
    barrier, answers = threading.Barrier(8), []

    def post():
        barrier.wait(30)
        answers.append(service.app.test_client().post(path, data=notification()))

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [a.status_code for a in answers] == [202] * 8
    (recovery,) = service.recoveries()
    assert recovery.callbacks == 8
    assert {a.get_json()['recovery'] for a in answers} == {recovery.id}


# ---- what opens none


def test_a_healthy_guest_is_not_recovered_whatever_aodh_says(service):
    key = service.silent()
    path, _ = service.alarm()
    assert service.beat(key).status_code == 202
    service.flush()
    answer = service.post(path, notification()).get_json()
    assert answer['recovery'] is None
    assert '0 heartbeats missed' in answer['decision']
    assert service.recoveries() == []
    assert 'not_opened' in service.trail()


def test_while_nobody_listened_nobody_is_silent(service):
    service.silent()
    path, _ = service.alarm()
    service.listens(5)
    assert service.post(path, notification()).get_json()['recovery'] is None
    service.clock.advance(60)  # the gateway's own sign of life is old
    answer = service.post(path, notification()).get_json()
    assert 'no gateway listens' in answer['decision']
    assert service.recoveries() == []


@pytest.mark.parametrize('current', ['ok', 'insufficient data'])
def test_no_other_state_opens_a_recovery_not_even_at_the_alarms_door(service, current):
    service.silent()
    path, _ = service.alarm()
    answer = service.post(path, notification(current))
    assert answer.status_code == 202
    assert answer.get_json() == {'recovery': None, 'decision': f'noted: {current}'}
    assert service.recoveries() == []


@pytest.mark.parametrize('current', ['ok', 'alarm', 'insufficient data'])
def test_the_telemetry_door_never_opens_a_recovery(service, current):
    service.silent()
    _, path = service.alarm()
    for _ in range(3):
        assert service.post(path, notification(current)).status_code == 202
    assert service.recoveries() == []
    assert service.trail().count('telemetry') == (0 if current == 'ok' else 1)


def test_a_guest_that_waits_for_its_worker_has_no_alarm(quick):
    quick.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    answer = quick.call('POST', '/v1/alarms', {'server_id': SERVER_ID})
    refused(answer, 409, 'conflict')


# ---- the token


@pytest.mark.parametrize('door', ['alarms', 'telemetry'])
def test_a_forged_token_is_refused(quick, door):
    quick.silent()
    alarm, telemetry = quick.alarm()
    good = alarm if door == 'alarms' else telemetry
    for token in (
        'x',
        'x.y.z',
        good.rsplit('/')[-1][:-1],
        good.rsplit('/')[-1] + 'A',
        'A' * 5000,
        '%00',
        '\xe9',
        URLSafeTimedSerializer(b'another secret', salt='aodh-ha-alarm').dumps(SERVER_ID),
    ):
        answer = quick.post(f'/v1/{door}/{token}', notification())
        refused(answer, 401, 'bad_signature')
    assert quick.recoveries() == []


def test_a_token_fits_its_own_door_only(quick):
    quick.silent()
    alarm, telemetry = quick.alarm()
    swapped = f'/v1/alarms/{telemetry.rsplit("/")[-1]}'
    refused(quick.post(swapped, notification()), 401, 'bad_signature')
    swapped = f'/v1/telemetry/{alarm.rsplit("/")[-1]}'
    refused(quick.post(swapped, notification('insufficient data')), 401, 'bad_signature')
    assert quick.recoveries() == []


def test_a_token_that_names_nothing_of_ours_is_gone(quick):
    secret = keys.signing_secret(quick.state.master_key)
    for named in (SERVER_ID, '', 5, None, {'a': 1}, ['x'], 'a\x00b', 'x' * 500):
        token = URLSafeTimedSerializer(secret, salt='aodh-ha-alarm').dumps(named)
        refused(quick.post(f'/v1/alarms/{token}', notification()), 410, 'gone')


def test_the_url_of_a_deleted_alarm_is_gone_at_once(service):
    service.silent()
    path, telemetry = service.alarm()
    (alarm,) = service.call('GET', '/v1/alarms').get_json()['alarms']
    assert service.call('DELETE', f'/v1/alarms/{alarm["id"]}').status_code == 204
    for each in (path, telemetry):
        refused(service.post(each, notification()), 410, 'gone')
    assert service.recoveries() == []


def test_the_url_of_a_forgotten_guest_is_gone_and_its_recovery_has_ended(service):
    service.silent()
    path, telemetry = service.alarm()
    service.post(path, notification())
    assert service.call('DELETE', f'/v1/guests/{SERVER_ID}').status_code == 204
    for each in (path, telemetry):
        refused(service.post(each, notification()), 410, 'gone')
    (recovery,) = service.recoveries()
    assert recovery.status == LEFT_ALONE


def test_a_guest_enrolled_anew_is_not_reached_by_the_old_url(service):
    service.silent()
    path, _ = service.alarm()
    service.call('DELETE', f'/v1/guests/{SERVER_ID}')
    service.enrolled()
    refused(service.post(path, notification()), 410, 'gone')


def test_another_aodh_alarm_cannot_use_the_url(service):
    service.silent()
    path, telemetry = service.alarm()
    (alarm,) = service.call('GET', '/v1/alarms').get_json()['alarms']
    linked = service.call('PUT', f'/v1/alarms/{alarm["id"]}', {'aodh_alarm_id': AODH_ID})
    assert linked.get_json()['alarm']['aodh_alarm_id'] == AODH_ID
    for each in (path, telemetry):
        refused(service.post(each, notification(alarm_id=OTHER_ID)), 409, 'conflict')
    assert service.recoveries() == []
    assert service.post(path, notification(alarm_id=AODH_ID)).status_code == 202
    assert len(service.recoveries()) == 1


def test_a_url_can_expire(make, sqlite_url):
    service = make(sqlite_url, webhook='callback_lifetime = 60')
    service.silent()
    path, _ = service.alarm()
    assert service.post(path, notification()).status_code == 202
    service.clock.advance(61)
    refused(service.post(path, notification()), 410, 'gone')


def test_a_url_lasts_as_long_as_its_alarm_by_default(quick):
    quick.silent()
    path, _ = quick.alarm()
    quick.clock.advance(10 * 365 * 86400)
    quick.listens()
    assert quick.post(path, notification()).status_code == 202


# ---- bodies


@pytest.mark.parametrize(
    'body',
    [
        b'',
        b'[]',
        b'null',
        b'"alarm"',
        b'{',
        b'\xff\xfe',
        b'[' * 60_000,
        b'9' * 60_000,
        notification('ALARM'),
        notification(alarm_id=5),
        notification(current=None),
    ],
    ids=lambda b: b[:15].decode('latin-1'),
)
def test_a_body_that_is_no_notification_is_refused(quick, body):
    quick.silent()
    for path in quick.alarm():
        refused(quick.post(path, body), 400, 'bad_request')
    assert quick.recoveries() == []


def test_a_body_over_64_kib_is_too_large(quick):
    quick.silent()
    for path in quick.alarm():
        error = refused(quick.post(path, notification(reason='r' * 65_536)), 413, 'too_large')
        assert '65536' in error['detail']


@pytest.mark.parametrize('reason', ['a\x00b', '\ud800', 'r' * 60_000, {'a': [1]}, None, 5])
def test_a_callback_is_not_lost_for_its_reason(service, reason):
    service.silent()
    path, telemetry = service.alarm()
    assert service.post(telemetry, notification('alarm', reason=reason)).status_code == 202
    answer = service.post(path, notification(reason=reason))
    assert answer.status_code == 202
    assert [r.id for r in service.recoveries()] == [answer.get_json()['recovery']]


# ---- the log


def test_a_refused_callback_is_one_line_without_its_token(quick, lines):
    quick.silent()
    path, telemetry = quick.alarm()
    lines()
    quick.post(path, b'[]')
    quick.post(telemetry, b'[]')
    quick.post(path + 'x', notification())
    quick.post(path.replace('alarms', 'telemetry'), notification())
    found = lines()
    assert len(found) == 4
    for line in found:
        assert 'POST /v1/' in line
        assert path.rsplit('/')[-1] not in line
        assert telemetry.rsplit('/')[-1] not in line


def test_callbacks_need_no_keystone_and_bring_no_token_to_it(quick):
    quick.silent()
    path, _ = quick.alarm()
    quick.keystone.away = True
    quick.keystone.asked.clear()
    headers = {'X-Auth-Token': 'of-the-trust'}  # as trust+http sends it
    answer = quick.client.post(path, data=notification(), headers=headers)
    assert answer.status_code == 202
    assert quick.keystone.asked == []


# ---- services


def test_a_failed_service_opens_a_recovery_of_its_own_trigger(service):
    key = service.enrolled()
    path, _ = service.alarm(trigger='service', threshold=2)
    body = {'services': [{'name': 'web', 'state': 'failed', 'failures': 3}]}
    assert service.beat(key, json.dumps(body).encode()).status_code == 202
    answer = service.post(path, notification()).get_json()
    (recovery,) = service.recoveries()
    assert (answer['recovery'], recovery.trigger) == (recovery.id, 'service')
    body['services'][0] = {'name': 'web', 'state': 'ok', 'failures': 0}
    assert service.beat(key, json.dumps(body).encode()).status_code == 202
    held = service.database.run(lambda c: queue.claim(c, 'w', service.clock(), 15))
    service.database.run(lambda c: queue.finish(c, held, service.clock(), FAILED, 'x'))
    assert service.post(path, notification()).get_json()['recovery'] is None


def test_the_state_that_aodh_told_is_shown(quick):
    quick.silent()
    path, _ = quick.alarm()
    quick.post(path, notification('ok'))
    quick.post(path, notification('alarm'))
    (alarm,) = quick.call('GET', '/v1/alarms').get_json()['alarms']
    assert (alarm['state'], alarm['state_at']) == ('alarm', '2027-01-15T08:01:00.000Z')
    with quick.database.read() as c:
        assert alarms.get(c, alarm['id']).state == 'alarm'
