"""What is done about a recovery: every try of a step, before and after its action.

Each write carries the fencing number of the recovery, see db.queue, and has its entry in the
audit trail in the same transaction.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import admission, guests, queue
from aodh_ha.db.admission import Place
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import attempts, recoveries
from aodh_ha.exceptions import LeaseLost
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Past
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import ABANDONED, INTENDED, REFUSED, SENT, Attempt, Recovery

HEARD = 'heard in the last moment'
"""Why an intent was not recorded; anything else is what the budget said."""


def intend(
    connection: sa.Connection,
    recovery: Recovery,
    attempt: Attempt,
    now: float,
    guest: Guest,
    place: Place | None = None,
    limits: Limits | None = None,
) -> str:
    """Record an action before it is made; why not, when the guest was heard in the meantime
    (HEARD) or the budget does not admit the recovery.

    The last look at the guest, the budget and the record are one transaction, so nothing is
    done to a guest whose heartbeat is already written, nor more at once than is allowed.
    Without a ``place`` the budget is not asked. Raises LeaseLost.
    """
    queue.fenced(connection, recovery, {'updated_at': now})
    latest = guests.get(connection, guest.server_id)
    # For a failed service only a report that all is well counts: it beat all along.
    well = recovery.trigger == 'heartbeat' or not latest.failures
    if latest.last_seen != guest.last_seen and well:
        return HEARD
    if place:
        refusal = admission.admit(connection, recovery, limits or Limits(), now, place)
        if refusal:
            return refusal
    queue.fenced(connection, recovery, {'guard': ''})
    connection.execute(attempts.insert().values(_values(attempt)))
    kind = 'dry_run' if attempt.dry_run else 'intended'
    data = {'attempt': attempt.number, 'evidence': attempt.evidence}
    queue.note(connection, recovery, now, kind, f'{attempt.action}: {attempt.detail}', data)
    return ''


def broke_off(
    connection: sa.Connection, recovery: Recovery, attempt: Attempt, now: float, reason: str
) -> None:
    """Record that the call came back without an answer; raises LeaseLost."""
    queue.fenced(connection, recovery, {'updated_at': now, 'reason': reason})
    _was(connection, attempt, INTENDED, {'broke_off_at': now})
    queue.note(connection, recovery, now, 'unanswered', f'{attempt.action}: {reason}')


def sent(
    connection: sa.Connection,
    recovery: Recovery,
    attempt: Attempt,
    now: float,
    request_id: str | None,
    verify_until: float,
    message: str,
) -> None:
    """Record that the cloud took the action; raises LeaseLost."""
    queue.fenced(connection, recovery, {'updated_at': now, 'reason': message})
    values = {
        'status': SENT,
        'sent_at': now,
        'request_id': request_id,
        'verify_until': verify_until,
    }
    _was(connection, attempt, INTENDED, values)
    data = {'request_id': request_id}
    queue.note(connection, recovery, now, 'sent', f'{attempt.action}: {message}', data)


def heard(connection: sa.Connection, recovery: Recovery, attempt: Attempt, now: float) -> None:
    """Record that the newer heartbeat has come, which is to hold; raises LeaseLost."""
    queue.fenced(connection, recovery, {'updated_at': now})
    _was(connection, attempt, SENT, {'heard_at': now})
    queue.note(connection, recovery, now, 'heard', f'{attempt.action}: a newer heartbeat came')


def conclude(
    connection: sa.Connection,
    recovery: Recovery,
    attempt: Attempt,
    now: float,
    status: str,
    reason: str,
    proof: Mapping[str, Any] | None = None,
) -> None:
    """Record how an attempt ended; raises LeaseLost."""
    queue.fenced(connection, recovery, {'updated_at': now, 'reason': f'{attempt.action}: {reason}'})
    values = {'status': status, 'finished_at': now, 'detail': reason}
    if proof:
        values['proof'] = json.dumps(proof)
    _was(connection, attempt, attempt.status, values)
    data = {'proof': proof} if proof else None
    queue.note(connection, recovery, now, status, f'{attempt.action}: {reason}', data)


def refuse(connection: sa.Connection, recovery: Recovery, attempt: Attempt, now: float) -> None:
    """Record a step that was not taken; raises LeaseLost."""
    queue.fenced(connection, recovery, {'updated_at': now})
    connection.execute(attempts.insert().values(_values(attempt)))
    data = {'evidence': attempt.evidence}
    message = f'{attempt.action}: {attempt.detail}'
    queue.note(connection, recovery, now, attempt.status, message, data)


def past(connection: sa.Connection, server_id: str, since: float) -> tuple[Past, ...]:
    """What was done to a server since then, in whichever recovery, oldest first."""
    at = sa.func.coalesce(attempts.c.sent_at, attempts.c.intended_at)
    rows = connection.execute(
        sa.select(attempts.c.recovery_id, attempts.c.action, at.label('at'))
        .join(recoveries, recoveries.c.id == attempts.c.recovery_id)
        .where(
            recoveries.c.server_id == server_id,
            attempts.c.intended_at > since,
            attempts.c.status.not_in((REFUSED, ABANDONED)),
            attempts.c.dry_run.is_(False),
        )
        .order_by(at)
    ).all()
    return tuple(Past(r.recovery_id, r.action, r.at) for r in rows)


def request_ids(connection: sa.Connection, server_id: str) -> set[str]:
    """Of all that was done to a server, as the cloud's log has them."""
    rows = connection.execute(
        sa.select(attempts.c.request_id)
        .join(recoveries, recoveries.c.id == attempts.c.recovery_id)
        .where(recoveries.c.server_id == server_id, attempts.c.request_id.is_not(None))
    )
    return {str(found) for found in rows.scalars()}


def _values(attempt: Attempt) -> dict[str, Any]:
    values = asdict(attempt)
    return values | {name: json.dumps(values[name]) for name in queue.JSON_COLUMNS}


def _was(
    connection: sa.Connection, attempt: Attempt, status: str, values: Mapping[str, Any]
) -> None:
    result = connection.execute(
        attempts.update()
        .where(attempts.c.id == attempt.id, attempts.c.status == status)
        .values(values)
    )
    if not rowcount(result):
        raise LeaseLost(f'attempt {attempt.id} is no longer {status}')
