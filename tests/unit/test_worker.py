"""The worker: claims, holds, gives back, and goes on when what it needs is back."""

import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from aodh_ha.db import guests, leases, queue
from aodh_ha.exceptions import CloudAway, DatabaseAway
from aodh_ha.rules.guest import ENROLLED, PENDING, REFUSED
from aodh_ha.rules.recovery import LEFT_ALONE, QUEUED, RECOVERED, RUNNING
from aodh_ha.testing import START
from aodh_ha.worker import Duty, Worker
from tests import samples
from tests.samples import LADDER, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID
from tests.unit.recovery.conftest import World, database, empty_database  # noqa: F401


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f'not within {seconds} s')


@pytest.fixture
def world(database):  # noqa: F811
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
        world.nova.add(server_id, PROJECT)
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
        world.nova.add(OTHER_ID, PROJECT)
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


# ---- enrolment


def pending(world, **changes):
    guest = samples.guest(status=PENDING, **changes)
    world.database.run(lambda c: guests.forget(c, guest.server_id))
    world.database.run(lambda c: guests.enroll(c, guest))


@pytest.mark.parametrize(('project', 'status'), [(PROJECT, ENROLLED), (OTHER_PROJECT, REFUSED)])
def test_a_guest_is_enrolled_when_nova_says_it_is_the_callers(world, project, status):
    pending(world, project_id=project)
    make(world).confirm_guests(START)
    guest = world.guest()
    assert guest.status == status
    assert bool(guest.status_reason) == (status == REFUSED)


def test_who_enrols_learns_nothing_about_others_servers(world):
    pending(world, project_id=OTHER_PROJECT)
    make(world).confirm_guests(START)
    theirs = world.guest().status_reason
    world.nova.delete(SERVER_ID)
    pending(world, project_id=OTHER_PROJECT)
    make(world).confirm_guests(START)
    assert world.guest().status_reason == theirs


def test_while_nova_is_away_a_guest_stays_pending(world):
    pending(world)
    world.nova.away = True
    with pytest.raises(CloudAway):
        make(world).confirm_guests(START)
    assert world.guest().status == PENDING


def test_the_boot_grace_counts_from_the_confirmation(world):
    pending(world, last_seen=None)
    world.clock.advance(50)
    make(world).confirm_guests(world.clock())
    assert world.guest().enrolled_at == START + 50


# ---- duties


def test_a_duty_is_done_by_one_worker_and_goes_on_after_an_error(world):
    done = []

    def work(now):
        done.append(threading.current_thread().name)
        if len(done) == 1:
            raise RuntimeError('a bug')
        if len(done) == 2:
            raise CloudAway('Gnocchi')

    with world.database.write() as c:
        assert leases.take(c, 'theirs', 'another', world.clock(), 60)
    duties = [Duty('ours', 0.01, work), Duty('theirs', 0.01, lambda now: done.append('theirs'))]
    with running(make(world, duties)):
        wait_for(lambda: len(done) > 5)
    assert set(done) == {'duty-ours'}


def test_a_server_left_alone_is_told_in_the_recovery(world):
    recovery = opened(world)
    world.nova.change(SERVER_ID, locked=True)
    with running(make(world)):
        wait_for(lambda: world.get(recovery).finished_at)
    assert world.get(recovery).status == LEFT_ALONE
    assert world.taken() == []
