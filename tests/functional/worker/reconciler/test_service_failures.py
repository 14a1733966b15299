"""What was told to the CloudWatch bridge heals without another word of the guest."""

from aodh_ha.db import cloudwatch, guests
from aodh_ha.testing import START
from tests.samples import SERVER_ID


def told(world, at):
    with world.database.write() as c:
        cloudwatch.failed(c, f'{at:.0f}', 0, SERVER_ID, at)
        cloudwatch.settle(c, SERVER_ID, at, 300)


def failures(world):
    with world.database.read() as c:
        return guests.get(c, SERVER_ID).failures


def test_a_service_failure_counts_for_a_period(world):
    told(world, START)
    told(world, START + 200)
    assert failures(world) == 2
    world.clock.now = START + 301
    world.do('service_failures')
    assert failures(world) == 1
    world.clock.now = START + 501
    world.do('service_failures')
    assert failures(world) == 0


def test_of_a_guest_that_was_forgotten_nothing_is_left_to_do(world):
    told(world, START)
    with world.database.write() as c:
        guests.forget(c, SERVER_ID)
    assert world.do('service_failures') == 0


def test_what_failed_before_an_action_does_not_count_after_it(world):
    world.nova.on_action = lambda taken: None
    recovery = world.run(world.alarm())
    sent = max(a.sent_at for a in world.history(recovery))
    told(world, sent - 1)
    assert failures(world) == 0
    told(world, sent + 1)
    assert failures(world) == 1
