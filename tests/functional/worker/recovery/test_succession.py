"""A server that Heat replaced has a new id: its guest goes on under that, with a key of its own."""

import pytest

from aodh_ha import keys
from aodh_ha.db import alarms, guests
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import CloudAway, NotFound
from aodh_ha.recovery.engine import Engine, Settings
from aodh_ha.recovery.succession import Succession
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.heartbeat import Report
from aodh_ha.rules.recovery import FAILED, RECOVERED
from tests.samples import OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID

POLICY = """
name: replacing
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
preserve: [volumes, fixed_ips]
steps:
  - {action: server.replace, verify: 60s}
"""
KEY = b'k' * 32
GATEWAYS = ('http://gateway:8787',)


@pytest.fixture
def member(world):
    """The guest's server, with another, in a stack."""
    world.boot(OTHER_ID)
    world.nova.stack('shop', PROJECT, {'db': SERVER_ID, 'web': OTHER_ID})
    return world.nova.member(world.nova.server(SERVER_ID))


@pytest.fixture
def succession(world):
    return Succession(world.database, world.nova, KEY, list(GATEWAYS))


def guest(world, server_id):
    with world.database.read() as c:
        return guests.get(c, server_id)


def new_id(world, member):
    return {n: i for i, n in world.nova.stack_member_again(member).siblings}['db']


def beat(world, server_id):
    found = guest(world, server_id)
    with world.database.write() as c:
        report = Report('a boot of the new server', '1.0', ())
        guests.write_beats(c, [Beat(server_id, world.clock(), found.sequence + 1, report)])


def test_the_recovery_ends_with_a_heartbeat_of_the_new_server(world, member):
    world.engine = Engine(
        world.database,
        world.nova,
        world.clock,
        settings=Settings(master_key=KEY, gateways=GATEWAYS),
    )
    recovery = world.alarm(document=POLICY)
    moved = world.run(recovery, until=lambda: world.get(recovery).server_id != SERVER_ID)
    assert moved.server_id == new_id(world, member)
    metadata = world.nova.server(moved.server_id).metadata
    generation = guest(world, moved.server_id).generation
    assert metadata == {
        'aodh_ha_gateways': GATEWAYS[0],
        'aodh_ha_key': keys.guest_key(KEY, moved.server_id, generation),
        'aodh_ha_generation': str(generation),
    }
    world.clock.advance(5)
    beat(world, moved.server_id)
    ended = world.run(recovery)
    assert (ended.status, ended.reason) == (RECOVERED, 'by server.replace')
    assert [t.action for t in world.nova.taken] == ['replace']


def test_the_new_guest_has_the_settings_and_the_alarms_of_the_old_one(world, member, succession):
    alarm = Alarm('a' * 36, PROJECT, SERVER_ID, 'heartbeat', 3, None, 'alarm', None, 0.0)
    with world.database.write() as c:
        alarms.add(c, alarm)
    old = guest(world, SERVER_ID)
    world.nova.replace(member, ['db'], 'for a test')
    assert succession.follow(member, world.clock()) == {SERVER_ID: new_id(world, member)}
    new = guest(world, new_id(world, member))
    same = ('project_id', 'name', 'policy', 'interval', 'missed_limit', 'boot_grace', 'status')
    assert [getattr(new, f) for f in same] == [getattr(old, f) for f in same]
    assert (new.last_seen, new.sequence, new.enrolled_at) == (None, 0, world.clock())
    assert new.generation != old.generation
    with pytest.raises(NotFound):
        guest(world, SERVER_ID)
    with world.database.read() as c:
        assert alarms.get(c, alarm.id).server_id == new.server_id


def test_nothing_moves_while_heat_is_at_work(world, member, succession):
    world.nova.stack_takes = True
    world.nova.replace(member, ['db'], 'for a test')
    assert succession.follow(member, world.clock()) == {}
    world.nova.finish_stack(member.root_id)
    assert list(succession.follow(member, world.clock())) == [SERVER_ID]


def test_it_may_be_done_again(world, member, succession):
    world.nova.replace(member, ['db'], 'for a test')
    succession.follow(member, world.clock())
    assert succession.follow(member, world.clock()) == {}


def test_cut_short_before_the_guest_is_moved_it_is_done_again(world, member, succession):
    world.nova.replace(member, ['db'], 'for a test')
    world.nova.away = True
    with pytest.raises(CloudAway):
        succession.follow(member, world.clock())
    world.nova.away = False
    assert guest(world, SERVER_ID)
    assert succession.follow(member, world.clock())


def test_a_guest_that_was_enrolled_meanwhile_keeps_its_key(world, member, succession):
    world.nova.replace(member, ['db'], 'for a test')
    mine = new_id(world, member)
    old = guest(world, SERVER_ID)
    with world.database.write() as c:
        guests.enroll(c, type(old)(**(vars(old) | {'server_id': mine, 'generation': 77})))
    succession.follow(member, world.clock())
    assert guest(world, mine).generation == 77


def test_what_another_project_has_enrolled_is_not_taken(world, member, succession):
    world.nova.replace(member, ['db'], 'for a test')
    mine = new_id(world, member)
    old = guest(world, SERVER_ID)
    with world.database.write() as c:
        values = vars(old) | {'server_id': mine, 'project_id': OTHER_PROJECT}
        guests.enroll(c, type(old)(**values))
    assert succession.follow(member, world.clock()) == {}
    assert guest(world, mine).project_id == OTHER_PROJECT
    assert guest(world, SERVER_ID)


def test_a_stack_that_somebody_deletes_meanwhile_refuses_the_step(world, member, monkeypatch):
    def gone(_member):
        raise NotFound('Heat: the stack is DELETE_IN_PROGRESS')

    monkeypatch.setattr(world.nova, 'stack_definition', gone)
    policy = POLICY.replace('server.replace', 'stack.recreate').replace(
        'preserve: [volumes, fixed_ips]', 'allow_data_loss: true'
    )
    recovery = world.run(world.alarm(document=policy))
    assert recovery.status == FAILED
    assert world.tried(recovery) == [('stack.recreate', 'refused')]
    assert world.nova.taken == []


def test_members_that_have_one_name_are_not_mixed_up(world, succession):
    world.boot(OTHER_ID)
    world.nova.stack('groups', PROJECT, {'0': SERVER_ID})
    member = world.nova.member(world.nova.server(SERVER_ID))
    both = type(member)(**(vars(member) | {'siblings': ((SERVER_ID, '0'), (OTHER_ID, '0'))}))
    world.nova.stacks[member.root_id] = type(member)(
        **(vars(member) | {'siblings': (('new-a', '0'), ('new-b', '0'))})
    )
    assert succession.follow(both, world.clock()) == {}
