"""One leased recovery: evidence, guards, decision, recorded intent, action, verification.

The order stands in ``Engine.advance``; what to do is decided by rules.escalation. Every
write carries the lease's fencing number, so a worker that lost its lease changes nothing.
"""

import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from aodh_ha.db import Database, gateways, guests, queue
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, OutcomeUnknown
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery.actions import ACTIONS
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import escalation, gateway
from aodh_ha.rules.evidence import Evidence, InstanceAction
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    ABANDONED,
    INTENDED,
    LEFT_ALONE,
    REFUSED,
    Act,
    Attempt,
    Conclude,
    Decision,
    Finish,
    NeedEvidence,
    Recovery,
    Refuse,
    Wait,
)

LOG = logging.getLogger(__name__)

SETTLE = 25.0
"""Seconds after an intent until Nova's log is believed when it does not show the action: the
time limit of a request, and some for Nova to take up what was in its socket."""

AWAY = 5.0
"""Seconds until a cloud that did not answer is asked again."""


@dataclass(frozen=True)
class Pause:
    """Go on with this recovery after so many seconds; ``hold`` keeps the lease meanwhile."""

    seconds: float
    hold: bool
    reason: str


class Engine:
    """Advances recoveries; has no state of its own, so any worker can take over."""

    def __init__(
        self, database: Database, cloud: Cloud, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock

    def advance(self, recovery: Recovery) -> Pause | None:
        """One decision about a recovery that this worker has claimed.

        Returns when to go on, or None when the recovery has ended. Raises LeaseLost when it
        is somebody else's now, DatabaseAway when nothing can be recorded.
        """
        try:
            return self._advance(recovery)
        except CloudAway as e:
            LOG.warning('recovery %s waits: %s', recovery.id, e.detail)
            return Pause(AWAY, False, f'waiting: {e.detail}')

    def _advance(self, recovery: Recovery) -> Pause | None:
        with self._database.read() as connection:
            history = queue.history(connection, recovery.id)
            try:
                guest = guests.get(connection, recovery.server_id)
            except NotFound:
                guest = None
            way = guest.way if guest else gateway.AGENT
            listening = gateways.listening_since(connection, self._clock(), way)
        if guest is None:
            return self._carry_out(recovery, Finish(LEFT_ALONE, 'the guest was forgotten'))
        pending = next((a for a in history if a.status == INTENDED), None)
        if pending:
            return self._observe(recovery, pending)
        now = self._clock()
        decision = escalation.decide(recovery, history, guest, None, now)
        if not isinstance(decision, NeedEvidence):
            return self._carry_out(recovery, decision)
        if listening is None:
            return Pause(AWAY, False, 'no gateway listens: nothing is done while deaf')
        evidence = evidence_of.take(self._cloud, guest, listening, self._clock())
        decision = escalation.decide(recovery, history, guest, evidence, self._clock())
        if isinstance(decision, Act):
            return self._act(recovery, guest, decision, evidence)
        return self._carry_out(recovery, decision, evidence)

    def _carry_out(
        self, recovery: Recovery, decision: Decision, evidence: Evidence | None = None
    ) -> Pause | None:
        now = self._clock()
        match decision:
            case Finish(status, reason):
                LOG.info(
                    'recovery %s of %s: %s: %s', recovery.id, recovery.server_id, status, reason
                )
                self._database.run(lambda c: queue.finish(c, recovery, now, status, reason))
                return None
            case Wait(seconds, reason):
                return Pause(seconds, seconds <= escalation.POLL, reason)
            case Conclude(attempt, status, reason):
                self._database.run(
                    lambda c: queue.conclude(c, recovery, attempt, now, status, reason)
                )
                return Pause(0, True, reason)
            case Refuse(step, number, reason):
                refused = self._attempt(recovery, step, number, REFUSED, reason, evidence, now)
                self._database.run(lambda c: queue.refuse(c, recovery, refused, now))
                return Pause(0, True, reason)
        raise AssertionError(f'no decision: {decision}')

    def _act(self, recovery: Recovery, guest: Guest, decision: Act, evidence: Evidence) -> Pause:
        server = evidence.server
        assert server is not None  # noqa: S101 - decide() acts on a server that it saw
        now = self._clock()
        attempt = self._attempt(
            recovery, decision.step, decision.number, INTENDED, decision.reason, evidence, now
        )
        if not self._database.run(lambda c: queue.intend(c, recovery, attempt, now, guest)):
            return Pause(0, True, 'heard in the last moment')
        step = recovery.policy.steps[decision.step]
        LOG.info('recovery %s of %s: %s (%s)', recovery.id, server.id, step.name, decision.reason)
        try:
            request_id = ACTIONS[step.action].act(self._cloud, server, step)
        except ActionRefused as e:
            return self._conclude(recovery, attempt, REFUSED, e.detail)
        except OutcomeUnknown as e:
            LOG.warning('recovery %s: %s; looking what Nova did', recovery.id, e.detail)
            return Pause(1, True, e.detail)
        return self._sent(recovery, attempt, request_id, 'Nova took the request')

    def _observe(self, recovery: Recovery, attempt: Attempt) -> Pause:
        """What became of an action whose answer was never recorded: only Nova knows."""
        logged = self._logged(recovery, attempt)
        if logged:
            return self._sent(recovery, attempt, logged.request_id, "found in Nova's log")
        left = attempt.intended_at + SETTLE - self._clock()
        if left > 0:
            return Pause(min(1.0, left), True, 'waiting whether Nova shows the action')
        return self._conclude(
            recovery, attempt, ABANDONED, 'Nova never got the request; it may be made now'
        )

    def _logged(self, recovery: Recovery, attempt: Attempt) -> InstanceAction | None:
        """Our action in Nova's log: newer than all that was there before the intent."""
        wanted = ACTIONS[recovery.policy.steps[attempt.step].action].logged_as
        ours = self._cloud.user_id()
        try:
            actions = self._cloud.instance_actions(recovery.server_id)
        except NotFound:
            return None
        for action in actions:
            if action.request_id == attempt.evidence.get('last_request_id'):
                return None
            if action.action == wanted and action.user_id in (ours, None):
                return action
        return None

    def _sent(
        self, recovery: Recovery, attempt: Attempt, request_id: str | None, message: str
    ) -> Pause:
        now = self._clock()
        until = now + recovery.policy.steps[attempt.step].verify
        self._database.run(
            lambda c: queue.sent(c, recovery, attempt, now, request_id, until, message)
        )
        return Pause(escalation.POLL, True, message)

    def _conclude(self, recovery: Recovery, attempt: Attempt, status: str, reason: str) -> Pause:
        now = self._clock()
        self._database.run(lambda c: queue.conclude(c, recovery, attempt, now, status, reason))
        return Pause(0, True, reason)

    def _attempt(
        self,
        recovery: Recovery,
        step: int,
        number: int,
        status: str,
        detail: str,
        evidence: Evidence | None,
        now: float,
    ) -> Attempt:
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
