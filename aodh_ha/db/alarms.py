"""Our side of the Aodh alarms: which guest each is for."""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import alarms
from aodh_ha.exceptions import Conflict, NotFound
from aodh_ha.rules.alarm import Alarm


def _alarm(row: Any) -> Alarm:
    return Alarm(**row._mapping)


def get(connection: sa.Connection, alarm_id: str, project_id: str | None = None) -> Alarm:
    """An alarm, of this project unless project_id is None; raises NotFound."""
    query = sa.select(alarms).where(alarms.c.id == alarm_id)
    if project_id is not None:
        query = query.where(alarms.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no alarm {alarm_id} in this project')
    return _alarm(row)


def find(
    connection: sa.Connection,
    project_id: str | None = None,
    server_id: str | None = None,
    after: str = '',
    limit: int = 1000,
) -> list[Alarm]:
    """Alarms by id, from the one after ``after``; project_id None means all projects."""
    query = sa.select(alarms).where(alarms.c.id > after)
    if project_id is not None:
        query = query.where(alarms.c.project_id == project_id)
    if server_id is not None:
        query = query.where(alarms.c.server_id == server_id)
    return [_alarm(r) for r in connection.execute(query.order_by(alarms.c.id).limit(limit))]


def add(connection: sa.Connection, alarm: Alarm) -> None:
    """Add an alarm."""
    connection.execute(alarms.insert().values(asdict(alarm)))


def link(connection: sa.Connection, alarm_id: str, aodh_alarm_id: str) -> None:
    """Record which Aodh alarm carries it; raises Conflict when it carries another one of ours."""
    taken = sa.and_(alarms.c.aodh_alarm_id == aodh_alarm_id, alarms.c.id != alarm_id)
    if connection.execute(sa.select(alarms.c.id).where(taken)).first():
        raise Conflict(f'the Aodh alarm {aodh_alarm_id} carries another alarm already')
    # What was wrong was wrong with the one before.
    values = {'aodh_alarm_id': aodh_alarm_id, 'problem': ''}
    connection.execute(alarms.update().where(alarms.c.id == alarm_id).values(values))


def change(connection: sa.Connection, alarm_id: str, threshold: int, name: str) -> None:
    """Change what an alarm fires at, and what it is called."""
    values = {'threshold': threshold, 'name': name}
    connection.execute(alarms.update().where(alarms.c.id == alarm_id).values(values))


def set_state(connection: sa.Connection, alarm_id: str, state: str, now: float) -> None:
    """Record the state that Aodh told."""
    connection.execute(
        alarms.update().where(alarms.c.id == alarm_id).values(state=state, state_at=now)
    )


def set_problem(connection: sa.Connection, alarm_id: str, problem: str) -> bool:
    """Record what is wrong with its Aodh alarm; False when that is known already."""
    problem = problem[:255]
    other = sa.and_(alarms.c.id == alarm_id, alarms.c.problem != problem)
    return rowcount(connection.execute(alarms.update().where(other).values(problem=problem))) == 1


def delete(connection: sa.Connection, alarm_id: str) -> None:
    """Delete an alarm; its callback URLs are void from now on."""
    connection.execute(alarms.delete().where(alarms.c.id == alarm_id))


def delete_of_guest(connection: sa.Connection, server_id: str) -> None:
    """Delete a guest's alarms."""
    connection.execute(alarms.delete().where(alarms.c.server_id == server_id))
