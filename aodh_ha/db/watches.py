"""Watches: CloudWatch alarms of templates, and the samples that came for them."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import gateways, guests, leftovers
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import alarms, attempts, recoveries, watch_samples, watches
from aodh_ha.exceptions import Conflict, InvalidRequest, NotFound
from aodh_ha.rules import cloudwatch, gateway
from aodh_ha.rules import watch as rules
from aodh_ha.rules.alarm import RESTARTER
from aodh_ha.rules.cloudwatch import Datum
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.heartbeat import mended
from aodh_ha.rules.watch import Values, Watch

MOST = 500
"""Watches of one project."""

FEW = 50
"""Restarters that the database is asked for one by one."""


def _watch(row: Any) -> Watch:
    values = dict(row._mapping)
    values['dimensions'] = tuple((n, v) for n, v in json.loads(values['dimensions']))
    values['restarters'] = tuple(json.loads(values['restarters']))
    return Watch(**values)


def _values(watch: Watch) -> dict[str, Any]:
    lists = {
        'dimensions': json.dumps(sorted(watch.dimensions)),
        'restarters': json.dumps(watch.restarters),
    }
    return asdict(watch) | lists


def get(connection: sa.Connection, watch_id: str, project_id: str | None = None) -> Watch:
    """A watch, of this project unless project_id is None; raises NotFound."""
    query = sa.select(watches).where(watches.c.id == watch_id)
    if project_id is not None:
        query = query.where(watches.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no watch {watch_id} in this project')
    return _watch(row)


def find(
    connection: sa.Connection, project_id: str | None = None, after: str = '', limit: int = MOST
) -> list[Watch]:
    """Watches by id, from the one after ``after``; project_id None means all projects."""
    query = sa.select(watches).where(watches.c.id > after)
    if project_id is not None:
        query = query.where(watches.c.project_id == project_id)
    return [_watch(r) for r in connection.execute(query.order_by(watches.c.id).limit(limit))]


def meant(
    connection: sa.Connection, project_ids: Iterable[str], told: Iterable[Datum]
) -> list[Watch]:
    """Watches of these projects to which some of these samples may belong, or that they name.

    Those of an alarm's name that is told, else those of the metric; rules.watch.wants says which
    of them it is.
    """
    found = [_may_mean(d) for d in dict.fromkeys((d.namespace, d.name, d.alarm_name) for d in told)]
    query = sa.select(watches).where(
        watches.c.project_id.in_(sorted(set(project_ids))), sa.or_(sa.false(), *found)
    )
    return [_watch(r) for r in connection.execute(query.order_by(watches.c.id))]


def _may_mean(told: tuple[str, str, str]) -> sa.ColumnElement[bool]:
    namespace, metric, named = map(mended, told)
    if not named:
        return sa.and_(watches.c.namespace == namespace, watches.c.metric == metric)
    return sa.or_(
        watches.c.name.in_([named, *cloudwatch.logical_names(named)]),
        watches.c.name.contains(f'-{named}-', autoescape=True),  # as Heat names it
        watches.c.id == named,
        watches.c.aodh_alarm_id == named,
    )


def add(connection: sa.Connection, watch: Watch) -> None:
    """Add a watch; raises InvalidRequest where the project has MOST."""
    same = watches.c.project_id == watch.project_id
    query = sa.select(sa.func.count()).select_from(watches).where(same)
    if connection.execute(query).scalar_one() >= MOST:
        raise InvalidRequest(f'a project may have {MOST} watches; delete some')
    connection.execute(watches.insert().values(_values(watch)))


def put(connection: sa.Connection, watch: Watch) -> None:
    """Write another definition of a watch; what came for another metric counts no more."""
    old = get(connection, watch.id)
    if (old.namespace, old.metric, old.dimensions) != (
        *(watch.namespace, watch.metric),
        watch.dimensions,
    ):
        _delete_samples(connection, watch.id)
    connection.execute(watches.update().where(watches.c.id == watch.id).values(_values(watch)))


def link(connection: sa.Connection, watch_id: str, aodh_alarm_id: str) -> None:
    """Record which Aodh alarm carries it; raises Conflict when it carries another one."""
    taken = sa.and_(watches.c.aodh_alarm_id == aodh_alarm_id, watches.c.id != watch_id)
    if connection.execute(sa.select(watches.c.id).where(taken)).first():
        raise Conflict(f'the Aodh alarm {aodh_alarm_id} carries another watch already')
    mine = watches.update().where(watches.c.id == watch_id)
    # What was wrong was wrong with the one before.
    connection.execute(mine.values(aodh_alarm_id=aodh_alarm_id, problem=''))


def set_problem(connection: sa.Connection, watch_id: str, problem: str) -> bool:
    """Record what is wrong with its Aodh alarm; False when that is known already."""
    other = sa.and_(watches.c.id == watch_id, watches.c.problem != problem)
    changed = connection.execute(watches.update().where(other).values(problem=problem))
    return rowcount(changed) == 1


def delete(connection: sa.Connection, watch_id: str) -> None:
    """Delete a watch, and what came for it."""
    leftovers.add(connection, watch_id)
    _delete_samples(connection, watch_id)
    connection.execute(watches.delete().where(watches.c.id == watch_id))


def _delete_samples(connection: sa.Connection, watch_id: str) -> None:
    connection.execute(watch_samples.delete().where(watch_samples.c.watch_id == watch_id))


# ---- samples


def record(
    connection: sa.Connection, told: Iterable[tuple[Guest, Datum, float]], found: Sequence[Watch]
) -> None:
    """Keep what came, each with its guest and time, for those of these watches that want it."""
    rows = [
        {
            'watch_id': watch.id,
            'at': at,
            'count': datum.count,
            'total': datum.value * datum.count,
            'low': datum.low,
            'high': datum.high,
        }
        for guest, datum, at in told
        for watch in found
        if rules.wants(watch, datum, guest)
    ]
    if rows:
        connection.execute(watch_samples.insert(), rows)


def prune(connection: sa.Connection, now: float) -> int:
    """Forget what no watch looks back to any more."""
    done = 0
    query = sa.select(watches.c.id, watches.c.period, watches.c.evaluation_periods)
    for row in connection.execute(query).all():
        old = sa.and_(
            watch_samples.c.watch_id == row.id,
            watch_samples.c.at <= now - row.period * row.evaluation_periods,
        )
        done += rowcount(connection.execute(watch_samples.delete().where(old)))
    return done


# ---- how they are


def values(
    connection: sa.Connection, found: Sequence[Watch], now: float
) -> list[tuple[Watch, float | None]]:
    """The number of each watch, as rules.watch.value has it."""
    if not found:
        return []
    listening = gateways.listening_since(connection, now, gateway.CLOUDWATCH)
    window = watches.c.period * watches.c.evaluation_periods
    query = (
        sa.select(watch_samples)
        .join(watches, watches.c.id == watch_samples.c.watch_id)
        .where(watches.c.id.in_([w.id for w in found]), watch_samples.c.at > now - window)
    )
    samples: dict[str, list[Values]] = {}
    for r in connection.execute(query):
        one = Values(r.at, r._mapping['count'], r.total, r.low, r.high)
        samples.setdefault(r.watch_id, []).append(one)
    acted = _acted(connection, found)
    return [
        (w, rules.value(w, samples.get(w.id, []), now, listening, acted.get(w.id, 0.0)))
        for w in found
    ]


def _acted(connection: sa.Connection, found: Sequence[Watch]) -> dict[str, float]:
    """When the newest action of a recovery was sent, by the watch that would open such a one."""
    ids = {r for w in found for r in w.restarters}
    if not ids:
        return {}
    query = (
        sa.select(alarms.c.id, sa.func.max(attempts.c.sent_at))
        .select_from(
            alarms.join(recoveries, recoveries.c.server_id == alarms.c.server_id).join(
                attempts, attempts.c.recovery_id == recoveries.c.id
            )
        )
        .where(alarms.c.id.in_(ids))
        .group_by(alarms.c.id)
    )
    times: dict[str, float] = {}
    for alarm_id, at in connection.execute(query):
        for watch in found:
            if alarm_id in watch.restarters:
                times[watch.id] = max(times.get(watch.id, 0.0), at or 0.0)
    return times


def of_restarters(
    connection: sa.Connection, project_id: str, alarm_ids: Iterable[str]
) -> list[Watch]:
    """The project's watches that call one of these alarms of ours."""
    wanted = set(alarm_ids)
    if not wanted:
        return []
    query = sa.select(watches).where(watches.c.project_id == project_id)
    if len(wanted) <= FEW:
        query = query.where(sa.or_(*(watches.c.restarters.contains(i) for i in sorted(wanted))))
    found = map(_watch, connection.execute(query.order_by(watches.c.id)))
    return [w for w in found if wanted & set(w.restarters)]


def of_guest(connection: sa.Connection, guest: Guest) -> list[Watch]:
    """The watches that would have this guest recovered."""
    mine = sa.select(alarms.c.id).where(
        alarms.c.server_id == guest.server_id, alarms.c.trigger == RESTARTER
    )
    return of_restarters(connection, guest.project_id, connection.execute(mine).scalars())


def targets(connection: sa.Connection, found: Sequence[Watch]) -> dict[str, str]:
    """By watch the server that it would have recovered, where it is one."""
    ids = {r for w in found for r in w.restarters}
    if not ids:
        return {}
    query = sa.select(alarms.c.id, alarms.c.server_id).where(alarms.c.id.in_(ids))
    server = {r.id: r.server_id for r in connection.execute(query)}
    of = {w.id: {server[r] for r in w.restarters if r in server} for w in found}
    return {watch_id: min(servers) for watch_id, servers in of.items() if len(servers) == 1}


def settle(connection: sa.Connection, server_id: str, now: float) -> None:
    """Bring the guest's services up to date with the watches that would have it recovered."""
    guest = guests.get(connection, server_id)
    found = of_guest(connection, guest)
    services = rules.services(guest.services, values(connection, found, now))
    if services == guest.services:
        return
    guests.set_services(connection, guest, services, now)


def settle_all(connection: sa.Connection, now: float) -> int:
    """As ``settle`` for every guest that a watch would have recovered; returns how many."""
    query = sa.select(alarms.c.server_id).where(alarms.c.trigger == RESTARTER).distinct()
    ids = connection.execute(query).scalars()
    return guests.for_each(ids, lambda i: settle(connection, i, now))
