"""What a person orders, as the engine carries it out."""

import pytest

from aodh_ha.db import orders, queue
from aodh_ha.exceptions import LeaseLost
from aodh_ha.rules.recovery import LEFT_ALONE, RECOVERED
from tests.functional.worker.recovery.conftest import QUICK

ASKS = QUICK.replace('type: hard,', 'type: hard, approval: true,')


def test_a_step_that_asks_for_it_waits_for_a_person_and_then_is_taken(world):
    world.heals_after('reboot hard')
    recovery = world.alarm(document=ASKS)
    held = world.run(recovery, lambda: world.get(recovery).guard == 'approval')
    assert [t.kind for t in world.nova.taken] == ['soft']
    with world.database.read() as c:
        assert orders.waiting_step(held, queue.history(c, held.id)) == 1
    world.pass_time(60)
    with world.database.write() as c:
        assert orders.approve(c, held, queue.history(c, held.id), 1, world.clock(), 'me') == 1
    ended = world.run(recovery)
    assert (ended.status, ended.reason) == (RECOVERED, 'by server.reboot hard')
    assert [t.kind for t in world.nova.taken] == ['soft', 'hard']


def test_a_recovery_that_was_cancelled_while_a_step_was_verified_does_nothing_more(world):
    recovery = world.alarm(document=QUICK)
    held = world.run(recovery, lambda: bool(world.nova.taken))
    with world.database.write() as c:
        orders.cancel(c, held, world.clock(), 'me', 'I am on it')
    with pytest.raises(LeaseLost):
        world.engine.advance(held)
    world.pass_time(60)
    assert world.claim() is None
    assert len(world.nova.taken) == 1
    assert world.get(recovery).status == LEFT_ALONE
