"""Heartbeats that were refused, counted by guest and reason.

However many somebody sends, a guest has a row for each reason, and an event an hour at most.
"""

from collections.abc import Collection
from dataclasses import dataclass

import sqlalchemy as sa

from aodh_ha.db import audit
from aodh_ha.db.models import guests, refusals

NOBODY = ''
"""Stands for every guest that is not enrolled."""

TELL_AGAIN = 3600.0
"""Seconds until another event may tell that a guest's heartbeats are refused for a reason."""

REASONS = {
    'malformed': 'the Authorization header is not one of ours',
    'bad_signature': "the signature is not made with this guest's key",
    'not_enrolled': 'the guest is not enrolled',
    'wrong_project': 'the guest was enrolled by a project that does not own its server',
    'old_generation': 'the key is of an old generation',
    'clock_skew': "the guest's clock is too far off, or the heartbeat too old",
    'not_yours': 'an access key spoke for it that is not of its stack or project',
    'too_many': 'it sends more than a guest may',
    'replayed_sequence': 'the sequence is not newer than the last one',
}


@dataclass(frozen=True)
class Refusal:
    """How often a guest's heartbeats were refused for one reason. Times since the epoch."""

    server_id: str
    reason: str
    """One of REASONS."""
    count: int
    first_at: float
    last_at: float
    address: str = ''
    """Where the last one came from."""


def of_guest(connection: sa.Connection, server_id: str) -> list[Refusal]:
    """What was refused of one guest, by reason."""
    return _find(connection, refusals.c.server_id == server_id)


def find(connection: sa.Connection, project_id: str | None, limit: int = 1000) -> list[Refusal]:
    """What was refused of a project's guests, the newest first; None: of all, and of NOBODY."""
    if project_id is None:
        return _find(connection, sa.true(), limit)
    of_project = sa.select(guests.c.server_id).where(guests.c.project_id == project_id)
    return _find(connection, refusals.c.server_id.in_(of_project), limit)


def add(connection: sa.Connection, found: Collection[Refusal], now: float) -> None:
    """Count these more. Those of guests that are not enrolled are counted together.

    In the order of their ids, so that two gateways never wait for each other in a circle.
    """
    ids = {r.server_id for r in found}
    owners = {
        row.server_id: row.project_id
        for row in connection.execute(
            sa.select(guests.c.server_id, guests.c.project_id).where(guests.c.server_id.in_(ids))
        )
    }
    together: dict[tuple[str, str], Refusal] = {}
    for refusal in found:
        key = (refusal.server_id if refusal.server_id in owners else NOBODY, refusal.reason)
        together[key] = _sum(together.get(key), refusal)
    for (server_id, reason), refusal in sorted(together.items()):
        told_at = _count(connection, server_id, reason, refusal)
        if server_id != NOBODY and told_at < now - TELL_AGAIN:
            _tell(connection, server_id, owners[server_id], refusal, now)


def _sum(one: Refusal | None, other: Refusal) -> Refusal:
    if one is None:
        return other
    newest = max(one, other, key=lambda r: r.last_at)
    return Refusal(
        server_id=newest.server_id,
        reason=newest.reason,
        count=one.count + other.count,
        first_at=min(one.first_at, other.first_at),
        last_at=newest.last_at,
        address=newest.address,
    )


def _same(server_id: str, reason: str) -> sa.ColumnElement[bool]:
    return sa.and_(refusals.c.server_id == server_id, refusals.c.reason == reason)


def _count(connection: sa.Connection, server_id: str, reason: str, refusal: Refusal) -> float:
    """Returns when an event last told of it; 0 for never."""
    same = _same(server_id, reason)
    told_at = connection.execute(sa.select(refusals.c.told_at).where(same)).scalar()
    values = {'last_at': refusal.last_at, 'address': refusal.address[:64]}
    if told_at is None:
        first = {
            'server_id': server_id,
            'reason': reason,
            'count': refusal.count,
            'first_at': refusal.first_at,
            'told_at': 0.0,
        }
        connection.execute(refusals.insert().values(first | values))
        return 0.0
    more = refusals.c.count + refusal.count
    connection.execute(refusals.update().where(same).values(count=more, **values))
    return float(told_at)


def _tell(
    connection: sa.Connection, server_id: str, project_id: str, refusal: Refusal, now: float
) -> None:
    times = 'a heartbeat was' if refusal.count == 1 else f'{refusal.count} heartbeats were'
    where = f' (the last from {refusal.address})' if refusal.address else ''
    audit.record(
        connection,
        now,
        'heartbeat_refused',
        f'{times} refused{where}: {REASONS[refusal.reason]}',
        project_id=project_id,
        server_id=server_id,
        data={'reason': refusal.reason, 'count': refusal.count},
    )
    told = refusals.update().where(_same(server_id, refusal.reason))
    connection.execute(told.values(told_at=now))


def _find(
    connection: sa.Connection, where: sa.ColumnElement[bool], limit: int = 1000
) -> list[Refusal]:
    r = refusals.c
    columns = (r.server_id, r.reason, r.count, r.first_at, r.last_at, r.address)
    query = sa.select(*columns).where(where).order_by(r.last_at.desc(), r.server_id, r.reason)
    return [Refusal(*row) for row in connection.execute(query.limit(limit))]
