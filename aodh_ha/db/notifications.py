"""Notifications: an outbox, written in the transaction of the decision, delivered by a duty."""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.models import notifications


@dataclass(frozen=True)
class Notification:
    """What a person should know. Times are seconds since the epoch."""

    id: str
    at: float
    kind: str
    """What it is about, in one word: ``exhausted``, ``storm``, ``host``, ``alarm`` …"""
    project_id: str | None
    server_id: str | None
    recovery_id: str | None
    message: str
    hook: str
    """Which hook brings it; empty: the one of [notifications]."""
    tries: int
    not_before: float
    delivered_at: float | None


def _notification(row: Any) -> Notification:
    return Notification(**row._mapping)


def add(
    connection: sa.Connection,
    now: float,
    kind: str,
    message: str,
    *,
    project_id: str | None = None,
    server_id: str | None = None,
    recovery_id: str | None = None,
    hook: str = '',
) -> str:
    """Add one to the transaction; returns its id. It is delivered once that is committed."""
    notification_id = str(uuid.uuid4())
    connection.execute(
        notifications.insert().values(
            id=notification_id,
            at=now,
            kind=kind,
            message=message,
            project_id=project_id,
            server_id=server_id,
            recovery_id=recovery_id,
            hook=hook,
        )
    )
    return notification_id


def due(
    connection: sa.Connection, now: float, give_up_after: float, limit: int = 20
) -> list[Notification]:
    """Those to deliver now, the longest due first; each is tried once, however old it is."""
    fresh = sa.or_(notifications.c.tries == 0, notifications.c.at > now - give_up_after)
    query = (
        sa.select(notifications)
        .where(notifications.c.delivered_at.is_(None), notifications.c.not_before <= now, fresh)
        .order_by(notifications.c.not_before, notifications.c.at, notifications.c.id)
        .limit(limit)
    )
    return [_notification(r) for r in connection.execute(query)]


def delivered(connection: sa.Connection, notification_id: str, now: float) -> None:
    """Record that a person could have seen it."""
    _tried(connection, notification_id, {'delivered_at': now})


def failed(connection: sa.Connection, notification_id: str, not_before: float) -> None:
    """Record a try that failed, and when to try again."""
    _tried(connection, notification_id, {'not_before': not_before})


def _tried(connection: sa.Connection, notification_id: str, values: dict[str, Any]) -> None:
    connection.execute(
        notifications.update()
        .where(notifications.c.id == notification_id)
        .values(tries=notifications.c.tries + 1, **values)
    )


def find(
    connection: sa.Connection, project_id: str | None = None, limit: int = 100
) -> list[Notification]:
    """The newest, newest first; project_id None means all projects."""
    query = sa.select(notifications)
    if project_id is not None:
        query = query.where(notifications.c.project_id == project_id)
    query = query.order_by(notifications.c.at.desc(), notifications.c.id).limit(limit)
    return [_notification(r) for r in connection.execute(query)]
