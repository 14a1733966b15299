"""Recoveries as a queue, on three engines: each exactly once, by whoever holds the lease."""

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa

from aodh_ha.db import (
    Database,
    admission,
    attempts,
    audit,
    guests,
    incidents,
    models,
    queue,
    silences,
)
from aodh_ha.db.admission import Place
from aodh_ha.db.guests import Beat
from aodh_ha.db.models import recoveries
from aodh_ha.exceptions import LeaseLost, NotFound
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Silence
from aodh_ha.rules.heartbeat import Report
from aodh_ha.rules.policy import parse
from aodh_ha.rules.recovery import (
    FAILED,
    INTENDED,
    LEFT_ALONE,
    QUEUED,
    RECOVERED,
    REFUSED,
    RUNNING,
    SENT,
    UNVERIFIED,
)
from aodh_ha.testing import START
from tests import samples
from tests.samples import LADDER, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID

THREADS = 8


def server_id(n):
    return f'{n:08x}-0000-4000-8000-000000000000'


def enqueue(database, guest=None, trigger='heartbeat', now=START, policy=LADDER):
    return database.run(
        lambda c: queue.enqueue(c, guest or samples.guest(), policy, trigger, None, 'alarm', now)
    )


def claim(database, now=START, owner='worker', lease=15.0):
    return database.run(lambda c: queue.claim(c, owner, now, lease))


def get(database, recovery):
    with database.read() as c:
        return queue.get(c, recovery.id)


def in_parallel(work, times, threads=THREADS):
    """Results of work(n), begun together; an exception is raised here."""
    barrier = threading.Barrier(threads)

    def run(n):
        if n < threads:
            barrier.wait(30)
        return work(n)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(times)))


# ---- enqueue


def test_an_alarm_opens_a_recovery_with_its_policy_and_an_entry_in_the_trail(database):
    opened, new = enqueue(database)
    assert new
    assert (opened.status, opened.callbacks, opened.fence) == (QUEUED, 1, 0)
    assert opened.policy == LADDER
    assert get(database, opened) == opened
    with database.read() as c:
        (event,) = audit.of_recovery(c, opened.id)
    assert (event.kind, event.message, event.at) == ('opened', 'alarm', START)
    assert event.data['episode'] == opened.episode


def test_a_repeated_alarm_joins_and_is_counted(database):
    opened, _ = enqueue(database)
    for n in range(2, 5):
        joined, new = enqueue(database, now=START + n)
        assert (joined.id, new, joined.callbacks) == (opened.id, False, n)


def test_alarms_that_arrive_together_open_one_recovery_and_each_is_counted(database):
    found = in_parallel(lambda n: enqueue(database, now=START + n), 40)
    assert len({r.id for r, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    assert get(database, found[0][0]).callbacks == 40
    with database.read() as c:
        assert len(audit.of_recovery(c, found[0][0].id)) == 1


def test_alarms_of_two_triggers_that_arrive_together_open_one_recovery(database):
    guest = samples.guest(failures=3, failing_since=START - 40)
    found = in_parallel(lambda n: enqueue(database, guest, 'service' if n % 2 else 'heartbeat'), 16)
    with database.read() as c:
        (only,) = queue.find(c, active=True)
    assert {r.id for r, _ in found} == {only.id}
    assert only.callbacks == 16


def _enqueue(url, barrier, results, times):
    database = Database(url)
    try:
        barrier.wait(60)
        for n in range(times):
            results.put(enqueue(database, now=START + n)[0].id)
    except Exception as e:
        results.put(f'{type(e).__name__}: {e}')


def test_processes_that_enqueue_the_same_silence_open_one_recovery(database_url, database):
    context = multiprocessing.get_context('spawn')
    barrier, results = context.Barrier(3), context.Queue()
    arguments = (database_url, barrier, results, 5)
    processes = [context.Process(target=_enqueue, args=arguments) for _ in range(3)]
    for process in processes:
        process.start()
    found = {results.get(timeout=60) for _ in range(15)}
    for process in processes:
        process.join(30)
    with database.read() as c:
        (only,) = queue.find(c)
    assert found == {only.id}
    assert only.callbacks == 15


def test_one_recovery_of_a_guest_is_active_by_a_unique_index(database):
    enqueue(database)
    second = samples.guest(last_seen=START - 30)
    joined, new = enqueue(database, second)
    assert not new
    with database.read() as c:
        assert [r.id for r in queue.find(c, active=True)] == [joined.id]
    twin = {'id': server_id(1), 'episode': 'another'}
    with database.read() as c:
        row = dict(c.execute(sa.select(recoveries)).one()._mapping)
    with pytest.raises(sa.exc.IntegrityError), database.write() as c:
        c.execute(recoveries.insert().values(row | twin))


def test_a_guest_heard_in_between_has_a_second_recovery(database):
    opened, _ = enqueue(database)
    held = claim(database)
    database.run(lambda c: queue.finish(c, held, START + 50, RECOVERED, 'heard'))
    again, new = enqueue(database, samples.guest(last_seen=START + 40), now=START + 100)
    assert new
    assert again.id != opened.id


def test_two_guests_have_a_recovery_each(database):
    first, _ = enqueue(database)
    second, new = enqueue(database, samples.guest(server_id=OTHER_ID))
    assert new
    assert first.id != second.id


@pytest.mark.parametrize('status', [RECOVERED, FAILED])
def test_what_has_ended_stays_so_however_often_the_alarm_repeats(database, status):
    opened, _ = enqueue(database)
    held = claim(database)
    database.run(lambda c: queue.finish(c, held, START + 50, status, 'so'))
    again, new = enqueue(database, now=START + 5000)
    assert (again.id, new, again.status, again.callbacks) == (opened.id, False, status, 2)
    assert claim(database, START + 5001) is None


def left_alone(database, at=START + 10):
    enqueue(database)
    held = claim(database)
    database.run(lambda c: queue.finish(c, held, at, LEFT_ALONE, 'it is stopped'))
    return held


def test_a_server_left_alone_is_looked_at_again_after_a_while(database):
    held = left_alone(database)
    early, opened = enqueue(database, now=START + 10 + queue.RECHECK - 1)
    assert (opened, early.status) == (False, LEFT_ALONE)
    later, opened = enqueue(database, now=START + 10 + queue.RECHECK)
    assert (opened, later.status, later.id, later.finished_at) == (True, QUEUED, held.id, None)
    assert claim(database, START + 11 + queue.RECHECK).fence == held.fence + 1


def test_it_is_reopened_once_when_alarms_arrive_together(database):
    held = left_alone(database)
    found = in_parallel(lambda n: enqueue(database, now=START + 10 + queue.RECHECK), 16)
    assert sum(opened for _, opened in found) == 1
    with database.read() as c:
        kinds = [e.kind for e in audit.of_recovery(c, held.id)]
    assert kinds.count('reopened') == 1


def test_it_is_not_reopened_beside_another_active_recovery_of_the_guest(database):
    left_alone(database)
    other, _ = enqueue(database, samples.guest(failures=1, failing_since=START), 'service')
    joined, opened = enqueue(database, now=START + 10 + queue.RECHECK)
    assert (joined.id, opened) == (other.id, False)


# ---- claim, renew, release


def test_a_claim_takes_the_lease_and_raises_the_fence(database):
    opened, _ = enqueue(database)
    held = claim(database)
    assert (held.id, held.status, held.fence) == (opened.id, RUNNING, 1)
    assert (held.lease_owner, held.lease_until) == ('worker', START + 15)
    assert claim(database) is None


def test_many_workers_claim_each_recovery_exactly_once(database):
    def fill(c):
        for n in range(200):
            guest = samples.guest(server_id=server_id(n))
            queue.enqueue(c, guest, LADDER, 'heartbeat', None, 'alarm', START + n / 1000)

    database.run(fill)

    def work(n):
        mine, misses = [], 0
        while misses < 20:
            held = claim(database, START + 1, owner=f'worker-{n}')
            if held is None:
                misses += 1
                with database.read() as c:
                    left = c.execute(
                        sa.select(sa.func.count()).where(recoveries.c.status == QUEUED)
                    ).scalar()
                if not left:
                    break
            else:
                mine.append((held.id, held.fence, held.lease_owner == f'worker-{n}'))
        return mine

    found = [claimed for each in in_parallel(work, THREADS) for claimed in each]
    assert len(found) == len({id for id, _, _ in found}) == 200
    assert {fence for _, fence, _ in found} == {1}
    assert all(mine for _, _, mine in found)


def test_an_expired_lease_is_taken_over_by_one(database):
    enqueue(database)
    claim(database)
    assert claim(database, START + 15) is None
    found = [r for r in in_parallel(lambda n: claim(database, START + 15.1), 8) if r]
    assert [r.fence for r in found] == [2]


def test_a_renewed_lease_is_not_taken_over(database):
    enqueue(database)
    held = claim(database)
    database.run(lambda c: queue.renew(c, held, START + 10, 15))
    assert claim(database, START + 20) is None
    assert claim(database, START + 25.1) is not None


def test_what_was_released_is_claimed_again_but_not_before_its_time(database):
    enqueue(database)
    held = claim(database)
    database.run(lambda c: queue.release(c, held, START + 1, START + 60, 'Nova is away'))
    released = get(database, held)
    assert (released.status, released.lease_owner) == (QUEUED, None)
    assert released.reason == 'Nova is away'
    assert claim(database, START + 59.9) is None
    assert claim(database, START + 60).fence == 2


def test_what_waits_does_not_hold_back_what_came_later(database):
    for n in range(queue.HEADS + 4):
        enqueue(database, samples.guest(server_id=server_id(n)), now=START + n)
    for _ in range(queue.HEADS + 3):
        held = claim(database, START + 100)
        database.run(lambda c, r=held: queue.release(c, r, START, START + 999, 'waits'))
    assert claim(database, START + 100) is not None
    assert claim(database, START + 100) is None


def attempt(recovery, status=INTENDED, number=1):
    return replace(
        samples.attempt(0, status, START, number),
        id=server_id(number),
        recovery_id=recovery.id,
        sent_at=None,
        verify_until=None,
    )


WRITES = {
    'renew': lambda c, r: queue.renew(c, r, START, 15),
    'release': lambda c, r: queue.release(c, r, START, START, ''),
    'finish': lambda c, r: queue.finish(c, r, START, FAILED, ''),
    'intend': lambda c, r: attempts.intend(c, r, attempt(r, number=2), START, samples.guest()),
    'sent': lambda c, r: attempts.sent(c, r, attempt(r), START, 'req', START, ''),
    'conclude': lambda c, r: attempts.conclude(c, r, attempt(r), START, UNVERIFIED, ''),
    'refuse': lambda c, r: attempts.refuse(c, r, attempt(r, REFUSED, 3), START),
}


def everything(database):
    tables = recoveries.metadata.sorted_tables
    with database.read() as c:
        return [sorted(map(str, c.execute(sa.select(t)).all())) for t in tables]


@pytest.mark.parametrize('how', ['taken over', 'released', 'ended', 'forgotten'])
def test_who_lost_the_lease_writes_nothing(database, how):
    database.run(lambda c: guests.enroll(c, samples.guest()))
    enqueue(database)
    held = claim(database)
    database.run(lambda c: attempts.intend(c, held, attempt(held), START, samples.guest()))
    if how == 'taken over':
        assert claim(database, START + 16).fence == 2
    elif how == 'released':
        database.run(lambda c: queue.release(c, held, START, START, ''))
    elif how == 'ended':
        database.run(lambda c: queue.finish(c, held, START, FAILED, ''))
    else:
        database.run(lambda c: queue.end_of_guest(c, SERVER_ID, START, 'forgotten'))
    before = everything(database)
    for name, write in WRITES.items():
        with pytest.raises(LeaseLost):
            database.run(lambda c, write=write: write(c, held))
        assert everything(database) == before, name


def test_every_write_works_for_who_holds_the_lease(database):
    database.run(lambda c: guests.enroll(c, samples.guest()))
    enqueue(database)
    held = claim(database)
    one = attempt(held)
    database.run(lambda c: attempts.intend(c, held, one, START, samples.guest()))
    database.run(lambda c: attempts.sent(c, held, one, START + 1, 'req-1', START + 91, 'taken'))
    with database.read() as c:
        (sent,) = queue.history(c, held.id)
    assert (sent.status, sent.request_id, sent.verify_until) == (SENT, 'req-1', START + 91)
    database.run(lambda c: attempts.conclude(c, held, sent, START + 91, UNVERIFIED, 'silent'))
    database.run(lambda c: attempts.refuse(c, held, attempt(held, REFUSED, 2), START + 92))
    database.run(lambda c: queue.finish(c, held, START + 93, FAILED, 'no step helped'))
    with database.read() as c:
        assert [a.status for a in queue.history(c, held.id)] == [UNVERIFIED, REFUSED]
        assert [e.kind for e in audit.of_recovery(c, held.id)] == [
            *('opened', 'intended', 'sent', 'unverified', 'refused', 'failed'),
        ]
    assert get(database, held).finished_at == START + 93


def test_a_sign_of_life_in_the_last_moment_prevents_the_intent(database):
    database.run(lambda c: guests.enroll(c, samples.guest()))
    enqueue(database)
    held = claim(database)
    beat = Beat(SERVER_ID, START + 1, 101, Report())
    database.run(lambda c: guests.write_beats(c, [beat]))
    why = database.run(
        lambda c: attempts.intend(c, held, attempt(held), START + 1, samples.guest())
    )
    assert why == attempts.HEARD
    with database.read() as c:
        assert queue.history(c, held.id) == []


# ---- the end of a guest, and what is shown


def test_forgetting_a_guest_ends_its_active_recovery_and_says_so(database):
    opened, _ = enqueue(database)
    database.run(lambda c: queue.end_of_guest(c, SERVER_ID, START + 5, 'the guest was forgotten'))
    ended = get(database, opened)
    assert (ended.status, ended.reason) == (LEFT_ALONE, 'the guest was forgotten')
    assert ended.finished_at == START + 5
    with database.read() as c:
        assert [e.kind for e in audit.of_recovery(c, opened.id)] == ['opened', LEFT_ALONE]
    assert claim(database, START + 6) is None


def test_forgetting_a_guest_without_one_is_nothing(database):
    database.run(lambda c: queue.end_of_guest(c, SERVER_ID, START, ''))
    assert all(not rows for rows in everything(database)[:-1])


def test_recoveries_are_found_newest_first_by_project_guest_and_activity(database):
    mine, _ = enqueue(database, now=START)
    other = samples.guest(server_id=OTHER_ID, project_id=OTHER_PROJECT)
    theirs, _ = enqueue(database, other, now=START + 1)
    held = claim(database)
    database.run(lambda c: queue.finish(c, held, START, FAILED, ''))
    with database.read() as c:

        def ids(*arguments, **more):
            return [r.id for r in queue.find(c, *arguments, **more)]

        assert ids() == [theirs.id, mine.id]
        assert ids(PROJECT) == [mine.id]
        assert ids(server_id=OTHER_ID) == [theirs.id]
        assert ids(PROJECT, OTHER_ID) == []
        assert ids(active=False) == [held.id]
        assert ids(active=True) == [({mine.id, theirs.id} - {held.id}).pop()]
        assert ids(limit=1) == [theirs.id]
        assert queue.get(c, mine.id, PROJECT).id == mine.id
        with pytest.raises(NotFound):
            queue.get(c, theirs.id, PROJECT)


# ---- the budget


def held(database, n, now=START, policy=LADDER, **changes):
    """A recovery of guest n, claimed by a worker of its own."""
    guest = samples.guest(server_id=server_id(n), **changes)

    def work(c):
        guests.enroll(c, guest)
        queue.enqueue(c, guest, policy, 'heartbeat', None, 'alarm', now)

    database.run(work)
    return claim(database, now + 1, owner=f'worker-{n}', lease=3600)


def admit(database, recovery, limits, now=START + 2, **place):
    return database.run(
        lambda c: admission.admit(c, queue.get(c, recovery.id), limits, now, Place(**place))
    )


def end(database, recovery, now=START + 3):
    database.run(lambda c: queue.finish(c, recovery, now, FAILED, ''))


def _admit_all(url, barrier, results, ids, limits):
    """Try to admit each of these recoveries, one after the other; and say who came through."""
    database = Database(url)
    try:
        barrier.wait(60)
        for recovery_id in ids:
            with database.read() as c:
                mine = queue.get(c, recovery_id)
            results.put((recovery_id, admit(database, mine, limits) == ''))
    except Exception as e:
        results.put((f'{type(e).__name__}: {e}', False))
    finally:
        database.close()


@pytest.mark.timeout(600)
def test_eight_processes_never_admit_more_than_the_budget(database_url, database):
    processes, each, most = 8, 4, 5
    recoveries_ = [held(database, n) for n in range(processes * each)]
    ids = [r.id for r in recoveries_]
    context = multiprocessing.get_context('spawn')
    barrier, results = context.Barrier(processes), context.Queue()
    limits = Limits({'all': most})
    workers = [
        context.Process(
            target=_admit_all, args=(database_url, barrier, results, ids[n::processes], limits)
        )
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    found = [results.get(timeout=120) for _ in ids]
    for worker in workers:
        worker.join(30)
    assert {recovery_id for recovery_id, _ in found} == set(ids)
    assert sum(admitted for _, admitted in found) == most
    with database.read() as c:
        assert sum(r.admitted_at is not None for r in queue.find(c)) == most


SCOPES = {
    'all': ({}, {}),
    'project': ({}, {'project_id': OTHER_PROJECT}),
    'group': ({'group_name': 'g'}, {'group_name': 'h'}),
    'host': ({'host': 'a'}, {'host': 'b'}),
    'zone': ({'zone': 'a'}, {'zone': 'b'}),
    'stack': ({'stack_id': 'a'}, {'stack_id': 'b'}),
}


@pytest.mark.parametrize('scope', SCOPES)
def test_what_is_in_flight_counts_until_it_ends(database, scope):
    here, elsewhere = SCOPES[scope]
    limits = Limits({scope: 1})
    first, second = held(database, 1), held(database, 2)
    assert admit(database, first, limits, **here) == ''
    assert admit(database, first, limits, **here) == '', 'once admitted, for the rest of its life'
    assert f'({scope})' in admit(database, second, limits, **here)
    if elsewhere:
        place = {k: v for k, v in elsewhere.items() if k != 'project_id'}
        other = held(database, 3, project_id=elsewhere.get('project_id', PROJECT))
        assert admit(database, other, limits, **place) == ''
    end(database, first)
    assert admit(database, second, limits, **here) == ''


def test_a_group_is_of_its_project(database):
    limits = Limits({'group': 1})
    assert admit(database, held(database, 1), limits, group_name='g') == ''
    other = held(database, 2, project_id=OTHER_PROJECT)
    assert admit(database, other, limits, group_name='g') == ''


def test_in_a_window_those_that_have_ended_count_too(database):
    limits = Limits(per_window=(2, 60.0))
    for n in range(2):
        recovery = held(database, n)
        assert admit(database, recovery, limits) == ''
        end(database, recovery)
    third = held(database, 3)
    assert '2 of 2' in admit(database, third, limits)
    assert admit(database, third, limits, START + 63) == ''


def documented(**budget):
    lines = ', '.join(f'{k}: {v}' for k, v in budget.items())
    return parse(f'name: p\nsteps: [{{action: notify}}]\nbudget: {{{lines}}}\n')


def test_a_policys_own_budget_holds_for_its_guests_only(database):
    mine = documented(concurrent=1)
    first, second = (held(database, n, policy=mine) for n in (1, 2))
    assert admit(database, first, Limits()) == ''
    assert 'policy p' in admit(database, second, Limits())
    assert admit(database, held(database, 3), Limits()) == ''


def test_another_version_of_a_policy_counts_as_the_same(database):
    first = held(database, 1, policy=documented(concurrent=1))
    second = held(database, 2, policy=documented(concurrent=1, per_window='9 in 10m'))
    assert admit(database, first, Limits()) == ''
    assert 'policy p' in admit(database, second, Limits())


def test_a_share_is_of_the_guests_under_the_policy(database):
    mine = documented(concurrent='20%')
    recoveries_ = [held(database, n, policy=mine) for n in range(10)]

    def under_it(c):
        c.execute(sa.update(models.guests).values(policy='p'))

    database.run(under_it)
    admitted = [admit(database, r, Limits()) == '' for r in recoveries_]
    assert admitted == [True, True, *[False] * 8]


def test_what_is_more_important_goes_first_when_the_budget_is_short(database):
    limits = Limits({'all': 1})
    urgent = parse('name: urgent\npriority: 90\nsteps: [{action: notify}]\n')
    running, low = held(database, 1), held(database, 2)
    assert admit(database, running, limits) == ''
    assert admit(database, low, limits)
    high = held(database, 3, policy=urgent)
    why = admit(database, high, limits)
    database.run(lambda c: queue.held(c, high, START + 2, 'budget', why))
    end(database, running)
    assert 'higher priority' in admit(database, low, limits)
    assert admit(database, high, limits) == ''


def test_who_waits_for_a_budget_of_its_own_holds_nobody_else_back(database):
    limits = Limits({'host': 1})
    urgent = parse('name: urgent\npriority: 90\nsteps: [{action: notify}]\n')
    assert admit(database, held(database, 1), limits, host='a') == ''
    high = held(database, 2, policy=urgent)
    why = admit(database, high, limits, host='a')
    database.run(lambda c: queue.held(c, high, START + 2, 'budget', why))
    assert admit(database, held(database, 3), limits, host='b') == ''


def test_a_dry_run_is_held_by_the_budget_and_takes_nothing_of_it(database):
    limits = Limits({'all': 1})
    dry, real = held(database, 1), held(database, 2)
    assert admit(database, dry, limits, counted=False) == ''
    assert admit(database, real, limits) == ''
    assert admit(database, dry, limits, counted=False) != ''


def test_what_the_budget_does_not_admit_leaves_no_intent(database):
    limits = Limits({'all': 0})
    mine = held(database, 1)
    guest = samples.guest(server_id=server_id(1))
    why = database.run(
        lambda c: attempts.intend(c, mine, attempt(mine), START + 2, guest, Place(), limits)
    )
    assert '0 of 0' in why
    with database.read() as c:
        assert queue.history(c, mine.id) == []


def test_who_is_more_important_is_claimed_first(database):
    for n in range(queue.HEADS + 2):
        enqueue(database, samples.guest(server_id=server_id(n)), now=START + n)
    urgent = replace(LADDER, priority=90)
    for n in range(20, 20 + 2 * queue.HEADS):
        enqueue(database, samples.guest(server_id=server_id(n)), now=START + n, policy=urgent)
    first = {claim(database, START + 99).priority for _ in range(queue.HEADS)}
    assert first == {90}


# ---- incidents and maintenance windows


def test_an_incident_is_opened_once_however_many_see_it(database):
    found = in_parallel(
        lambda n: database.run(
            lambda c: incidents.open_(c, 'host', 'host1', 'it is down', START + n)
        ),
        16,
    )
    assert len({incident.id for incident, _ in found}) == 1
    assert sum(new for _, new in found) == 1
    told = in_parallel(
        lambda n: database.run(lambda c: incidents.notified(c, found[0][0].id)), THREADS
    )
    assert sum(told) == 1


def test_a_host_that_dies_again_has_another_incident(database):
    def opened(now):
        return database.run(lambda c: incidents.open_(c, 'host', 'host1', 'down', now))

    first, _ = opened(START)
    assert database.run(lambda c: incidents.fenced(c, first.id, START + 1, 'hook cut'))
    assert not database.run(lambda c: incidents.fenced(c, first.id, START + 2, 'again'))
    assert database.run(lambda c: incidents.close(c, first.id, START + 9, 'it is back'))
    assert not database.run(lambda c: incidents.close(c, first.id, START + 10, 'again'))
    second, new = opened(START + 20)
    assert new
    assert second.id != first.id
    assert second.fenced_at is None
    with database.read() as c:
        assert [i.id for i in incidents.find(c)] == [second.id, first.id]
        assert [i.id for i in incidents.find(c, open_only=True)] == [second.id]
        assert incidents.get_open(c, 'host', 'host1').id == second.id
        assert incidents.get_open(c, 'storm', 'host1') is None


def test_a_storm_that_a_person_closed_is_known_by_when(database):
    opened, _ = database.run(lambda c: incidents.open_(c, 'storm', 'zone a', 'many', START))
    with database.read() as c:
        assert incidents.dismissed_at(c, 'storm') == 0
    reason = f'many{incidents.BY_A_PERSON}me'
    database.run(lambda c: incidents.close(c, opened.id, START + 5, reason))
    with database.read() as c:
        assert incidents.dismissed_at(c, 'storm') == START + 5
        assert incidents.dismissed_at(c, 'host') == 0


def test_maintenance_windows_are_found_ended_and_cover(database):
    guest = samples.guest(group_name='g')

    def window(n, scope, value, project=PROJECT):
        silence = Silence(
            server_id(n), project, scope, value, START - 1, START + 60 + n, 'me', 'kernel', START
        )
        return database.run(lambda c: silences.add(c, silence))

    windows = [
        window(1, 'guest', SERVER_ID),
        window(2, 'group', 'g'),
        window(3, 'project', PROJECT),
        window(4, 'host', 'h', ''),
        window(5, 'all', '', ''),
    ]
    window(6, 'group', 'other')
    with database.read() as c:
        assert silences.covering(c, guest, 'h', START) == tuple(reversed(windows))
        assert {s.scope for s in silences.covering(c, guest, '', START)} == {
            *('guest', 'group', 'project', 'all'),
        }
        assert silences.covering(c, guest, 'h', START + 100) == ()
        assert len(silences.find(c, PROJECT, START)) == 4
        assert silences.find(c, PROJECT, START + 100) == []
    ended = database.run(lambda c: silences.end(c, windows[0].id, PROJECT, START + 5))
    assert ended.ends_at == START + 5
    with database.read() as c:
        assert windows[0].id not in {s.id for s in silences.covering(c, guest, 'h', START + 6)}
    with pytest.raises(NotFound):
        database.run(lambda c: silences.end(c, windows[1].id, OTHER_PROJECT, START))


def test_a_long_evidence_is_kept_whole(database):
    """200 lines of a console are longer than MariaDB's TEXT."""
    database.run(lambda c: guests.enroll(c, samples.guest()))
    enqueue(database)
    mine = claim(database)
    long = replace(attempt(mine), evidence={'console': 'ö' * 100_000})
    database.run(lambda c: attempts.intend(c, mine, long, START, samples.guest()))
    with database.read() as c:
        (found,) = queue.history(c, mine.id)
    assert found.evidence == long.evidence
