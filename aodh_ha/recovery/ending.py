"""The end of an attempt: who has to be heard, what is left to do, what was kept, the record of it.

Each of the first three may have the end wait for a while, and none for ever.
"""

import logging
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import attempts, queue
from aodh_ha.exceptions import OutcomeUnknown
from aodh_ha.recovery import following, proof, turns
from aodh_ha.recovery.actions import ACTIONS, Context
from aodh_ha.recovery.means import Means
from aodh_ha.recovery.proof import Proof
from aodh_ha.recovery.telling import tell
from aodh_ha.recovery.waiting import AWAY, Pause, wait
from aodh_ha.rules import escalation, preservation
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    FAILED,
    NOT_HEARD,
    SUCCEEDED,
    UNVERIFIED,
    Attempt,
    Conclude,
    Recovery,
    Wait,
)

LOG = logging.getLogger(__name__)

PROOF_PATIENCE = 120.0
"""Seconds beyond a step's time limit that a server may need until it can be compared."""

DOUBT = 20.0
"""Seconds for which what seems to be lost is looked for again: Heat attaches volumes late."""


def end(means: Means, recovery: Recovery, guest: Guest, decision: Conclude) -> Pause | None:
    """End an attempt. When something is gone that should be there, the ladder ends, too."""
    now, attempt = means.clock(), decision.attempt
    if decision.status not in (SUCCEEDED, UNVERIFIED) or attempt.dry_run:
        return _record(means, recovery, guest, decision, Proof({}), now)
    # An action was made: it may have left something to do, and may have cost something.
    left = _leave(means, means.context(recovery, guest, attempt), decision, now)
    if isinstance(left, Pause):
        return left
    step = recovery.policy.steps[attempt.step]
    found = proof.take(means.cloud, step, attempt, recovery.server_id)
    if left.status == SUCCEEDED and (early := _too_early(means, recovery, attempt, found, now)):
        return early
    return _record(means, recovery, guest, left, found, now)


def _leave(means: Means, context: Context, decision: Conclude, now: float) -> Conclude | Pause:
    """Do what the action has left to do; the end as it is known then, or when to go on with it.

    Raises CloudAway: then the end waits.
    """
    recovery, attempt = context.recovery, context.attempt
    action = ACTIONS[context.step.action]
    try:
        if decision.status == SUCCEEDED and (others := action.unheard(context)):
            why = f'{NOT_HEARD}{", ".join(others)}'
            if now < (attempt.verify_until or now):
                return Pause(escalation.POLL, not following.long(attempt, means.clock()), why)
            decision = replace(decision, status=UNVERIFIED, reason=why)
        if decision.status == UNVERIFIED:
            if more := action.give_up(context):
                decision = replace(decision, reason=f'{decision.reason}; {more}')
            # Of what Heat began and did not end, the new server may be what is of use.
            if following.follow(means, context):
                return Pause(0, True, 'the guest goes on in another server')
        action.note(context)
        action.conclude(context)
    except OutcomeUnknown as e:
        if _patient(attempt, now):
            return wait(means, recovery, Wait(AWAY, f'waiting: {e.detail}', 'cloud'))
        LOG.warning('recovery %s goes on without: %s', recovery.id, e.detail)
    return decision


def _patient(attempt: Attempt, now: float) -> bool:
    return now < (attempt.verify_until or now) + PROOF_PATIENCE


def _too_early(
    means: Means, recovery: Recovery, attempt: Attempt, found: Proof, now: float
) -> Pause | None:
    """When to compare again, while what was heard may still get what it seems to lack."""
    step, lacking = recovery.policy.steps[attempt.step], '; '.join(found.differences)
    endangered = step.action in preservation.ENDANGERED
    if found.unsettled and endangered and _patient(attempt, now):
        return Pause(AWAY, False, f'not compared yet: {found.unsettled}')
    if not lacking:
        return None
    if attempt.heard_at is None:
        means.database.run(lambda c: attempts.heard(c, recovery, attempt, now))
    elif now >= attempt.heard_at + DOUBT:
        return None
    return Pause(AWAY, False, lacking)


def _record(
    means: Means, recovery: Recovery, guest: Guest, decision: Conclude, found: Proof, now: float
) -> Pause | None:
    attempt, status, reason = decision.attempt, decision.status, decision.reason
    lost = '' if found.unsettled else '; '.join(found.differences)

    def work(connection: sa.Connection) -> None:
        attempts.conclude(connection, recovery, attempt, now, status, reason, found.data)
        turns.release(connection, recovery, attempt)
        if lost:
            why = f'{attempt.action} was to keep it: {lost}'
            queue.finish(connection, recovery, now, FAILED, why)
            tell(connection, recovery, means.clock(), guest, 'loss', why)

    means.database.run(work)
    return None if lost else Pause(0, True, reason)
