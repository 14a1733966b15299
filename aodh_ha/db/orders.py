"""What a person orders about a recovery: to go on with the step that waits, or to end."""

from collections.abc import Sequence

import sqlalchemy as sa

from aodh_ha.db import audit, callback_tokens, commands
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import attempts, recoveries
from aodh_ha.db.queue import CANCELLED
from aodh_ha.exceptions import Conflict
from aodh_ha.rules.recovery import (
    ABANDONED,
    ACTIVE,
    INTENDED,
    LEFT_ALONE,
    SENT,
    UNVERIFIED,
    Attempt,
    Recovery,
)

APPROVAL = 'approval'
"""The guard of a recovery that waits for a person's word."""


def waiting_step(recovery: Recovery, history: Sequence[Attempt]) -> int | None:
    """The step, from 0, that waits for approval; None when none does.

    The ladder says by its name what it waits for. Two steps of one name differ in when they
    apply: then it is the one that the ladder has not passed.
    """
    if recovery.guard != APPROVAL or recovery.status not in ACTIVE:
        return None
    approved = -1 if recovery.approved_step is None else recovery.approved_step
    reached = max((a.step for a in history), default=0)
    for n, step in enumerate(recovery.policy.steps):
        tries = sum(a.step == n and a.status != ABANDONED for a in history)
        due = n > approved and n >= reached and tries < step.attempts
        if step.approval and due and recovery.reason.startswith(f'{step.name} '):
            return n
    return None


def approve(
    connection: sa.Connection,
    recovery: Recovery,
    history: Sequence[Attempt],
    step: int | None,
    now: float,
    author: str,
) -> int:
    """Approve the step that waits, and let a worker go on at once; returns it.

    ``step`` is the one that the person saw. Raises Conflict when none or another one waits.
    """
    waits = waiting_step(recovery, history)
    if waits is None:
        raise Conflict('no step of this recovery waits for approval')
    name = recovery.policy.steps[waits].name
    if step not in (None, waits):
        # By its number nobody would know: they count from 0 in the API, from 1 for people.
        raise Conflict(f'it is {name} that waits, which is another step than the one meant')
    result = connection.execute(
        recoveries.update()
        .where(
            recoveries.c.id == recovery.id,
            recoveries.c.active_key.is_not(None),
            recoveries.c.guard == APPROVAL,
        )
        .values(
            approved_step=waits,
            guard='',
            not_before=0,
            reason=f'{name} approved by {author}',
            updated_at=now,
        )
    )
    if not rowcount(result):
        raise Conflict('the recovery went on in the meantime; look at it again')
    audit.record(
        connection,
        now,
        'approved',
        f'{name} by {author}',
        project_id=recovery.project_id,
        server_id=recovery.server_id,
        recovery_id=recovery.id,
        data={'step': waits},
    )
    return waits


def cancel(
    connection: sa.Connection, recovery: Recovery, now: float, author: str, reason: str
) -> None:
    """End a recovery, whoever holds it; raises Conflict when it has ended.

    Whoever holds it cannot write any more. An action that was sent is not taken back.
    """
    why = f'cancelled by {author}' + (f': {reason}' if reason else '')
    result = connection.execute(
        recoveries.update()
        .where(recoveries.c.id == recovery.id, recoveries.c.active_key.is_not(None))
        .values(
            status=LEFT_ALONE,
            reason=why,
            guard=CANCELLED,
            active_key=None,
            finished_at=now,
            lease_owner=None,
            lease_until=None,
            fence=recoveries.c.fence + 1,
            updated_at=now,
        )
    )
    if not rowcount(result):
        raise Conflict(f'the recovery has ended already: {recovery.status}')
    callback_tokens.forget(connection, recovery.id)
    under_way = sa.and_(
        attempts.c.recovery_id == recovery.id, attempts.c.status.in_((INTENDED, SENT))
    )
    # It counts as made: whether it was, only Nova knows.
    connection.execute(
        attempts.update()
        .where(under_way)
        .values(status=UNVERIFIED, finished_at=now, detail='not waited for: ' + why)
    )
    # What the guest has not fetched yet, it need not do any more.
    for command in commands.of_guest(connection, recovery.server_id):
        if command.recovery_id == recovery.id:
            commands.withdraw(connection, command.id, now)
    audit.record(
        connection,
        now,
        LEFT_ALONE,
        why,
        project_id=recovery.project_id,
        server_id=recovery.server_id,
        recovery_id=recovery.id,
    )
