"""One try of a step: the recorded intent, the call, what became of it, its end with its proof.

Every write carries the lease's fencing number, so a worker that lost its lease changes nothing.
"""

import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from aodh_ha.db import Database, attempts, credentials, notifications, queue
from aodh_ha.db.admission import Place
from aodh_ha.exceptions import (
    ActionRefused,
    AodhHAError,
    CloudAway,
    CredentialRefused,
    NotFound,
    NotNow,
    OutcomeUnknown,
)
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery import proof, rights, snapshot, turns
from aodh_ha.recovery.actions import ACTIONS, Action, Context
from aodh_ha.recovery.actions.base import Runner
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import escalation, guards, preservation
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import (
    ABANDONED,
    FAILED,
    INTENDED,
    NOT_HEARD,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Attempt,
    Conclude,
    Recovery,
    Refuse,
    Wait,
)
from aodh_ha.rules.rights import HANDED_OVER, OURS, Rights

LOG = logging.getLogger(__name__)

SETTLE = 25.0
"""Seconds after a call broke off until Nova's log is believed when it does not show the action:
some time for Nova to take up what was in its socket."""

SOON = 10.0
"""Seconds for which it is looked for every second whether the cloud shows an action."""

MARGIN = 10.0
"""Seconds beyond the longest that a call may last, for a worker that died while it did."""

AWAY = 5.0
"""Seconds until a cloud that did not answer is asked again."""

BUDGET_RECHECK = 5.0
"""Seconds until a recovery asks the budget again."""

LATER = 80.0
"""Seconds, at most, until an action is tried again that the cloud was too busy for."""

FOLLOW = 5.0
"""Seconds between two looks at what becomes of an action while a heartbeat is waited for."""

LONG = 60.0
"""Seconds for which a heartbeat is looked for every second by who holds the recovery; then it
is given back in between, and looked at as often as there is time."""

GIVEN_UP = 3600.0
"""Seconds after which an action that the cloud does not get done is a person's matter."""

PROOF_PATIENCE = 120.0
"""Seconds beyond a step's time limit that a server may need until it can be compared."""

DOUBT = 20.0
"""Seconds for which what seems to be lost is looked for again: Heat attaches volumes late."""

UNCOUNTED = ('notify', 'hook')
"""Steps that touch no guest, and so need no budget."""

TOLD = ('approval', 'fencing')
"""Guards that only a person can lift: so one is told, once."""


@dataclass(frozen=True)
class Settings:
    """What the operator configured, as far as it concerns one recovery."""

    limits: Limits = field(default_factory=Limits)
    dry_run: bool = False
    allowed: frozenset[str] | None = None
    """Actions that a project's own policy may have; None: all."""
    storm: evidence_of.Settings = field(default_factory=evidence_of.Settings)
    call_limit: float = 50.0
    """Seconds that one call on the cloud lasts at most."""
    master_key: bytes = b''
    service_user: bool = True
    """Whether recoveries may act with the service user's rights where a project gave none."""
    gateways: tuple[str, ...] = ()
    """Where guests send their heartbeats: for those whose server is replaced."""


@dataclass(frozen=True)
class Pause:
    """Go on with this recovery after so many seconds; ``hold`` keeps the lease meanwhile."""

    seconds: float
    hold: bool
    reason: str


class Doing:
    """Makes and follows attempts; has no state of its own."""

    def __init__(
        self,
        database: Database,
        cloud: Cloud,
        clock: Callable[[], float],
        hooks: Runner,
        settings: Settings,
        at: Callable[[str, str], object],
    ) -> None:
        """See Engine."""
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._hooks = hooks
        self._settings = settings
        self._at = at

    def wait(
        self, recovery: Recovery, wait: Wait, guest: Guest | None = None, quiet: bool = False
    ) -> Pause:
        """Record what holds it back, once, and tell a person where only one can help.

        ``quiet``: unless that is done elsewhere.
        """
        now = self._clock()
        if wait.guard != recovery.guard:

            def work(connection: sa.Connection) -> None:
                known = queue.held_by(connection, recovery.incident_id, wait.guard)
                queue.held(connection, recovery, now, wait.guard, wait.reason)
                # What holds all guests of a dead host back is told once, not for each of them.
                if wait.guard in TOLD and not known and not quiet:
                    self.tell(connection, recovery, guest, wait.guard, wait.reason)

            self._database.run(work)
        return Pause(wait.seconds, wait.seconds <= escalation.POLL, wait.reason)

    def tell(
        self,
        connection: sa.Connection,
        recovery: Recovery,
        guest: Guest | None,
        kind: str,
        reason: str,
    ) -> None:
        """Have a person told, in the transaction of the decision."""
        name = guest.name if guest and guest.name else recovery.server_id
        policy = recovery.policy
        own = kind == 'exhausted' and policy.on_exhausted != 'notify' and not policy.dry_run
        notifications.add(
            connection,
            self._clock(),
            kind,
            f'guest {name}: {reason} (recovery {recovery.id}, policy {policy.name})',
            project_id=recovery.project_id,
            server_id=recovery.server_id,
            recovery_id=recovery.id,
            hook=policy.on_exhausted if own else '',
        )

    # ---- an action

    def _snapshot(
        self, recovery: Recovery, step: Step, decision: Act, evidence: Evidence
    ) -> Wait | Refuse | None:
        used = self._rights(recovery, step)
        cloud = self._cloud.acting(used)
        try:
            return snapshot.make(self._database, cloud, recovery, decision, evidence)
        except CredentialRefused as e:
            self._note_refusal(used, e)
            why = f'no image of it can be made: {e.detail}'
            return Refuse(decision.step, decision.number, why)

    def act(
        self, recovery: Recovery, guest: Guest, decision: Act, evidence: Evidence
    ) -> Pause | None:
        """Take a step: its intent is recorded before its call is made."""
        server = evidence.server
        assert server is not None  # noqa: S101 - decide() acts on a server that it saw
        step, dry_run = recovery.policy.steps[decision.step], recovery.policy.dry_run
        if step.snapshot and not dry_run:
            before = self._snapshot(recovery, step, decision, evidence)
            if isinstance(before, Wait):
                return self.wait(recovery, before, guest)
            if before:
                return self.refuse(recovery, before, evidence)
        evidence = evidence_of.console(self._cloud, evidence)
        evidence = evidence_of.watched(self._database, evidence, step)
        attempt = self._attempt(
            recovery, decision.step, decision.number, INTENDED, decision.reason, evidence
        )
        now = attempt.intended_at
        if dry_run:
            until = now + step.verify
            attempt = replace(attempt, status=SENT, sent_at=now, verify_until=until, dry_run=True)
        place = None if step.action in UNCOUNTED else self._place(recovery, guest, evidence)
        self._at('before-intent', recovery.id)

        def work(connection: sa.Connection) -> str:
            if not dry_run and not turns.take(connection, recovery, step, evidence, now):
                return turns.TAKEN
            held = attempts.intend(
                connection, recovery, attempt, now, guest, place, self._settings.limits
            )
            if held:
                turns.release(connection, recovery, attempt)
            return held

        held = self._database.run(work)
        if held == attempts.HEARD:
            return Pause(escalation.POLL, True, held)
        if held == turns.TAKEN:
            return self.wait(recovery, Wait(guards.RECHECK, held, 'stack'))
        if held:
            return self.wait(recovery, Wait(BUDGET_RECHECK, held, 'budget'))
        self._at('after-intent', recovery.id)
        LOG.info('recovery %s of %s: %s (%s)', recovery.id, server.id, step.name, decision.reason)
        if dry_run:
            return Pause(escalation.POLL, True, f'dry run of {step.name}')
        return self._call(recovery, guest, attempt, evidence)

    def refuse(self, recovery: Recovery, decision: Refuse, evidence: Evidence | None) -> Pause:
        """Record a step that is not taken, and why."""
        refused = self._attempt(
            recovery, decision.step, decision.number, REFUSED, decision.reason, evidence
        )
        self._database.run(lambda c: attempts.refuse(c, recovery, refused, refused.intended_at))
        return Pause(0, True, decision.reason)

    def _call(
        self, recovery: Recovery, guest: Guest, attempt: Attempt, evidence: Evidence
    ) -> Pause | None:
        context = self._context(recovery, guest, attempt, evidence)
        try:
            request_id = self._action(attempt, recovery).act(context)
        except (ActionRefused, NotFound) as e:
            self._note_refusal(context.rights, e)
            return self.end(recovery, guest, attempt, REFUSED, e.detail)
        except (NotNow, CloudAway) as e:
            self.end(recovery, guest, attempt, ABANDONED, f'not now: {e.detail}')
            seconds = min(LATER, AWAY * 2**attempt.number)
            return self.wait(recovery, Wait(seconds, f'waiting: {e.detail}', 'cloud'))
        except OutcomeUnknown as e:
            LOG.warning('recovery %s: %s; looking what became of it', recovery.id, e.detail)
            now, reason = self._clock(), e.detail
            self._database.run(lambda c: attempts.broke_off(c, recovery, attempt, now, reason))
            return Pause(1, True, reason)
        self._at('after-send', recovery.id)
        return self._sent(context, request_id, 'the request was taken')

    def observe(self, recovery: Recovery, guest: Guest, attempt: Attempt) -> Pause | None:
        """What became of an action whose answer was never recorded: only the cloud knows."""
        action = self._action(attempt, recovery)
        if not action.repeatable:
            why = 'the worker died while it ran; it is not repeated'
            return self.end(recovery, guest, attempt, UNVERIFIED, why)
        context = self._context(recovery, guest, attempt)
        try:
            seen = action.observe(context)
        except (ActionRefused, NotFound) as e:
            self._note_refusal(context.rights, e)
            return self.end(recovery, guest, attempt, REFUSED, e.detail)
        except (NotNow, OutcomeUnknown) as e:
            if self._clock() - attempt.intended_at > GIVEN_UP:
                return self.end(recovery, guest, attempt, UNVERIFIED, f'given up: {e.detail}')
            return self.wait(recovery, Wait(AWAY, f'waiting: {e.detail}', 'cloud'))
        if seen:
            return self._sent(context, seen.request_id, seen.message)
        if attempt.broke_off_at is not None:
            until = attempt.broke_off_at + SETTLE
        else:
            longest = self._settings.call_limit * action.requests(context)
            until = attempt.intended_at + longest + MARGIN
        left = until - self._clock()
        if action.settles and left > 0:
            # Mostly it shows at once; what takes long is not asked for every second.
            young = self._clock() - (attempt.broke_off_at or attempt.intended_at) < SOON
            seconds = escalation.POLL if young else FOLLOW
            return Pause(min(seconds, left), True, 'waiting whether the cloud shows the action')
        why = 'the cloud never got the request; it may be made now'
        return self.end(recovery, guest, attempt, ABANDONED, why)

    def _sent(self, context: Context, request_id: str | None, message: str) -> Pause:
        recovery, attempt, used = context.recovery, context.attempt, context.rights
        now = self._clock()
        until = now + context.step.verify
        if used != OURS:
            message = f'{message}, with {used.name}'

        def work(connection: sa.Connection) -> None:
            attempts.sent(connection, recovery, attempt, now, request_id, until, message)
            if used.kind in HANDED_OVER:
                credentials.used(connection, used, now)

        self._database.run(work)
        self._at('after-answer', recovery.id)
        return Pause(escalation.POLL, True, message)

    def long(self, attempt: Attempt) -> bool:
        """Whether an action was sent so long ago that nobody need hold the recovery meanwhile."""
        return self._clock() - (attempt.sent_at or attempt.intended_at) > LONG

    def _looks(self, attempt: Attempt) -> bool:
        """Whether it is time to look what becomes of an action."""
        if attempt.dry_run or self.long(attempt):
            return not attempt.dry_run
        since = self._clock() - (attempt.sent_at or attempt.intended_at)
        return since >= FOLLOW and since % FOLLOW < escalation.POLL

    def moved(self, recovery: Recovery, guest: Guest, attempt: Attempt) -> bool:
        """Whether the guest has another server now: the recovery goes on under its id."""
        return self._looks(attempt) and self._follows(recovery, guest, attempt)

    def _follows(self, recovery: Recovery, guest: Guest, attempt: Attempt) -> bool:
        context = self._context(recovery, guest, attempt)
        try:
            return self._action(attempt, recovery).follow(context)
        except (NotFound, ActionRefused, NotNow, OutcomeUnknown) as e:
            self._note_refusal(context.rights, e)
            LOG.info('recovery %s: %s', recovery.id, e.detail)
            return False

    def follow(self, recovery: Recovery, guest: Guest, attempt: Attempt) -> Conclude | None:
        """Whether what was sent is known not to help any more."""
        if not self._looks(attempt):
            return None
        action, context = self._action(attempt, recovery), self._context(recovery, guest, attempt)
        try:
            action.go_on(context)
            action.note(context)
            failure = action.failure(context)
        except (CloudAway, NotFound, ActionRefused, NotNow, OutcomeUnknown) as e:
            LOG.info('recovery %s: %s', recovery.id, e.detail)
            return None
        return Conclude(attempt, UNVERIFIED, failure) if failure else None

    def end(
        self, recovery: Recovery, guest: Guest, attempt: Attempt, status: str, reason: str
    ) -> Pause | None:
        """End an attempt. When something is gone that should be there, the ladder ends, too."""
        now = self._clock()
        made = status in (SUCCEEDED, UNVERIFIED) and not attempt.dry_run
        found = proof.Proof({})
        if made:
            step = recovery.policy.steps[attempt.step]
            action = self._action(attempt, recovery)
            context = self._context(recovery, guest, attempt)
            patient = now < (attempt.verify_until or now) + PROOF_PATIENCE
            try:
                if status == SUCCEEDED and (others := action.unheard(context)):
                    if now < (attempt.verify_until or now):
                        left = f'{NOT_HEARD}{", ".join(others)}'
                        return Pause(escalation.POLL, not self.long(attempt), left)
                    status, reason = UNVERIFIED, f'{NOT_HEARD}{", ".join(others)}'
                if status == UNVERIFIED and (more := action.give_up(context)):
                    reason = f'{reason}; {more}'
                # Of what Heat began and did not end, the new server may be what is of use.
                if status == UNVERIFIED and self._follows(recovery, guest, attempt):
                    return Pause(0, True, 'the guest goes on in another server')
                action.note(context)
                action.conclude(context)
            except OutcomeUnknown as e:
                if patient:
                    return self.wait(recovery, Wait(AWAY, f'waiting: {e.detail}', 'cloud'))
                LOG.warning('recovery %s goes on without: %s', recovery.id, e.detail)
            found = proof.take(self._cloud, step, attempt, recovery.server_id)
            patient = patient and step.action in preservation.ENDANGERED
            if status == SUCCEEDED and found.unsettled and patient:
                return Pause(AWAY, False, f'not compared yet: {found.unsettled}')
            if status == SUCCEEDED and found.differences:
                if attempt.heard_at is None:
                    self._database.run(lambda c: attempts.heard(c, recovery, attempt, now))
                    return Pause(AWAY, False, '; '.join(found.differences))
                if now < attempt.heard_at + DOUBT:
                    return Pause(AWAY, False, '; '.join(found.differences))
        lost = '' if found.unsettled else '; '.join(found.differences)

        def work(connection: sa.Connection) -> None:
            attempts.conclude(connection, recovery, attempt, now, status, reason, found.data)
            turns.release(connection, recovery, attempt)
            if lost:
                why = f'{attempt.action} was to keep it: {lost}'
                queue.finish(connection, recovery, now, FAILED, why)
                self.tell(connection, recovery, guest, 'loss', why)

        self._database.run(work)
        return None if lost else Pause(0, True, reason)

    # ---- values

    def _rights(self, recovery: Recovery, step: Step) -> Rights:
        settings = self._settings
        return rights.choose(
            self._database,
            recovery,
            step,
            master_key=settings.master_key,
            service_user=settings.service_user,
        )

    def _note_refusal(self, used: Rights, error: AodhHAError) -> None:
        if isinstance(error, CredentialRefused):
            rights.refused(self._database, used, error.detail, self._clock())

    def _action(self, attempt: Attempt, recovery: Recovery) -> Action:
        return ACTIONS[recovery.policy.steps[attempt.step].action]

    def _context(
        self,
        recovery: Recovery,
        guest: Guest,
        attempt: Attempt,
        evidence: Evidence | None = None,
    ) -> Context:
        step = recovery.policy.steps[attempt.step]
        chosen = self._rights(recovery, step)
        return Context(
            cloud=self._cloud.acting(chosen),
            rights=chosen,
            database=self._database,
            hooks=self._hooks,
            recovery=recovery,
            guest=guest,
            step=step,
            attempt=attempt,
            now=self._clock(),
            evidence=evidence,
            gateways=self._settings.gateways,
            master_key=self._settings.master_key,
        )

    def _place(self, recovery: Recovery, guest: Guest, evidence: Evidence) -> Place:
        server, member = evidence.server, evidence.member
        return Place(
            host=(server.host if server else '') or '',
            zone=server.zone if server else '',
            stack_id=member.root_id if member else guest.stack_id,
            group_name=guest.group_name,
            # Where all are dry runs, they show what the budget would do.
            counted=self._settings.dry_run or not recovery.policy.dry_run,
        )

    def _attempt(
        self,
        recovery: Recovery,
        step: int,
        number: int,
        status: str,
        detail: str,
        evidence: Evidence | None,
    ) -> Attempt:
        now = self._clock()
        return Attempt(
            id=str(uuid.uuid4()),
            recovery_id=recovery.id,
            step=step,
            number=number,
            action=recovery.policy.steps[step].name,
            status=status,
            intended_at=now,
            finished_at=now if status == REFUSED else None,
            detail=detail,
            evidence=evidence.as_dict() if evidence else {},
        )
