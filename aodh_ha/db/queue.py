"""Recoveries as a queue in SQL: enqueue, claim, renew, finish; all by compare-and-swap.

No SELECT FOR UPDATE, which Galera does not keep. Whoever holds a recovery writes with the
fencing number that its claim raised; a write with an older number raises LeaseLost. What is
done about a recovery is written by db.attempts and db.admission.
"""

import json
import random
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from aodh_ha.db import audit, callback_tokens
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import attempts, recoveries
from aodh_ha.exceptions import LeaseLost, NotFound
from aodh_ha.rules import policy as policy_rules
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import Policy
from aodh_ha.rules.recovery import (
    ACTIVE,
    LEFT_ALONE,
    QUEUED,
    RUNNING,
    Attempt,
    Recovery,
)

HEADS = 8
"""Claim at random among this many first rows: with everybody at the very first one, 70 to
80 % of the claims are lost (measured with 8 processes)."""

JSON_COLUMNS = ('evidence', 'proof')

CANCELLED = 'cancelled'
"""The guard of a recovery that a person ended; see db.orders."""

RECHECK = 300.0
"""Seconds after which an alarm that lasts looks again at a server that was left alone."""


def _recovery(row: Any) -> Recovery:
    values = dict(row._mapping)
    del values['active_key'], values['policy_name']
    version = values.pop('policy_version')
    policy = policy_rules.parse(values['policy'], version)
    values['policy'] = replace(policy, own=values.pop('policy_own'))
    return Recovery(**values)


def _attempt(row: Any) -> Attempt:
    values = dict(row._mapping)
    for name in JSON_COLUMNS:
        values[name] = json.loads(values[name])
    return Attempt(**values)


def enqueue(
    connection: sa.Connection,
    guest: Guest,
    policy: Policy,
    trigger: str,
    alarm_id: str | None,
    reason: str,
    now: float,
) -> tuple[Recovery, bool]:
    """Open the recovery of this silence, or join the one that is open; returns it and
    whether it was opened (or opened again).

    One row an episode and one active row a guest are unique indexes, so callbacks that
    arrive together, twice or late end in the same recovery.
    """
    episode = guest.episode(trigger)
    values = {
        'id': str(uuid.uuid4()),
        'server_id': guest.server_id,
        'active_key': guest.server_id,
        'project_id': guest.project_id,
        'trigger': trigger,
        'episode': episode,
        'alarm_id': alarm_id,
        'status': QUEUED,
        'reason': reason,
        'policy': policy.document,
        'policy_name': policy.name,
        'policy_version': policy.version,
        'policy_own': policy.own,
        'group_name': guest.group_name,
        'host': guest.host,
        'zone': guest.zone,
        'stack_id': guest.stack_id,
        'priority': policy.priority,
        'created_at': now,
        'updated_at': now,
    }
    existing = _existing(connection, guest.server_id, episode)
    if existing is None:
        try:
            with connection.begin_nested():
                connection.execute(recoveries.insert().values(values))
        except exc.IntegrityError:
            existing = _existing(connection, guest.server_id, episode)
            if existing is None:  # the row that was in the way has just ended or gone
                raise
        else:
            opened = get(connection, str(values['id']))
            data = {'trigger': trigger, 'episode': episode, 'alarm_id': alarm_id}
            note(connection, opened, now, 'opened', reason, data)
            return opened, True
    connection.execute(
        recoveries.update()
        .where(recoveries.c.id == existing.id)
        .values(callbacks=recoveries.c.callbacks + 1)
    )
    reopened = _reopen(connection, existing, now)
    return get(connection, existing.id), reopened


def _existing(connection: sa.Connection, server_id: str, episode: str) -> Recovery | None:
    same = sa.and_(recoveries.c.server_id == server_id, recoveries.c.episode == episode)
    row = connection.execute(
        sa.select(recoveries)
        .where(sa.or_(recoveries.c.active_key == server_id, same))
        # NULLs sort differently on each engine; the active one first, explicitly.
        .order_by(sa.case((recoveries.c.active_key.is_(None), 1), else_=0))
        .limit(1)
    ).first()
    return _recovery(row) if row else None


def _reopen(connection: sa.Connection, recovery: Recovery, now: float) -> bool:
    """Look again at a server that was left alone: its owner may have started it since."""
    if recovery.status != LEFT_ALONE or now - (recovery.finished_at or now) < RECHECK:
        return False
    if recovery.guard == CANCELLED:
        return False  # a person ended it; the next silence is a new recovery
    values = {
        'status': QUEUED,
        'active_key': recovery.server_id,
        'finished_at': None,
        'not_before': 0,
        'lease_owner': None,
        'lease_until': None,
        'admitted_at': None,
        'approved_step': None,
        'incident_id': None,
        'guard': '',
        'updated_at': now,
    }
    same = sa.and_(recoveries.c.id == recovery.id, recoveries.c.status == LEFT_ALONE)
    try:
        with connection.begin_nested():
            result = connection.execute(recoveries.update().where(same).values(values))
    except exc.IntegrityError:
        return False
    if rowcount(result):
        note(connection, recovery, now, 'reopened', 'the alarm lasts; looking again')
    return bool(rowcount(result))


def get(connection: sa.Connection, recovery_id: str, project_id: str | None = None) -> Recovery:
    """A recovery, of this project unless project_id is None; raises NotFound."""
    query = sa.select(recoveries).where(recoveries.c.id == recovery_id)
    if project_id is not None:
        query = query.where(recoveries.c.project_id == project_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise NotFound(f'no recovery {recovery_id} in this project')
    return _recovery(row)


def find(
    connection: sa.Connection,
    project_id: str | None = None,
    server_id: str | None = None,
    active: bool | None = None,
    limit: int = 1000,
    *,
    after: Recovery | None = None,
    incident_id: str | None = None,
) -> list[Recovery]:
    """The newest recoveries, newest first, from the one after ``after``; project_id None means
    all projects."""
    query = sa.select(recoveries)
    if incident_id is not None:
        query = query.where(recoveries.c.incident_id == incident_id)
    if after is not None:
        same = sa.and_(recoveries.c.created_at == after.created_at, recoveries.c.id > after.id)
        query = query.where(sa.or_(recoveries.c.created_at < after.created_at, same))
    if project_id is not None:
        query = query.where(recoveries.c.project_id == project_id)
    if server_id is not None:
        query = query.where(recoveries.c.server_id == server_id)
    if active is not None:
        key = recoveries.c.active_key
        query = query.where(key.is_not(None) if active else key.is_(None))
    query = query.order_by(recoveries.c.created_at.desc(), recoveries.c.id).limit(limit)
    return [_recovery(r) for r in connection.execute(query).all()]


def history(connection: sa.Connection, recovery_id: str) -> list[Attempt]:
    """Every attempt of a recovery, oldest first."""
    query = sa.select(attempts).where(attempts.c.recovery_id == recovery_id)
    query = query.order_by(attempts.c.intended_at, attempts.c.step, attempts.c.number)
    return [_attempt(r) for r in connection.execute(query).all()]


def claim(connection: sa.Connection, owner: str, now: float, lease: float) -> Recovery | None:
    """Claim one recovery that nobody holds, for ``lease`` seconds; None if there is none."""
    free = sa.or_(recoveries.c.lease_until.is_(None), recoveries.c.lease_until < now)
    # What the budget lets pass first is also begun with first.
    heads: Sequence[Any] = connection.execute(
        sa.select(recoveries.c.id, recoveries.c.fence)
        .where(recoveries.c.active_key.is_not(None), recoveries.c.not_before <= now, free)
        .order_by(recoveries.c.priority.desc(), recoveries.c.created_at)
        .limit(HEADS)
    ).all()
    for head in random.sample(heads, len(heads)):
        result = connection.execute(
            recoveries.update()
            .where(
                recoveries.c.id == head.id,
                recoveries.c.fence == head.fence,
                recoveries.c.active_key.is_not(None),
                free,
            )
            .values(
                status=RUNNING,
                lease_owner=owner,
                lease_until=now + lease,
                fence=recoveries.c.fence + 1,
                updated_at=now,
            )
        )
        if rowcount(result):
            return get(connection, head.id)
    return None


def renew(connection: sa.Connection, recovery: Recovery, now: float, lease: float) -> None:
    """Hold the lease longer; raises LeaseLost."""
    fenced(connection, recovery, {'lease_until': now + lease})


def release(
    connection: sa.Connection, recovery: Recovery, now: float, not_before: float, reason: str
) -> None:
    """Give the recovery back for a later claim; raises LeaseLost."""
    values = {
        'status': QUEUED,
        'lease_owner': None,
        'lease_until': None,
        'not_before': not_before,
        'reason': reason,
        'updated_at': now,
    }
    fenced(connection, recovery, values)


def held(
    connection: sa.Connection, recovery: Recovery, now: float, guard: str, reason: str
) -> None:
    """Record what holds the recovery back, or with an empty guard that nothing does any more.

    The decision not to act is in the audit trail, too: once, when the guard changes. Raises
    LeaseLost.
    """
    fenced(connection, recovery, {'guard': guard, 'reason': reason, 'updated_at': now})
    if guard and guard != recovery.guard:
        note(connection, recovery, now, 'held', reason, {'guard': guard})


def held_by(connection: sa.Connection, incident_id: str | None, guard: str) -> bool:
    """Whether a recovery of this incident is held back by this guard."""
    if incident_id is None:
        return False
    mine = sa.select(recoveries.c.id).where(
        recoveries.c.incident_id == incident_id,
        recoveries.c.active_key.is_not(None),
        recoveries.c.guard == guard,
    )
    return connection.execute(mine.limit(1)).first() is not None


def joined(
    connection: sa.Connection, recovery: Recovery, now: float, incident_id: str, reason: str
) -> None:
    """Make the recovery part of an incident; raises LeaseLost."""
    fenced(connection, recovery, {'incident_id': incident_id, 'updated_at': now})
    note(connection, recovery, now, 'joined', reason, {'incident_id': incident_id})


def finish(
    connection: sa.Connection, recovery: Recovery, now: float, status: str, reason: str
) -> None:
    """End the recovery; raises LeaseLost."""
    fenced(connection, recovery, _ended(now, status, reason))
    callback_tokens.forget(connection, recovery.id)
    note(connection, recovery, now, status, reason)


def end_of_guest(connection: sa.Connection, server_id: str, now: float, reason: str) -> None:
    """End a forgotten guest's active recovery, whoever holds it."""
    row = connection.execute(
        sa.select(recoveries).where(recoveries.c.active_key == server_id)
    ).one_or_none()
    if row is None:
        return
    values = _ended(now, LEFT_ALONE, reason) | {'fence': recoveries.c.fence + 1}
    connection.execute(
        recoveries.update()
        .where(recoveries.c.id == row.id, recoveries.c.status.in_(ACTIVE))
        .values(values)
    )
    callback_tokens.forget(connection, row.id)
    note(connection, _recovery(row), now, LEFT_ALONE, reason)


def _ended(now: float, status: str, reason: str) -> dict[str, Any]:
    return {
        'status': status,
        'reason': reason,
        'active_key': None,
        'finished_at': now,
        'lease_owner': None,
        'lease_until': None,
        'guard': '',
        'updated_at': now,
    }


def fenced(connection: sa.Connection, recovery: Recovery, values: dict[str, Any]) -> None:
    """Write to a recovery as its holder; raises LeaseLost for anybody else."""
    result = connection.execute(
        recoveries.update()
        .where(
            recoveries.c.id == recovery.id,
            recoveries.c.fence == recovery.fence,
            recoveries.c.status == RUNNING,
        )
        .values(values)
    )
    if not rowcount(result):
        raise LeaseLost(f'recovery {recovery.id} was taken over or ended')


def note(
    connection: sa.Connection,
    recovery: Recovery,
    now: float,
    kind: str,
    message: str,
    data: dict[str, Any] | None = None,
) -> None:
    """Add an entry about a recovery to the audit trail."""
    audit.record(
        connection,
        now,
        kind,
        message,
        project_id=recovery.project_id,
        server_id=recovery.server_id,
        recovery_id=recovery.id,
        data=data,
    )
