"""What is old is deleted, what belongs together goes together, and nothing else."""

import pytest
import sqlalchemy as sa

from aodh_ha.db import (
    audit,
    commands,
    incidents,
    metrics,
    models,
    notifications,
    prune,
    queue,
    silences,
)
from aodh_ha.reconciler import housekeeping
from aodh_ha.rules.heartbeat import Metric
from aodh_ha.rules.recovery import FAILED
from aodh_ha.testing import START
from tests.samples import PROJECT, SERVER_ID

DAY = 86400.0


def rows(world, table):
    with world.database.read() as c:
        return c.execute(sa.select(sa.func.count()).select_from(table)).scalar()


def ended(world):
    """A recovery with its attempts and events, and an entry that belongs to none."""
    world.nova.on_action = lambda taken: None
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    with world.database.write() as c:
        audit.record(c, START, 'enrolled', 'by somebody', server_id=SERVER_ID)
    return recovery


def test_entries_go_after_their_days_those_of_a_recovery_with_it(world):
    recovery = ended(world)
    assert rows(world, models.attempts)
    world.clock.now = START + 31 * DAY
    assert world.do('housekeeping')['events'] == 1
    with world.database.read() as c:
        assert audit.of_recovery(c, recovery.id)
        assert queue.history(c, recovery.id)
    world.clock.now = START + 91 * DAY
    world.do('housekeeping')
    assert [rows(world, t) for t in (models.recoveries, models.attempts, models.events)] == [0] * 3


def test_what_is_not_old_or_not_ended_stays(world):
    ended(world)
    world.clock.advance(1)
    world.beat()
    world.pass_time(60)
    world.alarm()
    before = rows(world, models.recoveries)
    assert before == 2
    world.clock.now = START + 29 * DAY
    assert not any(world.do('housekeeping').values())
    world.clock.now = START + 200 * DAY
    world.do('housekeeping')
    assert [r.active for r in map(_Active, world.recoveries())] == [True]


class _Active:
    def __init__(self, recovery):
        self.active = recovery.finished_at is None


def test_notifications_incidents_windows_and_commands_go_too(world):
    def work(c):
        tried = notifications.add(c, START, 'x', 'tried')
        notifications.failed(c, tried, START)
        notifications.add(c, START, 'x', 'never tried')
        closed, _ = incidents.open_(c, incidents.HOST, 'a', 'down', START)
        incidents.close(c, closed.id, START, 'up')
        incidents.open_(c, incidents.HOST, 'b', 'down', START)
        c.execute(
            models.silences.insert().values(
                id='s',
                project_id=PROJECT,
                scope='all',
                starts_at=START,
                ends_at=START + 60,
                author='a',
                created_at=START,
            )
        )
        commands.add(c, SERVER_ID, 'service.restart', {}, None, START, START + 60)
        left = {'recovery_id': 'of-none', 'sealed': 'x', 'created_at': START}
        c.execute(models.callback_tokens.insert().values(left))
        metrics.record(c, SERVER_ID, [Metric('old', 1.0), Metric('older', 1.0, age=10.0)], START)
        metrics.record(c, SERVER_ID, [Metric('new', 1.0)], START + 90 * DAY + 1)

    world.add_guest(SERVER_ID)
    world.database.run(work)
    assert silences is not None
    world.clock.now = START + 91 * DAY
    done = world.do('housekeeping')
    assert done == {
        'recoveries': 0,
        'events': 0,
        'notifications': 1,
        'incidents': 1,
        'silences': 1,
        'commands': 1,
        'callback_tokens': 1,
        'metrics': 2,
    }
    assert world.notifications() == ['never tried']


def test_it_is_done_in_small_batches(world, monkeypatch):
    with world.database.write() as c:
        for _ in range(2 * prune.BATCH + 1):
            audit.record(c, START, 'x', 'y')
    world.clock.now = START + 31 * DAY
    sizes, real = [], prune.events

    def counted(connection, before):
        sizes.append(real(connection, before))
        return sizes[-1]

    monkeypatch.setattr(prune, 'events', counted)
    world.do('housekeeping')
    assert sizes == [prune.BATCH, prune.BATCH, 1, 0]


@pytest.mark.parametrize('rounds', [1, 3])
def test_one_go_is_bounded_and_the_next_goes_on(world, monkeypatch, rounds):
    monkeypatch.setattr(housekeeping, 'ROUNDS', rounds)
    with world.database.write() as c:
        for _ in range(4 * prune.BATCH):
            audit.record(c, START, 'x', 'y')
    world.clock.now = START + 31 * DAY
    assert world.do('housekeeping')['events'] == rounds * prune.BATCH
    assert world.do('housekeeping')['events'] == min(rounds, 4 - rounds) * prune.BATCH
