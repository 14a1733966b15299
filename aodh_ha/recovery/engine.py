"""One leased recovery: evidence, guards, decision, recorded intent, action, verification.

The order stands in ``Engine._advance``; what to do is decided by rules.escalation. Every
write carries the lease's fencing number, so a worker that lost its lease changes nothing.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import Database, attempts, gateways, guests, queue
from aodh_ha.exceptions import ActionRefused, CloudAway, LeaseLost, NotFound
from aodh_ha.recovery import doing, ending, following, holding, incident
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery.actions.base import Runner
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.recovery.evidence import Taken
from aodh_ha.recovery.hooks import HookResult
from aodh_ha.recovery.means import Means, Settings
from aodh_ha.recovery.telling import tell
from aodh_ha.recovery.waiting import AWAY, Pause, wait
from aodh_ha.rules import escalation, gateway, guards, preservation
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import Policy
from aodh_ha.rules.recovery import (
    ABANDONED,
    FAILED,
    INTENDED,
    LEFT_ALONE,
    RUNNING,
    SENT,
    Act,
    Attempt,
    Conclude,
    Decision,
    Fence,
    Finish,
    Heard,
    NeedEvidence,
    Recovery,
    Refuse,
    Wait,
)

__all__ = ['Engine', 'Pause', 'Settings']

LOG = logging.getLogger(__name__)


class NoHooks:
    """For who has none."""

    def run(self, name: str, facts: object) -> HookResult:
        """See Hooks."""
        raise ActionRefused(f'there is no hook {name!r}')


class Engine:
    """Advances recoveries; all that counts is in the database, so any worker can take over."""

    def __init__(
        self,
        database: Database,
        cloud: Cloud,
        clock: Callable[[], float] = time.time,
        *,
        hooks: Runner | None = None,
        settings: Settings | None = None,
        at: Callable[[str, str], object] = lambda boundary, recovery_id: None,
    ) -> None:
        """``at`` is called at each boundary that a crash may fall on, for tests of crashes."""
        self._means = Means(database, cloud, clock, hooks or NoHooks(), settings or Settings(), at)
        self._surveys = evidence_of.Surveys()

    def advance(self, recovery: Recovery) -> Pause | None:
        """One decision about a recovery that this worker has claimed.

        Returns when to go on, or None when the recovery has ended. Raises LeaseLost when it
        is somebody else's now, DatabaseAway when nothing can be recorded.
        """
        try:
            return self._advance(recovery)
        except CloudAway as e:
            LOG.warning('recovery %s waits: %s', recovery.id, e.detail)
            return wait(self._means, recovery, Wait(AWAY, f'waiting: {e.detail}', 'cloud'))

    def _advance(self, claimed: Recovery) -> Pause | None:
        means = self._means
        now = means.clock()
        with means.database.read() as connection:
            recovery = queue.get(connection, claimed.id)
            if (recovery.fence, recovery.status) != (claimed.fence, RUNNING):
                raise LeaseLost(f'recovery {claimed.id} was taken over or ended')
            history = queue.history(connection, recovery.id)
            try:
                guest = guests.get(connection, recovery.server_id)
            except NotFound:
                guest = None
            way = guest.way if guest else gateway.AGENT
            listening = gateways.listening_since(connection, now, way)
        recovery = replace(recovery, policy=self._policy(recovery))
        if guest is None:
            return self._finish(recovery, None, LEFT_ALONE, 'the guest was forgotten')
        pending = next((a for a in history if a.status == INTENDED), None)
        if pending:
            return doing.observe(means, recovery, guest, pending)
        decision = escalation.decide(recovery, history, guest, None, now, listening)
        waiting = next((a for a in history if a.status == SENT), None)
        if waiting:
            means.at('verifying', recovery.id)
        if waiting and isinstance(decision, Wait):
            if following.moved(means, recovery, guest, waiting):
                return Pause(0, True, 'the guest goes on in another server')
            decision = following.look(means, recovery, guest, waiting) or decision
            slow = following.long(waiting, means.clock())
            if slow and isinstance(decision, Wait) and not decision.guard:
                # It takes its time: the slot is for others meanwhile.
                decision = replace(decision, seconds=max(decision.seconds, AWAY))
        if not isinstance(decision, NeedEvidence):
            return self._carry_out(recovery, guest, decision)
        if listening is None:
            deaf = 'no gateway listens: nothing is done while deaf'
            return wait(means, recovery, Wait(AWAY, deaf, 'deaf'))
        storm = evidence_of.stricter(means.settings.storm, recovery.policy)
        still = holding.still(
            means.database, recovery, guest, now, self._surveys, storm, means.settings.limits
        )
        if still:
            return wait(means, recovery, still, guest)
        taken = evidence_of.take(
            means.cloud, means.database, guest, listening, now, storm, self._surveys, means.clock
        )
        recovery, taken = incident.join(means.database, recovery, taken, means.clock())
        return self._decide(recovery, history, guest, taken)

    def _policy(self, recovery: Recovery) -> Policy:
        """The recovery's, made a dry run where the operator wants all of them to be."""
        policy = recovery.policy
        return replace(policy, dry_run=policy.dry_run or self._means.settings.dry_run)

    def _decide(
        self, recovery: Recovery, history: list[Attempt], guest: Guest, taken: Taken
    ) -> Pause | None:
        """With evidence; more of it is taken as the step that is due asks for it."""
        means, evidence = self._means, taken.evidence
        now, since = means.clock(), evidence.listening_since
        decision = escalation.decide(recovery, history, guest, evidence, now, since)
        if isinstance(decision, Finish) and evidence.server is None:
            decision = self._gone(recovery, history) or decision
        if isinstance(decision, Act | Refuse) and not evidence.others:
            step = recovery.policy.steps[decision.step]
            more = evidence_of.neighbours(
                means.cloud, means.database, evidence, step, means.clock()
            )
            if more.others:
                return self._decide(recovery, history, guest, replace(taken, evidence=more))
        if isinstance(decision, Fence) and recovery.policy.dry_run and evidence.incident:
            fenced = replace(evidence.incident, fenced_at=means.clock())
            seen = replace(evidence, incident=fenced)
            return self._decide(recovery, history, guest, replace(taken, evidence=seen))
        if isinstance(decision, Act | Refuse) and taken.away:
            step = recovery.policy.steps[decision.step]
            if isinstance(decision, Refuse) or step.action in preservation.ENDANGERED:
                # What it has is not known now, but will be: that is no reason for a harsher step.
                return wait(means, recovery, Wait(AWAY, f'waiting: {taken.away}', 'cloud'))
        if isinstance(decision, Wait) and decision.guard == 'storm':
            incident.storm(means.database, recovery, evidence, means.clock())
        if isinstance(decision, Act):
            beyond = self._beyond(recovery, decision)
            if beyond:
                return doing.refuse(means, recovery, beyond, evidence)
            return doing.act(means, recovery, guest, decision, evidence)
        return self._carry_out(recovery, guest, decision, evidence)

    def _beyond(self, recovery: Recovery, decision: Act) -> Refuse | None:
        """A step that the operator does not allow any more: the policy was saved when he did."""
        step, allowed = recovery.policy.steps[decision.step], self._means.settings.allowed
        if not recovery.policy.own or allowed is None:
            return None
        if step.action in allowed and not step.kind.operator_only:
            return None
        why = f"the operator allows no {step.action} in a project's own policy"
        return Refuse(decision.step, decision.number, why)

    def _gone(self, recovery: Recovery, history: list[Attempt]) -> Finish | None:
        """What it means that there is no server any more: not always that somebody deleted it."""
        for attempt in reversed(history):
            step = recovery.policy.steps[attempt.step]
            if step.kind.in_stack and attempt.status != ABANDONED and not attempt.dry_run:
                why = f'there is no server any more after {attempt.action}: {attempt.detail}'
                return Finish(FAILED, why)
        return None

    def _carry_out(
        self,
        recovery: Recovery,
        guest: Guest,
        decision: Decision,
        evidence: Evidence | None = None,
    ) -> Pause | None:
        now = self._means.clock()
        match decision:
            case Finish(status, reason):
                return self._finish(recovery, guest, status, reason)
            case Wait():
                return wait(self._means, recovery, decision, guest)
            case Heard(attempt):
                self._means.database.run(lambda c: attempts.heard(c, recovery, attempt, now))
                return Pause(0, True, 'heard; it must stay well')
            case Conclude():
                return ending.end(self._means, recovery, guest, decision)
            case Refuse():
                return doing.refuse(self._means, recovery, decision, evidence)
            case Fence() if evidence and evidence.incident:
                return self._fence(recovery, guest, decision, evidence)
        raise AssertionError(f'no decision: {decision}')

    def _fence(
        self, recovery: Recovery, guest: Guest, decision: Fence, evidence: Evidence
    ) -> Pause:
        means = self._means
        why = incident.fence(
            means.database, means.hooks, recovery, evidence, decision.hook, means.clock
        )
        if not why:
            return Pause(0, True, decision.reason)
        under_way = why == incident.UNDER_WAY
        seconds = guards.UNHEARD_RECHECK if under_way else guards.RECHECK
        held = Wait(seconds, f'{decision.host} is not fenced: {why}', 'fencing')
        return wait(means, recovery, held, guest, quiet=under_way)

    def _finish(
        self, recovery: Recovery, guest: Guest | None, status: str, reason: str
    ) -> Pause | None:
        now = self._means.clock()
        LOG.info('recovery %s of %s: %s: %s', recovery.id, recovery.server_id, status, reason)

        def work(connection: sa.Connection) -> None:
            queue.finish(connection, recovery, now, status, reason)
            if status == FAILED:
                tell(connection, recovery, now, guest, 'exhausted', reason)

        self._means.at('before-finish', recovery.id)
        self._means.database.run(work)
        return None
