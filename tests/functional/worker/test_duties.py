"""Duties: one process at a time, also while the work takes long; given back when it stops."""

import threading
import time
from contextlib import contextmanager

import pytest

from aodh_ha.db import leases, models
from aodh_ha.duties import Duties, Duty
from aodh_ha.exceptions import CloudAway, DatabaseAway
from aodh_ha.testing import Clock
from tests.waiting import wait_for

LEASE = 0.3


@contextmanager
def running(database, *duties, owner='w1', lease=LEASE, clock=time.time):
    stop = threading.Event()
    made = Duties(database, duties, owner=owner, lease=lease, stop=stop, clock=clock)
    threads = [threading.Thread(target=loop, name=name, daemon=True) for name, loop in made.loops()]
    for thread in threads:
        thread.start()
    try:
        yield stop
    finally:
        stop.set()
        for thread in threads:
            thread.join(10)
    assert not any(t.is_alive() for t in threads)


def take(database, name, owner, now=None):
    at = time.time() if now is None else now
    return database.run(lambda c: leases.take(c, name, owner, at, 60))


def until(database, name):
    with database.read() as c:
        return c.execute(models.leases.select().where(models.leases.c.name == name)).one().until


def test_one_process_does_it_at_once_and_goes_on_after_errors(database):
    done = []

    def work(now):
        done.append(threading.current_thread().name)
        if len(done) == 1:
            raise RuntimeError('a bug')
        if len(done) == 2:
            raise CloudAway('Gnocchi')

    take(database, 'theirs', 'another')
    duties = [Duty('ours', 0.01, work), Duty('theirs', 0.01, lambda now: done.append('theirs'))]
    with running(database, *duties):
        wait_for(lambda: len(done) > 5)
    assert set(done) == {'duty-ours'}


def test_the_lease_lasts_while_the_work_takes_longer_than_it(database):
    begun, go_on = threading.Event(), threading.Event()

    def slow(now):
        begun.set()
        go_on.wait(10)

    with running(database, Duty('slow', 60, slow)):
        assert begun.wait(10)
        first = until(database, 'slow')
        wait_for(lambda: until(database, 'slow') > first + 3 * LEASE)
        assert not take(database, 'slow', 'another')
        go_on.set()


def test_between_two_rounds_it_stays_with_who_has_it(database):
    done = []
    with running(database, Duty('rare', 60, lambda now: done.append('w1'))):
        wait_for(lambda: done)
        other = Duty('rare', 60, lambda now: done.append('w2'))
        with running(database, other, owner='w2'):
            first = until(database, 'rare')
            wait_for(lambda: until(database, 'rare') > first + 3 * LEASE)
    assert done == ['w1']


def test_whoever_stops_gives_it_back_and_another_follows_at_once(database):
    done = []
    with running(database, Duty('rare', 60, lambda now: done.append('w1')), lease=60.0):
        wait_for(lambda: done)
        assert not take(database, 'rare', 'w2')
    assert take(database, 'rare', 'w2')


def test_after_a_death_another_follows_when_the_lease_has_run_out(database):
    clock, done = Clock(), []
    take(database, 'rare', 'dead', clock())
    with running(database, Duty('rare', 60, done.append), clock=clock):
        clock.advance(59)
        assert not done
        clock.advance(2)
        wait_for(lambda: done)


@pytest.mark.parametrize('when', ['taking', 'renewing'])
def test_a_database_that_is_away_ends_nothing(database, monkeypatch, when):
    done, real, failed = [], database.run, []
    names = {'taking': 'duty-quick', 'renewing': 'duty-leases'}

    def away(work):
        if threading.current_thread().name == names[when] and len(failed) < 3:
            failed.append(True)
            raise DatabaseAway('gone')
        return real(work)

    monkeypatch.setattr(database, 'run', away)
    with running(database, Duty('quick', 0.01, done.append)):
        wait_for(lambda: len(failed) == 3)
        count = len(done)
        wait_for(lambda: len(done) > count)
