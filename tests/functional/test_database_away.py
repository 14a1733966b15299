"""A database server that hangs: it refuses nothing, it just never answers."""

import threading
import time

import pytest

from aodh_ha.db import Database, guests, leases
from aodh_ha.exceptions import DatabaseAway
from aodh_ha.testing import START
from tests import samples
from tests.functional.http.processes import wait_for
from tests.samples import PROJECT, SERVER_ID
from webhook.intake import Intake

ANSWER = 1.0
# What was asked on an open connection, and then the attempt at a new one; and a busy machine.
BOUND = 15.0

pytestmark = pytest.mark.parametrize('engine', ['postgresql', 'mariadb'], indirect=True)


@pytest.fixture
def server(engine, database_server):
    return database_server(engine)


@pytest.fixture
def impatient(database):
    opened = Database(database.engine.url, ANSWER)
    opened.run(lambda c: guests.enroll(c, samples.guest()))
    yield opened
    opened.close()


def lease(database):
    return database.run(lambda c: leases.take(c, 'duty', 'me', START, 10))


def away(work):
    """The error of this work, and the seconds that it took."""
    begin = time.monotonic()
    with pytest.raises(DatabaseAway) as e:
        work()
    return e.value.detail, time.monotonic() - begin


def test_whoever_asks_is_told_in_time_and_goes_on_when_it_answers_again(server, impatient):
    assert lease(impatient)
    with server.hanging():
        for _ in range(2):  # by a connection that was open, and by a new one
            detail, took = away(lambda: lease(impatient))
            assert took < BOUND
            assert detail
    assert lease(impatient)


def test_a_transaction_that_was_begun_ends_too(server, impatient):
    def work():
        with impatient.write() as connection:
            guests.get(connection, SERVER_ID)
            with server.hanging():
                guests.get(connection, SERVER_ID, PROJECT)

    _, took = away(work)
    assert took < BOUND
    assert lease(impatient)


def test_the_gateway_refuses_beats_and_takes_them_again(server, impatient):
    intake = Intake(impatient, 'g')
    intake.start()
    assert intake.broken is None
    try:
        with server.hanging():
            wait_for(lambda: intake.broken, BOUND)
        assert intake.flush() is None
        assert intake.broken is None
    finally:
        intake.close()


def test_a_lock_that_another_holds_is_no_outage(database):
    """Who waits for it in vain is told that it was the lock, and tries again."""
    database.run(lambda c: guests.enroll(c, samples.guest()))
    waiter = Database(database.engine.url, 3)
    held, done = threading.Event(), threading.Event()

    def hold():
        with database.write() as connection:
            guests.write_life(connection, SERVER_ID, START + 1, 1, 'agent')
            held.set()
            done.wait(30)

    tries = []

    def work(connection):
        tries.append(1)
        if len(tries) == 2:
            done.set()
            holder.join(30)
        return guests.write_life(connection, SERVER_ID, START + 2, 1, 'agent')

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    assert waiter.run(work)
    assert len(tries) == 2
    waiter.close()
