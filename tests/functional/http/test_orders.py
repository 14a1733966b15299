"""What people order: windows, approvals, ends of recoveries and incidents, policies for all."""

import hashlib
import json

import pytest

from aodh_ha.db import attempts, commands, guests, incidents, models, policies, queue, silences
from aodh_ha.db.models import recoveries as table
from aodh_ha.rules import guards
from aodh_ha.rules.recovery import LEFT_ALONE, QUEUED, SENT, UNVERIFIED
from tests import samples
from tests.functional.http.service import notification, refused
from tests.samples import DOCUMENT, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID, pending
from webhook import explanation
from webhook.v1 import fields

DAY = 86400


def iso(service, seconds):
    """A time so many seconds after the service's now."""
    return fields.iso(service.clock() + seconds)


# ---- maintenance windows


def test_a_window_covers_its_guest_until_it_ends(service):
    service.enrolled()
    body = {'scope': 'guest', 'value': SERVER_ID, 'duration': 3600, 'reason': 'new kernel'}
    answer = service.call('POST', '/v1/silences', body)
    assert answer.status_code == 201
    window = answer.get_json()['silence']
    assert {k: window[k] for k in ('status', 'ends_at', 'reason', 'project_id')} == {
        'status': 'active',
        'ends_at': iso(service, 3600),
        'reason': 'new kernel',
        'project_id': PROJECT,
    }
    assert window['author']
    assert service.call('GET', '/v1/silences').get_json() == {'silences': [window]}
    assert covering(service) == [window['id']]
    assert service.call('DELETE', f'/v1/silences/{window["id"]}').status_code == 204
    assert covering(service) == []
    assert service.call('GET', '/v1/silences').get_json() == {'silences': []}
    (ended,) = service.call('GET', '/v1/silences?ended=1').get_json()['silences']
    assert ended['status'] == 'ended'
    assert service.trail() == ['enrolled', 'silenced', 'silence_ended']


def covering(service, host='host1'):
    with service.database.read() as c:
        return [s.id for s in silences.covering(c, service.guest(), host, service.clock())]


def test_a_window_may_begin_later_and_end_at_a_time(quick):
    quick.enrolled()
    body = {'scope': 'project', 'starts_at': iso(quick, 60), 'ends_at': iso(quick, 120)}
    window = quick.call('POST', '/v1/silences', body).get_json()['silence']
    assert (window['status'], window['value']) == ('planned', PROJECT)
    assert covering(quick) == []
    quick.clock.advance(61)
    assert covering(quick) == [window['id']]
    quick.clock.advance(60)
    assert covering(quick) == []


def bad_windows(service):
    good = {'scope': 'project', 'duration': 60}
    yield from (good | {'duration': v} for v in (None, 0, -1, '1h', 31 * DAY, True, [], 1e308))
    yield from (good | {'scope': v} for v in (None, '', 'everything', 5, []))
    yield from (good | {'starts_at': v} for v in ('', 5, 'now', '2027-01-15', iso(service, 5e8)))
    yield from (good | {'reason': v} for v in (5, 'a\nb', 'r' * 256, '\x00', '\ud800'))
    yield good | {'ends_at': iso(service, 60)}
    yield {'scope': 'project'}
    for end in (0, -1, 30 * DAY + 1):
        yield {'scope': 'project', 'ends_at': iso(service, end)}
    for value in ('0001-01-01T00:00:00+23:59', '9999-12-31T23:59:59-23:59', '2027-01-15T08:00'):
        yield {'scope': 'project', 'ends_at': value}
    yield good | {'scope': 'guest'}
    yield good | {'scope': 'group'}
    yield good | {'scope': 'group', 'value': 'a b'}


def test_a_window_without_sense_is_refused(quick):
    for body in bad_windows(quick):
        refused(quick.call('POST', '/v1/silences', body), 400, 'bad_request')
    longest = {'scope': 'project', 'ends_at': iso(quick, 30 * DAY)}
    assert quick.call('POST', '/v1/silences', longest).status_code == 201


@pytest.mark.parametrize(
    'whom',
    [{'scope': 'host', 'value': 'host1'}, {'scope': 'all'}, {'scope': 'project', 'value': 'x'}],
)
def test_windows_beyond_a_project_are_for_administrators(quick, whom):
    quick.enrolled()
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    refused(quick.call('POST', '/v1/silences', whom | {'duration': 60}), 403, 'forbidden')
    answer = quick.call('POST', '/v1/silences', whom | {'duration': 60}, admin)
    window = answer.get_json()['silence']['id']
    if whom.get('value') != 'x':
        assert covering(quick) == [window]
        shown = quick.call('GET', '/v1/silences').get_json()['silences']
        assert len(shown) == (1 if whom['scope'] == 'all' else 0)
    refused(quick.call('DELETE', f'/v1/silences/{window}'), 404, 'not_found')
    path = f'/v1/silences/{window}?all_projects=1'
    assert quick.call('DELETE', path, token=admin).status_code == 204
    assert covering(quick) == []


def test_nobody_silences_a_strangers_guest_not_even_before_it_is_known_whose_it_is(quick):
    other = quick.keystone.token(OTHER_PROJECT, 'member')
    body = {'scope': 'guest', 'value': SERVER_ID, 'duration': 60}
    quick.call('POST', '/v1/guests', {'server_id': SERVER_ID}, other)
    refused(quick.call('POST', '/v1/silences', body, other), 409, 'conflict')
    quick.clock.advance(guests.PENDING_TIME + 1)
    quick.enrolled()
    refused(quick.call('POST', '/v1/silences', body, other), 404, 'not_found')
    window = quick.call('POST', '/v1/silences', body).get_json()['silence']['id']
    refused(quick.call('DELETE', f'/v1/silences/{window}', token=other), 404, 'not_found')
    assert quick.call('GET', '/v1/silences', token=other).get_json() == {'silences': []}


# ---- enrolment


def test_a_stranger_who_is_pending_stands_in_the_owners_way_for_a_moment_only(service):
    other = service.keystone.token(OTHER_PROJECT, 'member')
    theirs = service.call('POST', '/v1/guests', {'server_id': SERVER_ID}, other).get_json()
    error = refused(service.call('POST', '/v1/guests', {'server_id': SERVER_ID}), 409, 'conflict')
    service.clock.advance(guests.PENDING_TIME + 1)
    key = service.enrolled()
    assert key != theirs['credentials']['key']
    assert service.guest().project_id == PROJECT
    # What is told is the same whether the other one is only pending, or enrolled.
    again = refused(
        service.call('POST', '/v1/guests', {'server_id': SERVER_ID}, other), 409, 'conflict'
    )
    assert again['detail'] == error['detail']
    events = service.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['events']
    assert len(events) == 1, "the stranger's enrolment is not the owner's to see"


def test_a_guest_finds_its_policy_by_its_group(quick):
    document = DOCUMENT + 'match: {groups: [db]}\n'
    quick.call('PUT', '/v1/policies/ladder', {'document': document.replace('10s', '5s')})
    guest = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID, 'group': 'db'}).get_json()
    assert (guest['guest']['policy'], guest['guest']['interval']) == ('', 5.0)
    shown = quick.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['guest']
    assert (shown['group'], shown['policy_in_force']) == ('db', 'ladder')
    # What is not given stays as it was; a group that is given brings its policy's times.
    for body, interval, group in (
        ({'missed': 7}, 5.0, 'db'),
        ({'interval': 60}, 60.0, 'db'),
        ({}, 60.0, 'db'),
        ({'group': ''}, 10.0, ''),
    ):
        answer = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID, **body})
        assert answer.status_code == 200
        found = answer.get_json()['guest']
        assert (found['interval'], found['group']) == (interval, group)


# ---- recoveries


@pytest.fixture
def recovery(service):
    """A recovery of a silent guest under a policy whose second step asks for approval."""
    return opened(service)


@pytest.fixture
def quick_recovery(quick):
    """The same, on SQLite only."""
    return opened(quick)


def opened(service):
    document = DOCUMENT.replace('type: hard,', 'type: hard, approval: true,')
    service.call('PUT', '/v1/policies/ladder', {'document': document})
    service.silent(policy='ladder')
    service.path, _ = service.alarm()
    service.post(service.path, notification())
    return service.recoveries()[0].id


def waits(service, recovery_id):
    """A worker found that the second step waits for approval."""
    service.database.run(
        lambda c: c.execute(
            table.update()
            .where(table.c.id == recovery_id)
            .values(
                guard='approval',
                reason='server.reboot hard waits for "recovery approve"',
                not_before=service.clock() + 10,
            )
        )
    )


def order(service, recovery_id, verb, body=None, token=None):
    return service.call('POST', f'/v1/recoveries/{recovery_id}/{verb}', body, token)


def test_a_step_that_waits_goes_on_when_it_is_approved(service, recovery):
    refused(order(service, recovery, 'approve'), 409, 'conflict')
    waits(service, recovery)
    assert claimed(service) is None
    error = refused(order(service, recovery, 'approve', {'step': 2}), 409, 'conflict')
    assert 'server.reboot hard that waits' in error['detail']
    answer = order(service, recovery, 'approve', {'step': 1})
    assert answer.status_code == 200
    shown = answer.get_json()['recovery']
    assert (shown['approved_step'], shown['guard']) == (1, '')
    assert claimed(service).approved_step == 1
    refused(order(service, recovery, 'approve'), 409, 'conflict')
    assert 'approved' in service.trail()


def claimed(service):
    return service.database.run(lambda c: queue.claim(c, 'w', service.clock(), 15))


def test_a_cancelled_recovery_is_over_for_whoever_holds_it_and_for_this_silence(service, recovery):
    held = claimed(service)
    attempt = samples.attempt(0, SENT, service.clock(), recovery_id=recovery)
    service.database.run(
        lambda c: attempts.intend(c, held, attempt, service.clock(), service.guest())
    )
    restart = (SERVER_ID, commands.RESTART, {'service': 'web'})
    now = service.clock()
    for owner in (recovery, None):
        service.database.run(lambda c, o=owner: commands.add(c, *restart, o, now, now + 60))
    answer = order(service, recovery, 'cancel', {'reason': 'not now'})
    shown = answer.get_json()['recovery']
    assert (shown['status'], shown['guard']) == (LEFT_ALONE, 'cancelled')
    assert shown['reason'].endswith(': not now')
    with pytest.raises(queue.LeaseLost):
        service.database.run(lambda c: queue.renew(c, held, service.clock(), 15))
    with service.database.read() as c:
        left = pending(c, SERVER_ID, service.clock())
    assert [c.recovery_id for c in left] == [None]
    found = service.call('GET', f'/v1/recoveries/{recovery}').get_json()
    assert [a['status'] for a in found['attempts']] == [UNVERIFIED]
    assert found['events'][-1]['kind'] == LEFT_ALONE
    refused(order(service, recovery, 'cancel'), 409, 'conflict')
    service.clock.advance(queue.RECHECK + 1)
    service.listens()
    again = service.post(service.path, notification()).get_json()
    assert again == {'recovery': recovery, 'decision': 'joined'}
    assert [r.status for r in service.recoveries()] == [LEFT_ALONE]


def test_the_next_silence_after_a_cancelled_one_is_recovered(quick, quick_recovery):
    order(quick, quick_recovery, 'cancel')
    quick.clock.advance(60)
    key = quick.credentials['key']
    assert quick.beat(key).status_code == 202
    quick.flush()
    quick.clock.advance(60)
    quick.listens()
    assert quick.post(quick.path, notification()).get_json()['decision'] == 'opened'


def test_orders_about_a_strangers_recovery_find_nothing(quick, quick_recovery):
    waits(quick, quick_recovery)
    other = quick.keystone.token(OTHER_PROJECT, 'member')
    for verb in ('approve', 'cancel'):
        refused(order(quick, quick_recovery, verb, {}, other), 404, 'not_found')
    refused(
        quick.call('GET', f'/v1/recoveries/{quick_recovery}/explain', token=other), 404, 'not_found'
    )
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    path = f'/v1/recoveries/{quick_recovery}/cancel?all_projects=1'
    assert quick.call('POST', path, token=admin).status_code == 200


@pytest.mark.parametrize(
    ('verb', 'body'),
    [
        *(('approve', {'step': v}) for v in ('1', -1, 1.5, True, [], 10**30)),
        *(('cancel', {'reason': v}) for v in (5, None, 'a\nb', 'r' * 256)),
        *((verb, b) for verb in ('approve', 'cancel') for b in (b'[]', b'{', b'null', {'x': 1})),
    ],
)
def test_an_order_that_makes_no_sense_is_refused(quick, verb, body):
    quick.silent()
    path, _ = quick.alarm()
    made = quick.post(path, notification()).get_json()['recovery']
    refused(order(quick, made, verb, body), 400, 'bad_request')
    assert quick.recoveries()[0].status == QUEUED


def test_a_recovery_is_explained_rung_by_rung(quick, quick_recovery):
    def explained():
        answer = quick.call('GET', f'/v1/recoveries/{quick_recovery}/explain').get_json()
        steps = [s['status'] for s in answer['explanation']['steps']]
        return answer['explanation'], steps

    assert explained()[1] == ['next', 'later', 'later']
    held = claimed(quick)
    attempt = samples.attempt(0, SENT, quick.clock(), recovery_id=quick_recovery)
    quick.database.run(lambda c: attempts.intend(c, held, attempt, quick.clock(), quick.guest()))
    assert explained()[1] == ['under way', 'later', 'later']
    quick.database.run(
        lambda c: attempts.conclude(c, held, attempt, quick.clock(), UNVERIFIED, 'no beat')
    )
    waits(quick, quick_recovery)
    found, steps = explained()
    assert steps == ['tried', 'waiting', 'later']
    assert found['held']['guard'] == 'approval'
    assert 'no beat' in found['steps'][0]['why']
    assert 'one callback' in found['summary']
    order(quick, quick_recovery, 'cancel')
    found, steps = explained()
    assert steps == ['tried', 'not reached', 'not reached']
    assert found['held'] is None


def test_every_guard_is_explained():
    assert set(explanation.GUARDS) == {*guards.GUARDS, queue.CANCELLED}


def test_recoveries_are_listed_page_by_page_newest_first(service, recovery):
    made = [recovery]
    for n in range(4):
        # Two of them at the same moment: the id decides.
        service.clock.advance(n % 2)
        server_id = f'{n:08x}{OTHER_ID[8:]}'
        guest = samples.guest(server_id=server_id, last_seen=service.clock() - 60)
        opened, _ = service.database.run(
            lambda c, g=guest: queue.enqueue(
                c, g, samples.policy(), 'heartbeat', None, '', service.clock()
            )
        )
        made.append(opened.id)
    found, marker = [], ''
    for _ in range(3):
        query = f'?limit=2{f"&marker={marker}" if marker else ""}'
        page = service.call('GET', f'/v1/recoveries{query}').get_json()
        found += page['recoveries']
        marker = page['next']
    assert marker is None
    assert {r['id'] for r in found} == set(made)
    assert len(found) == len(made)
    assert [r['created_at'] for r in found] == sorted(
        (r['created_at'] for r in found), reverse=True
    )


# ---- incidents


def test_an_incident_is_seen_and_closed_by_administrators(quick, quick_recovery):
    incident, _ = quick.database.run(
        lambda c: incidents.open_(c, 'storm', 'zone nova', 'nine of ten', quick.clock())
    )
    held = claimed(quick)
    quick.database.run(lambda c: queue.joined(c, held, quick.clock(), incident.id, 'a storm'))
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    listed = quick.call('GET', '/v1/incidents?open=1', token=admin).get_json()['incidents']
    assert [(i['id'], i['status']) for i in listed] == [(incident.id, 'open')]
    path = f'/v1/incidents/{incident.id}'
    shown = quick.call('GET', path, token=admin).get_json()
    assert [r['id'] for r in shown['recoveries']] == [quick_recovery]
    answer = quick.call('POST', f'{path}/close', {'reason': 'the switch'}, admin)
    closed = answer.get_json()['incident']
    assert closed['status'] == 'closed'
    assert closed['reason'].startswith('nine of ten; closed by user ')
    assert closed['reason'].endswith(': the switch')
    refused(quick.call('POST', f'{path}/close', token=admin), 409, 'conflict')
    assert quick.call('GET', '/v1/incidents?open=1', token=admin).get_json() == {'incidents': []}
    refused(quick.call('GET', f'/v1/incidents/{OTHER_ID}', token=admin), 404, 'not_found')
    refused(quick.call('GET', '/v1/incidents?open=x', token=admin), 400, 'bad_request')


# ---- policies


def test_a_policy_of_the_operators_is_for_every_project(service):
    admin = service.keystone.token(OTHER_PROJECT, 'admin')
    evacuates = DOCUMENT + '  - {action: server.evacuate}\n'
    body = {'document': evacuates}
    error = refused(service.call('PUT', '/v1/policies/ladder', body, admin), 400, 'bad_request')
    assert 'line 8: steps.3.action' in error['detail']
    path = '/v1/policies/ladder?scope=operator'
    refused(service.call('PUT', path, body), 403, 'forbidden')
    saved = service.call('PUT', path, body, admin).get_json()['policy']
    assert (saved['scope'], saved['steps'][3]['action']) == ('operator', 'server.evacuate')
    assert service.call('GET', '/v1/policies/ladder').get_json()['policy']['scope'] == 'operator'
    # A project's own policy of that name goes before it, until it is deleted.
    service.call('PUT', '/v1/policies/ladder', {'document': DOCUMENT})
    assert service.call('GET', '/v1/policies/ladder').get_json()['policy']['scope'] == 'project'
    refused(service.call('DELETE', path), 403, 'forbidden')
    assert service.call('DELETE', '/v1/policies/ladder').status_code == 204
    assert service.call('GET', '/v1/policies/ladder').get_json()['policy']['scope'] == 'operator'
    assert service.call('DELETE', path, token=admin).status_code == 204
    refused(service.call('GET', '/v1/policies/ladder'), 404, 'not_found')
    with service.database.read() as c:
        assert 'ladder' not in [p.name for _, p in policies.find(c, PROJECT)]


@pytest.mark.parametrize(
    ('line', 'where'),
    [
        ('  - {action: hook, name: page}\n', 'line 8: steps.3.name'),
        ('fencing: page\n', 'line 8: fencing'),
        ('on_exhausted: page\n', 'line 8: on_exhausted'),
    ],
)
def test_a_policy_names_only_hooks_that_the_configuration_has(quick, line, where):
    answer = quick.call('PUT', '/v1/policies/ladder', {'document': DOCUMENT + line})
    detail = refused(answer, 400, 'bad_request')['detail']
    assert detail.startswith(f'{where}: the configuration has no hook page')


@pytest.mark.parametrize('query', ['scope=', 'scope=everybody', 'scope=%00'])
def test_an_unknown_scope_is_refused(quick, query):
    answer = quick.call('PUT', f'/v1/policies/ladder?{query}', {'document': DOCUMENT})
    refused(answer, 400, 'bad_request')


def test_a_policy_is_replayed_against_ones_own_past_and_nothing_is_stored(quick, quick_recovery):
    held = claimed(quick)
    evidence = samples.evidence(last_seen=quick.guest().last_seen).as_dict()
    attempt = samples.attempt(
        0,
        SENT,
        quick.clock(),
        recovery_id=quick_recovery,
        evidence=json.loads(json.dumps(evidence)),
    )
    quick.database.run(lambda c: attempts.intend(c, held, attempt, quick.clock(), quick.guest()))
    changed = DOCUMENT.replace('type: soft', 'type: hard').replace(
        '  - {action: server.reboot, type: hard, verify: 120s}\n', '', 1
    )

    def replay(token=None, **more):
        body = {'document': changed} | more
        answer = quick.call('POST', '/v1/policies/replay', body, token)
        assert answer.status_code == 200, answer.get_data()
        return answer.get_json()

    (line,) = replay()['replay']
    assert (line['recovery_id'], line['guest_name']) == (quick_recovery, 'db1')
    assert line['did'] == ['server.reboot soft: sent']
    assert line['would'] == ['server.reboot hard']
    assert replay(guest=SERVER_ID)['replay'] == [line]
    assert replay(guest=OTHER_ID) == {'replay': [], 'truncated': False}
    assert replay(quick.keystone.token(OTHER_PROJECT, 'admin'))['replay'] == []
    quick.clock.advance(60)
    assert replay(since=30)['replay'] == []
    assert quick.call('GET', '/v1/policies/ladder').get_json()['policy']['version'] == 1
    for bad in ({'since': 0}, {'since': '7d'}, {'guest': 'x'}, {'document': None}, {'x': 1}):
        answer = quick.call('POST', '/v1/policies/replay', {'document': changed} | bad)
        refused(answer, 400, 'bad_request')
    named = {'document': DOCUMENT.replace('ladder', 'replay')}
    refused(quick.call('PUT', '/v1/policies/replay', named), 400, 'bad_request')


# ---- callbacks


def test_a_services_alarm_holds_to_its_own_threshold(quick):
    key = quick.enrolled()
    path, _ = quick.alarm(trigger='service', threshold=3)

    def failing(failures):
        body = {'services': [{'name': 'web', 'state': 'failed', 'failures': failures}]}
        assert quick.beat(key, json.dumps(body).encode()).status_code == 202
        return quick.post(path, notification()).get_json()

    assert "fewer than the alarm's 3" in failing(2)['decision']
    assert quick.recoveries() == []
    assert failing(3)['decision'] == 'opened'


def test_a_new_reason_not_to_act_is_recorded_and_a_repeated_one_is_not(quick):
    key = quick.silent()
    path, _ = quick.alarm()
    assert quick.beat(key).status_code == 202
    quick.flush()
    for _ in range(2):
        assert '0 heartbeats missed' in quick.post(path, notification()).get_json()['decision']
    quick.clock.advance(12)
    quick.listens()
    assert '1 heartbeats missed' in quick.post(path, notification()).get_json()['decision']
    assert quick.trail().count('not_opened') == 1, 'another number is no other reason'
    quick.clock.advance(300)  # nobody listens
    for _ in range(2):
        assert 'no gateway' in quick.post(path, notification()).get_json()['decision']
    assert quick.trail().count('not_opened') == 2


def test_how_other_projects_guests_are_is_the_operators_to_see(quick, quick_recovery):
    """Evidence counts the silent guests of every host and zone, whoever they belong to."""
    held = claimed(quick)
    evidence = json.loads(json.dumps(samples.evidence().as_dict()))
    evidence['fleet'] |= {'storm': 'a storm', 'by_host': {'host1': [3, 4]}}
    attempt = samples.attempt(0, SENT, quick.clock(), recovery_id=quick_recovery, evidence=evidence)
    quick.database.run(lambda c: attempts.intend(c, held, attempt, quick.clock(), quick.guest()))

    def fleets(token=None, query=''):
        shown = quick.call('GET', f'/v1/recoveries/{quick_recovery}{query}', token=token).get_json()
        events = quick.call('GET', f'/v1/guests/{quick.guest().server_id}{query}', token=token)
        found = [a['evidence'] for a in shown['attempts']]
        for event in [*shown['events'], *events.get_json()['events']]:
            found += [event['data']['evidence']] if 'evidence' in event['data'] else []
        assert len(found) == 3
        return [e['fleet'] for e in found]

    for fleet in fleets():
        assert 'by_host' not in fleet
        assert 'guests' not in fleet
        assert fleet['storm'] == 'a storm'
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    for fleet in fleets(admin, '?all_projects=1'):
        assert fleet['by_host'] == {'host1': [3, 4]}


def test_hosts_are_called_as_nova_calls_them_to_a_tenant(quick, quick_recovery):
    held = claimed(quick)
    evidence = json.loads(json.dumps(samples.evidence().as_dict()))
    evidence['server']['host'] = 'compute-7'
    attempt = samples.attempt(
        *(0, SENT, quick.clock()),
        recovery_id=quick_recovery,
        evidence=evidence,
        detail='compute-7 is down, compute-70 and host1 are not',
    )
    quick.database.run(lambda c: attempts.intend(c, held, attempt, quick.clock(), quick.guest()))
    with quick.database.write() as c:
        c.execute(models.guests.update().values(host='host1'))
    host_id = hashlib.sha224(f'{quick.guest().project_id}compute-7'.encode()).hexdigest()

    def shown(token=None, query=''):
        found = quick.call('GET', f'/v1/recoveries/{quick_recovery}{query}', token=token)
        (made,) = found.get_json()['attempts']
        assert 'host1' not in found.get_data(as_text=True) or query
        return made['detail'], made['evidence']['server']['host']

    detail, host = shown()
    assert host == host_id[:12]
    assert detail.startswith(f'{host} is down, compute-70 and ')
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    assert shown(admin, '?all_projects=1') == (attempt.detail, 'compute-7')
    explained = quick.call('GET', f'/v1/recoveries/{quick_recovery}/explain')
    assert 'compute-7 ' not in explained.get_data(as_text=True)
    trail = quick.call('GET', f'/v1/guests/{quick.guest().server_id}').get_data(as_text=True)
    assert host_id[:12] in trail
    assert 'compute-7"' not in trail
    listed = quick.call('GET', '/v1/recoveries').get_data(as_text=True)
    assert 'compute-7"' not in listed
