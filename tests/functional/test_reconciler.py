"""The reconciler and the outbox on three engines, side by side with callbacks and each other."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from aodh_ha.db import (
    audit,
    callback_tokens,
    guests,
    incidents,
    models,
    notifications,
    policies,
    prune,
    queue,
)
from aodh_ha.duties import Duties, Duty
from aodh_ha.reconciler import alarms as alarms_module
from aodh_ha.testing import START
from tests import samples
from tests.functional.worker.reconciler.conftest import CARRIER, MASTER_KEY, World
from tests.samples import LADDER, SERVER_ID
from tests.waiting import wait_for

DAY = 86400.0


@pytest.fixture
def world(database):
    return World(database)


def test_whatever_comes_first_the_reconciler_or_the_callback_there_is_one_recovery(world):
    world.add_alarm()
    alarm, guest, barrier = world.the_alarm(), world.guest(), threading.Barrier(8)

    def work(n):
        barrier.wait(10)
        if n % 2:
            world.database.run(lambda c: alarms_module._open(c, alarm, world.clock()))
        else:
            world.database.run(
                lambda c: queue.enqueue(
                    c, guest, LADDER, 'heartbeat', alarm.id, 'called', world.clock()
                )
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(world.recoveries()) == 1
    assert world.events().count('opened') == 1


def test_a_round_of_everything(world):
    world.add_alarm()
    world.aodh.alarms[CARRIER]['state'] = 'alarm'
    stack = world.nova.stack('shop', samples.PROJECT, {'db': SERVER_ID})
    world.nova.change(SERVER_ID, metadata={'aodh_ha:policy': 'gold', 'aodh_ha:opt_out': '1'})
    world.nova.kill_host('host1')
    for duty in ('whereabouts', 'incidents', 'reconciler', 'housekeeping'):
        world.do(duty)
    guest = world.guest()
    assert (guest.host, guest.stack_id, guest.metadata_policy) == ('host1', stack.root_id, 'gold')
    assert guest.opted_out is True
    assert len(world.recoveries()) == 1
    with world.database.read() as c:
        assert [i.name for i in incidents.find(c, open_only=True)] == ['host1']
    assert len(world.notifications()) == 1


def test_a_guest_without_a_server_is_forgotten_with_what_belongs_to_it(world):
    world.add_alarm()
    world.nova.delete(SERVER_ID)
    world.do('whereabouts')
    world.clock.advance(601)
    world.do('whereabouts')
    with world.database.read() as c:
        assert guests.find(c) == []
        assert c.execute(sa.select(models.alarms)).all() == []
    assert world.aodh.alarms == {}


def test_marks_are_kept_until_they_are_taken_back(world):
    stack = world.nova.stack('shop', samples.PROJECT, {'db': SERVER_ID})
    world.nova.refuse |= {'update': 'Heat answered 400', 'unmark': 'Heat answered 403'}
    document = 'name: one\nsteps: [{action: server.replace, verify: 60s}]'
    recovery = world.alarm(document=document)
    with world.database.write() as c:
        callback_tokens.keep(c, recovery.id, 'a-token', MASTER_KEY, world.clock())
    world.make_engine(master_key=MASTER_KEY)
    world.run(recovery)
    assert world.do('marks') == 0
    world.do('housekeeping')
    assert world.do('marks') == 0, 'not due yet'
    with world.database.read() as c:
        (row,) = c.execute(sa.select(models.marks)).all()
        assert (row.root_id, row.tries, row.told) == (stack.root_id, 1, True)
        assert len(c.execute(sa.select(models.callback_tokens.c.recovery_id)).all()) == 1
    del world.nova.refuse['unmark']
    world.clock.advance(3600)
    assert world.do('marks') == 1
    with world.database.read() as c:
        for table in (models.marks, models.callback_tokens):
            assert c.execute(sa.select(table)).all() == []


def test_an_ended_recovery_goes_with_its_attempts_and_entries_in_batches(world):
    ended = [world.run(world.alarm())]
    for _ in range(2):
        world.clock.advance(1)
        world.beat()
        world.pass_time(60)
        ended.append(world.run(world.alarm()))
    world.clock.advance(1)
    world.beat()
    world.pass_time(60)
    active = world.alarm()
    before = world.clock() + DAY
    assert world.database.run(lambda c: prune.recoveries(c, before, limit=2)) == 2
    assert world.database.run(lambda c: prune.recoveries(c, before, limit=2)) == 1
    assert world.database.run(lambda c: prune.recoveries(c, before, limit=2)) == 0
    assert [r.id for r in world.recoveries()] == [active.id]
    with world.database.read() as c:
        left = c.execute(sa.select(models.attempts.c.recovery_id).distinct()).scalars().all()
        assert set(left) <= {active.id}
        assert audit.of_recovery(c, active.id)
        assert not any(audit.of_recovery(c, r.id) for r in ended)


def test_old_entries_go_the_oldest_first(database):
    with database.write() as c:
        for n in range(5):
            audit.record(c, START + n, 'x', str(n))
    assert database.run(lambda c: prune.events(c, START + 4, limit=3)) == 3
    with database.read() as c:
        assert c.execute(sa.select(models.events.c.message)).scalars().all() == ['3', '4']


def test_the_outbox_keeps_its_order_and_its_tries(database):
    ids = [
        database.run(lambda c, n=n: notifications.add(c, START + n, 'x', f'{n} ü')) for n in (2, 1)
    ]
    with database.read() as c:
        assert [n.id for n in notifications.due(c, START + 5, DAY)] == ids[::-1]
    database.run(lambda c: notifications.failed(c, ids[1], START + 10))
    database.run(lambda c: notifications.delivered(c, ids[0], START + 5))
    with database.read() as c:
        assert notifications.due(c, START + 9, DAY) == []
        (again,) = notifications.due(c, START + 10, DAY)
        assert (again.message, again.tries) == ('1 ü', 1)
        assert notifications.due(c, START + 2 * DAY, DAY) == []


def test_one_of_many_processes_does_a_duty_and_another_follows(database):
    done, stops, threads = [], [], []
    for owner in ('a', 'b', 'c', 'd'):
        stop = threading.Event()
        duty = Duty('shared', 0.05, lambda now, owner=owner: done.append(owner))
        made = Duties(database, [duty], owner=owner, lease=3.0, stop=stop)
        stops.append((owner, stop))
        threads += [threading.Thread(target=loop, daemon=True) for _, loop in made.loops()]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: len(done) > 5)
        first = done[0]
        assert set(done) == {first}
        dict(stops)[first].set()
        wait_for(lambda: len(set(done)) > 1)
    finally:
        for _, stop in stops:
            stop.set()
        for thread in threads:
            thread.join(15)
    assert not any(t.is_alive() for t in threads)


def test_policies_of_one_name_are_told_apart_by_who_wrote_them(database):
    def save(project, priority):
        text = (
            f'name: p\npriority: {priority}\nmatch: {{groups: [web]}}\nsteps: [{{action: notify}}]'
        )
        policy = policies.rules.parse(text)
        database.run(lambda c: policies.save(c, project, policy, START))

    def priority():
        with database.read() as c:
            return policies.of_guest(c, samples.guest(policy='', group_name='web')).priority

    save(policies.OPERATOR, 1)
    assert priority() == 1
    save(samples.PROJECT, 2)
    assert priority() == 2
    database.run(lambda c: policies.delete(c, samples.PROJECT, 'p'))
    assert priority() == 1
