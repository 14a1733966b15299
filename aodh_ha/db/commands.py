"""Commands for guests: handed out in the reply to a heartbeat, their results told in a later one.

Nothing here is a command line. A command names a kind and a service; what that means in the
guest, and whether it is allowed there, the guest's own configuration says. A command goes out
with every reply until its result is here or its time is over: a reply may get lost, and the
guest carries a command out once however often it is handed.
"""

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import commands
from aodh_ha.exceptions import NotFound

RESTART, CHECK, REPORT = 'service.restart', 'check', 'report'
KINDS = (RESTART, CHECK, REPORT)
"""``service.restart`` and ``check`` take ``{"service": name}``, ``report`` takes nothing."""

QUEUED = 'queued'
"""Waits for the guest's next heartbeat."""
HANDED = 'handed'
"""Was in a reply at least once; whether that arrived is not known."""
DONE, FAILED, REFUSED = 'done', 'failed', 'refused'
"""What the guest reported: it worked, it did not, or the guest does not allow it."""
EXPIRED = 'expired'
"""Its time was over before a result came. One that comes later still counts."""
OPEN = (QUEUED, HANDED)

AT_ONCE = 8
"""Commands in one reply; the others go with the next ones."""


@dataclass(frozen=True)
class Command:
    """A command. Times are seconds since the epoch by our clock."""

    id: str
    server_id: str
    recovery_id: str | None
    kind: str
    arguments: dict[str, str]
    status: str
    created_at: float
    expires_at: float
    handed_at: float | None
    """When it first went out."""
    finished_at: float | None
    result: str
    """In the guest's words."""

    @property
    def name(self) -> str:
        """The kind and what it is about, such as ``service.restart web``."""
        return ' '.join([self.kind, *self.arguments.values()])


def add(
    connection: sa.Connection,
    server_id: str,
    kind: str,
    arguments: dict[str, str],
    recovery_id: str | None,
    now: float,
    expires_at: float,
    command_id: str | None = None,
) -> str:
    """Queue a command for a guest; returns its id.

    With an id that is known already nothing is added: so a worker that died between this and
    its own record can do it again. Raises ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f'{kind} is no command; there are {", ".join(KINDS)}')
    command_id = command_id or str(uuid.uuid4())
    known = sa.select(commands.c.id).where(commands.c.id == command_id)
    if connection.execute(known).first() is None:
        connection.execute(
            commands.insert().values(
                id=command_id,
                server_id=server_id,
                recovery_id=recovery_id,
                kind=kind,
                arguments=json.dumps(arguments),
                status=QUEUED,
                created_at=now,
                expires_at=expires_at,
                result='',
            )
        )
    return command_id


_PENDING = (
    sa.select(commands)
    .where(
        commands.c.server_id.in_(sa.bindparam('ids', expanding=True)),
        commands.c.status.in_(OPEN),
        commands.c.expires_at > sa.bindparam('now'),
    )
    .order_by(commands.c.created_at, commands.c.id)
)


def pending_of(
    connection: sa.Connection, server_ids: Sequence[str], now: float
) -> dict[str, list[Command]]:
    """What the next reply to each of these guests carries, oldest first, at most AT_ONCE.

    Guests for whom nothing waits are left out.
    """
    found: dict[str, list[Command]] = {}
    for row in connection.execute(_PENDING, {'ids': server_ids, 'now': now}):
        mine = found.setdefault(row.server_id, [])
        if len(mine) < AT_ONCE:
            mine.append(_command(row))
    return found


def handed(connection: sa.Connection, ids: Iterable[str], now: float) -> None:
    """Record that these go out; only the first time counts."""
    connection.execute(
        commands.update()
        .where(commands.c.id.in_(sorted(ids)), commands.c.status == QUEUED)
        .values(status=HANDED, handed_at=now)
    )


def finish(
    connection: sa.Connection,
    server_id: str,
    command_id: str,
    ok: bool,
    result: str,
    now: float,
    refused: bool = False,
) -> bool:
    """Record what a guest reports of its command; False if that is known already.

    A command of another guest, or one that there never was, changes nothing.
    """
    status = REFUSED if refused else DONE if ok else FAILED
    mine = sa.and_(
        commands.c.id == command_id,
        commands.c.server_id == server_id,
        commands.c.status.in_((*OPEN, EXPIRED)),
    )
    values = {'status': status, 'finished_at': now, 'result': result}
    return rowcount(connection.execute(commands.update().where(mine).values(values))) == 1


def withdraw(connection: sa.Connection, command_id: str, now: float) -> bool:
    """Close a command that is not wanted any more; False if it has ended already."""
    mine = sa.and_(commands.c.id == command_id, commands.c.status.in_(OPEN))
    values = {'status': EXPIRED, 'finished_at': now, 'expires_at': now}
    return rowcount(connection.execute(commands.update().where(mine).values(values))) == 1


def get(connection: sa.Connection, command_id: str, now: float | None = None) -> Command:
    """A command, with ``now`` as it is at that time: an open one may have expired since.

    Raises NotFound.
    """
    row = connection.execute(sa.select(commands).where(commands.c.id == command_id)).one_or_none()
    if row is None:
        raise NotFound(f'there is no command {command_id}')
    return _command(row, now)


def of_guest(connection: sa.Connection, server_id: str, limit: int = 100) -> list[Command]:
    """A guest's commands, newest first."""
    query = (
        sa.select(commands)
        .where(commands.c.server_id == server_id)
        .order_by(commands.c.created_at.desc(), commands.c.id)
        .limit(limit)
    )
    return [_command(r) for r in connection.execute(query).all()]


def _command(row: Any, now: float | None = None) -> Command:
    values = dict(row._mapping)
    if now is not None and values['status'] in OPEN and values['expires_at'] <= now:
        values['status'] = EXPIRED
    return Command(arguments=json.loads(values.pop('arguments')), **values)
