"""One recovery at a time works on a stack.

Heat takes an update during another one, and what one recovery has marked the other may unmark:
then neither replaces anything (seen).
"""

from collections.abc import Collection

import sqlalchemy as sa

from aodh_ha.db import leases
from aodh_ha.rules import guards
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import Attempt, Recovery, Wait

TAKEN = 'another recovery is at work on its stack'
"""Why an intent was not recorded."""

LOOK = 'marks'
"""Who has the turn while it is looked for marks that were left."""

LOOK_LASTS = 600.0
"""Seconds, at most, of such a look."""

SPARE = 3600.0
"""Seconds beyond the step's own time after which a turn ends that nobody gave back."""


def take(
    connection: sa.Connection, recovery: Recovery, step: Step, evidence: Evidence, now: float
) -> bool:
    """Take the stack's turn for a step, until release(); False while another recovery has it."""
    if not step.kind.in_stack or evidence.member is None:
        return True
    name = _name(evidence.member.root_id)
    return leases.take(connection, name, recovery.id, now, step.verify + SPARE)


def release(connection: sa.Connection, recovery: Recovery, attempt: Attempt) -> None:
    """Give the turn back that was taken for an attempt, if one was."""
    member = attempt.evidence.get('member')
    if member and recovery.policy.steps[attempt.step].kind.in_stack:
        leases.release(connection, _name(member['root_id']), recovery.id)


def hold(connection: sa.Connection, recovery: Recovery, stack_id: str, now: float) -> Wait | None:
    """Wait while another recovery has the turn of this root stack.

    It may be replacing the very server: then no stack seems to have that.
    """
    owner = leases.owner(connection, _name(stack_id), now) if stack_id else None
    return None if owner in (None, recovery.id) else Wait(guards.RECHECK, TAKEN, 'stack')


def borrow(connection: sa.Connection, root_id: str, ended: Collection[str], now: float) -> bool:
    """Take the turn for a look at the stack's marks, until give_back().

    False while a recovery has it. One of those that ``ended`` has it no more: a person may have
    ended it in mid-step.
    """
    name = _name(root_id)
    for recovery_id in ended:
        leases.release(connection, name, recovery_id)
    return leases.take(connection, name, LOOK, now, LOOK_LASTS)


def give_back(connection: sa.Connection, root_id: str) -> None:
    """End what borrow() began."""
    leases.release(connection, _name(root_id), LOOK)


def _name(root_id: str) -> str:
    return f'stack:{root_id}'
