"""Those who ask at the same time are answered together, and never from memory."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from aodh_ha.db import commands, guests
from aodh_ha.db.models import metadata
from aodh_ha.exceptions import DatabaseAway, NotFound
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_ID, SERVER_ID, pending
from tests.waiting import wait_for
from webhook.lookup import Lookup

MISSING = '99999999-9999-4999-8999-999999999999'


class Held:
    """A database on a server, whose reads wait until they are let go, and are counted."""

    is_sqlite = False

    def __init__(self, database):
        self.database = database
        self.go = threading.Event()
        self.looks = 0
        self.error = None

    @contextmanager
    def read(self):
        self.looks += 1
        assert self.go.wait(10)
        if self.error:
            raise self.error
        with self.database.read() as connection:
            yield connection


@pytest.fixture
def held(database):
    for server_id in (SERVER_ID, OTHER_ID):
        database.run(lambda c, i=server_id: guests.enroll(c, samples.guest(server_id=i)))
    return Held(database)


@pytest.fixture
def lookup(held):
    return Lookup(held, lambda: START)


@pytest.fixture
def pool():
    with ThreadPoolExecutor(40) as pool:
        yield pool


def ask(pool, lookup, held, first, *others):
    """The first is being looked for while the others come."""
    asked = [pool.submit(lookup.find, first)]
    wait_for(lambda: held.looks == 1)
    asked += [pool.submit(lookup.find, server_id) for server_id in others]
    wait_for(lambda: len(lookup._waiting) == len(others))
    return asked


def test_a_guest_is_found_with_what_waits_for_it(database, lookup, held):
    held.go.set()
    found = []
    with database.write() as c:
        for n in range(10):
            found.append(
                commands.add(c, SERVER_ID, 'check', {'service': 'web'}, None, START + n, START + 60)
            )
        commands.add(c, SERVER_ID, 'check', {'service': 'web'}, None, START - 60, START)
        commands.add(c, OTHER_ID, 'report', {}, None, START, START + 60)
    guest, waiting = lookup.find(SERVER_ID)
    assert guest.server_id == SERVER_ID
    assert [c.id for c in waiting] == found[: commands.AT_ONCE]
    with database.read() as c:
        assert waiting == pending(c, SERVER_ID, START)
    assert [c.kind for c in lookup.find(OTHER_ID)[1]] == ['report']


def test_who_asks_meanwhile_is_answered_by_one_more_look(pool, lookup, held):
    asked = ask(pool, lookup, held, SERVER_ID, *[SERVER_ID, OTHER_ID, MISSING] * 10)
    held.go.set()
    for future, server_id in zip(
        asked, [SERVER_ID, *[SERVER_ID, OTHER_ID, MISSING] * 10], strict=True
    ):
        if server_id == MISSING:
            with pytest.raises(NotFound):
                future.result(10)
        else:
            assert future.result(10)[0].server_id == server_id
    assert held.looks == 2
    assert lookup.find(SERVER_ID)[0].server_id == SERVER_ID
    assert held.looks == 3


def test_what_changes_is_seen_by_who_comes_after_it(pool, lookup, held, database):
    """The look that is under way has read nothing of it, and is not for him."""
    first, second = ask(pool, lookup, held, SERVER_ID, SERVER_ID)
    database.run(lambda c: guests.forget(c, SERVER_ID))
    third = pool.submit(lookup.find, SERVER_ID)
    held.go.set()
    for future in (second, third):
        with pytest.raises(NotFound):
            future.result(10)
    with pytest.raises(NotFound):
        first.result(10)


def test_a_database_that_is_away_is_said_to_everybody_and_the_next_look_is_a_new_one(
    pool, lookup, held
):
    asked = ask(pool, lookup, held, SERVER_ID, *[OTHER_ID] * 5)
    held.error = DatabaseAway('no answer')
    held.go.set()
    errors = [future.exception(10) for future in asked]
    assert {type(e) for e in errors} == {DatabaseAway}
    assert len(set(map(id, errors))) == len(errors), 'a traceback of its own for each'
    held.error = None
    assert lookup.find(OTHER_ID)[0].server_id == OTHER_ID


def test_an_error_of_ours_leaves_nobody_waiting(pool, lookup, held):
    asked = ask(pool, lookup, held, SERVER_ID, OTHER_ID)
    held.error = ValueError('ours')
    held.go.set()
    assert [str(future.exception(10)) for future in asked] == ['ours', 'ours']
    held.error = None
    assert lookup.find(SERVER_ID)


def test_from_sqlite_each_is_read_by_itself_and_the_same_is_found(database, held, pool):
    held.go.set()
    lookup, together = Lookup(database, lambda: START), Lookup(held, lambda: START)
    with database.write() as c:
        commands.add(c, SERVER_ID, 'report', {}, None, START, START + 60)
    for server_id in (SERVER_ID, OTHER_ID):
        assert lookup.find(server_id) == together.find(server_id)
    assert [c.kind for c in lookup.find(SERVER_ID)[1]] == ['report']
    with pytest.raises(NotFound):
        lookup.find(MISSING)
    database.run(lambda c: guests.forget(c, OTHER_ID))
    with pytest.raises(NotFound):
        lookup.find(OTHER_ID)
    metadata.drop_all(database.engine)
    with pytest.raises(DatabaseAway, match='no such table'):
        lookup.find(SERVER_ID)


def test_many_at_once_for_long_all_get_their_own(pool, lookup, held):
    held.go.set()
    asked = [pool.submit(lookup.find, (SERVER_ID, OTHER_ID)[n % 2]) for n in range(200)]
    assert [f.result(30)[0].server_id for f in asked] == [SERVER_ID, OTHER_ID] * 100
    assert held.looks <= 200
