"""What Heat does after a step on a stack: noted in the audit trail, and cut off when it hangs."""

import logging
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import audit, queue
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.recovery.actions.base import Context
from aodh_ha.rules.holdings import Member
from aodh_ha.rules.masking import masked

LOG = logging.getLogger(__name__)

EVENT, CANCELLED = 'stack_event', 'cancelled'
"""Kinds of entries in the audit trail."""

MOST = 300
"""Events of stacks that are noted with one recovery; Heat has them all."""

ROUTINE = ('', 'state changed')


def note(context: Context, stack: Member) -> None:
    """Note what Heat has done since the step was decided, as far as it tells. Raises LeaseLost.

    ``stack``: as it is now, which matters only where it is another one than before.
    """
    try:
        events = context.cloud.stack_events(context.member, stack)
    except (ActionRefused, CloudAway, NotFound, NotNow) as e:
        LOG.info('the events of the stack %s: %s', stack.root_name, e.detail)
        return
    known = {e.data['event'] for e in _noted(context, EVENT)}
    fresh = [e for e in events if e.id not in known][: max(0, MOST - len(known))]

    def work(connection: sa.Connection) -> None:
        for event in fresh:
            reason = '' if event.reason in ROUTINE else f': {masked(event.reason)}'
            data = {'event': event.id, 'at': event.at}
            message = f'{event.path} {event.status}{reason}'
            queue.note(connection, context.recovery, context.now, EVENT, message, data)
        queue.fenced(connection, context.recovery, {'updated_at': context.now})

    if fresh:
        context.database.run(work)


def ours(context: Context, stack: Member) -> bool:
    """Whether Heat is at the update that this attempt made; not where it does not tell.

    It may also be at somebody else's, after ours: that is none of our business. ``stack``: as it
    is now. Raises CloudAway.
    """
    if stack.status != 'UPDATE_IN_PROGRESS':
        return False
    try:
        return _began(context, stack) <= 1
    except (ActionRefused, NotFound, NotNow) as e:
        LOG.info('the events of the stack %s: %s', stack.root_name, e.detail)
        return False


def _began(context: Context, stack: Member) -> int:
    """Updates that were begun since the step was decided."""
    events = context.cloud.stack_events(context.member, stack)
    return sum(e.of_root and e.status == 'UPDATE_IN_PROGRESS' for e in events)


def cancel(context: Context) -> str:
    """Cancel the update of an attempt whose time is over; says so, or is empty.

    What Heat is at may also be somebody else's update, after ours: that is none of our business.
    Raises CloudAway, OutcomeUnknown until Heat is done with it, LeaseLost.
    """
    attempt, step = context.attempt, context.step
    stack = context.cloud.stack_member_again(context.member)
    told = f'the update of the stack was not done after {step.verify:g}s and was cancelled'
    cancelled = any(e.data['attempt'] == attempt.id for e in _noted(context, CANCELLED))
    if stack is None or stack.status != 'UPDATE_IN_PROGRESS':
        return told if cancelled else ''
    if context.now < (attempt.verify_until or context.now):
        return ''
    try:
        if _began(context, stack) > 1:
            return ''
        context.cloud.cancel_stack(stack)
    except ActionRefused as e:
        return f'the update of the stack goes on, and cannot be cancelled: {e.detail}'
    except NotNow as e:
        raise OutcomeUnknown(e.detail) from None

    def work(connection: sa.Connection) -> None:
        queue.fenced(connection, context.recovery, {'updated_at': context.now})
        data: dict[str, Any] = {'attempt': attempt.id, 'stack': stack.root_id}
        message = f'{attempt.action}: {told}; what it has done stays'
        queue.note(connection, context.recovery, context.now, CANCELLED, message, data)

    if not cancelled:
        context.database.run(work)
    raise OutcomeUnknown(f'the update of the stack {stack.root_name} is being cancelled')


def _noted(context: Context, kind: str) -> list[audit.Event]:
    with context.database.read() as connection:
        return [e for e in audit.of_recovery(connection, context.recovery.id) if e.kind == kind]
