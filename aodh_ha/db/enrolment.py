"""Rules of enrolment, and the enrolment of servers that nobody named."""

import secrets
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import audit, guests, models, policies
from aodh_ha.db.models import enrolment_rules as table
from aodh_ha.exceptions import Conflict, NotFound
from aodh_ha.rules import enrolment
from aodh_ha.rules.alarm import TRIGGERS
from aodh_ha.rules.enrolment import Candidate, Rule
from aodh_ha.rules.guest import ENROLLED, PENDING, Guest

OPERATOR = policies.OPERATOR
"""The project of rules that are for the servers of every project."""

MOST = 100
"""Rules of one project: Nova waits while they are looked through."""


def new_generation() -> int:
    """The generation of a guest's first key.

    A key may be handed out before Nova was asked whose server it is: neither the key of an
    earlier enrolment nor that of a stranger's may fit this one.
    """
    return 1 + secrets.randbelow(2**53)


# ---- rules


def add(connection: sa.Connection, rule: Rule) -> None:
    """Store a rule; raises Conflict when there is one of its name, or too many."""
    mine = sa.select(table.c.name).where(table.c.project_id == rule.project_id)
    names = set(connection.execute(mine).scalars())
    if rule.name in names:
        raise Conflict(f'there is a rule {rule.name!r}; delete it first')
    if len(names) >= MOST:
        raise Conflict(f'there are {MOST} rules; delete one first')
    connection.execute(table.insert().values({c.name: getattr(rule, c.name) for c in table.c}))


def find(connection: sa.Connection, project_id: str | None = None) -> list[Rule]:
    """The rules that are for a project's servers, the operator's last; None: all rules."""
    query = sa.select(table).order_by(table.c.project_id.desc(), table.c.name)
    if project_id is not None:
        query = query.where(table.c.project_id.in_((project_id, OPERATOR)))
    return [Rule(**row._mapping) for row in connection.execute(query)]


def get(connection: sa.Connection, rule_id: str, project_id: str | None) -> Rule:
    """A rule that the project may see, None: of anybody; raises NotFound."""
    query = sa.select(table).where(table.c.id == rule_id)
    if project_id is not None:
        query = query.where(table.c.project_id.in_((project_id, OPERATOR)))
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no enrolment rule {rule_id} in this project')
    return Rule(**row._mapping)


def delete(connection: sa.Connection, rule_id: str) -> None:
    """Delete a rule; guests that it has enrolled stay so."""
    connection.execute(table.delete().where(table.c.id == rule_id))


# ---- enrolment


def unknown(connection: sa.Connection, server_ids: Iterable[str]) -> set[str]:
    """Which of these servers have no guest, or one that is not confirmed."""
    wanted = set(server_ids)
    known = sa.select(models.guests.c.server_id)
    known = known.where(models.guests.c.server_id.in_(wanted), models.guests.c.status == ENROLLED)
    return wanted - set(connection.execute(known).scalars())


def wanted(connection: sa.Connection, server: Candidate) -> bool:
    """Whether enroll() would do anything: most servers that boot are none of our business."""
    old = _known(connection, server.server_id)
    if old and old.status == PENDING and old.project_id == server.project_id:
        return True
    return enrolment.wish(server, find(connection, server.project_id)) is not None


def enroll(
    connection: sa.Connection,
    server: Candidate,
    now: float,
    generation: int | None = None,
) -> Guest | None:
    """The guest of a server that Nova vouches for, enrolled if it is to be; else None.

    Whose server it is, is known: a guest that waits for a worker is confirmed, and what another
    project left pending gives way. A new one gets ``generation``.
    """
    old = _known(connection, server.server_id)
    if old and old.status == ENROLLED:
        return old if old.project_id == server.project_id else None
    if old and old.status == PENDING and old.project_id == server.project_id:
        guests.confirm(connection, old, now, server.name)
        return guests.get(connection, server.server_id)
    wish = enrolment.wish(server, find(connection, server.project_id))
    if wish is None:
        return None
    guest = Guest(
        server_id=server.server_id,
        project_id=server.project_id,
        status=ENROLLED,
        status_reason='',
        name=server.name[:255],
        generation=generation or new_generation(),
        interval=0,
        missed_limit=0,
        boot_grace=0,
        policy=wish.policy,
        enrolled_at=now,
        group_name=wish.group_name,
        metadata_policy=wish.metadata_policy,
        enrolled_by=wish.enrolled_by,
        to_watch=','.join(TRIGGERS),
    )
    policy = policies.of_guest(connection, guest)
    guest = replace(
        guest, interval=policy.interval, missed_limit=policy.missed, boot_grace=policy.boot_grace
    )
    guests.put(connection, guest)
    _record(connection, guest, now)
    return guest


def _known(connection: sa.Connection, server_id: str) -> Guest | None:
    try:
        return guests.get(connection, server_id)
    except NotFound:
        return None


def _record(connection: sa.Connection, guest: Guest, now: float) -> None:
    policy = guest.policy or guest.metadata_policy or 'by match'
    by = "its server's metadata" if guest.enrolled_by == 'metadata' else guest.enrolled_by
    values: dict[str, Any] = {'project_id': guest.project_id, 'server_id': guest.server_id}
    audit.record(connection, now, 'enrolled', f'by {by}, policy {policy}', **values)
