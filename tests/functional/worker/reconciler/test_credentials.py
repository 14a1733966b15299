"""Keystone is asked about what was handed over, before a recovery needs it."""

from types import SimpleNamespace

import pytest

from aodh_ha.db import credentials, notifications
from aodh_ha.reconciler.credentials import BACKOFF, Credentials
from aodh_ha.rules.rights import TRUST, Credential
from aodh_ha.testing import Clock, FakeCloud
from tests.functional.worker.reconciler.conftest import MASTER_KEY
from tests.samples import OTHER_PROJECT, PROJECT

HOUR = 3600.0


class World:
    """A database with what two projects handed over, and a cloud."""

    def __init__(self, conf, database):
        self.database, self.clock = database, Clock()
        self.cloud = FakeCloud(self.clock)
        self.duty = Credentials(conf, database, self.cloud, MASTER_KEY, self.clock)
        for project_id, reference in ((PROJECT, 't1'), (OTHER_PROJECT, 't2')):
            number = f'00000000-0000-4000-8000-{reference:0>12}'
            made = Credential(number, project_id, TRUST, reference, 'u1', self.clock())
            with database.write() as c:
                credentials.put(c, made, '', MASTER_KEY)

    def check(self):
        self.duty.check(self.clock())
        with self.database.read() as c:
            return {f.reference: (f.status, f.status_reason) for f in credentials.find(c)}

    def told(self):
        with self.database.read() as c:
            return [(n.kind, n.project_id, n.message) for n in notifications.find(c)]


@pytest.fixture
def world(database):
    return World(SimpleNamespace(credentials=SimpleNamespace(check_interval=HOUR)), database)


def test_what_keystone_takes_is_usable_and_what_it_refuses_is_told_of(world):
    world.cloud.refused_rights['t2'] = 'Keystone refuses it'
    assert world.check() == {'t1': ('usable', ''), 't2': ('refused', 'Keystone refuses it')}
    ((kind, project_id, message),) = world.told()
    assert (kind, project_id) == ('credential', OTHER_PROJECT)
    assert 'trust t2' in message
    assert 'Keystone refuses it' in message


def test_one_that_is_revoked_later_is_told_of_once(world):
    assert world.check()['t1'] == ('usable', '')
    world.cloud.refused_rights['t1'] = 'Keystone refuses it'
    world.clock.advance(HOUR / 2)
    assert world.check()['t1'] == ('usable', ''), 'not asked again yet'
    for _ in range(3):
        world.clock.advance(HOUR + 1)
        assert world.check()['t1'][0] == 'refused'
    assert len(world.told()) == 1


def test_one_that_is_good_again_is_usable_again(world):
    world.cloud.refused_rights['t1'] = 'Keystone refuses it'
    assert world.check()['t1'][0] == 'refused'
    world.cloud.refused_rights.clear()
    world.clock.advance(HOUR + 1)
    assert world.check()['t1'] == ('usable', '')


def test_while_keystone_is_away_nothing_is_said_of_them(world):
    world.cloud.away = True
    assert world.check() == {'t1': ('pending', ''), 't2': ('pending', '')}
    world.cloud.away = False
    assert world.check()['t1'] == ('pending', ''), 'it is not asked every second'
    world.clock.advance(BACKOFF + 1)
    assert world.check() == {'t1': ('usable', ''), 't2': ('usable', '')}
    assert world.told() == []
