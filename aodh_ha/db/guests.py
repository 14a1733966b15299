"""Enrolled guests and what was heard of them."""

import functools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import leftovers
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import guests, metrics, recoveries, refusals
from aodh_ha.exceptions import Conflict, NotFound
from aodh_ha.rules.guest import ENROLLED, PENDING, REFUSED, Guest
from aodh_ha.rules.heartbeat import Report, Service

PENDING_TIME = 30.0
"""Seconds that an enrolment may wait for a worker before another project's takes its place."""

_SETTINGS = ('interval', 'missed_limit', 'boot_grace', 'policy', 'group_name')


@dataclass(frozen=True)
class Beat:
    """Accepted heartbeats of one guest that wait to be written: the newest, and how many."""

    server_id: str
    received_at: float
    sequence: int
    report: Report
    count: int = 1


_COLUMNS = tuple(c.name for c in guests.columns)


def of_row(row: Sequence[Any]) -> Guest:
    """The guest in a row with the table's columns, in their order."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values['services'] = _services(values['services'])
    values['opted_out'] = bool(values['opted_out'])
    return Guest(**values)


@functools.lru_cache(maxsize=256)
def _services(text: str) -> tuple[Service, ...]:
    # Most guests of a fleet say the same, again and again.
    return tuple(Service(**s) for s in json.loads(text))


def get(connection: sa.Connection, server_id: str, project_id: str | None = None) -> Guest:
    """A guest, of this project unless project_id is None; raises NotFound."""
    query = sa.select(guests).where(guests.c.server_id == server_id)
    if project_id is not None:
        query = query.where(guests.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no guest {server_id} is enrolled in this project')
    return of_row(row)


def find(
    connection: sa.Connection,
    project_id: str | None = None,
    status: str | None = None,
    after: str = '',
    limit: int = 1000,
) -> list[Guest]:
    """Guests by server id, from the one after ``after``; project_id None means all projects."""
    query = sa.select(guests).where(guests.c.server_id > after)
    if project_id is not None:
        query = query.where(guests.c.project_id == project_id)
    if status is not None:
        query = query.where(guests.c.status == status)
    rows = connection.execute(query.order_by(guests.c.server_id).limit(limit)).all()
    return [of_row(r) for r in rows]


def enrolled(connection: sa.Connection, server_id: str, project_id: str) -> Guest | None:
    """The project's guest as it is enrolled or pending; None if it is not."""
    try:
        guest = get(connection, server_id, project_id)
    except NotFound:
        return None
    return None if guest.status == REFUSED else guest


def enroll(connection: sa.Connection, guest: Guest) -> tuple[Guest, bool]:
    """Enrol a guest, or bring its settings up to date; returns it and whether it is new.

    It starts (again) as pending; a worker asks Nova whose server it is. Raises Conflict when
    another project has enrolled it, or is about to: what a stranger leaves pending while no
    worker looks stands in the owner's way for PENDING_TIME only.
    """
    row = connection.execute(
        sa.select(guests).where(guests.c.server_id == guest.server_id)
    ).one_or_none()
    values = _values(guest)
    if row is None:
        connection.execute(guests.insert().values(values))
        return guest, True
    old = of_row(row)
    others = old.project_id != guest.project_id
    left = others and old.status == PENDING and guest.enrolled_at > old.enrolled_at + PENDING_TIME
    if old.status == REFUSED or left:
        connection.execute(metrics.delete().where(metrics.c.server_id == guest.server_id))
        connection.execute(guests.update().where(_is(guest.server_id)).values(values))
        return guest, True
    if others:
        # Of one that is enrolled and one that is pending the same is told.
        raise Conflict(
            f'server {guest.server_id} cannot be enrolled now; if it is of this project, '
            f'try again in {PENDING_TIME:g} s'
        )
    settings = {k: values[k] for k in _SETTINGS}
    connection.execute(guests.update().where(_is(guest.server_id)).values(settings))
    return get(connection, guest.server_id), False


def unwatched(connection: sa.Connection, limit: int) -> list[Guest]:
    """Guests for which the service is to create an alarm; one of services once there are any.

    Not for one that was never heard: a rule enrols servers that have no agent, too, and none of
    them may be rebooted for that. Nor while another server of its stack is being recovered: it may
    be the one that takes that one's place, and is given its alarms.
    """
    due = sa.or_(guests.c.to_watch.contains('heartbeat'), guests.c.services != '[]')
    heard = guests.c.last_seen.is_not(None)
    wanted = sa.and_(guests.c.status == ENROLLED, guests.c.to_watch != '')
    beside = sa.select(recoveries.c.id).where(
        recoveries.c.active_key.is_not(None),
        recoveries.c.server_id != guests.c.server_id,
        recoveries.c.stack_id == guests.c.stack_id,
    )
    alone = sa.or_(guests.c.stack_id == '', ~beside.exists())
    query = sa.select(guests).where(wanted, heard, due, guests.c.looked_at > 0, alone)
    rows = connection.execute(query.order_by(guests.c.enrolled_at).limit(limit)).all()
    return [of_row(r) for r in rows]


def watch(connection: sa.Connection, guest: Guest, triggers: Iterable[str]) -> None:
    """Have the service create an alarm for each of these triggers, where there is none."""
    values = {'to_watch': ','.join(triggers)}
    connection.execute(guests.update().where(_is(guest.server_id)).values(values))


def watched(connection: sa.Connection, guest: Guest, trigger: str) -> None:
    """Record that the guest has its alarm for this trigger."""
    row = connection.execute(sa.select(guests.c.to_watch).where(_is(guest.server_id))).first()
    left = [t for t in row.to_watch.split(',') if t != trigger] if row else []
    values = {'to_watch': ','.join(left)}
    connection.execute(guests.update().where(_is(guest.server_id)).values(values))


def put(connection: sa.Connection, guest: Guest) -> None:
    """Write a guest, in the place of one that was never confirmed."""
    values = _values(guest)
    never = sa.and_(_is(guest.server_id), guests.c.status != ENROLLED)
    if not rowcount(connection.execute(guests.update().where(never).values(values))):
        connection.execute(guests.insert().values(values))


def confirm(
    connection: sa.Connection, guest: Guest, now: float, name: str, refusal: str = ''
) -> bool:
    """What Nova said about a pending guest: whose it is and its name, or why not."""
    values: dict[str, Any] = {'status': REFUSED, 'status_reason': refusal[:255]}
    if not refusal:
        # The boot grace counts from here: nobody could be heard before.
        values = {'status': ENROLLED, 'status_reason': '', 'name': name[:255], 'enrolled_at': now}
    same = sa.and_(
        _is(guest.server_id),
        guests.c.status == PENDING,
        guests.c.project_id == guest.project_id,
    )
    return rowcount(connection.execute(guests.update().where(same).values(values))) == 1


def rotate(connection: sa.Connection, guest: Guest, now: float, overlap: float) -> Guest:
    """Give a guest a new key; raises Conflict if somebody else has just done so.

    What it had until now is good for ``overlap`` seconds more, also a key that an earlier
    rotation has followed up: the guest may not have read that one yet. 0 ends them all.
    """
    oldest, until = 0, 0.0
    if overlap > 0:
        earlier = guest.oldest_generation and now < guest.previous_until
        oldest = guest.oldest_generation if earlier else guest.generation
        until = now + overlap
    keys = {
        'generation': guest.generation + 1,
        'oldest_generation': oldest,
        'previous_until': until,
    }
    same = sa.and_(_is(guest.server_id), guests.c.generation == guest.generation)
    if rowcount(connection.execute(guests.update().where(same).values(keys))) != 1:
        raise Conflict('the key was changed by somebody else at the same time; look again')
    return get(connection, guest.server_id)


def forget(connection: sa.Connection, server_id: str) -> None:
    """Delete a guest and what it measured; its key is refused from now on."""
    leftovers.add(connection, server_id)
    connection.execute(refusals.delete().where(refusals.c.server_id == server_id))
    connection.execute(metrics.delete().where(metrics.c.server_id == server_id))
    connection.execute(guests.delete().where(_is(server_id)))


def write_beats(connection: sa.Connection, beats: Iterable[Beat]) -> None:
    """Record accepted heartbeats; one older than what is recorded changes nothing.

    One statement for all of them, in the order of their ids: two gateways that write the same
    guests never wait for each other in a circle.
    """
    rows = [
        {
            'guest': beat.server_id,
            'number': beat.sequence,
            'heard_at': beat.received_at,
            'more': beat.count,
            'boot': beat.report.boot_id,
            'reported': services_text(beat.report.services),
            'worst': worst(beat.report.services),
        }
        for beat in sorted(beats, key=lambda b: b.server_id)
    ]
    if rows:
        connection.execute(_BEAT, rows)


_failing = sa.bindparam('worst', type_=sa.Integer) > 0
_BEAT = (
    guests.update()
    .where(guests.c.server_id == sa.bindparam('guest'), guests.c.sequence < sa.bindparam('number'))
    .values(
        last_seen=sa.bindparam('heard_at'),
        sequence=sa.bindparam('number'),
        beats=guests.c.beats + sa.bindparam('more'),
        seen_by='agent',
        boot_id=sa.bindparam('boot'),
        services=sa.bindparam('reported'),
        failures=sa.bindparam('worst', type_=sa.Integer),
        failing_since=sa.case(
            (_failing, sa.func.coalesce(guests.c.failing_since, sa.bindparam('heard_at'))),
            else_=sa.null(),
        ),
    )
)


def services_text(services: Sequence[Service]) -> str:
    """As the table has them."""
    # Not by asdict(), which takes ten times as long: every heartbeat brings some.
    return json.dumps(
        [{'name': s.name, 'state': s.state, 'failures': s.failures} for s in services]
    )


def worst(services: Sequence[Service]) -> int:
    """Failed checks of the worst of them."""
    return max((s.failing for s in services), default=0)


def _values(guest: Guest) -> dict[str, Any]:
    return asdict(guest) | {'services': services_text(guest.services)}


def set_services(
    connection: sa.Connection, guest: Guest, services: Sequence[Service], now: float
) -> None:
    """Record how its services are by what others told, not its agent."""
    failures = worst(services)
    values = {
        'services': services_text(services),
        'failures': failures,
        'failing_since': (guest.failing_since or now) if failures else None,
    }
    connection.execute(guests.update().where(_is(guest.server_id)).values(values))


def for_each(server_ids: Iterable[str], do: Callable[[str], object]) -> int:
    """Do it for each of these guests, in the order of their ids, but for those that were
    forgotten meanwhile; returns how many there were."""
    done = 0
    for server_id in sorted(server_ids):
        try:
            do(server_id)
            done += 1
        except NotFound:
            continue
    return done


def write_life(
    connection: sa.Connection, server_id: str, at: float, count: int, seen_by: str
) -> bool:
    """Record signs of life that came another way than from the agent; False if not enrolled."""
    newest = sa.case(
        (guests.c.last_seen.is_(None), at),
        (guests.c.last_seen < at, at),
        else_=guests.c.last_seen,
    )
    return (
        rowcount(
            connection.execute(
                guests.update()
                .where(_is(server_id), guests.c.status == ENROLLED)
                .values(last_seen=newest, beats=guests.c.beats + count, seen_by=seen_by[:80])
            )
        )
        == 1
    )


def count(connection: sa.Connection, status: str) -> int:
    """How many guests there are of this status."""
    query = sa.select(sa.func.count()).select_from(guests).where(guests.c.status == status)
    return int(connection.execute(query).scalar_one())


def to_locate(connection: sa.Connection, before: float, limit: int) -> list[Guest]:
    """Enrolled guests whose server was last looked at before then, the longest ago first."""
    query = (
        sa.select(guests)
        .where(guests.c.status == ENROLLED, guests.c.looked_at < before)
        .order_by(guests.c.looked_at, guests.c.server_id)
        .limit(limit)
    )
    return [of_row(r) for r in connection.execute(query)]


def located(connection: sa.Connection, server_id: str, now: float, **values: Any) -> None:
    """Record what a worker saw of the server: name, host, zone, stack_id, stack_name,
    metadata_policy, opted_out; what is not given stays."""
    connection.execute(guests.update().where(_is(server_id)).values(looked_at=now, **values))


def _is(server_id: str) -> sa.ColumnElement[bool]:
    return guests.c.server_id == server_id


def names(connection: sa.Connection, server_ids: set[str]) -> dict[str, str]:
    """The names of these guests, as far as they are enrolled."""
    query = sa.select(guests.c.server_id, guests.c.name)
    rows = connection.execute(query.where(guests.c.server_id.in_(server_ids))).all()
    return {r.server_id: r.name for r in rows}


def last_seen(connection: sa.Connection, server_ids: Iterable[str]) -> dict[str, float | None]:
    """When these guests were heard last, None: never; as far as they are enrolled."""
    query = sa.select(guests.c.server_id, guests.c.last_seen)
    rows = connection.execute(query.where(guests.c.server_id.in_(set(server_ids)))).all()
    return {r.server_id: r.last_seen for r in rows}
