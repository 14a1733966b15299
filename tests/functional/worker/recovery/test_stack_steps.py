"""What becomes of a step on a stack: followed, cancelled when it hangs, and all guests heard."""

import pytest

from aodh_ha.db import guests, leases, silences
from aodh_ha.recovery import stack_events
from aodh_ha.rules.evidence import Silence
from aodh_ha.rules.holdings import StackEvent
from aodh_ha.rules.recovery import FAILED, RECOVERED
from aodh_ha.testing import START
from tests.samples import OTHER_ID, PROJECT, SERVER_ID

POLICY = """
name: stacks
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
preserve: [volumes, fixed_ips]
steps:
  - {action: stack.rebuild, verify: 60s}
"""
GONE = 'the update of the stack was not done after 60s and was cancelled'


@pytest.fixture
def member(world):
    """The guest's server and another one, in a stack."""
    world.enroll(OTHER_ID)
    world.nova.stack('shop', PROJECT, {'db': SERVER_ID, 'web': OTHER_ID})
    return world.nova.member(world.nova.server(SERVER_ID))


def now_ids(world, member):
    return {name: i for i, name in world.nova.stack_member_again(member).siblings}


def healed_when_moved(world, member, *names, seconds=5):
    """Those of the replaced servers' guests that come back once their guests have moved."""

    def heal():
        for name in names:
            server_id = now_ids(world, member)[name]
            with world.database.read() as c:
                known = guests.last_seen(c, [server_id])
            if known and server_id not in (SERVER_ID, OTHER_ID):
                world.healed_at.setdefault(server_id, world.clock() + seconds)

    return heal


def run(world, recovery, each=lambda: None):
    def look():
        each()
        return False

    return world.run(recovery, until=look)


def noted(world, recovery, kind=stack_events.EVENT):
    return [message for k, message in world.trail(recovery) if k == kind]


# ---- every guest


def test_a_rebuilt_stack_counts_when_every_guest_is_heard(world, member):
    recovery = world.alarm(document=POLICY)
    ended = run(world, recovery, healed_when_moved(world, member, 'db', 'web'))
    assert (ended.status, ended.reason) == (RECOVERED, 'by stack.rebuild')
    assert world.tried(recovery) == [('stack.rebuild', 'succeeded')]


def test_a_guest_that_takes_longer_than_the_first_is_waited_for(world, member):
    recovery = world.alarm(document=POLICY)
    first = healed_when_moved(world, member, 'db')
    later = healed_when_moved(world, member, 'web', seconds=20)
    ended = run(world, recovery, lambda: (first(), later()))
    assert world.tried(recovery) == [('stack.rebuild', 'succeeded')]
    assert ended.reason == 'by stack.rebuild'


def test_a_guest_that_stays_silent_is_told_and_the_step_did_not_help(world, member):
    recovery = world.alarm(document=POLICY)
    ended = run(world, recovery, healed_when_moved(world, member, 'db'))
    assert world.tried(recovery) == [('stack.rebuild', 'unverified')]
    assert ended.reason == 'heard again; after stack.rebuild not heard again: web'


@pytest.mark.parametrize('change', ['never heard', 'forgotten'])
def test_who_was_not_watched_is_not_waited_for(world, member, change):
    if change == 'never heard':
        row = guests.guests.update().where(guests.guests.c.server_id == OTHER_ID)
        with world.database.write() as c:
            c.execute(row.values(last_seen=None))
    recovery = world.alarm(document=POLICY)

    def forget():
        with world.database.write() as c:
            guests.forget(c, OTHER_ID)

    if change == 'forgotten':
        world.nova.on_action = lambda taken: forget()
    ended = run(world, recovery, healed_when_moved(world, member, 'db'))
    assert (ended.status, ended.reason) == (RECOVERED, 'by stack.rebuild')


# ---- one at a time


def test_two_recoveries_of_one_stack_do_not_meet_in_heat(world, member):
    """Both have seen the stack idle before either acts."""
    world.nova.stack_takes = True
    alone = POLICY.replace('stack.rebuild', 'server.replace')
    first = world.alarm(document=alone)
    second = world.alarm(document=alone, server_id=OTHER_ID)
    world.engine.advance(first)
    busy = world.nova.stacks[member.root_id]
    world.nova.stacks[member.root_id] = member
    world.engine.advance(second)
    world.nova.stacks[member.root_id] = busy
    assert [t.action for t in world.nova.taken] == ['replace']
    assert (world.history(second), world.get(second).guard) == ([], 'stack')
    world.nova.finish_stack(member.root_id)
    moved = healed_when_moved(world, member, 'db', 'web')
    world.nova.stack_takes = False
    world.run_all(until=lambda: moved() or not world.active())
    with world.database.write() as c:
        assert leases.take(c, f'stack:{member.root_id}', 'anybody', world.clock(), 1), 'given back'


def test_while_another_recovery_has_the_stacks_turn_no_evidence_is_taken(world, member):
    """Heat may be replacing the very server; no stack seems to have it then."""
    world.nova.stack_takes = True
    first = world.alarm(document=HEAL)
    world.run(first, until=lambda: world.nova.taken)
    with world.database.write() as c:
        guests.located(c, OTHER_ID, world.clock(), stack_id=member.root_id)
    second = world.alarm(document=HEAL, server_id=OTHER_ID)
    world.engine.advance(second)
    assert (world.history(second), world.get(second).guard) == ([], 'stack')


# ---- those that a person wants left alone


HEAL = POLICY.replace('stack.rebuild', 'stack.heal')


@pytest.mark.parametrize('state', ['locked', 'stopped', 'maintenance', 'opted out'])
def test_a_server_that_is_to_be_left_alone_is_not_healed_with_the_others(world, member, state):
    leave_alone(world, state)
    recovery = world.alarm(document=HEAL)
    run(world, recovery, healed_when_moved(world, member, 'db'))
    assert world.tried(recovery) == [('stack.heal', 'succeeded')]
    assert now_ids(world, member)['web'] == OTHER_ID


@pytest.mark.parametrize('state', ['locked', 'stopped', 'maintenance', 'opted out'])
def test_no_stack_is_rebuilt_over_a_server_that_is_to_be_left_alone(world, member, state):
    leave_alone(world, state)
    recovery = world.alarm(document=POLICY)
    assert run(world, recovery).status == FAILED
    (attempt,) = world.history(recovery)
    assert attempt.status == 'refused'
    assert attempt.detail.startswith('it would replace web of its stack, too, and it')
    assert world.nova.taken == []


def leave_alone(world, state):
    if state == 'locked':
        world.nova.change(OTHER_ID, locked=True)
    elif state == 'stopped':
        world.nova.others(OTHER_ID, 'stop')
        world.nova.change(OTHER_ID, vm_state='stopped', status='SHUTOFF')
    elif state == 'opted out':
        world.nova.change(OTHER_ID, metadata={'aodh_ha:opt_out': 'true'})
    else:
        window = Silence('s', PROJECT, 'guest', OTHER_ID, START - 60, START + 86400, 'me', 'work')
        with world.database.write() as c:
            silences.add(c, window)


# ---- followed


def test_what_heat_does_is_in_the_audit_trail_once(world, member):
    world.nova.stack_takes = True
    recovery = world.alarm(document=POLICY)
    world.run(recovery, until=lambda: noted(world, recovery))
    assert noted(world, recovery) == ['shop UPDATE_IN_PROGRESS']
    secret = 'Property error: password=hunter2-hunter2'
    more = StackEvent('e1', 'shop-group-x/web', 'CREATE_FAILED', secret, '2026-11-22T19:00:00Z')
    world.nova.events[member.root_id].append(more)
    world.nova.finish_stack(member.root_id)
    run(world, recovery, healed_when_moved(world, member, 'db', 'web'))
    begun, failed, done = noted(world, recovery)
    assert failed.startswith('shop-group-x/web CREATE_FAILED: ')
    assert 'hunter2' not in failed
    assert (begun, done) == ('shop UPDATE_IN_PROGRESS', 'shop UPDATE_COMPLETE')


def test_not_more_is_noted_than_a_person_reads(world, member):
    world.nova.stack_takes = True
    recovery = world.alarm(document=POLICY)
    world.run(recovery, until=lambda: noted(world, recovery))
    world.nova.events[member.root_id] += [
        StackEvent(f'e{n}', f'shop/r{n}', 'CREATE_COMPLETE', 'state changed', '')
        for n in range(2 * stack_events.MOST)
    ]
    world.nova.finish_stack(member.root_id)
    run(world, recovery, healed_when_moved(world, member, 'db', 'web'))
    assert len(noted(world, recovery)) == stack_events.MOST


# ---- cut off


def test_an_update_that_hangs_is_cancelled_after_its_time_and_that_is_said(world, member):
    world.nova.stack_takes = True
    began = world.clock()
    recovery = world.alarm(document=POLICY)
    ended = run(world, recovery)
    assert ended.status == FAILED
    assert world.nova.taken[-1].action == 'cancel_stack'
    assert world.nova.taken[-1].at - began >= 60
    assert world.nova.stack_member_again(member).status == 'UPDATE_FAILED'
    (attempt,) = world.history(recovery)
    assert (attempt.status, attempt.detail) == (
        'unverified',
        f'no newer heartbeat in time; {GONE}',
    )
    (told,) = noted(world, recovery, stack_events.CANCELLED)
    assert told == f'stack.rebuild: {GONE}; what it has done stays'


def test_an_update_that_somebody_else_began_is_not_cancelled(world, member):
    recovery = world.alarm(document=POLICY)
    world.run(recovery, until=lambda: world.nova.taken)
    world.nova._stack_event(member.root_id, status='UPDATE_IN_PROGRESS')
    world.run(recovery, until=lambda: world.history(recovery)[0].status == 'unverified')
    assert [t.action for t in world.nova.taken] == ['replace']


def test_what_cannot_be_cancelled_is_said(world, member):
    world.nova.stack_takes = True
    world.nova.refuse['cancel_stack'] = 'Heat answered 403: no'
    recovery = world.alarm(document=POLICY)
    world.run(
        recovery,
        until=lambda: (
            world.history(recovery)[:1] and world.history(recovery)[0].status == 'unverified'
        ),
    )
    assert world.history(recovery)[0].detail.endswith(
        'the update of the stack goes on, and cannot be cancelled: Heat answered 403: no'
    )


def test_a_server_that_a_cancelled_update_has_made_is_the_guests(world, member):
    world.nova.stack_takes = True
    recovery = world.alarm(document=POLICY)
    ended = run(world, recovery, healed_when_moved(world, member, 'db', 'web'))
    assert (ended.status, ended.server_id) == (RECOVERED, now_ids(world, member)['db'])
    (attempt,) = world.history(recovery)
    assert (attempt.status, attempt.detail.endswith(GONE)) == ('unverified', True)
