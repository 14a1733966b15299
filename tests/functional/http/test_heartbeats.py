"""The guests' door: who is let in, what is kept, and what every refusal says."""

import json

import pytest

import webhook.intake
from aodh_ha import db
from aodh_ha.db import commands
from aodh_ha.exceptions import DatabaseAway
from aodh_ha.rules import heartbeat
from aodh_ha.testing import START
from tests.functional.http.service import authorization, refused, signature
from tests.samples import OTHER_ID, OTHER_PROJECT, SERVER_ID
from webhook.v1.fields import iso


def test_a_signed_heartbeat_is_taken_answered_and_kept(service):
    key = service.enrolled()
    answer = service.beat(key, b'{"boot_id": "b1", "agent": "1.0"}')
    assert answer.status_code == 202
    assert answer.get_json() == {
        'interval': 10.0,
        'server_time': service.clock(),
        'sequence': 101,
        'time': int(service.clock()),
        'generation': service.credentials['generation'],
        'commands': [],
    }
    service.flush()
    guest = service.guest()
    assert (guest.last_seen, guest.sequence, guest.beats) == (service.clock(), 101, 1)
    assert (guest.boot_id, guest.seen_by) == ('b1', 'agent')


def test_every_answer_to_a_guest_is_signed_with_its_key(service):
    key = service.enrolled()
    for answer, sequence in (
        (service.beat(key), 101),
        (service.beat(key, sequence=101), 101),
        (service.beat(key, time=1), 103),
        (service.beat(key, b'[]'), 104),
    ):
        digest = heartbeat.hashlib.sha256(answer.get_data()).hexdigest()
        signed = signature(key, 'reply', str(answer.status_code), str(sequence), digest)
        assert answer.headers['X-Aodh-HA-Signature'] == signed


def test_a_services_state_is_committed_before_the_answer(service):
    key = service.enrolled()
    body = {'services': [{'name': 'web', 'state': 'failed', 'failures': 2}]}
    assert service.beat(key, json.dumps(body).encode()).status_code == 202
    assert service.guest().failures == 2  # nothing was flushed


def test_what_a_guest_measured_is_kept_with_its_beat_and_shown(service):
    key = service.enrolled()
    body = {'metrics': [{'name': 'CPUUtilization', 'value': 12.5, 'unit': 'Percent'}]}
    assert service.beat(key, json.dumps(body).encode()).status_code == 202
    service.clock.advance(0.25)
    late = {'metrics': [{'name': 'Queue', 'value': 7, 'age': 60}]}
    assert service.beat(key, json.dumps(late).encode()).status_code == 202
    service.clock.advance(0.25)
    assert service.beat(key).status_code == 202
    first = service.clock() - 0.5
    service.flush()
    found = service.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['guest']
    assert found['beats'] == 3
    assert found['metrics'] == [
        {'name': 'CPUUtilization', 'value': 12.5, 'unit': 'Percent', 'at': iso(first)},
        {'name': 'Queue', 'value': 7.0, 'unit': '', 'at': iso(first + 0.25 - 60)},
    ]


def test_a_guest_with_too_many_metrics_is_alive_all_the_same(service, caplog):
    key = service.enrolled()
    for n in range(0, 128, 32):
        metrics = [{'name': f'm{i}', 'value': i} for i in range(n, n + 32)]
        body = json.dumps({'metrics': metrics}).encode()
        assert service.beat(key, body).status_code == 202
        service.flush()
    assert service.guest().beats == 4
    found = service.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['guest']
    assert len(found['metrics']) == 100
    told = f'28 values of metrics of {SERVER_ID} are left out: it has 100 others already'
    assert told in caplog.text
    service.beat(key, body)
    service.flush()
    assert caplog.text.count('are left out') == 1, 'once a minute is enough'


def test_what_was_measured_waits_with_its_beat_while_the_database_is_away(service, monkeypatch):
    key = service.enrolled()
    body = {'metrics': [{'name': 'm', 'value': 1}]}
    assert service.beat(key, json.dumps(body).encode()).status_code == 202
    told = service.clock()
    with monkeypatch.context() as m:
        m.setattr(service.state.database, 'run', away)
        assert service.state.intake.flush()
    service.clock.advance(300)
    service.flush()
    with service.database.read() as c:
        (found,) = db.metrics.of_guest(c, SERVER_ID)
    # As new as it is to the publisher, and as old as it is.
    assert (found.at, found.recorded_at) == (told, told + 300)


def away(work):
    raise DatabaseAway('no answer')


def test_many_beats_between_two_writes_are_one_row_and_all_counted(service):
    key = service.enrolled()
    for _ in range(7):
        service.clock.advance(0.05)
        assert service.beat(key).status_code == 202
    service.flush()
    guest = service.guest()
    assert (guest.beats, guest.sequence) == (7, 107)


def test_a_guest_that_still_waits_for_its_worker_may_beat(quick):
    answer = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    quick.credentials = answer.get_json()['credentials']
    assert quick.beat(quick.credentials['key']).status_code == 202


# ---- who is not let in


@pytest.mark.parametrize(
    'header',
    [None, '', 'Bearer x', 'AODH-HA-HMAC-SHA256', 'AODH-HA-HMAC-SHA256 guest="x"', '\xff' * 50],
)
def test_an_unsigned_heartbeat_is_refused_with_the_form(quick, header):
    quick.enrolled()
    headers = {} if header is None else {'Authorization': header}
    answer = quick.client.post('/v1/heartbeats', data=b'{}', headers=headers)
    assert 'signature="<hex>"' in refused(answer, 401, 'bad_signature')['detail']
    assert 'X-Aodh-HA-Signature' not in answer.headers


def test_a_forged_heartbeat_is_refused_and_changes_nothing(quick):
    key = quick.enrolled()
    before = quick.guest()
    now = int(quick.clock())
    good = authorization(
        key, b'{}', time=now, sequence=5, generation=quick.credentials['generation']
    )
    for header, body in [
        (authorization('k' * 43, b'{}', time=now, sequence=5), b'{}'),
        (authorization('', b'{}', time=now, sequence=5), b'{}'),
        (good, b'{} '),
        (good.replace('sequence="5"', 'sequence="6"'), b'{}'),
        (good.replace(f'time="{now}"', f'time="{now + 1}"'), b'{}'),
        (good.replace(SERVER_ID, OTHER_ID), b'{}'),
        (good[:-2] + '0"', b'{}') if good[-2] != '0' else (good[:-2] + '1"', b'{}'),
    ]:
        answer = quick.client.post('/v1/heartbeats', data=body, headers={'Authorization': header})
        refused(answer, 401, 'bad_signature')
        assert 'X-Aodh-HA-Signature' not in answer.headers
    quick.flush()
    assert quick.guest() == before


def test_an_unknown_guest_is_told_no_more_than_a_forger(quick):
    """Nobody learns by asking which guests there are: he would need the key."""
    quick.enrolled()
    known = quick.beat('k' * 43)
    unknown = quick.beat('k' * 43, guest=OTHER_ID)
    drop = ('request_id',)
    first, second = (
        {k: v for k, v in refused(a, 401, 'bad_signature').items() if k not in drop}
        for a in (known, unknown)
    )
    assert first == second
    assert (
        'not enrolled'
        in refused(
            quick.beat(quick.key_of(OTHER_ID), guest=OTHER_ID, generation=1), 401, 'bad_signature'
        )['detail']
    )


def test_a_forgotten_guest_is_refused(service):
    key = service.enrolled()
    assert service.beat(key).status_code == 202
    assert service.call('DELETE', f'/v1/guests/{SERVER_ID}').status_code == 204
    refused(service.beat(key), 401, 'bad_signature')
    service.flush()  # the beat that waited harms nobody


def test_a_key_of_another_generation_is_refused(quick):
    quick.enrolled()
    for generation in (quick.credentials['generation'] + 1, 0, -1, 10**18):
        key = quick.key_of(SERVER_ID, generation)
        refused(quick.beat(key, generation=generation), 401, 'bad_signature')


def test_a_guest_that_was_refused_is_refused(quick):
    from aodh_ha.db import guests

    answer = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    quick.credentials = answer.get_json()['credentials']
    quick.database.run(
        lambda c: guests.confirm(c, quick.guest(), quick.clock(), '', 'no such server')
    )
    refused(quick.beat(quick.credentials['key']), 401, 'bad_signature')


def test_a_key_that_was_given_for_anothers_server_is_not_its_owners(quick):
    """Whoever enrols a server gets a key before Nova was asked whose it is."""
    from aodh_ha.db import guests

    thief = quick.keystone.token(OTHER_PROJECT, 'member')
    answer = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID}, thief)
    stolen = answer.get_json()['credentials']
    quick.database.run(lambda c: guests.confirm(c, quick.guest(), quick.clock(), '', 'not yours'))
    key = quick.enrolled()
    assert quick.beat(key).status_code == 202
    refused(quick.beat(stolen['key'], generation=stolen['generation']), 401, 'bad_signature')


def test_a_key_is_void_for_good_when_the_guest_was_forgotten(quick):
    old = quick.enrolled()
    generation = quick.credentials['generation']
    assert quick.call('DELETE', f'/v1/guests/{SERVER_ID}').status_code == 204
    new = quick.enrolled()
    assert new != old
    refused(quick.beat(old, generation=generation), 401, 'bad_signature')
    assert quick.beat(new).status_code == 202


def test_enrolling_again_gives_the_same_key(quick):
    key = quick.enrolled()
    again = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID, 'interval': 5})
    assert again.status_code == 200
    assert again.get_json()['credentials']['key'] == key


# ---- freshness


@pytest.mark.parametrize('off', [-301, 301, -(10**9), 10**9, 10**17])
def test_a_clock_that_is_off_is_told_the_time(quick, off):
    key = quick.enrolled()
    answer = quick.beat(key, time=int(START) + off)
    assert refused(answer, 401, 'clock_skew')['server_time'] == START
    quick.flush()
    assert quick.guest().last_seen is None


@pytest.mark.parametrize('off', [-300, 300])
def test_a_clock_that_is_off_within_the_skew_is_not_and_times_are_ours(quick, off):
    key = quick.enrolled()
    assert quick.beat(key, time=int(START) + off).status_code == 202
    quick.flush()
    assert quick.guest().last_seen == START


def test_a_replay_is_told_the_last_sequence_before_and_after_it_was_written(service):
    key = service.enrolled()
    assert service.beat(key, sequence=500).status_code == 202
    for sequence in (500, 499, 1):
        error = refused(service.beat(key, sequence=sequence), 409, 'replayed_sequence')
        assert error['last_sequence'] == 500
    service.flush()
    for sequence in (500, 499, 1):
        error = refused(service.beat(key, sequence=sequence), 409, 'replayed_sequence')
        assert error['last_sequence'] == 500
    assert service.beat(key, sequence=501).status_code == 202
    service.flush()
    assert service.guest().beats == 2


def test_the_greatest_sequence_is_kept(service):
    key = service.enrolled()
    assert service.beat(key, sequence=2**62 - 1).status_code == 202
    service.flush()
    assert service.guest().sequence == 2**62 - 1
    refused(service.beat(key, sequence=2**62), 401, 'bad_signature')


# ---- bodies


NO_REPORTS = [
    b'[]',
    b'null',
    b'1',
    b'nope',
    b'\xff\xfe',
    b'{"boot_id": 1}',
    b'{"boot_id": "a\\u0000b"}',
    b'{"boot_id": "\\ud800"}',
    b'{"services": 1}',
    b'{"services": [{"name": "a\\u0000", "state": "ok"}]}',
    b'{"services": [{"name": "a", "state": "ok", "failures": 1e999}]}',
    b'{"services": [{"name": "a", "state": "ok", "failures": ' + b'9' * 4000 + b'}]}',
    b'9' * 16000,
    b'[' * 16000,
    b'{"a":' * 3000,
    json.dumps({'services': [{'name': f's{n}', 'state': 'ok'} for n in range(65)]}).encode(),
]


def test_a_body_that_is_no_report_is_refused_and_the_next_beat_is_well(service):
    key = service.enrolled()
    for n, body in enumerate(NO_REPORTS, 1):
        refused(service.beat(key, body), 400, 'bad_request')
        assert service.beat(key, b'{"boot_id": "after"}').status_code == 202
        service.flush()
        assert (service.guest().boot_id, service.guest().beats) == ('after', n)


def test_text_of_any_language_is_kept(service):
    key = service.enrolled()
    names = ['Größe', '測定', '🙂' * 32, 'a' * 64]
    services = [{'name': n, 'state': 'ok'} for n in names]
    body = json.dumps({'boot_id': '🙂' * 32, 'services': services}, ensure_ascii=False).encode()
    assert service.beat(key, body).status_code == 202
    assert [s.name for s in service.guest().services] == names
    assert service.guest().boot_id == '🙂' * 32


def test_a_body_over_16_kib_is_too_large(quick):
    key = quick.enrolled()
    assert quick.beat(key, b' ' * (heartbeat.MAX_BODY - 2) + b'{}').status_code == 202
    error = refused(quick.beat(key, b' ' * (heartbeat.MAX_BODY + 1)), 413, 'too_large')
    assert '16384' in error['detail']


# ---- commands


def ordered(service, kind=commands.RESTART, seconds=60, server_id=SERVER_ID, **arguments):
    now = service.clock()
    return service.database.run(
        lambda c: commands.add(
            c, server_id, kind, arguments or {'service': 'web'}, None, now, now + seconds
        )
    )


def told(service, command_id):
    with service.database.read() as c:
        return commands.get(c, command_id)


def results(*found):
    return json.dumps({'results': found}).encode()


def test_a_command_is_in_every_reply_until_its_result_is_reported(service):
    key = service.enrolled()
    command = ordered(service)
    for passed in (0, 10, 20):
        answer = service.beat(key).get_json()
        assert answer['commands'] == [
            {
                'id': command,
                'kind': 'service.restart',
                'arguments': {'service': 'web'},
                'expires_in': 60 - passed,
            }
        ]
        service.clock.advance(10)
    assert told(service, command).status == commands.HANDED
    assert told(service, command).handed_at == START
    answer = service.beat(key, results({'id': command, 'ok': True, 'detail': 'exit status 0'}))
    assert (answer.status_code, answer.get_json()['commands']) == (202, [])
    found = told(service, command)  # nothing was flushed
    assert (found.status, found.result) == (commands.DONE, 'exit status 0')
    assert found.finished_at == service.clock()
    assert service.trail()[-1] == 'command'
    assert service.beat(key).get_json()['commands'] == []


def test_a_result_that_is_told_again_changes_nothing(quick):
    key = quick.enrolled()
    command = ordered(quick)
    for ok in (False, True):
        body = results({'id': command, 'ok': ok, 'detail': f'{ok}'})
        assert quick.beat(key, body).status_code == 202
    assert (told(quick, command).status, told(quick, command).result) == (commands.FAILED, 'False')
    assert quick.trail().count('command') == 1


def test_a_refusal_is_no_failure(quick):
    key = quick.enrolled()
    command = ordered(quick)
    body = results({'id': command, 'ok': False, 'detail': 'not allowed here', 'refused': True})
    assert quick.beat(key, body).status_code == 202
    assert told(quick, command).status == commands.REFUSED


def test_a_command_that_is_over_is_not_handed(quick):
    key = quick.enrolled()
    command = ordered(quick, seconds=10)
    quick.clock.advance(10)
    assert quick.beat(key).get_json()['commands'] == []
    assert told(quick, command).status == commands.QUEUED  # as it was


def test_a_guest_gets_its_own_commands_and_answers_no_others(quick):
    first = quick.enrolled()
    generation = quick.credentials['generation']
    second = quick.enrolled(OTHER_ID)
    command = ordered(quick)
    body = results({'id': command, 'ok': True})
    answer = quick.beat(second, body, guest=OTHER_ID)
    assert (answer.status_code, answer.get_json()['commands']) == (202, [])
    assert told(quick, command).status == commands.QUEUED
    assert len(quick.beat(first, generation=generation).get_json()['commands']) == 1


def test_a_forged_or_replayed_beat_gets_no_command_and_reports_nothing(quick):
    key = quick.enrolled()
    assert quick.beat(key, sequence=500).status_code == 202
    command = ordered(quick)
    body = results({'id': command, 'ok': True})
    for answer in (
        quick.beat('k' * 43, body, sequence=501),
        quick.beat(key, body, sequence=500),
        quick.beat(key, body, sequence=501, time=1),
    ):
        assert answer.status_code in (401, 409)
        assert command not in answer.get_data(as_text=True)
    assert told(quick, command).status == commands.QUEUED


@pytest.mark.parametrize(
    'found',
    [
        1,
        [1],
        [{}],
        [{'id': 'x', 'ok': True}],
        [{'id': SERVER_ID}],
        [{'id': SERVER_ID, 'ok': 1}],
        [{'id': SERVER_ID, 'ok': True, 'detail': 'x' * 501}],
        [{'id': SERVER_ID, 'ok': True, 'detail': '\x00'}],
        [{'id': SERVER_ID, 'ok': True, 'refused': 'no'}],
        [{'id': SERVER_ID, 'ok': True}] * 17,
    ],
)
def test_what_is_no_result_is_refused(quick, found):
    key = quick.enrolled()
    refused(quick.beat(key, json.dumps({'results': found}).encode()), 400, 'bad_request')


def test_a_result_that_cannot_be_committed_is_not_taken(service, monkeypatch):
    key = service.enrolled()
    command = ordered(service)

    def away(work):
        raise DatabaseAway('gone')

    body = results({'id': command, 'ok': True})
    with monkeypatch.context() as m:
        m.setattr(service.state.database, 'run', away)
        refused(service.beat(key, body), 503, 'unavailable')
    assert service.beat(key, body).status_code == 202
    assert told(service, command).status == commands.DONE


# ---- a service of which the agent cannot tell yet


def services(state, failures=0, name='web'):
    return json.dumps({'services': [{'name': name, 'state': state, 'failures': failures}]}).encode()


def test_a_failed_service_stays_failed_until_its_agent_can_tell(service):
    """A beat after a reboot would end the recovery that made it, before the service is well."""
    key = service.enrolled()
    service.beat(key, services('failed', 4))
    began = service.guest().failing_since
    for failures in (0, 1):
        service.clock.advance(10)
        assert service.beat(key, services('unknown', failures)).status_code == 202
        service.flush()
        guest = service.guest()
        assert (guest.failures, guest.failing_since) == (4, began)
        assert guest.services[0].state == 'unknown'
    service.beat(key, services('ok'))
    assert (service.guest().failures, service.guest().failing_since) == (0, None)


def test_a_service_that_was_well_is_not_failing_while_unknown(quick):
    key = quick.enrolled()
    for state, failures in (('unknown', 1), ('ok', 0), ('unknown', 2)):
        quick.beat(key, services(state, failures))
        assert (quick.guest().failures, quick.guest().failing_since) == (0, None)
    quick.beat(key, services('failed', 3))
    assert quick.guest().failures == 3


def test_a_service_that_is_watched_no_more_fails_no_more(quick):
    key = quick.enrolled()
    quick.beat(key, services('failed', 3))
    quick.beat(key, services('unknown', 0, 'another'))
    assert quick.guest().failures == 0


# ---- the batch


def test_one_beat_that_cannot_be_written_does_not_hold_back_the_others(quick, monkeypatch, lines):
    key = quick.enrolled()
    other = quick.enrolled(OTHER_ID)
    generation = quick.credentials['generation']
    from aodh_ha.db import guests

    real = guests.write_beats

    def write(connection, beats):
        beats = list(beats)
        if any(b.server_id == OTHER_ID for b in beats):
            raise UnicodeEncodeError('utf-8', 'x', 0, 1, 'as a driver does')
        real(connection, beats)

    monkeypatch.setattr(guests, 'write_beats', write)
    first = quick.guest().generation
    assert quick.beat(key, generation=first).status_code == 202
    assert quick.beat(other, guest=OTHER_ID, generation=generation).status_code == 202
    quick.state.intake.flush()
    assert quick.guest().beats == 1
    assert quick.beat(key, generation=first).status_code == 202, 'the door is open'
    assert f'the heartbeat of {OTHER_ID} is dropped' in lines()


def test_a_report_that_no_database_takes_is_not_called_committed(quick, monkeypatch):
    key = quick.enrolled()
    from aodh_ha.db import guests

    def write(connection, beats):
        raise UnicodeEncodeError('utf-8', 'x', 0, 1, 'as a driver does')

    with monkeypatch.context() as m:
        m.setattr(guests, 'write_beats', write)
        refused(quick.beat(key, services('failed', 1)), 503, 'unavailable')
    assert quick.beat(key).status_code == 202, 'the door is open'


def test_a_tick_that_fails_loses_no_beat(quick, monkeypatch):
    from aodh_ha.db import gateways

    key = quick.enrolled()
    assert quick.beat(key).status_code == 202

    def tick(*_):
        raise ValueError('as a driver does')

    with monkeypatch.context() as m:
        m.setattr(webhook.intake, 'TICK', 0)
        m.setattr(gateways, 'tick', tick)
        assert quick.state.intake.flush()
        refused(quick.beat(key, services('failed', 1)), 503, 'unavailable')
    quick.flush()
    assert quick.guest().beats == 1


def test_beats_that_came_while_older_ones_could_not_be_written_are_counted_with_them(
    quick, monkeypatch
):
    from aodh_ha.db import gateways

    key = quick.enrolled()
    assert quick.beat(key).status_code == 202
    answers = []

    def tick(*_):
        answers.append(quick.beat(key).status_code)  # while the batch is being written
        raise DatabaseAway('gone')

    with monkeypatch.context() as m:
        m.setattr(webhook.intake, 'TICK', 0)
        m.setattr(gateways, 'tick', tick)
        assert quick.state.intake.flush()
    assert answers == [202]
    quick.flush()
    assert (quick.guest().beats, quick.guest().sequence) == (2, 102)


def test_a_big_batch_is_written_in_parts_and_we_are_heard_between(quick, monkeypatch):
    from aodh_ha.db import gateways, guests

    key = quick.enrolled()
    generation = quick.credentials['generation']
    other = quick.enrolled(OTHER_ID)
    monkeypatch.setattr(webhook.intake, 'CHUNK', 1)
    monkeypatch.setattr(webhook.intake, 'TICK', 0)
    done = []
    for module, name in ((gateways, 'tick'), (guests, 'write_beats')):
        real = getattr(module, name)

        def recorded(*a, real=real, name=name):
            done.append(name)
            return real(*a)

        monkeypatch.setattr(module, name, recorded)
    assert quick.beat(key, generation=generation).status_code == 202
    assert quick.beat(other, guest=OTHER_ID).status_code == 202
    quick.flush()
    assert done == ['tick', 'write_beats', 'tick', 'write_beats']
    assert (quick.guest().beats, quick.guest(OTHER_ID).beats) == (1, 1)


def test_while_beats_cannot_be_written_they_are_refused_and_those_that_wait_are_kept(
    service, monkeypatch
):
    key = service.enrolled()
    assert service.beat(key).status_code == 202
    taken_at = service.clock()

    def away(work):
        raise DatabaseAway('gone')

    with monkeypatch.context() as m:
        m.setattr(service.state.database, 'run', away)
        assert service.state.intake.flush()
        service.clock.advance(10)
        refused(service.beat(key), 503, 'unavailable')
        assert service.client.get('/healthz').status_code == 503
    service.flush()
    assert service.guest().last_seen == taken_at
    assert service.guest().beats == 1
    assert service.beat(key).status_code == 202
    assert service.client.get('/healthz').status_code == 200


def test_a_report_that_cannot_be_committed_is_refused(service, monkeypatch):
    key = service.enrolled()

    def away(work):
        raise DatabaseAway('gone')

    body = b'{"services": [{"name": "w", "state": "failed"}]}'
    with monkeypatch.context() as m:
        m.setattr(service.state.database, 'run', away)
        refused(service.beat(key, body), 503, 'unavailable')


def test_what_waits_is_bounded(quick, monkeypatch):
    key = quick.enrolled()
    other = quick.enrolled(OTHER_ID)
    generation = quick.credentials['generation']
    monkeypatch.setattr(webhook.intake, 'MAX_PENDING', 1)
    assert quick.beat(other, guest=OTHER_ID, generation=generation).status_code == 202
    refused(quick.beat(key, generation=quick.guest().generation), 503, 'unavailable')
    assert quick.beat(other, guest=OTHER_ID, generation=generation).status_code == 202


def test_reports_do_not_each_write_that_we_listen(quick, monkeypatch):
    from aodh_ha.db import gateways

    key = quick.enrolled()
    ticks = []
    real = gateways.tick
    monkeypatch.setattr(gateways, 'tick', lambda *a: ticks.append(1) or real(*a))
    monkeypatch.setattr(webhook.intake, 'TICK', 60)
    for n in range(1, 4):
        assert quick.beat(key, services('failed', n)).status_code == 202
        assert quick.guest().failures == n
    assert ticks == []


# ---- the log


def test_a_refused_heartbeat_is_one_line_without_key_or_signature(quick, lines):
    key = quick.enrolled()
    lines()
    header = authorization('k' * 43, b'{}', time=5, sequence=5)
    quick.client.post('/v1/heartbeats', data=b'{}', headers={'Authorization': header})
    quick.beat(key, time=5)
    quick.beat(key, b'[]')
    quick.client.post('/v1/heartbeats', data=b' ' * 20_000)
    found = lines()
    assert len(found) == 4
    for line in found:
        assert 'POST /v1/heartbeats' in line
        assert line.isprintable()
        assert key not in line
        assert header[-66:] not in line


def test_no_method_but_post(quick):
    for method in ('GET', 'PUT', 'DELETE', 'PATCH'):
        answer = quick.client.open('/v1/heartbeats', method=method)
        refused(answer, 405, 'method_not_allowed')
        assert 'POST' in answer.headers['Allow']


def test_heartbeats_need_no_keystone(quick):
    key = quick.enrolled()
    quick.keystone.away = True
    quick.keystone.asked.clear()
    answer = quick.beat(key)
    assert answer.status_code == 202
    assert quick.keystone.asked == []
