"""Notify: a person is told, and nothing is done to the guest."""

import sqlalchemy as sa

from aodh_ha.db import notifications, queue
from aodh_ha.db.models import notifications as table
from aodh_ha.recovery.actions.base import Action, Context, Observed

KIND = 'step'


class Notify(Action):
    """``notify``. Written to the outbox, from which a duty delivers it."""

    settles = False

    def act(self, context: Context) -> str | None:
        """See Action. Raises LeaseLost."""
        guest, recovery = context.guest, context.recovery
        message = (
            f'guest {guest.name or guest.server_id} is in trouble: {context.attempt.detail} '
            f'(recovery {recovery.id}, policy {recovery.policy.name})'
        )

        def work(connection: sa.Connection) -> None:
            # Whoever lost the recovery must not write any more: another has looked, and not
            # found it.
            queue.fenced(connection, recovery, {'updated_at': context.now})
            notifications.add(
                connection,
                context.now,
                KIND,
                message,
                project_id=recovery.project_id,
                server_id=recovery.server_id,
                recovery_id=recovery.id,
            )

        context.database.run(work)
        return None

    def observe(self, context: Context) -> Observed | None:
        """See Action."""
        mine = sa.select(table.c.id).where(
            table.c.recovery_id == context.recovery.id,
            table.c.kind == KIND,
            table.c.at >= context.attempt.intended_at,
        )
        with context.database.read() as connection:
            found = connection.execute(mine.limit(1)).first()
        return Observed(None, 'it was written') if found else None
