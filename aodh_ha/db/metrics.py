"""What guests measured: of each name the newest value, and when that was."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from aodh_ha.db.models import guests, metrics
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.guest import ENROLLED
from aodh_ha.rules.heartbeat import Metric

MOST = 100
"""Names of one guest; each is a metric in Gnocchi, which nobody deletes."""
AHEAD = 60.0
"""Seconds that a recorded value may be ahead of a new one; more, and our clock was set back."""


@dataclass(frozen=True)
class Measured:
    """The newest value of one metric of one guest."""

    server_id: str
    name: str
    value: float
    unit: str
    at: float
    """When it was measured, in seconds since the epoch by our clock."""
    recorded_at: float
    """When it came to us."""


def record(connection: sa.Connection, server_id: str, found: Sequence[Metric], now: float) -> None:
    """Keep what a guest told at ``now``; a value older than the one that is kept changes nothing.

    Raises InvalidRequest, and the transaction must not be committed, when the guest had more than
    MOST names then. Of a guest that is not enrolled nothing is kept.
    """
    if record_many(connection, [(server_id, found, now)], now):
        raise InvalidRequest(
            f'a guest may have {MOST} metrics of different names; send fewer, or wait until those '
            'that are not sent any more are forgotten, a day after their last value'
        )


def record_many(
    connection: sa.Connection, told: Iterable[tuple[str, Sequence[Metric], float]], now: float
) -> dict[str, int]:
    """As ``record`` for many guests at once, each with its id, metrics and when it told them.

    What goes beyond MOST is left out; returns how many values that were, by guest.
    """
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for server_id, found, told_at in told:
        for m in found:
            row = asdict(Measured(server_id, m.name, m.value, m.unit, told_at - m.age, now))
            before = rows.get((server_id, m.name))
            if before is None or before['at'] <= row['at']:
                rows[server_id, m.name] = row
    left_out: dict[str, int] = {}
    if not rows:
        return left_out
    ids = {server_id for server_id, _ in rows}
    known = _known(connection, ids)
    if any(at > now + AHEAD for names in known.values() for at in names.values()):
        ahead = sa.and_(metrics.c.server_id.in_(sorted(ids)), metrics.c.at > now + AHEAD)
        connection.execute(metrics.delete().where(ahead))
    kept = []
    # In one order everywhere, so that two gateways never wait for each other's rows.
    for (server_id, name), row in sorted(rows.items()):
        names = known.get(server_id)
        if names is None:
            continue  # forgotten meanwhile
        if name not in names and len(names) >= MOST:
            left_out[server_id] = left_out.get(server_id, 0) + 1
            continue
        names[name] = row['at']
        kept.append(row)
    if kept:
        connection.execute(_upsert(connection.dialect.name), kept)
    return left_out


def of_guest(connection: sa.Connection, server_id: str) -> list[Measured]:
    """A guest's metrics by name."""
    query = sa.select(metrics).where(metrics.c.server_id == server_id).order_by(metrics.c.name)
    return [Measured(**r._mapping) for r in connection.execute(query)]


@dataclass(frozen=True)
class Owned:
    """A value with whose it is."""

    measured: Measured
    project_id: str
    guest_name: str


def since(connection: sa.Connection, at: float) -> list[Owned]:
    """Values of all enrolled guests that came then or later, in no order."""
    query = (
        sa.select(metrics, guests.c.project_id, guests.c.name.label('guest_name'))
        .join(guests, guests.c.server_id == metrics.c.server_id)
        .where(metrics.c.recorded_at >= at, guests.c.status == ENROLLED)
    )
    return [Owned(Measured(*r[:6]), r.project_id, r.guest_name) for r in connection.execute(query)]


def names(connection: sa.Connection) -> list[str]:
    """The names that there are, of all guests."""
    query = sa.select(metrics.c.name).distinct().order_by(metrics.c.name)
    return list(connection.execute(query).scalars())


def _known(connection: sa.Connection, ids: set[str]) -> dict[str, dict[str, float]]:
    """Names and times that are recorded of these guests, as far as they are enrolled."""
    query = (
        sa.select(guests.c.server_id, metrics.c.name, metrics.c.at)
        .select_from(guests.outerjoin(metrics, metrics.c.server_id == guests.c.server_id))
        .where(guests.c.server_id.in_(sorted(ids)))
    )
    known: dict[str, dict[str, float]] = {}
    for r in connection.execute(query):
        names = known.setdefault(r.server_id, {})
        if r.name is not None:
            names[r.name] = r.at
    return known


def _upsert(dialect: str) -> sa.Executable:
    """One statement for many rows, which changes no row that is newer."""
    if dialect in ('mysql', 'mariadb'):
        new = mysql.insert(metrics)
        newer = new.inserted.at >= metrics.c.at
        # From left to right: what comes after sees the new `at`.
        changes = [
            (c.name, sa.func.if_(newer, new.inserted[c.name], c))
            for c in (metrics.c.value, metrics.c.unit, metrics.c.recorded_at, metrics.c.at)
        ]
        return new.on_duplicate_key_update(changes)
    insert: Any = postgresql.insert if dialect == 'postgresql' else sqlite.insert
    other = insert(metrics)
    statement: sa.Executable = other.on_conflict_do_update(
        index_elements=[metrics.c.server_id, metrics.c.name],
        set_={name: other.excluded[name] for name in ('value', 'unit', 'at', 'recorded_at')},
        where=metrics.c.at <= other.excluded.at,
    )
    return statement
