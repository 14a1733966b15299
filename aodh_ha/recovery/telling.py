"""Having a person told what became of a recovery, where only a person can help."""

import sqlalchemy as sa

from aodh_ha.db import notifications
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import Recovery


def tell(
    connection: sa.Connection,
    recovery: Recovery,
    now: float,
    guest: Guest | None,
    kind: str,
    reason: str,
) -> None:
    """Have a person told, in the transaction of the decision.

    By the policy's own hook where the ladder ended without success; ``guest``: None where it was
    forgotten.
    """
    name = guest.name if guest and guest.name else recovery.server_id
    policy = recovery.policy
    own = kind == 'exhausted' and policy.on_exhausted != 'notify' and not policy.dry_run
    notifications.add(
        connection,
        now,
        kind,
        f'guest {name}: {reason} (recovery {recovery.id}, policy {policy.name})',
        project_id=recovery.project_id,
        server_id=recovery.server_id,
        recovery_id=recovery.id,
        hook=policy.on_exhausted if own else '',
    )
