"""Maintenance windows: while one covers a guest, nothing is done to it."""

from typing import Any

import sqlalchemy as sa

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import silences
from aodh_ha.db.policies import OPERATOR
from aodh_ha.exceptions import NotFound
from aodh_ha.rules.evidence import Silence
from aodh_ha.rules.guest import Guest

GUEST, GROUP, HOST, PROJECT, ALL = 'guest', 'group', 'host', 'project', 'all'
SCOPES = (GUEST, GROUP, HOST, PROJECT, ALL)
"""HOST and ALL reach over projects: such windows belong to no project, but to the operator."""


def add(connection: sa.Connection, silence: Silence) -> Silence:
    """Store a window; who may set which scope is checked by the caller."""
    values = {c.name: getattr(silence, c.name) for c in silences.columns}
    connection.execute(silences.insert().values(values))
    return silence


def find(
    connection: sa.Connection,
    project_id: str | None = None,
    now: float | None = None,
    limit: int = 1000,
) -> list[Silence]:
    """Windows, the one that ends last first: of a project or (None) of all; with ``now`` only
    those that have not ended."""
    query = sa.select(silences)
    if project_id is not None:
        query = query.where(silences.c.project_id == project_id)
    if now is not None:
        query = query.where(silences.c.ends_at > now)
    query = query.order_by(silences.c.ends_at.desc(), silences.c.id).limit(limit)
    return [_silence(r) for r in connection.execute(query).all()]


def covering(connection: sa.Connection, guest: Guest, host: str, now: float) -> tuple[Silence, ...]:
    """The windows that cover a guest now, the one that ends last first.

    ``host`` is where it is according to Nova. A window of one project never covers the guest of
    another.
    """
    s = silences.c
    named = [
        sa.and_(s.scope == GUEST, s.value == guest.server_id),
        sa.and_(s.scope == PROJECT, s.value == guest.project_id),
    ]
    if guest.group_name:
        named.append(sa.and_(s.scope == GROUP, s.value == guest.group_name))
    everywhere = [s.scope == ALL]
    if host:
        everywhere.append(sa.and_(s.scope == HOST, s.value == host))
    query = (
        sa.select(silences)
        .where(
            s.starts_at <= now,
            s.ends_at > now,
            sa.or_(
                sa.and_(s.project_id == guest.project_id, sa.or_(*named)),
                sa.and_(s.project_id == OPERATOR, sa.or_(*everywhere)),
            ),
        )
        .order_by(s.ends_at.desc(), s.id)
    )
    return tuple(_silence(r) for r in connection.execute(query).all())


def end(connection: sa.Connection, silence_id: str, project_id: str | None, now: float) -> Silence:
    """End a window now, of this project unless project_id is None; raises NotFound."""
    mine = silences.c.id == silence_id
    if project_id is not None:
        mine = sa.and_(mine, silences.c.project_id == project_id)
    row = connection.execute(sa.select(silences).where(mine)).one_or_none()
    if row is None:
        raise NotFound(f'no silence {silence_id} in this project')
    ended = silences.update().where(mine, silences.c.ends_at > now).values(ends_at=now)
    if rowcount(connection.execute(ended)):
        row = connection.execute(sa.select(silences).where(mine)).one()
    return _silence(row)


def _silence(row: Any) -> Silence:
    return Silence(**row._mapping)
