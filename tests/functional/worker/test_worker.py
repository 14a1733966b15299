"""The worker: claims, holds, gives back, and goes on when what it needs is back."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from aodh_ha.db import guests, queue
from aodh_ha.exceptions import DatabaseAway
from aodh_ha.rules.recovery import LEFT_ALONE, QUEUED, RECOVERED, RUNNING
from aodh_ha.worker import Worker
from tests import samples
from tests.functional.worker.recovery.conftest import World
from tests.samples import LADDER, OTHER_ID, SERVER_ID
from tests.waiting import wait_for


@pytest.fixture
def world(database):
    return World(database)


def make(world, duties=(), concurrency=8, lease=15.0):
    settings = SimpleNamespace(name='w', lease=lease, poll=0.01, concurrency=concurrency)
    conf = SimpleNamespace(worker=settings)
    return Worker(conf, world.database, world.nova, list(duties), world.clock)


@contextmanager
def running(worker):
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(15)
    assert not thread.is_alive()


def opened(world, server_id=SERVER_ID):
    guest = samples.guest(server_id=server_id)

    def work(c):
        guests.enroll(c, guest)
        return queue.enqueue(c, guest, LADDER, 'heartbeat', None, 'alarm', world.clock())[0]

    return world.database.run(work)


def test_a_recovery_is_claimed_acted_on_and_ended(world):
    recovery = opened(world)
    with running(make(world)):
        wait_for(lambda: world.nova.taken)
        world.clock.advance(1)
        world.beat()
        ended = wait_for(lambda: world.get(recovery).finished_at and world.get(recovery))
    assert ended.status == RECOVERED
    assert world.taken() == ['reboot soft']


def test_stopping_gives_every_recovery_back_at_once(world):
    recovery = opened(world)
    with running(make(world)):
        wait_for(lambda: world.nova.taken)
        wait_for(lambda: world.history(recovery)[0].status == 'sent')
        assert world.get(recovery).status == RUNNING
    given_back = world.get(recovery)
    assert (given_back.status, given_back.lease_owner) == (QUEUED, None)
    assert world.claim() is not None
    assert world.taken() == ['reboot soft']


def test_two_workers_act_once(world):
    recovery = opened(world)
    with running(make(world)), running(make(world)):
        wait_for(lambda: world.nova.taken)
        wait_for(lambda: world.history(recovery)[0].status == 'sent')
    assert world.taken() == ['reboot soft']


def test_no_more_recoveries_at_once_than_there_are_slots(world):
    ids = [f'{n:08x}{SERVER_ID[8:]}' for n in range(5)]
    for server_id in ids:
        world.boot(server_id)
        opened(world, server_id)
    held, most, lock = set(), [], threading.Lock()
    gate = threading.Event()

    def look(server_id):
        with lock:
            held.add(server_id)
            most.append(len(held))
        gate.wait(10)
        with lock:
            held.discard(server_id)

    world.nova.on_read = look
    with running(make(world, concurrency=2)):
        wait_for(lambda: max(most, default=0) == 2)
        gate.set()
        wait_for(lambda: most)
    assert max(most) == 2


def test_while_nova_is_away_the_slot_is_given_to_others(world):
    first = opened(world)
    world.nova.away = True
    with running(make(world, concurrency=1)):
        wait_for(lambda: 'Nova' in world.get(first).reason)
        wait_for(lambda: world.get(first).status == QUEUED)
        world.nova.away = False
        world.boot(OTHER_ID)
        opened(world, OTHER_ID)
        wait_for(lambda: world.nova.taken)
    assert world.nova.taken[0].server_id == OTHER_ID, 'the first one waits for its time'


def test_a_bug_loses_no_recovery(world):
    recovery = opened(world)
    broken = threading.Event()

    def bug(server_id):
        if not broken.is_set():
            broken.set()
            raise RuntimeError('a bug')

    world.nova.on_read = bug
    with running(make(world)):
        assert broken.wait(10)
        assert world.get(recovery).status == RUNNING
        with world.database.write() as c:
            c.exec_driver_sql('UPDATE gateways SET alive_at = alive_at + 16')
        world.clock.advance(16)  # its lease runs out
        wait_for(lambda: world.nova.taken)
        assert world.get(recovery).fence == 2


def test_a_database_that_is_away_is_waited_for(world, monkeypatch):
    import aodh_ha.worker

    monkeypatch.setattr(aodh_ha.worker, 'BACKOFF', 0.01)
    opened(world)
    real, failed = world.database.run, []

    def away(work):
        failed.append(True)
        raise DatabaseAway('gone')

    world.database.run = away
    with running(make(world)):
        wait_for(lambda: len(failed) > 5)
        world.database.run = real
        wait_for(lambda: world.nova.taken)
    assert world.taken() == ['reboot soft']


def test_a_server_left_alone_is_told_in_the_recovery(world):
    recovery = opened(world)
    world.nova.change(SERVER_ID, locked=True)
    with running(make(world)):
        wait_for(lambda: world.get(recovery).finished_at)
    assert world.get(recovery).status == LEFT_ALONE
    assert world.taken() == []
