"""Transactions: what is tried again, how soon, and what is said of an error."""

from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from aodh_ha.db import database as module
from aodh_ha.db.database import BACKOFF, RETRIES, Database
from aodh_ha.exceptions import DatabaseAway


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made, none of which was waited for."""
    made = []
    monkeypatch.setattr(module.time, 'sleep', made.append)
    return made


def broken_off(text):
    return sa.exc.OperationalError('UPDATE guests', {}, Exception(text))


@pytest.mark.parametrize(
    'error',
    [
        broken_off('Deadlock found when trying to get lock; try restarting transaction'),
        broken_off('canceling statement due to lock timeout'),
        broken_off('database is locked'),
        sa.exc.IntegrityError('INSERT', {}, Exception('duplicate key')),
    ],
)
def test_what_the_database_broke_off_is_tried_again_after_a_growing_pause(database, pauses, error):
    tries = []

    def work(_):
        tries.append(1)
        if len(tries) <= RETRIES:
            raise error
        return 'done'

    assert database.run(work) == 'done'
    assert len(tries) == RETRIES + 1
    assert len(pauses) == RETRIES
    assert all(0 <= pause <= BACKOFF * 2**n for n, pause in enumerate(pauses))
    assert len(set(pauses)) == RETRIES, 'two who broke each other off would meet again'


def test_it_is_not_tried_for_ever(database, pauses):
    tries = []

    def work(_):
        tries.append(1)
        raise broken_off('deadlock detected')

    with pytest.raises(DatabaseAway):
        database.run(work)
    assert len(tries) == RETRIES + 1


def test_an_outage_is_told_at_once(database, pauses):
    tries = []

    def work(_):
        tries.append(1)
        raise broken_off('server closed the connection unexpectedly')

    with pytest.raises(DatabaseAway):
        database.run(work)
    assert (len(tries), pauses) == (1, [])


@pytest.mark.parametrize(
    ('text', 'told'), [('', 'Exception'), ('first\nsecond', 'first'), ('x' * 999, 'x' * 200)]
)
def test_an_error_is_told_in_one_line_whatever_its_text(database, text, told):
    with pytest.raises(DatabaseAway) as e, database.read():
        raise broken_off(text)
    assert e.value.detail == told


@pytest.mark.parametrize(
    ('url', 'mine', 'ours'),
    [
        ('mysql+pymysql://u@h/d?read_timeout=60', 'read_timeout', 'write_timeout'),
        ('postgresql+psycopg://u@h/d?connect_timeout=60', 'connect_timeout', 'options'),
    ],
)
def test_what_the_url_says_of_time_limits_comes_first(monkeypatch, url, mine, ours):
    given = {}

    def create_engine(_, connect_args, **options):
        given.update(connect_args)
        return SimpleNamespace(driver='none to listen to')

    monkeypatch.setattr(module.sa, 'create_engine', create_engine)
    Database(url)
    assert mine not in given
    assert ours in given
