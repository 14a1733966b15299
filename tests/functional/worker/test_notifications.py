"""Notifications: written with the decision, brought at least once, tried again for a day."""

import itertools
import logging

import pytest

from aodh_ha.db import notifications
from aodh_ha.exceptions import ActionRefused
from aodh_ha.notifier import LONGEST, Notifier
from aodh_ha.recovery.hooks import HookResult
from aodh_ha.testing import START, Clock
from tests.samples import PROJECT, SERVER_ID

DAY = 86400.0


class Hooks:
    """The hooks page and mail, which answer as they are told."""

    def __init__(self):
        self.broken = set()
        self.got = []

    def run(self, name, facts):
        if name not in ('page', 'mail'):
            raise ActionRefused(f'there is no hook {name!r}')
        self.got.append((name, facts))
        return HookResult(name not in self.broken, 'no line' if name in self.broken else '')


class Conf:
    class notifications:
        hook = 'page'
        give_up_after = DAY


@pytest.fixture
def hooks():
    return Hooks()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def notifier(database, hooks, clock):
    return Notifier(Conf, database, hooks, clock)


def add(database, message='it is silent', **more):
    return database.run(lambda c: notifications.add(c, START, 'exhausted', message, **more))


def get(database, notification_id):
    with database.read() as c:
        return next(n for n in notifications.find(c) if n.id == notification_id)


def test_one_is_brought_once_with_its_facts_and_logged(database, notifier, hooks, clock, caplog):
    caplog.set_level(logging.WARNING)
    mine = add(database, project_id=PROJECT, server_id=SERVER_ID)
    assert notifier.deliver(clock()) == 1
    assert notifier.deliver(clock.advance(1000)) == 0
    assert hooks.got == [
        (
            'page',
            {
                'id': mine,
                'kind': 'exhausted',
                'message': 'it is silent',
                'at': '2027-01-15T08:00:00Z',
                'project_id': PROJECT,
                'server_id': SERVER_ID,
            },
        )
    ]
    assert [r.getMessage() for r in caplog.records] == ['exhausted: it is silent']
    assert get(database, mine).delivered_at == START


def test_what_a_transaction_took_back_is_not_brought(database, notifier, hooks, clock):
    def work(connection):
        notifications.add(connection, START, 'exhausted', 'never was')
        raise KeyError

    with pytest.raises(KeyError):
        database.run(work)
    assert notifier.deliver(clock()) == 0
    assert hooks.got == []


def test_one_goes_to_the_hook_that_its_policy_names(database, notifier, hooks, clock):
    add(database, hook='mail')
    notifier.deliver(clock())
    assert [name for name, _ in hooks.got] == ['mail']


def test_a_hook_that_is_no_longer_configured_gives_way_to_the_default(
    database,
    notifier,
    hooks,
    clock,
):
    add(database, hook='fax')
    assert notifier.deliver(clock()) == 1
    assert [name for name, _ in hooks.got] == ['page']


def test_without_a_hook_the_log_is_all_there_is(database, hooks, clock, caplog, monkeypatch):
    monkeypatch.setattr(Conf.notifications, 'hook', '')
    mine = add(database)
    assert Notifier(Conf, database, hooks, clock).deliver(clock()) == 1
    assert get(database, mine).delivered_at
    assert hooks.got == []
    assert 'it is silent' in caplog.text


def test_it_is_tried_again_ever_more_seldom_until_it_comes_through(
    database,
    notifier,
    hooks,
    clock,
    caplog,
):
    mine = add(database)
    hooks.broken.add('page')
    tried = []
    while clock() < START + 2000:
        count = len(hooks.got)
        notifier.deliver(clock())
        if len(hooks.got) > count:
            tried.append(clock())
        clock.advance(1)
    pauses = [b - a for a, b in itertools.pairwise(tried)]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, LONGEST, LONGEST, LONGEST, LONGEST]
    hooks.broken.clear()
    notifier.deliver(clock.advance(LONGEST))
    assert get(database, mine).delivered_at == clock()
    assert caplog.text.count('it is silent') == 1


def test_after_a_day_it_is_given_up_and_that_is_logged(database, notifier, hooks, clock, caplog):
    mine = add(database)
    hooks.broken.add('page')
    while clock() < START + DAY + 2000:
        notifier.deliver(clock())
        clock.advance(LONGEST)
    tries = len(hooks.got)
    assert 'could not be delivered: page: no line' in caplog.text
    hooks.broken.clear()
    notifier.deliver(clock.advance(LONGEST))
    assert len(hooks.got) == tries
    assert get(database, mine).delivered_at is None


def test_one_that_waited_for_a_worker_for_days_is_still_tried_once(
    database,
    notifier,
    hooks,
    clock,
):
    add(database)
    assert notifier.deliver(clock.advance(3 * DAY)) == 1


def test_one_that_fails_does_not_keep_the_others(database, notifier, hooks, clock):
    hooks.broken.add('mail')
    for n in range(50):
        add(database, f'bad {n}', hook='mail')
    good = add(database, 'good')
    for _ in range(3):
        notifier.deliver(clock.advance(0.01))
    assert get(database, good).delivered_at
