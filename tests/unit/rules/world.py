"""A small world for the ladder: guests, their servers, a cloud, and a worker without a database.

The worker does what recovery.engine does, in memory; laws has what must hold.
"""

from dataclasses import dataclass, field, replace

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.rules import budget, escalation, storm, verification
from aodh_ha.rules.budget import Load
from aodh_ha.rules.evidence import Evidence, Incident, Past
from aodh_ha.rules.heartbeat import Service
from aodh_ha.rules.recovery import (
    ABANDONED,
    ENDED,
    RECOVERED,
    REFUSED,
    SENT,
    Act,
    Attempt,
    Conclude,
    Fence,
    Finish,
    Heard,
    NeedEvidence,
    Refuse,
    Wait,
)
from aodh_ha.testing import START, Clock, FakeCloud
from tests import samples
from tests.samples import PROJECT
from tests.unit.rules.laws import STORM, Laws

NEIGHBOURS = 4
"""Guests that never fail by themselves."""
UNCOUNTED = ('notify', 'hook')
FREE = (*UNCOUNTED, 'service.restart')
"""Actions that the cloud has no part in."""


@dataclass
class Body:
    """What a guest really is, whatever anybody knows of it."""

    name: str
    server_id: str
    guest: object
    alive: bool = True
    web: bool = True
    boots: int = 1
    silence: object = None
    recoveries: list = field(default_factory=list)
    histories: dict = field(default_factory=dict)
    actions: list = field(default_factory=list)
    """(at, recovery id, step) of each action that was really made."""

    @property
    def recovery(self):
        """The one that is under way."""
        return next((r for r in self.recoveries if r.status not in ENDED), None)


class World(Laws):
    """Three guests under one policy, on two hosts."""

    def __init__(self, policy, held, hosts, heals, limits, in_stack, image):
        self.clock = Clock()
        self.cloud = FakeCloud(self.clock, user_id='us')
        self.policy, self.held, self.limits = policy, held, limits
        self.heals = list(heals)
        self.listening = START - 86400
        self.cut_at = None
        self.fencing_works = True
        self.fenced = set()
        self.bodies = []
        self.clock.advance(-3600)
        for n, host in enumerate(hosts):
            server_id = f'{n:08d}-0000-4000-8000-000000000000'
            self.cloud.add(server_id, PROJECT, host=host, image_id=image)
            self.cloud.kept[server_id] = held
            if in_stack:
                self.cloud.stack(f'stack{n}', PROJECT, {'web': server_id})
            guest = samples.guest(server_id=server_id, host=host, zone='nova', boot_id='boot-1')
            self.bodies.append(Body(f'guest{n}', server_id, guest))
        self.clock.advance(3600)
        self.pass_time(0.0)

    # ---- what happens by itself

    def pass_time(self, seconds):
        """Guests that are alive beat, as far as somebody listens."""
        self.clock.advance(seconds)
        for body in self.bodies:
            if body.alive and self.runs(body) and self.cut_at is None:
                self.beat(body)

    def neighbours(self):
        """On a host of their own, and heard unless nobody is."""
        heard = self.clock() - 1 if self.cut_at is None else self.cut_at
        if self.listening is None:
            return []
        return [
            samples.guest(server_id=f'n{n}', host='host3', zone='nova', last_seen=heard)
            for n in range(NEIGHBOURS)
        ]

    def runs(self, body):
        """Whether the server does, on a host that does."""
        try:
            server = self.cloud._known(body.server_id)
        except NotFound:
            return False
        return server.vm_state == 'active' and self.cloud.hosts[server.host].up

    def beat(self, body, boot=None):
        """One heartbeat; it is lost when nobody listens."""
        if self.listening is None:
            return
        web = Service('web', 'ok' if body.web else 'failed', 0 if body.web else 3)
        since = None if body.web else body.guest.failing_since or self.clock()
        body.guest = replace(
            body.guest,
            last_seen=self.clock(),
            boot_id=f'boot-{boot or body.boots}',
            services=(web,),
            failures=web.failures,
            failing_since=since,
        )

    # ---- the worker

    def alarms(self):
        """A recovery for each guest that is silent or whose service fails, once an episode."""
        for body in self.bodies:
            if body.recovery or self.listening is None:
                continue
            silent = body.guest.missed(self.clock(), self.listening) >= body.guest.missed_limit
            if not silent and not body.guest.failures:
                continue
            trigger = 'heartbeat' if silent else 'service'
            episode = body.guest.episode(trigger)
            if episode not in {r.episode for r in body.recoveries}:
                recovery = samples.recovery(
                    id=f'{body.name}-{len(body.recoveries)}',
                    server_id=body.server_id,
                    trigger=trigger,
                    episode=episode,
                    policy=self.policy,
                    created_at=self.clock(),
                )
                body.recoveries.append(recovery)
                body.histories[recovery.id] = []

    def look(self, body):
        """One round about one guest; the seconds until the next, None: nothing is to be done."""
        recovery = body.recovery
        if recovery is None:
            return None
        history = body.histories[recovery.id]
        found = self.decide(body, recovery, history, None)
        assert not isinstance(found, Act | Refuse | Fence), 'without evidence of this attempt'
        evidence = None
        if isinstance(found, NeedEvidence):
            if self.listening is None:
                return 5.0
            try:
                evidence = self.evidence(body)
            except CloudAway:
                return 5.0
            found = self.decide(body, recovery, history, evidence)
            assert not isinstance(found, NeedEvidence), 'it never looks twice'
        match found:
            case Finish(status, reason):
                self.finish(body, recovery, status, reason)
            case Conclude(attempt, status, reason):
                assert reason
                done = replace(attempt, status=status, finished_at=self.clock(), detail=reason)
                history[history.index(attempt)] = done
            case Heard(attempt):
                history[history.index(attempt)] = replace(attempt, heard_at=self.clock())
            case Refuse():
                history.append(self.attempt(found, recovery, history, REFUSED, evidence))
            case Fence(host=host):
                if not self.fencing_works:
                    return 10.0
                self.fenced.add(host)
            case Act():
                return self.act(body, recovery, history, found, evidence)
            case Wait(seconds):
                assert seconds > 0
                return seconds
        return 0.0

    def decide(self, body, recovery, history, evidence):
        now = self.clock()
        return escalation.decide(recovery, history, body.guest, evidence, now, self.listening)

    def evidence(self, body):
        """What can be known now."""
        now, guest = self.clock(), body.guest
        missed = guest.missed(now, self.listening)
        try:
            server = self.cloud.server(body.server_id)
        except NotFound:
            return Evidence(now, missed, guest.last_seen, None, None, self.listening)
        host = self.cloud.host(server.host)
        incident = None
        if not host.up:
            cut = now if host.name in self.fenced else None
            incident = Incident('i', 'host', host.name, 'dead', now, fenced_at=cut)
        down = [n for n, h in self.cloud.hosts.items() if not h.up]
        guests = [replace(b.guest, host=self.host_of(b)) for b in self.bodies]
        guests += self.neighbours()
        member = self.cloud.member(server)
        return Evidence(
            taken_at=now,
            missed=missed,
            last_seen=guest.last_seen,
            server=server,
            last_request_id=None,
            listening_since=self.listening,
            host=host,
            actions=tuple(self.cloud.instance_actions(server.id)),
            holdings=self.cloud.holdings(server, member),
            member=member,
            activity=self.cloud.activity(server.id, now),
            services={s.name: s.state for s in guest.services},
            silences=(body.silence,) if body.silence else (),
            fleet=storm.survey(guests, {'agent': self.listening}, down, now, **STORM),
            past=tuple(Past(r, self.policy.steps[step].name, at) for at, r, step in body.actions),
            incident=incident,
            user_id='us',
            boot_id=guest.boot_id,
        )

    def host_of(self, body):
        try:
            return self.cloud._known(body.server_id).host
        except NotFound:
            return ''

    def finish(self, body, recovery, status, reason):
        assert status in ENDED
        assert reason
        if status == RECOVERED:
            acted = [verification.sent(a) for a in self.made(body, recovery)]
            assert body.guest.last_seen > max([recovery.created_at, *acted]), 'by a newer heartbeat'
            assert recovery.trigger == 'heartbeat' or body.guest.services[0].state == 'ok'
        self.replace_recovery(body, replace(recovery, status=status, reason=reason))

    def replace_recovery(self, body, new):
        where = next(n for n, r in enumerate(body.recoveries) if r.id == new.id)
        body.recoveries[where] = new

    def attempt(self, found, recovery, history, status, evidence, dry_run=False):
        now, step = self.clock(), recovery.policy.steps[found.step]
        assert found.number == 1 + sum(a.step == found.step for a in history)
        return Attempt(
            id=f'{found.step}-{found.number}',
            recovery_id=recovery.id,
            step=found.step,
            number=found.number,
            action=step.name,
            status=status,
            intended_at=now,
            sent_at=now,
            verify_until=now + step.verify,
            finished_at=now if status in (REFUSED, ABANDONED) else None,
            detail=found.reason,
            evidence=evidence.as_dict(),
            dry_run=dry_run,
        )

    def act(self, body, recovery, history, found, evidence):
        """Budget, intent, action; as the engine does it."""
        step = recovery.policy.steps[found.step]
        if recovery.policy.dry_run:
            history.append(self.attempt(found, recovery, history, SENT, evidence, dry_run=True))
            return 0.0
        if step.action not in UNCOUNTED and recovery.admitted_at is None:
            if budget.over(recovery.policy, self.limits, self.load(recovery)):
                return 10.0
            recovery = replace(recovery, admitted_at=self.clock())
            self.replace_recovery(body, recovery)
        self.may(body, recovery, history, found, evidence)
        try:
            made = self.make(body, recovery, found.step, step, evidence)
        except ActionRefused:
            status = REFUSED
        except NotNow:
            status = ABANDONED
        else:
            status = SENT if made else ABANDONED
        history.append(self.attempt(found, recovery, history, status, evidence))
        return 0.0

    def load(self, recovery):
        others = [r for b in self.bodies for r in b.recoveries if r.id != recovery.id]
        flying = sum(r.status not in ENDED and r.admitted_at is not None for r in others)
        in_window = {}
        for scope, rate in (
            ('all', self.limits.per_window),
            ('policy', recovery.policy.budget.per_window),
        ):
            if rate:
                since = self.clock() - rate[1]
                in_window[scope] = sum((r.admitted_at or 0) > since for r in others)
        return Load(
            in_flight={'all': flying, 'project': flying, 'policy': flying},
            in_window=in_window,
            guests_under_policy=len(self.bodies),
        )

    def make(self, body, recovery, n, step, evidence):
        """The call on the cloud; whether it was carried out, also where its answer is lost."""
        before = len(self.cloud.taken)
        server = evidence.server
        calls = {
            'server.reboot': lambda: self.cloud.reboot(server.id, step.type),
            'server.start': lambda: self.cloud.start(server.id),
            'server.rebuild': lambda: self.cloud.rebuild(server.id, server.image_id or 'image'),
            'server.evacuate': lambda: self.cloud.evacuate(server.id),
            'server.migrate': lambda: self.migrate(server.id),
            'server.replace': lambda: self.cloud.replace(evidence.member, ['web'], 'silent'),
            'stack.heal': lambda: self.cloud.replace(evidence.member, ['web'], 'silent'),
            'stack.rebuild': lambda: self.cloud.rebuild_stack(evidence.member),
            'stack.recreate': lambda: self.cloud.recreate_stack(evidence.member),
        }
        try:
            calls.get(step.action, lambda: None)()
        except OutcomeUnknown:
            self.cloud.lose_answer = None
        made = step.action in FREE or len(self.cloud.taken) > before
        if made:
            body.actions.append((self.clock(), recovery.id, n))
            self.destroyed(step, server)
            self.effect(body, step)
        return made

    def migrate(self, server_id):
        self.cloud.migrate(server_id)
        if self.cloud._known(server_id).vm_state == 'resized':
            self.cloud.confirm_resize(server_id)

    def effect(self, body, step):
        """The guest boots where it should, and is well if the world wants it."""
        for stack in self.cloud.stacks.values():
            if stack.root_name == body.name.replace('guest', 'stack'):
                body.server_id = stack.siblings[0][0]
                self.cloud.kept.setdefault(body.server_id, self.held)
        if step.kind.boots:
            body.boots += 1
        if self.heals and self.heals.pop(0) and step.action not in ('notify', 'hook'):
            body.web = True
            body.alive = body.alive or step.kind.boots

    # ---- the end of the world

    def settle(self):
        """Nobody disturbs any more: every recovery must end, in bounded time."""
        self.cloud.away, self.cloud.lose_answer, self.cloud.refuse = False, None, {}
        self.cut_at = None
        if self.listening is None:
            self.listening = self.clock()
        until = self.clock() + escalation.EXPIRY + 7200
        while self.clock() < until:
            waits = [self.rounds(b) for b in self.bodies]
            if all(w is None for w in waits):
                break
            self.pass_time(max(300.0, min(w for w in waits if w is not None)))
        assert all(b.recovery is None for b in self.bodies), 'it never ends'
        self.bounds()

    def rounds(self, body):
        for _ in range(60):
            wait = self.look(body)
            if wait != 0.0:
                return wait
        raise AssertionError('it turns in a circle')
