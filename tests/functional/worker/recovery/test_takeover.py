"""A worker dies at each boundary, in each step: another goes on, nothing is lost or repeated."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from aodh_ha.db import commands, models
from aodh_ha.exceptions import ActionRefused, NotNow
from aodh_ha.recovery.doing import MARGIN, SETTLE
from aodh_ha.rules.policy import ACTIONS
from aodh_ha.rules.recovery import FAILED, INTENDED, LEFT_ALONE, RECOVERED
from aodh_ha.testing import DONE, DROPPED, START
from tests.samples import OTHER_ID, PROJECT, SERVER_ID

BOUNDARIES = (
    *('before-intent', 'after-intent', 'after-send', 'after-answer', 'verifying'),
    'before-finish',
)


class Killed(BaseException):
    """As by kill -9: nothing of ours runs after it."""


def nothing(world):
    pass


def off(world):
    world.nova.change(SERVER_ID, vm_state='stopped', status='SHUTOFF', power_state=4)
    world.nova.others(SERVER_ID, 'stop', None)


def dead_host(world):
    world.nova.kill_host('host1', forced_down=True)


def in_a_stack(world):
    world.boot(OTHER_ID)
    world.nova.stack('s', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID})


def in_error(world):
    in_a_stack(world)
    world.nova.change(SERVER_ID, status='ERROR', vm_state='error')


def in_a_stack_on_a_dead_host(world):
    in_a_stack(world)
    world.nova.change(OTHER_ID, host='host2')
    dead_host(world)


@dataclass(frozen=True)
class Case:
    """A step, what has to be so that it is due, and what has to be seen of it in the end."""

    step: str
    taken: list[str]
    heals: str = ''
    begin: Callable[[Any], None] = nothing
    trigger: str = 'heartbeat'
    more: str = ''


CASES = {
    'service.restart': Case('action: service.restart', [], trigger='service'),
    'server.reboot': Case('action: server.reboot, type: hard', ['reboot hard'], 'reboot hard'),
    'server.start': Case('action: server.start', ['start'], 'start', off),
    'server.rebuild': Case('action: server.rebuild', ['rebuild'], 'rebuild'),
    'server.evacuate': Case('action: server.evacuate', ['evacuate'], 'evacuate', dead_host),
    'server.migrate': Case('action: server.migrate', ['migrate', 'confirmResize'], 'migrate'),
    'server.replace': Case('action: server.replace', ['replace web'], 'replace', in_a_stack),
    'stack.heal': Case('action: stack.heal', ['replace web'], 'replace', in_a_stack),
    'stack.rebuild': Case('action: stack.rebuild', ['replace web,db'], 'replace', in_a_stack),
    'stack.recreate': Case(
        *('action: stack.recreate', ['delete_stack', 'create_stack'], 'create_stack'),
        in_a_stack,
        more='allow_data_loss: true',
    ),
    'notify': Case('action: notify', []),
    'hook': Case('action: hook, name: page', []),
}


def document(case):
    return f'name: one\nsteps:\n  - {{{case.step}, verify: 60s}}\n{case.more}\n'


def orders(world):
    """How often each was ordered that Nova knows nothing of."""
    with world.database.read() as c:
        told = c.execute(
            sa.select(sa.func.count()).where(models.notifications.c.kind == 'step')
        ).scalar()
        restarts = len(commands.of_guest(c, SERVER_ID))
    return {'notify': told, 'service.restart': restarts, 'hook': len(world.hooks.runs)}


def guest_of(world, recovery):
    """Where the guest is by now."""
    return world.get(recovery).server_id


def heal_by_hand(world, recovery, name):
    """Let the guest come back after what Nova does not see, or under its new id."""
    attempts = [a for a in world.history(recovery) if a.sent_at]
    if not attempts or world.clock() < attempts[-1].sent_at + 5:
        return
    here = guest_of(world, recovery)
    if name in ('service.restart', 'notify', 'hook') or here != SERVER_ID:
        world.beat(server_id=here)


def begin(world, name, how=None):
    case = CASES[name]
    if case.trigger == 'service':
        world.beat(failures=3)
        real = world.tick

        def tick():
            real()
            known = orders(world)['service.restart']
            if not known and world.clock() % 5 < 1:
                world.beat(failures=3)

        world.tick = tick
    (how or case.begin)(world)
    if case.heals:
        world.heals_after(case.heals)
    return world.alarm(case.trigger, document(case))


def run(world, recovery, name, limit=600):
    """To the end, with another worker after each death; returns how many died."""
    deaths, held = 0, recovery
    for _ in range(limit):
        now = world.get(recovery)
        if now.finished_at is not None:
            return deaths
        if now.lease_owner is None or now.lease_until < world.clock():
            held = world.claim()
        if held is None:
            world.pass_time(1)
            held = world.claim()
            continue
        try:
            world.advance(held)
        except Killed:
            deaths += 1
            world.make_engine()
            world.pass_time(15.1)
        heal_by_hand(world, recovery, name)
    raise AssertionError(f'no end: {world.trail(recovery)}')


def test_every_step_is_here():
    assert set(CASES) == set(ACTIONS)


@pytest.mark.parametrize('boundary', BOUNDARIES)
@pytest.mark.parametrize('name', CASES)
def test_a_worker_that_dies_is_taken_over_and_the_action_made_once(world, name, boundary):
    died = []

    def at(where, recovery_id):
        if where == boundary and not died:
            died.append(where)
            raise Killed

    world.at = at
    recovery = begin(world, name)
    assert run(world, recovery, name) == len(died) == 1
    made = [a for a in world.history(recovery) if a.status != 'abandoned']
    if name == 'hook' and boundary in ('after-intent', 'after-send'):
        # Whether it ran nobody knows: it is not run again, and the ladder goes on.
        assert [a.status for a in made] == ['unverified']
        assert 'the worker died' in made[0].detail
        assert len(world.hooks.runs) == (boundary == 'after-send')
        return
    assert world.get(recovery).status == RECOVERED, world.trail(recovery)
    assert len(made) == 1
    assert world.taken() == CASES[name].taken
    if name in ('notify', 'service.restart'):
        assert orders(world)[name] == 1
    if name == 'hook':
        assert len(world.hooks.runs) == 1
    assert made[0].status == 'succeeded'


@pytest.mark.parametrize('boundary', ['none', *BOUNDARIES])
@pytest.mark.parametrize(
    ('name', 'how'),
    [
        ('server.replace', in_error),
        ('stack.heal', in_a_stack_on_a_dead_host),
        ('stack.rebuild', in_error),
    ],
)
def test_who_takes_over_deletes_what_heat_cannot_replace_until_it_is_gone(
    world, name, how, boundary
):
    died = []

    def at(where, recovery_id):
        if where == boundary and not died:
            died.append(where)
            raise Killed

    world.at = at
    recovery = begin(world, name, how)
    assert run(world, recovery, name) == (boundary != 'none')
    assert world.get(recovery).status == RECOVERED, world.trail(recovery)
    assert [a.status for a in world.history(recovery) if a.status != 'abandoned'] == ['succeeded']
    assert world.taken() == [*CASES[name].taken, 'delete']


def test_what_failed_to_be_deleted_is_deleted_later(world):
    recovery = begin(world, 'server.replace', in_error)
    world.nova.refuse['delete_replaced'] = 'Nova answered 409: busy'
    world.run(recovery, lambda: world.clock() > START + 20)
    assert world.taken() == ['replace web']
    del world.nova.refuse['delete_replaced']
    run(world, recovery, 'server.replace')
    assert world.get(recovery).status == RECOVERED, world.trail(recovery)
    assert world.taken() == ['replace web', 'delete']


def test_in_an_update_that_somebody_else_began_nothing_is_deleted(world):
    recovery = begin(world, 'server.replace', in_error)
    world.run(recovery, world.taken)
    (root_id,) = world.nova.stacks
    world.nova._stack_event(root_id, status='UPDATE_IN_PROGRESS')
    world.run(recovery, lambda: world.history(recovery)[0].status == 'unverified')
    assert world.taken() == ['replace web']
    assert world.nova.server(SERVER_ID).status == 'ERROR'


@pytest.mark.parametrize('lost', [DONE, DROPPED])
@pytest.mark.parametrize('name', [n for n, c in CASES.items() if c.taken])
def test_an_answer_that_is_lost_makes_no_second_action(world, name, lost):
    recovery = begin(world, name)
    world.nova.lose_answer = lost
    world.run(recovery, lambda: world.history(recovery))
    world.nova.lose_answer = None
    run(world, recovery, name)
    assert world.get(recovery).status == RECOVERED, world.trail(recovery)
    assert world.taken() == CASES[name].taken
    # To recreate a stack is gone on with; every other action is made anew when it was not made.
    again = lost == DROPPED and name != 'stack.recreate'
    assert [a.status for a in world.history(recovery)] == ['abandoned'] * again + ['succeeded']


def test_how_long_nova_is_given_counts_from_the_end_of_the_call(world):
    """A call may last longer than the time that Nova needs to take up what it had."""
    recovery = world.alarm()
    real = world.nova.reboot

    def slow(server_id, kind):
        world.clock.advance(40)
        world.nova.lose_answer = DROPPED
        return real(server_id, kind)

    world.nova.reboot = slow
    world.advance(recovery)
    back = world.clock()
    world.nova.reboot, world.nova.lose_answer = real, None
    (attempt,) = world.history(recovery)
    assert attempt.broke_off_at is not None
    world.run(recovery, lambda: world.history(recovery)[0].status != INTENDED)
    assert SETTLE - 2 <= world.clock() - back <= SETTLE + 5


def test_after_a_death_nova_is_given_the_longest_that_a_call_may_last(world):
    def at(where, recovery_id):
        if where == 'after-intent':
            raise Killed

    world.at = at
    recovery = world.alarm()
    with pytest.raises(Killed):
        world.advance(recovery)
    intended = world.clock()
    world.at = lambda where, recovery_id: None
    world.pass_time(15.1)
    world.run(world.claim(), lambda: world.history(recovery)[0].status != INTENDED)
    limit = world.settings.call_limit
    assert limit + MARGIN <= world.clock() - intended <= limit + MARGIN + 5


def test_a_server_deleted_while_nobody_knows_is_left_alone(world):
    recovery = begin(world, 'server.rebuild')
    world.heals.clear()
    world.nova.lose_answer = DONE
    world.run(recovery, lambda: world.history(recovery))
    world.nova.delete(SERVER_ID)
    world.nova.lose_answer = None
    assert world.run(world.get(recovery)).status == LEFT_ALONE


def test_the_definition_of_a_stack_is_kept_sealed_and_only_while_it_is_needed(world):
    def rows():
        with world.database.read() as c:
            return c.execute(sa.select(models.definitions)).all()

    def at(where, recovery_id):
        if where == 'after-send':
            raise Killed

    world.at = at
    recovery = begin(world, 'stack.recreate')
    with pytest.raises(Killed):
        world.run(recovery)
    (row,) = rows()
    assert 'resources' not in row.sealed
    world.at = lambda where, recovery_id: None
    world.pass_time(15.1)
    run(world, recovery, 'stack.recreate')
    assert rows() == []


def test_a_deletion_that_takes_long_is_waited_for_and_the_stack_created(world):
    recovery = begin(world, 'stack.recreate')
    real, calls = world.nova.recreate_stack, []

    def slow(member, definition=None):
        calls.append(world.clock())
        if len(calls) == 1:
            world.nova.delete(SERVER_ID)
            world.nova.delete(OTHER_ID)
            del world.nova.stacks[member.root_id]
        if len(calls) < 4:
            raise NotNow('the stack s is DELETE_IN_PROGRESS')
        return real(member, definition)

    world.nova.recreate_stack = slow
    run(world, recovery, 'stack.recreate')
    assert world.get(recovery).status == RECOVERED, world.trail(recovery)
    assert world.taken() == ['create_stack']
    assert [a.status for a in world.history(recovery)] == ['succeeded']


def test_a_stack_that_cannot_be_created_again_is_a_persons_matter(world):
    recovery = begin(world, 'stack.recreate')

    def lost(member, definition=None):
        for server_id in (SERVER_ID, OTHER_ID):
            world.nova.delete(server_id)
        raise ActionRefused('Heat answered 403: quota')

    world.nova.recreate_stack = lost
    ended = world.run(recovery)
    assert ended.status == FAILED
    assert 'quota' in ended.reason
    assert [kind for kind, _ in world.told()] == ['exhausted']
