"""Where guests are, what their metadata ask for, and what becomes of them without a server."""

import pytest

from aodh_ha.db import guests
from aodh_ha.exceptions import CloudAway
from aodh_ha.reconciler.whereabouts import BATCH, FEW, PATIENCE
from aodh_ha.testing import START
from tests.functional.worker.reconciler.conftest import CARRIER
from tests.samples import OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID


def ids(count):
    return [f'{n:08x}{SERVER_ID[8:]}' for n in range(count)]


def exists(world, server_id=SERVER_ID):
    with world.database.read() as c:
        return bool(guests.names(c, {server_id}))


def test_host_zone_stack_and_metadata_are_written_down(world):
    metadata = {'aodh_ha:policy': ' gold ', 'aodh_ha:opt_out': 'Yes', 'other': 'x'}
    world.nova.change(SERVER_ID, host='host2', zone='az1', metadata=metadata, name='db2')
    stack = world.nova.stack('shop', PROJECT, {'db': SERVER_ID})
    world.do('whereabouts')
    guest = world.guest()
    assert (guest.host, guest.zone, guest.name) == ('host2', 'az1', 'db2')
    assert (guest.stack_id, guest.stack_name) == (stack.root_id, 'shop')
    assert (guest.metadata_policy, guest.opted_out) == ('gold', True)
    assert guest.looked_at == world.clock()


@pytest.mark.parametrize(
    ('value', 'out'),
    [('true', True), ('1', True), ('YES', True), ('false', False), ('0', False), ('', False)],
)
def test_opting_out_is_written_in_several_ways_and_taken_back(world, value, out):
    world.nova.change(SERVER_ID, metadata={'aodh_ha:opt_out': value})
    world.do('whereabouts')
    assert world.guest().opted_out == out
    world.nova.change(SERVER_ID, metadata={})
    world.clock.advance(61)
    world.do('whereabouts')
    assert not world.guest().opted_out


@pytest.mark.parametrize('name', ['a b', '../x', 'x' * 64, ''])
def test_what_can_be_no_policys_name_is_not_written_down(world, name):
    world.nova.change(SERVER_ID, metadata={'aodh_ha:policy': name})
    world.do('whereabouts')
    assert world.guest().metadata_policy == ''


def test_another_projects_server_says_nothing_about_the_guest(world):
    world.nova.change(SERVER_ID, project_id=OTHER_PROJECT, metadata={'aodh_ha:policy': 'gold'})
    world.do('whereabouts')
    assert world.guest().metadata_policy == ''


def test_each_is_looked_at_once_a_round(world):
    asked = []
    world.nova.on_read = asked.append
    for _ in range(5):
        world.do('whereabouts')
        world.clock.advance(10)
    assert asked == [SERVER_ID]
    world.clock.advance(11)
    world.do('whereabouts')
    assert len(asked) == 2


def test_a_large_fleet_is_looked_at_some_at_a_time_the_longest_ago_first(world):
    for server_id in ids(BATCH + 10):
        world.nova.add(server_id, PROJECT)
        world.add_guest(server_id)
    asked = []
    world.nova.on_read = asked.append
    world.do('whereabouts')
    assert len(asked) == BATCH
    world.clock.advance(10)
    world.do('whereabouts')
    assert len(set(asked)) == len(asked) == BATCH + 11


def test_while_heat_is_away_the_stack_stays_as_it_was_known(world, monkeypatch):
    world.nova.stack('shop', PROJECT, {'db': SERVER_ID})
    world.do('whereabouts')

    def away(server):
        raise CloudAway('Heat: no answer')

    monkeypatch.setattr(world.nova, 'member', away)
    world.nova.change(SERVER_ID, host='host2')
    world.clock.advance(61)
    world.do('whereabouts')
    assert (world.guest().host, world.guest().stack_name) == ('host2', 'shop')


def test_servers_that_nova_does_not_answer_about_keep_no_other_waiting(world):
    bad = ids(PATIENCE + 2)
    for server_id in bad:
        world.add_guest(server_id)
    asked = []

    def broken(server_id):
        asked.append(server_id)
        if server_id in bad:
            raise CloudAway('Nova: 500')

    world.nova.on_read = broken
    world.do('whereabouts')
    assert len(asked) == PATIENCE
    world.clock.advance(1)
    world.do('whereabouts')
    assert world.guest().host == 'host1'


# ---- servers that are gone


def test_a_guest_whose_server_is_gone_is_forgotten_after_a_grace_with_its_alarms(world):
    world.add_alarm()
    world.nova.delete(SERVER_ID)
    while world.clock() < START + 600:
        world.do('whereabouts')
        assert exists(world)
        world.clock.advance(60)
    world.do('whereabouts')
    assert not exists(world)
    assert world.aodh.alarms == {}
    assert world.events()[-1] == 'forgotten'
    with world.database.read() as c:
        assert c.exec_driver_sql('SELECT COUNT(*) FROM alarms').scalar() == 0


def test_one_that_comes_back_within_the_grace_begins_anew(world):
    server = world.nova.delete(SERVER_ID)
    for gone in (True, False, True):
        for _ in range(9):
            world.do('whereabouts')
            world.clock.advance(60)
        if gone:
            world.boot(SERVER_ID)
        else:
            server = world.nova.delete(SERVER_ID)
    assert server is None
    assert exists(world)


def test_while_a_recovery_is_at_work_nothing_is_forgotten(world):
    recovery = world.alarm()
    world.nova.delete(SERVER_ID)
    for _ in range(15):
        world.do('whereabouts')
        world.clock.advance(60)
    assert exists(world)
    world.clock.now = START
    world.run(recovery)
    world.clock.now = START + 1000
    world.do('whereabouts')
    assert not exists(world)


def test_an_aodh_alarm_that_cannot_be_deleted_keeps_nothing(world):
    world.add_alarm()
    world.aodh.refuse = 'Aodh: Not Authorized'
    world.nova.delete(SERVER_ID)
    world.do('whereabouts')
    world.clock.advance(601)
    world.do('whereabouts')
    assert not exists(world)
    assert CARRIER in world.aodh.alarms


def test_a_nova_that_suddenly_knows_hardly_any_server_makes_nobody_forgotten(world):
    for server_id in ids(FEW + 1):
        world.add_guest(server_id)  # none of them is in Nova
    for _ in range(15):
        world.do('whereabouts')
        world.clock.advance(60)
    assert all(exists(world, i) for i in ids(FEW + 1))
    (message,) = world.notifications()
    assert f'{FEW + 1} of the servers of {FEW + 2} guests' in message
    for server_id in ids(FEW + 1)[2:]:
        world.nova.add(server_id, PROJECT)
    for _ in range(3):
        world.do('whereabouts')
        world.clock.advance(60)
    assert [exists(world, i) for i in ids(FEW + 1)] == [False, False] + [True] * (FEW - 1)


def test_a_fleet_that_was_deleted_is_forgotten_however_many_they_are(world):
    for server_id in ids(2 * FEW):
        world.add_guest(server_id)
        world.nova.add(server_id, PROJECT)
    world.do('whereabouts')
    for server_id in ids(2 * FEW)[1:]:
        world.nova.delete(server_id)
    for _ in range(13):
        world.clock.advance(60)
        world.do('whereabouts')
    assert [exists(world, i) for i in ids(2 * FEW)] == [True] + [False] * (2 * FEW - 1)
    assert world.notifications() == []


def test_what_nova_does_not_answer_about_is_not_gone(world):
    world.nova.away = True
    for _ in range(15):
        world.do('whereabouts')
        world.clock.advance(60)
    assert exists(world)


def test_a_guest_that_was_forgotten_by_hand_is_no_longer_counted(world):
    world.add_guest(OTHER_ID)
    world.do('whereabouts')
    world.database.run(lambda c: guests.forget(c, OTHER_ID))
    world.clock.advance(61)
    world.do('whereabouts')
    assert world.notifications() == []
