"""One try of a step: the recorded intent, the call, and what became of the call.

Every write carries the lease's fencing number, so a worker that lost its lease changes nothing.
"""

import logging
import uuid
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import attempts, credentials
from aodh_ha.db.admission import Place
from aodh_ha.exceptions import (
    ActionRefused,
    CloudAway,
    CredentialRefused,
    NotFound,
    NotNow,
    OutcomeUnknown,
)
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery import snapshot, turns
from aodh_ha.recovery.actions import ACTIONS, Context
from aodh_ha.recovery.ending import end
from aodh_ha.recovery.following import FOLLOW
from aodh_ha.recovery.holding import BUDGET_RECHECK
from aodh_ha.recovery.means import Means
from aodh_ha.recovery.waiting import AWAY, Pause, wait
from aodh_ha.rules import escalation, guards
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    ABANDONED,
    INTENDED,
    REFUSED,
    SENT,
    UNVERIFIED,
    Act,
    Attempt,
    Conclude,
    Recovery,
    Refuse,
    Wait,
)
from aodh_ha.rules.rights import HANDED_OVER, OURS

LOG = logging.getLogger(__name__)

SETTLE = 25.0
"""Seconds after a call broke off until Nova's log is believed when it does not show the action:
some time for Nova to take up what was in its socket."""

SOON = 10.0
"""Seconds for which it is looked for every second whether the cloud shows an action."""

MARGIN = 10.0
"""Seconds beyond the longest that a call may last, for a worker that died while it did."""

LATER = 80.0
"""Seconds, at most, until an action is tried again that the cloud was too busy for."""

GIVEN_UP = 3600.0
"""Seconds after which an action that the cloud does not get done is a person's matter."""

UNCOUNTED = ('notify', 'hook')
"""Steps that touch no guest, and so need no budget."""


def act(
    means: Means, recovery: Recovery, guest: Guest, decision: Act, evidence: Evidence
) -> Pause | None:
    """Take a step: its intent is recorded before its call is made."""
    server = evidence.server
    assert server is not None  # noqa: S101 - decide() acts on a server that it saw
    step, dry_run = recovery.policy.steps[decision.step], recovery.policy.dry_run
    if step.snapshot and not dry_run:
        before = _snapshot(means, recovery, decision, evidence)
        if isinstance(before, Wait):
            return wait(means, recovery, before, guest)
        if before:
            return refuse(means, recovery, before, evidence)
    evidence = evidence_of.console(means.cloud, evidence)
    evidence = evidence_of.watched(means.database, evidence, step)
    attempt = _attempt(recovery, decision, INTENDED, evidence, means.clock())
    if dry_run:
        now = attempt.intended_at
        until = now + step.verify
        attempt = replace(attempt, status=SENT, sent_at=now, verify_until=until, dry_run=True)
    means.at('before-intent', recovery.id)
    held = _intend(means, recovery, guest, attempt, evidence)
    if held:
        return held
    means.at('after-intent', recovery.id)
    LOG.info('recovery %s of %s: %s (%s)', recovery.id, server.id, step.name, decision.reason)
    if dry_run:
        return Pause(escalation.POLL, True, f'dry run of {step.name}')
    return _call(means, means.context(recovery, guest, attempt, evidence))


def refuse(means: Means, recovery: Recovery, decision: Refuse, evidence: Evidence | None) -> Pause:
    """Record a step that is not taken, and why."""
    refused = _attempt(recovery, decision, REFUSED, evidence, means.clock())
    means.database.run(lambda c: attempts.refuse(c, recovery, refused, refused.intended_at))
    return Pause(0, True, decision.reason)


def observe(means: Means, recovery: Recovery, guest: Guest, attempt: Attempt) -> Pause | None:
    """What became of an action whose answer was never recorded: only the cloud knows."""
    action = ACTIONS[recovery.policy.steps[attempt.step].action]
    if not action.repeatable:
        why = 'the worker died while it ran; it is not repeated'
        return end(means, recovery, guest, Conclude(attempt, UNVERIFIED, why))
    context = means.context(recovery, guest, attempt)
    try:
        seen = action.observe(context)
    except (ActionRefused, NotFound) as e:
        means.note_refusal(context.rights, e)
        return end(means, recovery, guest, Conclude(attempt, REFUSED, e.detail))
    except (NotNow, OutcomeUnknown) as e:
        if means.clock() - attempt.intended_at > GIVEN_UP:
            why = f'given up: {e.detail}'
            return end(means, recovery, guest, Conclude(attempt, UNVERIFIED, why))
        return wait(means, recovery, Wait(AWAY, f'waiting: {e.detail}', 'cloud'))
    if seen:
        return _sent(means, context, seen.request_id, seen.message)
    return _unseen(means, context)


def _unseen(means: Means, context: Context) -> Pause | None:
    """The cloud does not show the action: it may still do so, or never got the request."""
    action, attempt = ACTIONS[context.step.action], context.attempt
    if attempt.broke_off_at is not None:
        until = attempt.broke_off_at + SETTLE
    else:
        longest = means.settings.call_limit * action.requests(context)
        until = attempt.intended_at + longest + MARGIN
    left = until - means.clock()
    if action.settles and left > 0:
        # Mostly it shows at once; what takes long is not asked for every second.
        young = means.clock() - (attempt.broke_off_at or attempt.intended_at) < SOON
        seconds = escalation.POLL if young else FOLLOW
        return Pause(min(seconds, left), True, 'waiting whether the cloud shows the action')
    why = 'the cloud never got the request; it may be made now'
    return end(means, context.recovery, context.guest, Conclude(attempt, ABANDONED, why))


def _snapshot(
    means: Means, recovery: Recovery, decision: Act, evidence: Evidence
) -> Wait | Refuse | None:
    used = means.rights(recovery, recovery.policy.steps[decision.step])
    cloud = means.cloud.acting(used)
    try:
        return snapshot.make(means.database, cloud, recovery, decision, evidence)
    except CredentialRefused as e:
        means.note_refusal(used, e)
        why = f'no image of it can be made: {e.detail}'
        return Refuse(decision.step, decision.number, why)


def _intend(
    means: Means, recovery: Recovery, guest: Guest, attempt: Attempt, evidence: Evidence
) -> Pause | None:
    """Record the intent; a pause when it was not: a heartbeat, another recovery or the budget."""
    step, now, limits = (
        recovery.policy.steps[attempt.step],
        attempt.intended_at,
        means.settings.limits,
    )
    place = None if step.action in UNCOUNTED else _place(means, recovery, guest, evidence)

    def work(connection: sa.Connection) -> str:
        if not attempt.dry_run and not turns.take(connection, recovery, step, evidence, now):
            return turns.TAKEN
        held = attempts.intend(connection, recovery, attempt, now, guest, place, limits)
        if held:
            turns.release(connection, recovery, attempt)
        return held

    held = means.database.run(work)
    if held == attempts.HEARD:
        return Pause(escalation.POLL, True, held)
    if held == turns.TAKEN:
        return wait(means, recovery, Wait(guards.RECHECK, held, 'stack'))
    if held:
        return wait(means, recovery, Wait(BUDGET_RECHECK, held, 'budget'))
    return None


def _call(means: Means, context: Context) -> Pause | None:
    recovery, guest, attempt = context.recovery, context.guest, context.attempt
    try:
        request_id = ACTIONS[context.step.action].act(context)
    except (ActionRefused, NotFound) as e:
        means.note_refusal(context.rights, e)
        return end(means, recovery, guest, Conclude(attempt, REFUSED, e.detail))
    except (NotNow, CloudAway) as e:
        end(means, recovery, guest, Conclude(attempt, ABANDONED, f'not now: {e.detail}'))
        seconds = min(LATER, AWAY * 2**attempt.number)
        return wait(means, recovery, Wait(seconds, f'waiting: {e.detail}', 'cloud'))
    except OutcomeUnknown as e:
        LOG.warning('recovery %s: %s; looking what became of it', recovery.id, e.detail)
        now, reason = means.clock(), e.detail
        means.database.run(lambda c: attempts.broke_off(c, recovery, attempt, now, reason))
        return Pause(1, True, reason)
    means.at('after-send', recovery.id)
    return _sent(means, context, request_id, 'the request was taken')


def _sent(means: Means, context: Context, request_id: str | None, message: str) -> Pause:
    recovery, attempt, used = context.recovery, context.attempt, context.rights
    now = means.clock()
    until = now + context.step.verify
    if used != OURS:
        message = f'{message}, with {used.name}'

    def work(connection: sa.Connection) -> None:
        attempts.sent(connection, recovery, attempt, now, request_id, until, message)
        if used.kind in HANDED_OVER:
            credentials.used(connection, used, now)

    means.database.run(work)
    means.at('after-answer', recovery.id)
    return Pause(escalation.POLL, True, message)


def _place(means: Means, recovery: Recovery, guest: Guest, evidence: Evidence) -> Place:
    server, member = evidence.server, evidence.member
    return Place(
        host=(server.host if server else '') or '',
        zone=server.zone if server else '',
        stack_id=member.root_id if member else guest.stack_id,
        group_name=guest.group_name,
        # Where all are dry runs, they show what the budget would do.
        counted=means.settings.dry_run or not recovery.policy.dry_run,
    )


def _attempt(
    recovery: Recovery, decision: Act | Refuse, status: str, evidence: Evidence | None, now: float
) -> Attempt:
    return Attempt(
        id=str(uuid.uuid4()),
        recovery_id=recovery.id,
        step=decision.step,
        number=decision.number,
        action=recovery.policy.steps[decision.step].name,
        status=status,
        intended_at=now,
        finished_at=now if status == REFUSED else None,
        detail=decision.reason,
        evidence=evidence.as_dict() if evidence else {},
    )
