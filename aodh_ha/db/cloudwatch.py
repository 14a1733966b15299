"""What the CloudWatch bridge keeps: which signed requests had their effect, and what failed."""

from collections.abc import Sequence

import sqlalchemy as sa

from aodh_ha.db import audit, guests
from aodh_ha.db.models import alarms as alarms_table
from aodh_ha.db.models import attempts, cloudwatch_requests, recoveries
from aodh_ha.db.models import guests as guests_table
from aodh_ha.exceptions import NotFound
from aodh_ha.rules import cloudwatch
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.cloudwatch import Identity
from aodh_ha.rules.guest import REFUSED, Guest
from aodh_ha.rules.heartbeat import SERVICE_FAILURE

FRESH = 900.0
"""Seconds that a signature may be old, or ahead: as AWS and Keystone have it."""

KEEP = 2 * FRESH
"""Seconds for which a request that had its effect is remembered: as long as a signature of it
may be taken, which may be made FRESH ahead."""

MOST_GUESTS = 1000
"""Of one project that are looked through for an alarm that is named, or listed."""


def mine(
    connection: sa.Connection, identity: Identity, domain: str, server_ids: Sequence[str] = ()
) -> list[Guest]:
    """The guests for which an access key may speak, those of these ids where there are any.

    A stack's user speaks for those of its stack, another user for those of its project.
    """
    table = guests_table
    query = sa.select(table).where(table.c.status != REFUSED)
    if identity.is_stack_user(domain):
        name = identity.project_name
        ways = [
            sa.and_(
                table.c.project_id == project,
                table.c.stack_id.startswith(name[len(project) + 1 :], autoescape=True),
            )
            for project in cloudwatch.projects(name)
        ]
        query = query.where(sa.or_(sa.false(), *ways))
    else:
        query = query.where(table.c.project_id == identity.project_id)
    if server_ids:
        query = query.where(table.c.server_id.in_(sorted(server_ids)))
    rows = connection.execute(query.order_by(table.c.server_id).limit(MOST_GUESTS))
    found = [guests.of_row(r) for r in rows]
    if identity.is_stack_user(domain):
        return [g for g in found if cloudwatch.is_of_stack(g, identity.project_name)]
    return found


def alarms_of(connection: sa.Connection, found: Sequence[Guest]) -> list[Alarm]:
    """The alarms of these guests, by id."""
    ids = [g.server_id for g in found]
    query = sa.select(alarms_table).where(alarms_table.c.server_id.in_(ids))
    rows = connection.execute(query.order_by(alarms_table.c.id))
    return [Alarm(**r._mapping) for r in rows]


def is_unplaced(connection: sa.Connection, server_id: str, projects: Sequence[str]) -> bool:
    """Whether a guest of these projects is enrolled of which nobody has seen the stack yet."""
    try:
        guest = guests.get(connection, server_id)
    except NotFound:
        return False
    return guest.project_id in projects and guest.status != REFUSED and not guest.looked_at


def take(connection: sa.Connection, digest: str, now: float) -> bool:
    """Whether this signed request has had no effect yet; from now on it has.

    On every gateway and over restarts: a signature is good for FRESH seconds, and on plain HTTP
    who sees it could keep a dead guest alive for as long.
    """
    same = cloudwatch_requests.c.digest == digest
    if connection.execute(sa.select(sa.literal(1)).where(same)).first():
        return False
    connection.execute(cloudwatch_requests.insert().values(digest=digest, at=now))
    return True


def prune(connection: sa.Connection, now: float, period: float) -> None:
    """Forget requests whose signature would not be taken again."""
    before = now - max(KEEP, 2 * period)
    connection.execute(cloudwatch_requests.delete().where(cloudwatch_requests.c.at < before))


def failed(connection: sa.Connection, digest: str, number: int, server_id: str, at: float) -> None:
    """Record that the request told of a failed service, in its so-manyeth metric."""
    key = f'{digest[:59]}-{number:04d}'
    values = {'digest': key, 'at': at, 'failed_server_id': server_id}
    connection.execute(cloudwatch_requests.insert().values(values))


def settle(connection: sa.Connection, server_id: str, now: float, period: float) -> None:
    """Bring the guest's services up to date with what ``--service-failure`` told of it.

    Those of the last ``period`` seconds count, as for Heat's alarms, but none from before the
    newest action of a recovery: what came before a reboot says nothing about whether it helped.
    """
    table = cloudwatch_requests
    told = connection.execute(
        sa.select(table.c.at).where(table.c.failed_server_id == server_id)
    ).scalars()
    times = list(told)
    if not times:
        return
    newest = connection.execute(
        sa.select(sa.func.max(attempts.c.sent_at))
        .select_from(attempts.join(recoveries, recoveries.c.id == attempts.c.recovery_id))
        .where(recoveries.c.server_id == server_id)
    ).scalar()
    since = max(now - period, newest or 0.0)
    count = sum(since < at <= now for at in times)
    guest = guests.get(connection, server_id)
    services = cloudwatch.service(guest.services, count)
    if services == guest.services:
        return
    if bool(count) != any(s.failing for s in guest.services if s.name == SERVICE_FAILURE):
        message = f'{count} in the last {period:g} s' if count else 'none that counts any more'
        audit.record(
            connection,
            now,
            'service_failure',
            f'ServiceFailure: {message}',
            project_id=guest.project_id,
            server_id=server_id,
        )
    guests.set_services(connection, guest, services, now)


def settle_all(connection: sa.Connection, now: float, period: float) -> int:
    """As ``settle`` for every guest that told of a failed service; returns how many these are."""
    column = cloudwatch_requests.c.failed_server_id
    ids = connection.execute(sa.select(column).where(column.is_not(None)).distinct()).scalars()
    told = [i for i in ids if i]
    return guests.for_each(told, lambda i: settle(connection, i, now, period))
