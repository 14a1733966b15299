"""Tokens that callbacks of Aodh brought, kept sealed while what they are for lasts."""

import sqlalchemy as sa

from aodh_ha.db import sealing
from aodh_ha.db.models import attempts, marks, recoveries
from aodh_ha.db.models import callback_tokens as table
from aodh_ha.rules.rights import TOKEN, Rights

PURPOSE = 'token of a callback'


def keep(
    connection: sa.Connection, recovery_id: str, token: str, master_key: bytes, now: float
) -> None:
    """Keep the newest one of a recovery; nothing for a recovery that has ended."""
    active = sa.select(recoveries.c.id).where(
        recoveries.c.id == recovery_id, recoveries.c.active_key.is_not(None)
    )
    if connection.execute(active).first() is None:
        return
    values = {
        'sealed': sealing.seal({'token': token}, master_key, PURPOSE),
        'created_at': now,
    }
    same = table.c.recovery_id == recovery_id
    # No row counts here: on MariaDB an update to the same values matches nothing.
    if connection.execute(sa.select(table.c.recovery_id).where(same)).first():
        connection.execute(table.update().where(same).values(values))
    else:
        connection.execute(table.insert().values(values | {'recovery_id': recovery_id}))


def rights(
    connection: sa.Connection, recovery_id: str, project_id: str, master_key: bytes
) -> Rights | None:
    """Those of the newest token of a recovery; None where no callback brought one.

    Raises ActionRefused when it was sealed with another master key.
    """
    query = sa.select(table.c.sealed).where(table.c.recovery_id == recovery_id)
    sealed = connection.execute(query).scalar_one_or_none()
    if sealed is None:
        return None
    token = str(sealing.unseal(sealed, master_key, PURPOSE)['token'])
    return Rights(TOKEN, project_id, secret=token)


def forget(connection: sa.Connection, recovery_id: str) -> None:
    """The recovery has ended: what it was for is over.

    Not while marks of it may be left in Heat, which are taken back with the same rights.
    """
    mine = table.c.recovery_id == recovery_id
    connection.execute(table.delete().where(mine, done_with()))


def done_with() -> sa.ColumnElement[bool]:
    """Of tokens: that nothing is to be taken back with them."""
    of_attempt = attempts.c.id == marks.c.attempt_id
    return table.c.recovery_id.not_in(sa.select(attempts.c.recovery_id).join(marks, of_attempt))
