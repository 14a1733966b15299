"""A world for the engine: a real SQLite file, a Nova in memory, a clock that is set by hand."""

import pathlib
import shutil
from dataclasses import dataclass, field

import pytest
from sqlalchemy import event

from aodh_ha.db import Database, audit, gateways, guests, migrate, models, queue
from aodh_ha.db.guests import Beat
from aodh_ha.recovery.engine import Engine
from aodh_ha.rules import policy as policy_rules
from aodh_ha.rules.heartbeat import Report, Service
from aodh_ha.rules.recovery import Recovery
from aodh_ha.testing import START, Clock, FakeCloud
from tests import samples
from tests.samples import DOCUMENT, PROJECT, SERVER_ID

LEASE = 15.0
# The ladder of the samples, ten times as fast: each second of it is a decision.
QUICK = DOCUMENT.replace('90s', '9s').replace('verify: 120s', 'verify: 12s').replace('300s', '30s')


@dataclass
class World:
    """A guest that fell silent a minute ago, and what is done about it."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    listening: bool = True
    worker: str = 'worker'
    seconds: float = 0.0

    def __post_init__(self):
        self.nova = FakeCloud(self.clock)
        self.boot(SERVER_ID)
        self.sequence = 100
        self.engine = Engine(self.database, self.nova, self.clock)
        with self.database.write() as c:
            guests.enroll(c, samples.guest())
            values = {'name': 'g', 'alive_at': START, 'listening_since': START - 3600}
            c.execute(models.gateways.insert().values(values))
        self.ticked = START

    def boot(self, server_id, **values):
        """A server that was created an hour ago."""
        now = self.clock()
        self.clock.now = START - 3600
        self.nova.add(server_id, PROJECT, **values)
        self.clock.now = now

    def tick(self):
        """The gateway says that it listens; every 3 s, which is often enough."""
        step = self.clock() - self.ticked
        if self.listening and step >= 3:
            with self.database.write() as c:
                gateways.tick(c, 'g', self.clock(), step)
            self.ticked = self.clock()

    def beat(self, failures=0):
        """The guest sends a heartbeat."""
        self.sequence += 1
        services = (Service('web', 'failed' if failures else 'ok', failures),)
        report = Report(self.boot_id, '1.0', services)
        with self.database.write() as c:
            guests.write_beats(c, [Beat(SERVER_ID, self.clock(), self.sequence, report)])

    @property
    def boot_id(self):
        """Of its present boot: another one after each action that lets it boot."""
        return f'boot-{1 + len(self.nova.taken)}'

    def guest(self):
        with self.database.read() as c:
            return guests.get(c, SERVER_ID)

    def alarm(self, trigger='heartbeat', document=QUICK):
        """Aodh's alarm fires: the recovery is opened (or joined) and claimed."""
        policy = policy_rules.parse(document)
        with self.database.write() as c:
            opened, _ = queue.enqueue(
                c, self.guest(), policy, trigger, None, 'the alarm fired', self.clock()
            )
        return self.claim() or opened

    def claim(self):
        with self.database.write() as c:
            return queue.claim(c, self.worker, self.clock(), LEASE)

    def advance(self, recovery: Recovery):
        """One decision, and the pause it asks for, as a worker waits it out."""
        pause = self.engine.advance(recovery)
        if pause and pause.hold:
            self.pass_time(pause.seconds)
        elif pause:
            with self.database.write() as c:
                until = self.clock() + pause.seconds
                queue.release(c, recovery, self.clock(), until, pause.reason)
            self.pass_time(pause.seconds + 0.001)
        return pause

    def pass_time(self, seconds):
        """Time passes, and the gateway ticks every second of it."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.clock.advance(min(1.0, until - self.clock()))
            self.tick()

    def run(self, recovery, until=lambda: False, limit=2000):
        """Advance to the end of the recovery, or to a condition; returns the recovery."""
        for _ in range(limit):
            if until():
                return self.get(recovery)
            now = self.get(recovery)
            if now.finished_at is not None:
                return now
            held = recovery
            if now.lease_owner is None:
                held = self.claim()
                assert held is not None, 'nobody can claim it'
            recovery = held
            self.advance(held)
        raise AssertionError(f'no end after {limit} decisions: {self.trail(recovery)}')

    def get(self, recovery):
        with self.database.read() as c:
            return queue.get(c, recovery.id)

    def history(self, recovery):
        with self.database.read() as c:
            return queue.history(c, recovery.id)

    def tried(self, recovery):
        """The attempts as ``[('server.reboot soft', 'succeeded'), …]``."""
        return [(a.action, a.status) for a in self.history(recovery)]

    def trail(self, recovery):
        with self.database.read() as c:
            return [(e.kind, e.message) for e in audit.of_recovery(c, recovery.id)]

    def taken(self):
        """What Nova was made to do: ``['reboot soft', …]``."""
        return [f'{t.action} {t.kind}' if t.kind else t.action for t in self.nova.taken]

    def heals_after(self, action, seconds=5.0):
        """The guest comes back so many seconds after this action (``reboot hard``)."""

        def on_action(taken):
            name = f'{taken.action} {taken.kind}' if taken.kind else taken.action
            if name == action:
                self.healed_at = self.clock() + seconds

        self.nova.on_action = on_action
        real, self.healed_at = self.tick, float('inf')

        def tick():
            real()
            if self.clock() >= self.healed_at:
                self.beat()

        self.tick = tick


@pytest.fixture(scope='session')
def empty_database(tmp_path_factory) -> pathlib.Path:
    path = tmp_path_factory.mktemp('empty') / 'empty.sqlite'
    database = Database(f'sqlite:///{path}')
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()
    return path


@pytest.fixture
def database(empty_database, tmp_path):
    shutil.copy(empty_database, tmp_path / 'test.sqlite')
    database = Database(f'sqlite:///{tmp_path}/test.sqlite')
    # Nothing here has to survive a power cut.
    event.listen(
        database.engine, 'connect', lambda c, _: c.execute('PRAGMA synchronous=OFF') and None
    )
    yield database
    database.close()


@pytest.fixture
def world(database):
    return World(database)
