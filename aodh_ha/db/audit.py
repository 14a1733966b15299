"""The audit trail: every decision with what it was based on, also the one not to act."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.models import events


@dataclass(frozen=True)
class Event:
    """An entry. ``at`` is seconds since the epoch."""

    at: float
    kind: str
    message: str
    server_id: str | None
    recovery_id: str | None
    data: dict[str, Any]


def record(
    connection: sa.Connection,
    now: float,
    kind: str,
    message: str,
    *,
    project_id: str | None = None,
    server_id: str | None = None,
    recovery_id: str | None = None,
    data: dict[str, Any] | None = None,
) -> None:
    """Add an entry to the transaction."""
    connection.execute(
        events.insert().values(
            at=now,
            kind=kind,
            message=message,
            project_id=project_id,
            server_id=server_id,
            recovery_id=recovery_id,
            data=json.dumps(data or {}),
        )
    )


def of_recovery(connection: sa.Connection, recovery_id: str) -> list[Event]:
    """The entries of a recovery, oldest first."""
    return _select(connection, events.c.recovery_id == recovery_id)


def of_guest(
    connection: sa.Connection,
    server_id: str,
    limit: int = 100,
    *,
    project_id: str | None = None,
    kind: str | None = None,
) -> list[Event]:
    """The newest entries of a guest, oldest of them first.

    A server that somebody else's project tries to enrol has entries of both: an owner is shown
    those of ``project_id`` only.
    """
    where = events.c.server_id == server_id
    if project_id is not None:
        where = sa.and_(where, events.c.project_id == project_id)
    if kind is not None:
        where = sa.and_(where, events.c.kind == kind)
    return _select(connection, where, limit)


def _select(
    connection: sa.Connection, where: sa.ColumnElement[bool], limit: int = 1000
) -> list[Event]:
    query = sa.select(events).where(where).order_by(events.c.id.desc()).limit(limit)
    return [
        Event(r.at, r.kind, r.message, r.server_id, r.recovery_id, json.loads(r.data))
        for r in reversed(connection.execute(query).all())
    ]
