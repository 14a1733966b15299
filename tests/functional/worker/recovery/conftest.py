"""A world for the engine: a real SQLite file, a Nova in memory, a clock that is set by hand."""

from dataclasses import dataclass, field, replace

import pytest

from aodh_ha.db import (
    Database,
    audit,
    gateways,
    guests,
    models,
    notifications,
    queue,
)
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.engine import Engine, Settings
from aodh_ha.recovery.hooks import HookResult
from aodh_ha.rules import policy as policy_rules
from aodh_ha.rules.heartbeat import Report, Service
from aodh_ha.rules.recovery import Recovery
from aodh_ha.testing import START, Clock, FakeCloud
from tests import samples
from tests.samples import DOCUMENT, PROJECT, SERVER_ID

LEASE = 15.0
# The ladder of the samples, ten times as fast: each second of it is a decision.
QUICK = DOCUMENT.replace('90s', '9s').replace('verify: 120s', 'verify: 12s').replace('300s', '30s')


class Hooks:
    """Hooks that note that they were run."""

    def __init__(self):
        self.runs = []
        self.fails = ''

    def run(self, name, facts):
        if name == 'missing':
            raise ActionRefused('there is no such hook')
        self.runs.append((name, dict(facts)))
        return HookResult(not self.fails, self.fails)


@dataclass
class World:
    """A guest that fell silent a minute ago, and what is done about it."""

    database: Database
    clock: Clock = field(default_factory=Clock)
    listening: bool = True
    worker: str = 'worker'
    settings: Settings = field(default_factory=lambda: Settings(master_key=b'k' * 32))

    def __post_init__(self):
        self.nova = self.cloud = FakeCloud(self.clock)
        self.hooks = Hooks()
        self.at = lambda boundary, recovery_id: None
        self.sequence = 100
        self.enrolled = {SERVER_ID}
        self.heals = {}
        self.healed_at = {}
        self.nova.on_action = self.acted
        self.make_engine()
        self.boot(SERVER_ID)
        with self.database.write() as c:
            guests.enroll(c, samples.guest())
            values = {'name': 'g', 'alive_at': START, 'listening_since': START - 3600}
            c.execute(models.gateways.insert().values(values))
        self.ticked = START

    def make_engine(self, **settings):
        """Another worker process, with the same configuration or another."""
        self.settings = replace(self.settings, **settings)
        self.engine = Engine(
            self.database,
            self.nova,
            self.clock,
            hooks=self.hooks,
            settings=self.settings,
            at=lambda boundary, recovery_id: self.at(boundary, recovery_id),
        )

    def boot(self, server_id, **values):
        """A server that was created an hour ago."""
        now = self.clock()
        self.clock.now = START - 3600
        self.nova.add(server_id, PROJECT, **values)
        self.clock.now = now

    def enroll(self, server_id, **changes):
        """Another guest, which fell silent as the first one did, unless it is said otherwise."""
        self.boot(server_id)
        self.enrolled.add(server_id)
        values = {'server_id': server_id, 'host': 'host1', 'zone': 'nova'} | changes
        with self.database.write() as c:
            guests.enroll(c, samples.guest(**values))
        return server_id

    # ---- time

    def tick(self):
        """The gateway says that it listens, every 3 s; whoever was healed beats."""
        step = self.clock() - self.ticked
        if self.listening and step >= 3:
            with self.database.write() as c:
                gateways.tick(c, 'g', self.clock(), step)
            self.ticked = self.clock()
        for server_id, at in self.healed_at.items():
            if self.clock() >= at:
                self.beat(server_id=server_id)

    def pass_time(self, seconds):
        """Time passes, and the gateway ticks every second of it."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.clock.advance(min(1.0, until - self.clock()))
            self.tick()

    # ---- the guest

    def boot_id(self, server_id):
        """Of its present boot: another one after each action that lets it boot."""
        if server_id not in self.enrolled:
            return f'boot-of-{server_id}'
        return f'boot-{1 + sum(t.server_id == server_id for t in self.nova.taken)}'

    def beat(self, failures=0, server_id=SERVER_ID):
        """The guest sends a heartbeat."""
        self.sequence += 1
        services = (Service('web', 'failed' if failures else 'ok', failures),)
        report = Report(self.boot_id(server_id), '1.0', services)
        with self.database.write() as c:
            guests.write_beats(c, [Beat(server_id, self.clock(), self.sequence, report)])

    def heals_after(self, action, seconds=5.0):
        """Guests come back so many seconds after this action (``reboot hard``)."""
        self.heals[action] = seconds

    def acted(self, taken):
        name = f'{taken.action} {taken.kind}' if taken.kind else taken.action
        seconds = self.heals.get(name, self.heals.get(taken.action))
        if seconds is not None:
            self.healed_at[taken.server_id] = self.clock() + seconds

    def guest(self, server_id=SERVER_ID):
        with self.database.read() as c:
            return guests.get(c, server_id)

    # ---- its recovery

    def alarm(self, trigger='heartbeat', document=QUICK, server_id=SERVER_ID, own=False):
        """Aodh's alarm fires: the recovery is opened (or joined) and claimed.

        ``own``: under a policy of the project's own.
        """
        policy = replace(policy_rules.parse(document), own=own)
        with self.database.write() as c:
            opened, _ = queue.enqueue(
                c, self.guest(server_id), policy, trigger, None, 'the alarm fired', self.clock()
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
            with self.database.write() as c:
                queue.renew(c, recovery, self.clock(), LEASE)
        elif pause:
            with self.database.write() as c:
                until = self.clock() + pause.seconds
                queue.release(c, recovery, self.clock(), until, pause.reason)
            self.pass_time(pause.seconds + 0.001)
        return pause

    def run(self, recovery, until=lambda: False, limit=2000):
        """Advance to the end of the recovery, or to a condition; returns the recovery."""
        for _ in range(limit):
            if until():
                return self.get(recovery)
            now = self.get(recovery)
            if now.finished_at is not None:
                return now
            held = recovery
            if now.lease_owner is None or now.lease_until < self.clock():
                held = self.claim()
                assert held is not None, 'nobody can claim it'
            recovery = held
            self.advance(held)
        raise AssertionError(f'no end after {limit} decisions: {self.trail(recovery)}')

    def run_all(self, until=lambda: False, limit=4000):
        """Let one worker do all that there is to do, side by side, to a condition or the end.

        Between two rounds a second passes.
        """
        held = {}
        for _ in range(limit):
            if until():
                return
            while claimed := self.claim():
                held[claimed.id] = claimed
            for recovery in list(held.values()):
                pause = self.engine.advance(recovery)
                if pause is None or not pause.hold:
                    del held[recovery.id]
                if pause:
                    with self.database.write() as c:
                        if pause.hold:
                            queue.renew(c, recovery, self.clock(), LEASE)
                        else:
                            later = self.clock() + pause.seconds
                            queue.release(c, recovery, self.clock(), later, pause.reason)
            if not held and not self.active():
                return
            self.pass_time(1)
        raise AssertionError(f'no end: {[(r.status, r.reason) for r in self.active()]}')

    def active(self):
        with self.database.read() as c:
            return queue.find(c, active=True)

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

    def kinds(self, recovery):
        return [kind for kind, _ in self.trail(recovery)]

    def told(self):
        """What a person was told: ``[(kind, message), …]``, oldest first."""
        with self.database.read() as c:
            return [(n.kind, n.message) for n in reversed(notifications.find(c))]

    def taken(self):
        """What Nova was made to do: ``['reboot soft', …]``."""
        return [f'{t.action} {t.kind}' if t.kind else t.action for t in self.nova.taken]


@pytest.fixture
def world(database):
    return World(database)
