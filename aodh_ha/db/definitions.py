"""Definitions of stacks that are being recreated, sealed: they may have passwords in them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import sealing
from aodh_ha.db.models import attempts, definitions, recoveries

PURPOSE = 'definition of a stack'


def seal(definition: Mapping[str, Any], master_key: bytes) -> str:
    """Encrypted for the database; raises ActionRefused where there is no key."""
    return sealing.seal(definition, master_key, PURPOSE)


def unseal(sealed: str, master_key: bytes) -> dict[str, Any]:
    """What seal() was given; raises ActionRefused when the key is another one."""
    return sealing.unseal(sealed, master_key, PURPOSE)


def keep(connection: sa.Connection, attempt_id: str, sealed: str, now: float) -> None:
    """Keep a sealed definition for the time of an attempt."""
    values = {'attempt_id': attempt_id, 'sealed': sealed, 'created_at': now}
    connection.execute(definitions.insert().values(values))


def get(connection: sa.Connection, attempt_id: str) -> str | None:
    """The sealed definition of an attempt."""
    query = sa.select(definitions.c.sealed).where(definitions.c.attempt_id == attempt_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def under_way(connection: sa.Connection, server_id: str) -> bool:
    """Whether a recovery of this server's guest has the definition of its stack: it deletes the
    stack, and creates it again."""
    of_attempt = attempts.c.id == definitions.c.attempt_id
    of_recovery = recoveries.c.id == attempts.c.recovery_id
    query = sa.select(definitions.c.attempt_id).join(attempts, of_attempt)
    query = query.join(recoveries, of_recovery).where(recoveries.c.active_key == server_id)
    return connection.execute(query.limit(1)).first() is not None


def forget(connection: sa.Connection, attempt_id: str) -> None:
    """The stack is there again, or a person's matter."""
    connection.execute(definitions.delete().where(definitions.c.attempt_id == attempt_id))
