"""Deleting what is old. Each call deletes one batch and returns how many rows it was."""

from typing import Any

import sqlalchemy as sa

from aodh_ha.db import callback_tokens as tokens
from aodh_ha.db import models
from aodh_ha.db.database import rowcount

BATCH = 200


def recoveries(connection: sa.Connection, before: float, limit: int = BATCH // 4) -> int:
    """Recoveries that ended before then, with all that belongs to them."""
    table = models.recoveries
    old = sa.and_(table.c.active_key.is_(None), table.c.finished_at < before)
    ids = _first(connection, table.c.id, table.c.finished_at, old, limit)
    if not ids:
        return 0
    tried = connection.execute(
        sa.select(models.attempts.c.id).where(models.attempts.c.recovery_id.in_(ids))
    ).scalars()
    attempts = list(tried)
    for of_attempt in (models.definitions.c.attempt_id, models.marks.c.attempt_id):
        _delete(connection, of_attempt, attempts)
    for column in (
        models.attempts.c.recovery_id,
        models.events.c.recovery_id,
        models.commands.c.recovery_id,
    ):
        _delete(connection, column, ids)
    return _delete(connection, table.c.id, ids)


def events(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Entries of the audit trail; those of a recovery go with it."""
    table = models.events
    return _old(connection, table.c.id, table.c.at, before, limit, table.c.recovery_id.is_(None))


def notifications(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Notifications, delivered or given up; one that nobody ever tried stays."""
    table = models.notifications
    return _old(connection, table.c.id, table.c.at, before, limit, table.c.tries > 0)


def incidents(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Incidents that were closed before then."""
    table = models.incidents
    return _old(connection, table.c.id, table.c.closed_at, before, limit)


def silences(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Maintenance windows that ended before then."""
    table = models.silences
    return _old(connection, table.c.id, table.c.ends_at, before, limit)


def commands(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Commands for guests that expired before then; those of a recovery go with it."""
    table = models.commands
    mine = table.c.recovery_id.is_(None)
    return _old(connection, table.c.id, table.c.expires_at, before, limit, mine)


def metrics(connection: sa.Connection, before: float, limit: int = BATCH) -> int:
    """Metrics of guests whose newest value came before then."""
    table = models.metrics
    key = sa.tuple_(table.c.server_id, table.c.name)
    query = sa.select(table.c.server_id, table.c.name).where(table.c.recorded_at < before)
    rows = connection.execute(query.order_by(table.c.recorded_at).limit(limit)).all()
    if not rows:
        return 0
    # Once more the time: a new value may have come meanwhile.
    old = sa.and_(key.in_([tuple(r) for r in rows]), table.c.recorded_at < before)
    return rowcount(connection.execute(table.delete().where(old)))


def callback_tokens(connection: sa.Connection) -> int:
    """Tokens of callbacks whose recovery has ended."""
    table, of = models.callback_tokens, models.recoveries
    active = sa.select(of.c.id).where(of.c.active_key.is_not(None))
    ended = sa.and_(table.c.recovery_id.not_in(active), tokens.done_with())
    return rowcount(connection.execute(table.delete().where(ended)))


def _old(
    connection: sa.Connection,
    key: sa.Column[Any],
    at: sa.Column[float],
    before: float,
    limit: int,
    *more: sa.ColumnElement[bool],
) -> int:
    where = sa.and_(at < before, *more)
    return _delete(connection, key, _first(connection, key, at, where, limit))


def _first(
    connection: sa.Connection,
    key: sa.Column[Any],
    at: sa.Column[float],
    where: sa.ColumnElement[bool],
    limit: int,
) -> list[Any]:
    # Read first, the oldest: MariaDB has no LIMIT in a subquery of a DELETE.
    query = sa.select(key).where(where).order_by(at).limit(limit)
    return list(connection.execute(query).scalars())


def _delete(
    connection: sa.Connection,
    key: sa.Column[Any],
    values: list[Any],
) -> int:
    if not values:
        return 0
    return rowcount(connection.execute(sa.delete(key.table).where(key.in_(values))))
