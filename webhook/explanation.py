"""Why a recovery stands where it stands: its ladder, rung by rung, in words."""

from collections.abc import Sequence
from typing import Any

from aodh_ha.db.orders import waiting_step
from aodh_ha.db.queue import CANCELLED
from aodh_ha.rules.policy import ALWAYS, HOST_DOWN, HOST_UP, OFF, SERVICE, Step
from aodh_ha.rules.recovery import (
    ABANDONED,
    ACTIVE,
    INTENDED,
    REFUSED,
    SENT,
    SUCCEEDED,
    Attempt,
    Recovery,
)
from webhook.v1 import fields

WHEN = {
    ALWAYS: 'whatever failed',
    SERVICE: 'only when a service failed and the guest is heard',
    HOST_UP: 'only while its host is up and the server is not off',
    HOST_DOWN: 'only when Nova says that its host is down',
    OFF: "only when the server is off, by nobody's order",
}

GUARDS = {
    'silence': 'a maintenance window covers the guest',
    'busy': 'Nova carries out another task on the server',
    'unheard': 'the guest has not yet had the time to be heard',
    'recent_change': 'somebody changed the server, and its boot grace lasts',
    'stack': 'Heat is at work on its stack',
    'storm': 'too many guests fell silent at once; an administrator may close the incident',
    'host': 'its host is down',
    'fencing': 'its host is down but not fenced',
    'approval': 'a person has to approve the step',
    'budget': 'the budget is used up by other recoveries',
    'delay': 'the policy has a pause before the step',
    'cloud': "the cloud's API does not answer",
    'deaf': 'no gateway listens',
    CANCELLED: 'a person ended it',
}
"""What holds a recovery back, by the name of the guard."""

TRIED, UNDER_WAY, WAITING, NEXT, LATER, PASSED = (
    *('tried', 'under way', 'waiting', 'next', 'later', 'passed over'),
)


def explain(recovery: Recovery, history: Sequence[Attempt]) -> dict[str, Any]:
    """Where it stands, what holds it back, and what became or becomes of each step."""
    steps = [
        _rung(n, step, recovery, [a for a in history if a.step == n])
        for n, step in enumerate(recovery.policy.steps)
    ]
    _place(steps, recovery, history)
    held = None
    if recovery.guard and recovery.status in ACTIVE:
        held = {
            'guard': recovery.guard,
            'meaning': GUARDS.get(recovery.guard, recovery.guard),
            'reason': recovery.reason,
            'looks_again_at': fields.iso(recovery.not_before or None),
        }
    return {'summary': _summary(recovery, history), 'held': held, 'steps': steps}


def _summary(recovery: Recovery, history: Sequence[Attempt]) -> str:
    beginning = f'Opened by the {recovery.trigger} alarm'
    told = f'{recovery.callbacks} callbacks' if recovery.callbacks != 1 else 'one callback'
    done = sum(a.status != REFUSED and not a.dry_run for a in history)
    actions = 'no action was made' if not done else f'{done} action{"s" * (done > 1)} made'
    if recovery.status not in ACTIVE:
        end = recovery.status.replace('_', ' ')
        return f'{beginning} ({told}), {actions}. It ended as {end}: {recovery.reason}'
    held = f', held back by {recovery.guard}' if recovery.guard else ''
    return f'{beginning} ({told}), {actions}. It is {recovery.status}{held}: {recovery.reason}'


def _rung(n: int, step: Step, recovery: Recovery, tries: list[Attempt]) -> dict[str, Any]:
    return {
        'step': n,
        'name': step.name,
        'status': TRIED if tries else LATER,
        'tries': len([a for a in tries if a.status != ABANDONED]),
        'attempts': step.attempts,
        'why': _outcome(tries[-1]) if tries else WHEN[step.applies],
    }


def _outcome(attempt: Attempt) -> str:
    dry = 'dry run, ' if attempt.dry_run else ''
    if attempt.status == INTENDED:
        return f'{dry}about to be made, or made and not yet confirmed'
    if attempt.status == SENT:
        return (
            f'{dry}sent; a newer heartbeat is waited for until {fields.iso(attempt.verify_until)}'
        )
    return f'{dry}{attempt.status}: {attempt.detail}'


def _place(steps: list[dict[str, Any]], recovery: Recovery, history: Sequence[Attempt]) -> None:
    """Mark the rungs that were passed over, and the one that is due."""
    reached = max((a.step for a in history), default=-1)
    for rung in steps[: max(reached, 0)]:
        if not rung['tries'] and rung['status'] != TRIED:
            rung['status'] = PASSED
            rung['why'] = f'it was of no use then: {rung["why"]}'
    if recovery.status not in ACTIVE:
        for rung in steps[reached + 1 :]:
            rung['status'] = 'not reached'
        return
    last = history[-1] if history else None
    if last and last.status in (INTENDED, SENT, SUCCEEDED):
        steps[last.step]['status'] = UNDER_WAY
        return
    waits = waiting_step(recovery, history)
    if waits is not None:
        steps[waits] |= {'status': WAITING, 'why': recovery.reason}
        return
    refused = any(a.step == reached and a.status == REFUSED for a in history)
    for rung in steps[max(reached, 0) :]:
        used_up = rung['tries'] >= rung['attempts'] or (rung['step'] == reached and refused)
        if not used_up:
            # Whether it applies is known only by the evidence of that moment.
            rung['status'] = NEXT
            return
