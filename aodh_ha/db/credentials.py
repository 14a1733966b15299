"""What projects handed over for the recovery of their guests; one of each project at most."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import audit, notifications, sealing
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import credentials as table
from aodh_ha.exceptions import Conflict, NotFound
from aodh_ha.rules.rights import REFUSED, USABLE, Credential, Rights

PURPOSE = 'credential'
"""What the secrets are sealed for."""

_COLUMNS = [c for c in table.c if c.name != 'sealed']


def put(
    connection: sa.Connection,
    credential: Credential,
    secret: str,
    master_key: bytes,
    *,
    replace: bool = False,
) -> None:
    """Store the project's credential, its secret sealed.

    Raises Conflict when it has one and that is not to be replaced.
    """
    mine = table.c.project_id == credential.project_id
    if not replace and connection.execute(sa.select(table.c.id).where(mine)).first():
        raise Conflict(
            'the project has handed over a credential already: delete that first, or have it '
            'replaced (replace=1, --replace)'
        )
    connection.execute(table.delete().where(mine))
    sealed = sealing.seal({'secret': secret}, master_key, PURPOSE)
    connection.execute(table.insert().values(asdict(credential) | {'sealed': sealed}))
    who = f'{_named(credential)} by user {credential.author}'
    _record(connection, credential, credential.created_at, 'credential_created', who)


def find(
    connection: sa.Connection, project_id: str | None = None, *, due: float | None = None
) -> list[Credential]:
    """The credentials of a project, None: of all; ``due``: which were not checked since then."""
    query = sa.select(*_COLUMNS).order_by(table.c.created_at, table.c.id)
    if project_id is not None:
        query = query.where(table.c.project_id == project_id)
    if due is not None:
        query = query.where(sa.or_(table.c.checked_at.is_(None), table.c.checked_at < due))
    return [Credential(**row._mapping) for row in connection.execute(query)]


def get(connection: sa.Connection, credential_id: str, project_id: str | None) -> Credential:
    """A credential of this project, None: of any; raises NotFound."""
    found = [c for c in find(connection, project_id) if c.id == credential_id]
    if not found:
        raise NotFound(f'no credential {credential_id} in this project')
    return found[0]


def delete(connection: sa.Connection, credential: Credential, now: float, author: str) -> None:
    """Forget it and its secret. In Keystone it stays: that is its owner's to revoke."""
    connection.execute(table.delete().where(table.c.id == credential.id))
    _record(
        connection, credential, now, 'credential_deleted', f'{_named(credential)} by user {author}'
    )


def rights(connection: sa.Connection, project_id: str, master_key: bytes) -> Rights | None:
    """The project's, with their secret; None where it handed over nothing.

    Raises ActionRefused when the secret was sealed with another master key.
    """
    row = connection.execute(sa.select(table).where(table.c.project_id == project_id)).first()
    if row is None:
        return None
    secret = str(sealing.unseal(row.sealed, master_key, PURPOSE)['secret'])
    return Rights(row.kind, project_id, row.reference, secret)


def refused(connection: sa.Connection, credential: Credential, now: float, reason: str) -> None:
    """Note that Keystone refuses it, and have a person told, once."""
    if _checked(connection, credential, now, REFUSED, reason):
        message = f'{_named(credential)} of project {credential.project_id}: {reason}'
        _record(connection, credential, now, 'credential_refused', message)
        notifications.add(connection, now, 'credential', message, project_id=credential.project_id)


def usable(connection: sa.Connection, credential: Credential, now: float) -> None:
    """Note that Keystone takes it."""
    if _checked(connection, credential, now, USABLE, ''):
        _record(connection, credential, now, 'credential_usable', _named(credential))


def used(connection: sa.Connection, used_rights: Rights, now: float) -> None:
    """Note that an action was made with it."""
    connection.execute(
        table.update()
        .where(
            table.c.project_id == used_rights.project_id,
            table.c.reference == used_rights.reference,
        )
        .values(used_at=now)
    )


def _checked(
    connection: sa.Connection, credential: Credential, now: float, status: str, reason: str
) -> bool:
    """Whether that is news."""
    same = table.c.id == credential.id
    other = connection.execute(
        table.update()
        .where(same, table.c.status != status)
        .values(status=status, status_reason=reason[:255], checked_at=now)
    )
    if rowcount(other):
        return True
    values: Mapping[str, Any] = {'status_reason': reason[:255], 'checked_at': now}
    connection.execute(table.update().where(same).values(values))
    return False


def _named(credential: Credential) -> str:
    return f'{credential.kind.replace("_", " ")} {credential.reference}'


def _record(
    connection: sa.Connection, credential: Credential, now: float, kind: str, message: str
) -> None:
    data = {'credential_id': credential.id}
    project_id = credential.project_id
    audit.record(connection, now, kind, message, project_id=project_id, data=data)
