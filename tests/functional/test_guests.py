"""Guests, leases, policies and gateways in the database, on three engines."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from aodh_ha.db import alarms, gateways, guests, leases, policies
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import Conflict, NotFound
from aodh_ha.rules import policy as rules
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import ENROLLED, PENDING, REFUSED
from aodh_ha.rules.heartbeat import Report, Service
from aodh_ha.testing import START
from tests import samples
from tests.samples import DOCUMENT, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID


def get(database, server_id=SERVER_ID):
    with database.read() as c:
        return guests.get(c, server_id)


def enroll(database, **changes):
    return database.run(lambda c: guests.enroll(c, samples.guest(**changes)))


def beat(database, sequence, at=START, count=1, report=None):
    found = Beat(SERVER_ID, at, sequence, report or Report('boot-2'), count)
    database.run(lambda c: guests.write_beats(c, [found]))


# ---- enrolment


def test_a_guest_is_kept_as_it_was_enrolled(database):
    services = (Service('wéb', 'failed', 2),)
    wanted = samples.guest(services=services, failures=2, name='Größe 測定 🙂')
    assert database.run(lambda c: guests.enroll(c, wanted)) == (wanted, True)
    assert get(database) == wanted


def test_enrolling_again_changes_the_settings_and_nothing_that_was_heard(database):
    enroll(database)
    beat(database, 101)
    before = get(database)
    again, new = enroll(database, interval=30.0, missed_limit=5, boot_grace=1.0, policy='p')
    assert not new
    assert again == replace(before, interval=30.0, missed_limit=5, boot_grace=1.0, policy='p')


def test_another_project_cannot_enrol_it_until_it_was_refused(database):
    enroll(database, status=PENDING)
    with pytest.raises(Conflict):
        enroll(database, project_id=OTHER_PROJECT)
    database.run(lambda c: guests.confirm(c, get(database), START, '', 'not yours'))
    assert get(database).status == REFUSED
    _, new = enroll(database, project_id=OTHER_PROJECT, status=PENDING, generation=2)
    assert new
    assert (get(database).project_id, get(database).generation) == (OTHER_PROJECT, 2)


def test_what_nova_says_is_for_the_guest_that_was_asked_about(database):
    enroll(database, status=PENDING)
    asked = get(database)
    assert database.run(lambda c: guests.confirm(c, asked, START + 7, 'db1'))
    assert (get(database).status, get(database).name) == (ENROLLED, 'db1')
    assert get(database).enrolled_at == START + 7
    assert not database.run(lambda c: guests.confirm(c, asked, START + 8, 'late'))
    assert not database.run(lambda c: guests.confirm(c, asked, START + 8, '', 'refused'))
    assert get(database).status == ENROLLED


def test_guests_are_found_page_by_page_and_by_project_and_status(database):
    for n in range(5):
        enroll(database, server_id=f'{n}{SERVER_ID[1:]}', status=PENDING if n == 4 else ENROLLED)
    enroll(database, server_id=OTHER_ID, project_id=OTHER_PROJECT)
    with database.read() as c:
        first = guests.find(c, PROJECT, limit=2)
        rest = guests.find(c, PROJECT, after=first[-1].server_id, limit=9)
        assert [g.server_id[0] for g in first + rest] == list('01234')
        assert [g.server_id[0] for g in guests.find(c, status=PENDING)] == ['4']
        assert len(guests.find(c)) == 6
        with pytest.raises(NotFound):
            guests.get(c, OTHER_ID, PROJECT)


# ---- heartbeats


def test_a_beat_is_recorded_and_an_older_one_changes_nothing(database):
    enroll(database)
    beat(database, 105, START + 5, count=3, report=Report('b', '1', (Service('w', 'failed', 4),)))
    newest = get(database)
    assert (newest.last_seen, newest.sequence, newest.beats) == (START + 5, 105, 103)
    assert (newest.boot_id, newest.failures, newest.failing_since) == ('b', 4, START + 5)
    for sequence in (105, 104, 1):
        beat(database, sequence, START + 9)
    assert get(database) == newest


def test_beats_that_arrive_in_any_order_end_at_the_newest(database):
    enroll(database, beats=0)
    barrier = threading.Barrier(8)

    def write(n):
        barrier.wait(30)
        for sequence in range(101 + n, 181, 8):
            beat(database, sequence, START + sequence)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    guest = get(database)
    assert (guest.sequence, guest.last_seen) == (180, START + 180)
    assert 10 <= guest.beats <= 80


def test_a_failure_has_one_beginning_until_it_ends(database):
    enroll(database)
    failed = Report(services=(Service('w', 'failed', 1), Service('x', 'ok', 0)))
    beat(database, 101, START + 1, report=failed)
    beat(database, 102, START + 2, report=failed)
    assert get(database).failing_since == START + 1
    beat(database, 103, START + 3, report=Report(services=(Service('w', 'ok', 0),)))
    assert (get(database).failures, get(database).failing_since) == (0, None)
    beat(database, 104, START + 4, report=failed)
    assert get(database).failing_since == START + 4


def test_a_failed_service_counts_even_when_its_agent_counts_nothing(database):
    enroll(database)
    beat(database, 101, report=Report(services=(Service('w', 'failed', 0),)))
    assert get(database).failures == 1


def test_signs_of_life_by_another_way_never_go_back(database):
    enroll(database)

    def life(at):
        return database.run(lambda c: guests.write_life(c, SERVER_ID, at, 2, 'ceilometer:cpu'))

    assert life(START + 5)
    assert life(START + 3)
    guest = get(database)
    assert (guest.last_seen, guest.beats, guest.seen_by) == (START + 5, 104, 'ceilometer:cpu')
    assert guest.sequence == 100
    assert not database.run(lambda c: guests.write_life(c, OTHER_ID, START, 1, 'x'))


def test_a_beat_of_a_forgotten_guest_brings_it_not_back(database):
    enroll(database)
    database.run(lambda c: guests.forget(c, SERVER_ID))
    beat(database, 101)
    with pytest.raises(NotFound):
        get(database)


# ---- leases


def test_a_lease_is_one_owners_until_it_ends(database):
    def take(owner, now):
        return database.run(lambda c: leases.take(c, 'duty', owner, now, 10))

    assert take('a', START)
    assert not take('b', START + 9)
    assert take('a', START + 9)
    assert not take('b', START + 19)
    assert take('b', START + 19.1)
    assert not take('a', START + 20)
    database.run(lambda c: leases.release(c, 'duty', 'a'))
    assert not take('a', START + 20)
    database.run(lambda c: leases.release(c, 'duty', 'b'))
    assert take('a', START + 20)


@pytest.mark.parametrize('known', [True, False])
def test_a_lease_that_many_ask_for_goes_to_one(database, known):
    if known:
        database.run(lambda c: leases.take(c, 'duty', 'before', START - 100, 10))
    barrier = threading.Barrier(8)

    def take(n):
        barrier.wait(30)
        return database.run(lambda c: leases.take(c, 'duty', f'worker-{n}', START, 10))

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(take, range(8))) == 1


# ---- policies


def save(database, project_id, document, now=START):
    return database.run(lambda c: policies.save(c, project_id, rules.parse(document), now))


def test_a_projects_policy_comes_before_the_operators_and_that_before_the_built_in(database):
    def found():
        with database.read() as c:
            policy = policies.get(c, PROJECT, 'stateful')
            (scope,) = [s for s, p in policies.find(c, PROJECT) if p.name == 'stateful']
            assert policies.get(c, OTHER_PROJECT, 'stateful').version in (0, 1)
        return scope, policy.version, len(policy.steps)

    assert found() == ('built-in', 0, len(policies.builtin()['stateful'].steps))
    document = DOCUMENT.replace('ladder', 'stateful')
    save(database, policies.OPERATOR, document)
    assert found() == ('operator', 1, 3)
    save(database, PROJECT, document)
    save(database, PROJECT, document)
    assert found() == ('project', 2, 3)
    database.run(lambda c: policies.delete(c, PROJECT, 'stateful'))
    assert found() == ('operator', 1, 3)


def test_a_project_does_not_see_anothers_policy(database):
    save(database, OTHER_PROJECT, DOCUMENT)
    with database.read() as c:
        assert 'ladder' not in [p.name for _, p in policies.find(c, PROJECT)]
        with pytest.raises(NotFound):
            policies.get(c, PROJECT, 'ladder')
    with pytest.raises(NotFound):
        database.run(lambda c: policies.delete(c, PROJECT, 'ladder'))


def test_a_guest_whose_policy_was_deleted_has_the_one_that_loses_nothing(database):
    with database.read() as c:
        assert policies.of_guest(c, samples.guest(policy='gone')).name == 'stateful'


def test_names_that_differ_in_case_are_two_policies(database):
    save(database, PROJECT, DOCUMENT)
    upper = save(database, PROJECT, DOCUMENT.replace('ladder', 'LADDER'))
    assert upper.version == 1
    with database.read() as c:
        assert policies.get(c, PROJECT, 'ladder').name == 'ladder'
        assert policies.get(c, PROJECT, 'LADDER').name == 'LADDER'


def test_the_longest_policy_that_is_accepted_is_kept(database):
    document = DOCUMENT + '#' * (rules.MAX_DOCUMENT - len(DOCUMENT))
    save(database, PROJECT, document)
    with database.read() as c:
        assert policies.get(c, PROJECT, 'ladder').document == document


def test_every_built_in_policy_is_valid_and_the_default_loses_nothing():
    assert set(policies.builtin()) >= {'stateful', 'stateless'}
    assert policies.builtin()[policies.DEFAULT].preserve == frozenset(rules.PRESERVABLE)


# ---- gateways and alarms


def test_a_gateways_tick_is_kept(database):
    for now, step in ((START, None), (START + 1, 1.0), (START + 60, 59.0)):
        database.run(lambda c, now=now, step=step: gateways.tick(c, 'g', now, step))
        if now == START + 1:
            with database.read() as c:
                assert gateways.listening_since(c, START + 2) == START
    with database.read() as c:
        assert gateways.listening_since(c, START + 61) == START + 60
        assert gateways.listening_since(c, START + 70) is None


def alarm(n, **changes):
    values = {
        'id': f'{n}2345678-0000-4000-8000-000000000000',
        'project_id': PROJECT,
        'server_id': SERVER_ID,
        'trigger': 'heartbeat',
        'threshold': 3,
        'aodh_alarm_id': None,
        'state': 'ok',
        'state_at': None,
        'created_at': START,
    }
    return Alarm(**(values | changes))


def test_an_alarm_is_kept_linked_and_goes_with_its_guest(database):
    one, two = alarm(1), alarm(2, project_id=OTHER_PROJECT, server_id=OTHER_ID)
    for each in (one, two):
        database.run(lambda c, each=each: alarms.add(c, each))
    database.run(lambda c: alarms.link(c, one.id, OTHER_ID))
    database.run(lambda c: alarms.set_state(c, one.id, 'alarm', START + 1))
    with database.read() as c:
        assert alarms.get(c, one.id) == replace(
            one, aodh_alarm_id=OTHER_ID, state='alarm', state_at=START + 1
        )
        assert alarms.find(c, OTHER_PROJECT) == [two]
        assert alarms.find(c, server_id=SERVER_ID, after=one.id) == []
        with pytest.raises(NotFound):
            alarms.get(c, two.id, PROJECT)
    database.run(lambda c: alarms.delete_of_guest(c, SERVER_ID))
    with database.read() as c:
        assert alarms.find(c) == [two]


def test_an_aodh_alarm_carries_one_alarm_of_ours(database):
    for each in (alarm(1), alarm(2)):
        database.run(lambda c, each=each: alarms.add(c, each))
    database.run(lambda c: alarms.link(c, alarm(1).id, OTHER_ID))
    database.run(lambda c: alarms.link(c, alarm(1).id, OTHER_ID))
    with pytest.raises(Conflict):
        database.run(lambda c: alarms.link(c, alarm(2).id, OTHER_ID))


def test_guests_that_are_enrolled_together_are_enrolled_once(database):
    barrier = threading.Barrier(8)

    def work(n):
        barrier.wait(30)
        return enroll(database)[1]

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1


def test_policies_that_are_saved_together_are_each_a_version(database):
    barrier = threading.Barrier(8)

    def work(n):
        barrier.wait(30)
        return save(database, PROJECT, DOCUMENT).version

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(work, range(8))) == list(range(1, 9))
