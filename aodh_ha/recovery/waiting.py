"""When a recovery goes on, and what holds it back until then."""

from dataclasses import dataclass

import sqlalchemy as sa

from aodh_ha.db import queue
from aodh_ha.recovery.means import Means
from aodh_ha.recovery.telling import tell
from aodh_ha.rules import escalation
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import Recovery, Wait

AWAY = 5.0
"""Seconds until a cloud that did not answer is asked again."""

TOLD = ('approval', 'fencing')
"""Guards that only a person can lift: so one is told, once."""


@dataclass(frozen=True)
class Pause:
    """Go on with this recovery after so many seconds; ``hold`` keeps the lease meanwhile."""

    seconds: float
    hold: bool
    reason: str


def wait(
    means: Means,
    recovery: Recovery,
    decision: Wait,
    guest: Guest | None = None,
    quiet: bool = False,
) -> Pause:
    """Record what holds it back, once, and tell a person where only one can help.

    ``quiet``: unless that is done elsewhere.
    """
    now, guard, reason = means.clock(), decision.guard, decision.reason
    if guard != recovery.guard:

        def work(connection: sa.Connection) -> None:
            known = queue.held_by(connection, recovery.incident_id, guard)
            queue.held(connection, recovery, now, guard, reason)
            # What holds all guests of a dead host back is told once, not for each of them.
            if guard in TOLD and not known and not quiet:
                tell(connection, recovery, now, guest, guard, reason)

        means.database.run(work)
    return Pause(decision.seconds, decision.seconds <= escalation.POLL, reason)
