"""No mark of ours stays in Heat: the stack's owner updates it, and no healthy server is lost."""

import pytest
import sqlalchemy as sa

from aodh_ha.db import callback_tokens, guests, leases, models, orders
from aodh_ha.reconciler import marks as duty
from aodh_ha.rules.holdings import MARKED_BY_US
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, RECOVERED
from aodh_ha.rules.rights import TOKEN
from tests.functional.worker.reconciler.conftest import MASTER_KEY
from tests.samples import OTHER_ID, PROJECT, SERVER_ID

STEPS = {
    'server.replace': {'web'},
    'stack.heal': {'web'},
    'stack.rebuild': {'web', 'db'},
}
RESET = 'openstack stack resource mark unhealthy --reset'


class Killed(BaseException):
    """As by kill -9: nothing of ours runs after it."""


def document(step='server.replace', more=''):
    return f'name: one\nsteps:\n  - {{action: {step}, verify: 60s{more}}}\n'


@pytest.fixture
def stack(world):
    """The guest's server and another one, in a stack."""
    world.boot(OTHER_ID)
    return world.nova.stack('shop', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID})


def die(stack):
    raise Killed


def dies(world, step='server.replace'):
    """A worker that died once Heat had its marks; the recovery."""
    world.nova.on_mark = die
    recovery = world.alarm(document=document(step))
    with pytest.raises(Killed):
        world.run(recovery)
    world.nova.on_mark = lambda stack: None
    world.make_engine()
    return recovery


def marked(world, stack):
    return set(world.nova.marks.get(stack.root_id, {}))


def kept(world):
    with world.database.read() as c:
        return len(c.execute(sa.select(models.marks.c.attempt_id)).all())


def sweep(world, times=1, seconds=15.1):
    """The duty, so many times; returns how many marks it took back."""
    taken = 0
    for _ in range(times):
        world.pass_time(seconds)
        taken += world.do('marks')
    return taken


def run(world, recovery, limit=900):
    """To the end, with the duty beside it."""

    def look():
        world.do('marks')
        return False

    return world.run(recovery, until=look, limit=limit)


def servers(world, stack):
    return {name: i for i, name in world.nova.stack_member_again(stack).siblings}


def owner_updates(world, stack):
    """The owner's next update, and which resources it replaced."""
    before = servers(world, stack)
    world.nova.update_stack(stack.root_id)
    after = servers(world, stack)
    return {name for name in before if after[name] != before[name]}


@pytest.mark.parametrize('step', STEPS)
def test_the_owner_of_a_stack_replaces_what_a_dead_worker_left_marked(world, stack, step):
    """Why all this is."""
    dies(world, step)
    assert owner_updates(world, stack) == STEPS[step]


@pytest.mark.parametrize('step', STEPS)
def test_a_guest_heard_after_a_death_keeps_its_server(world, stack, step):
    recovery = dies(world, step)
    assert marked(world, stack) == STEPS[step]
    world.pass_time(15.1)
    world.beat()
    assert world.do('marks') == len(STEPS[step]), 'at once, before the attempt has its end'
    assert marked(world, stack) == set()
    ended = run(world, recovery)
    assert ended.status == RECOVERED, world.trail(recovery)
    assert [status for _, status in world.tried(recovery)] == ['abandoned']
    assert sweep(world, 1, duty.LATE) == 0
    assert (kept(world), owner_updates(world, stack)) == (0, set())
    assert world.kinds(recovery).count('unmarked') == len(STEPS[step])
    assert not [t for t in world.taken() if t.startswith('replace')]


@pytest.mark.parametrize('step', STEPS)
def test_who_takes_over_while_the_guest_is_silent_replaces_it_once(world, stack, step):
    recovery = dies(world, step)
    assert sweep(world) == 0, 'the update may be on its way yet'
    assert marked(world, stack) == STEPS[step]
    world.heals_after('replace')

    def heal():
        world.do('marks')
        for server_id in servers(world, stack).values():
            with world.database.read() as c:
                known = guests.last_seen(c, [server_id])
            if known and server_id not in (SERVER_ID, OTHER_ID):
                world.healed_at.setdefault(server_id, world.clock() + 5)
        return False

    ended = world.run(recovery, until=heal)
    assert ended.status == RECOVERED, world.trail(recovery)
    assert [status for _, status in world.tried(recovery)] == ['abandoned', 'succeeded']
    assert [t.split()[0] for t in world.taken()].count('replace') == 1
    assert sweep(world, 2, duty.LATE) == 0
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_a_recovery_that_a_person_ends_leaves_no_mark_and_no_turn(world, stack):
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    assert sweep(world) == 1
    assert marked(world, stack) == set()
    with world.database.write() as c:
        assert leases.take(c, f'stack:{stack.root_id}', 'anybody', world.clock(), 1)


def test_a_guest_that_is_forgotten_leaves_no_mark(world, stack):
    dies(world)
    with world.database.write() as c:
        guests.forget(c, SERVER_ID)
    assert sweep(world, 2) == 1
    assert owner_updates(world, stack) == set()


def test_a_server_that_is_left_alone_after_all_is_not_marked(world, stack):
    recovery = dies(world)
    world.pass_time(15.1)
    world.nova.change(SERVER_ID, locked=True)
    ended = run(world, recovery)
    assert ended.status == LEFT_ALONE, world.trail(recovery)
    sweep(world, 2, duty.LATE)
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_where_heat_refused_the_update_and_the_way_back_that_is_gone_later(world, stack):
    world.nova.refuse |= {'update': 'Heat answered 400: The Key (k)', 'unmark': 'Heat: 403'}
    recovery = world.alarm(document=document())
    ended = world.run(recovery)
    assert (ended.status, marked(world, stack)) == (FAILED, {'web'})
    assert sweep(world, 3) == 0
    (told,) = [message for kind, message in world.told() if kind == 'marked']
    assert f'{RESET} {stack.root_id} web' in told
    assert [m for k, m in world.trail(recovery) if k == 'marked'] == [told]
    del world.nova.refuse['unmark']
    assert sweep(world, 1, duty.LATEST) == 1
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_a_heat_that_is_away_is_asked_again_until_it_answers(world, stack):
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    world.nova.away = True
    assert sweep(world, 5) == 0
    assert world.told() == []
    sweep(world, 3, duty.PATIENCE / 2)
    (told,) = world.told()
    assert told[0] == 'marked'
    assert RESET in told[1]
    world.nova.away = False
    assert sweep(world, 1, duty.LATEST) == 1
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_a_mark_that_comes_late_is_taken_back_too(world, stack):
    """As one may that a dead worker had asked for, of a Heat that is slow."""
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    (reason,) = world.nova.marks[stack.root_id].values()
    assert sweep(world) == 1
    world.nova.mark(stack.root_id, 'web', reason)
    assert sweep(world, 1, duty.LATE) == 1
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_an_update_that_is_cancelled_before_it_came_to_a_server_leaves_no_mark(world, stack):
    world.nova.change(SERVER_ID, status='ERROR', vm_state='error')
    world.nova.refuse['delete_replaced'] = 'Nova answered 409: busy'
    recovery = world.alarm(document=document())
    ended = run(world, recovery)
    assert ended.status == FAILED, world.trail(recovery)
    assert world.nova.stack_member_again(stack).status == 'UPDATE_FAILED'
    sweep(world)
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_while_heat_is_at_our_update_its_marks_stay(world, stack):
    world.nova.change(SERVER_ID, status='ERROR', vm_state='error')
    recovery = world.alarm(document=document())
    world.run(recovery, world.taken)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    assert world.nova.stack_member_again(stack).busy
    assert sweep(world, 3) == 0
    assert (marked(world, stack), kept(world)) == ({'web'}, 1)
    world.nova.finish_stack(stack.root_id, 'FAILED')
    assert sweep(world, 1, duty.LATEST) == 1
    assert kept(world) == 0


def test_what_our_update_has_not_come_to_yet_stays_marked_until_it_has_ended(world, stack):
    world.nova.stack_takes = True
    recovery = world.alarm(document=document('stack.rebuild'))
    world.run(recovery, world.taken)
    # Heat comes to servers one by one: this one waits for the other.
    world.nova.mark(stack.root_id, 'db', f'{MARKED_BY_US}recovery {recovery.id}')
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    assert sweep(world, 3) == 0
    assert marked(world, stack) == {'db'}
    world.nova.finish_stack(stack.root_id, 'FAILED')
    assert sweep(world, 1, duty.LATEST) == 1
    assert (kept(world), owner_updates(world, stack)) == (0, set())


def test_what_a_person_has_marked_stays_so(world, stack):
    world.nova.mark(stack.root_id, 'db', 'it smells')
    world.nova.mark(stack.root_id, 'web', 'it smells')
    recovery = dies(world)
    world.pass_time(15.1)
    world.beat()
    run(world, recovery)
    sweep(world, 1, duty.LATE)
    assert (marked(world, stack), kept(world)) == ({'web', 'db'}, 0)


def test_while_another_recovery_has_the_stack_nobody_takes_its_marks_away(world, stack):
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
        leases.release(c, f'stack:{stack.root_id}', recovery.id)
        assert leases.take(c, f'stack:{stack.root_id}', 'another', world.clock(), 3600)
    assert sweep(world, 3) == 0
    assert marked(world, stack) == {'web'}
    with world.database.write() as c:
        leases.release(c, f'stack:{stack.root_id}', 'another')
    assert sweep(world) == 1


def test_it_is_done_with_the_same_rights_also_after_the_end(world, stack):
    world.make_engine(master_key=MASTER_KEY)
    recovery = world.alarm(document=document())
    with world.database.write() as c:
        callback_tokens.keep(c, recovery.id, 'a-token', MASTER_KEY, world.clock())
    world.nova.on_mark = die
    with pytest.raises(Killed):
        world.run(recovery)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    world.do('housekeeping')
    world.nova.acted_as.clear()
    assert sweep(world) == 1
    assert [r.kind for r in world.nova.acted_as] == [TOKEN]
    sweep(world, 1, duty.LATE)
    with world.database.read() as c:
        assert c.execute(sa.select(models.callback_tokens)).all() == []


def test_rights_that_keystone_refuses_are_not_made_up_for_by_ours(world, stack):
    world.make_engine(master_key=MASTER_KEY)
    recovery = dies(world)
    with world.database.write() as c:
        callback_tokens.keep(c, recovery.id, 'a-token', MASTER_KEY, world.clock())
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    world.nova.refused_rights[TOKEN] = 'it has expired'
    assert sweep(world) == 0
    assert marked(world, stack) == {'web'}
    (told,) = world.told()
    assert told[0] == 'marked'
    assert 'it has expired' in told[1]
    assert f'{RESET} {stack.root_id} web' in told[1]


def test_a_stack_that_is_gone_has_no_marks(world, stack):
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    del world.nova.stacks[stack.root_id]
    assert sweep(world, 2, duty.LATE) == 0
    assert kept(world) == 0


def test_what_is_kept_goes_with_its_recovery(world, stack):
    recovery = dies(world)
    with world.database.write() as c:
        orders.cancel(c, world.get(recovery), world.clock(), 'ann', '')
    world.clock.advance(91 * 86400)
    world.do('housekeeping')
    assert kept(world) == 0


def test_reasons_are_told_apart_by_how_they_begin(world, stack):
    dies(world)
    (reason,) = world.nova.marks[stack.root_id].values()
    assert reason.startswith(f'{MARKED_BY_US}recovery ')
