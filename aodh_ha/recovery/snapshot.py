"""An image of the server before a step that its policy wants one for."""

from datetime import UTC, datetime

from aodh_ha.db import Database, queue
from aodh_ha.exceptions import ActionRefused, CredentialRefused, NotNow, OutcomeUnknown
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import guards
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.recovery import Act, Recovery, Refuse, Wait

LOGGED_AS = 'createImage'

SKEW = 60.0
"""Seconds that Nova's clock may be behind ours; an image made so shortly before will do, too."""

UNKNOWN = 25.0
"""Seconds until Nova's log is looked at after an answer was lost."""


def make(
    database: Database, cloud: Cloud, recovery: Recovery, decision: Act, evidence: Evidence
) -> Wait | Refuse | None:
    """Have the image made, and wait for it; None when it is there.

    Whether it was asked for already stands in Nova's log, so no worker has to remember it.
    Raises LeaseLost, CredentialRefused.
    """
    server = evidence.server
    assert server is not None  # noqa: S101 - decide() acts on a server that it saw
    step = recovery.policy.steps[decision.step]
    ours = {evidence.user_id, cloud.user_id()}
    if (server.task_state or '').startswith('image_'):
        return Wait(guards.BUSY_RECHECK, f'an image is made before {step.name}', 'busy')
    for action in evidence.actions:
        made = action.action == LOGGED_AS and action.user_id in ours
        if made and action.at > recovery.created_at - SKEW:
            if not action.failed:
                return None
            why = f'no image of it could be made ({action.request_id}): see the log of its host'
            return Refuse(decision.step, decision.number, why)
    now = evidence.taken_at
    at = datetime.fromtimestamp(now, UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
    name = f'{server.name} before {step.name} {at}'[:255]
    database.run(lambda c: queue.fenced(c, recovery, {'updated_at': now}))
    try:
        cloud.snapshot(server.id, name)
    except CredentialRefused:
        raise
    except ActionRefused as e:
        return Refuse(decision.step, decision.number, f'no image of it can be made: {e.detail}')
    except NotNow as e:
        return Wait(guards.BUSY_RECHECK, f'waiting: {e.detail}', 'busy')
    except OutcomeUnknown as e:
        return Wait(UNKNOWN, f'waiting: {e.detail}', 'cloud')
    database.run(lambda c: queue.note(c, recovery, now, 'snapshot', name))
    return Wait(guards.BUSY_RECHECK, f'an image is made before {step.name}', 'busy')
