"""What becomes of an action that was sent, while a heartbeat is waited for."""

import logging

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.recovery.actions import ACTIONS, Context
from aodh_ha.recovery.means import Means
from aodh_ha.rules import escalation
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import UNVERIFIED, Attempt, Conclude, Recovery

LOG = logging.getLogger(__name__)

FOLLOW = 5.0
"""Seconds between two looks at what becomes of an action while a heartbeat is waited for."""

LONG = 60.0
"""Seconds for which a heartbeat is looked for every second by who holds the recovery; then it
is given back in between, and looked at as often as there is time."""


def long(attempt: Attempt, now: float) -> bool:
    """Whether an action was sent so long ago that nobody need hold the recovery meanwhile."""
    return _since(attempt, now) > LONG


def moved(means: Means, recovery: Recovery, guest: Guest, attempt: Attempt) -> bool:
    """Whether it is time to look, and the guest has another server now: see follow()."""
    if not _due(attempt, means.clock()):
        return False
    return follow(means, means.context(recovery, guest, attempt))


def follow(means: Means, context: Context) -> bool:
    """Go with the guest to another server: the recovery goes on under its id. Raises CloudAway."""
    try:
        return ACTIONS[context.step.action].follow(context)
    except (NotFound, ActionRefused, NotNow, OutcomeUnknown) as e:
        means.note_refusal(context.rights, e)
        LOG.info('recovery %s: %s', context.recovery.id, e.detail)
        return False


def look(means: Means, recovery: Recovery, guest: Guest, attempt: Attempt) -> Conclude | None:
    """Go on with what was sent, where it is time to; its end when it is known not to help."""
    if not _due(attempt, means.clock()):
        return None
    action = ACTIONS[recovery.policy.steps[attempt.step].action]
    context = means.context(recovery, guest, attempt)
    try:
        action.go_on(context)
        action.note(context)
        failure = action.failure(context)
    except (CloudAway, NotFound, ActionRefused, NotNow, OutcomeUnknown) as e:
        LOG.info('recovery %s: %s', recovery.id, e.detail)
        return None
    return Conclude(attempt, UNVERIFIED, failure) if failure else None


def _since(attempt: Attempt, now: float) -> float:
    return now - (attempt.sent_at or attempt.intended_at)


def _due(attempt: Attempt, now: float) -> bool:
    if attempt.dry_run or long(attempt, now):
        return not attempt.dry_run
    since = _since(attempt, now)
    return since >= FOLLOW and since % FOLLOW < escalation.POLL
