"""Incidents: a compute host that died, or a storm; what many recoveries have in common."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import incidents
from aodh_ha.exceptions import NotFound
from aodh_ha.rules.evidence import Incident

HOST, STORM = 'host', 'storm'

WIDTH = ('host', 'zone', 'way')
"""First words of the causes that rules.storm gives, from the narrowest."""

BY_A_PERSON = '; closed by user '
"""Stands in the reason of an incident that a person closed."""


def open_(
    connection: sa.Connection, kind: str, name: str, reason: str, now: float
) -> tuple[Incident, bool]:
    """The open incident of this kind and name, and whether it was opened just now.

    There is one storm at a time, whatever its cause is thought to be.
    """
    known = get_open(connection, kind, name)
    if known:
        return known, False
    values = {
        'id': str(uuid.uuid4()),
        'kind': kind,
        'name': name,
        'active_key': _key(kind, name),
        'reason': reason,
        'opened_at': now,
    }
    try:
        with connection.begin_nested():
            connection.execute(incidents.insert().values(values))
    except exc.IntegrityError:
        known = get_open(connection, kind, name)
        if known is None:  # it has just been closed
            raise
        return known, False
    return Incident(str(values['id']), kind, name, reason, now), True


def get(connection: sa.Connection, incident_id: str) -> Incident:
    """An incident; raises NotFound."""
    query = sa.select(incidents).where(incidents.c.id == incident_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no incident {incident_id}')
    return _incident(row)


def get_open(connection: sa.Connection, kind: str, name: str) -> Incident | None:
    """The open incident of this kind and name."""
    query = sa.select(incidents).where(incidents.c.active_key == _key(kind, name))
    row = connection.execute(query).one_or_none()
    return _incident(row) if row else None


def find(connection: sa.Connection, open_only: bool = False, limit: int = 1000) -> list[Incident]:
    """Incidents, newest first."""
    query = sa.select(incidents)
    if open_only:
        query = query.where(incidents.c.active_key.is_not(None))
    query = query.order_by(incidents.c.opened_at.desc(), incidents.c.id).limit(limit)
    return [_incident(r) for r in connection.execute(query).all()]


def fenced(connection: sa.Connection, incident_id: str, now: float, by: str) -> bool:
    """Record that the host was cut off, and by what; False when it was recorded or is closed."""
    mine = sa.and_(
        incidents.c.id == incident_id,
        incidents.c.active_key.is_not(None),
        incidents.c.fenced_at.is_(None),
    )
    values = {'fenced_at': now, 'fenced_by': by[:255]}
    return rowcount(connection.execute(incidents.update().where(mine).values(values))) == 1


def notified(connection: sa.Connection, incident_id: str) -> bool:
    """Record that a person was told; False when that was recorded already."""
    mine = sa.and_(incidents.c.id == incident_id, incidents.c.notified.is_(False))
    return rowcount(connection.execute(incidents.update().where(mine).values(notified=True))) == 1


def widen(connection: sa.Connection, known: Incident, cause: str, reason: str) -> bool:
    """Give an open storm its cause, when that is found or turns out to be a wider one.

    False when it is no wider: a storm is first seen when some of its guests are silent and the
    others not yet, and all that those have in common may be their host. As it ends it looks
    smaller again, and may go to and fro between two.
    """
    if _width(cause) <= _width(known.name):
        return False
    same = sa.and_(
        incidents.c.id == known.id,
        incidents.c.name == known.name,
        incidents.c.active_key.is_not(None),
    )
    values = {'name': cause, 'reason': reason, 'notified': False}
    return rowcount(connection.execute(incidents.update().where(same).values(values))) == 1


def close(connection: sa.Connection, incident_id: str, now: float, reason: str) -> bool:
    """End an incident; False when it has ended. A host that dies again opens a new one."""
    mine = sa.and_(incidents.c.id == incident_id, incidents.c.active_key.is_not(None))
    values = {'active_key': None, 'closed_at': now, 'reason': reason}
    return rowcount(connection.execute(incidents.update().where(mine).values(values))) == 1


def dismissed_at(connection: sa.Connection, kind: str) -> float:
    """When a person last closed an incident of this kind, whose recoveries are to go on; else 0."""
    query = sa.select(sa.func.max(incidents.c.closed_at)).where(
        incidents.c.kind == kind, incidents.c.reason.contains(BY_A_PERSON)
    )
    return float(connection.execute(query).scalar_one() or 0.0)


def _key(kind: str, name: str) -> str:
    return kind if kind == STORM else f'{kind}:{name}'[:255]


def _width(cause: str) -> int:
    word = cause.partition(' ')[0]
    return WIDTH.index(word) + 1 if word in WIDTH else 0


def _incident(row: Any) -> Incident:
    values = dict(row._mapping)
    values.pop('active_key')
    return Incident(**values)
