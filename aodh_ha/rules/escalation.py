"""The ladder: from what was tried and what is known to what is done next."""

from collections.abc import Sequence

from aodh_ha.rules import budget, guards, preservation
from aodh_ha.rules.evidence import Evidence, Server
from aodh_ha.rules.guards import made
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import FORCED_DOWN, GENTLE, HOST_DOWN, HOST_UP, OFF, SERVICE, Step
from aodh_ha.rules.recovery import (
    ABANDONED,
    CONCLUDED,
    FAILED,
    RECOVERED,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Attempt,
    Conclude,
    Decision,
    Fence,
    Finish,
    Heard,
    NeedEvidence,
    Recovery,
    Refuse,
    Wait,
)

POLL = 1.0
"""Seconds between two looks at the guest while a step is verified."""

EXPIRY = 86400.0
"""Seconds after which a recovery that could not be finished is a person's."""

HOST_PATIENCE = 3600.0
"""Seconds that a guest on a dead host is waited for, where the policy has no step for it."""

MOST_ABANDONED = 5
"""Tries of one step that never reached the cloud, before a person is called: the next step, a
harsher one, would fare no better, and must not be taken for that."""


def heard_again(guest: Guest, recovery: Recovery, history: Sequence[Attempt]) -> bool:
    """Whether a sign of life came that is newer than the last action and the silence.

    For a failed service the beat must also report every service healthy: it beat all along.
    """
    if guest.last_seen is None:
        return False
    if recovery.trigger == 'heartbeat' and guest.episode('heartbeat') == recovery.episode:
        return False
    acted = [a.sent_at or a.intended_at for a in made(history)]
    # A guest that fell silent again within the hold has to be heard anew.
    relapsed = [a.finished_at or 0 for a in history if a.heard_at and a.status == UNVERIFIED]
    if guest.last_seen <= max([recovery.created_at, *acted, *relapsed]):
        return False
    return recovery.trigger == 'heartbeat' or guest.failures == 0


def decide(
    recovery: Recovery,
    history: Sequence[Attempt],
    guest: Guest,
    evidence: Evidence | None,
    now: float,
) -> Decision:
    """What to do next about this recovery.

    ``history`` is every attempt so far, oldest first; none of them INTENDED (what became of
    those has to be observed first). ``evidence`` is None until it was asked for with
    NeedEvidence, and taken anew for each action.
    """
    waiting = next((a for a in history if a.status == SENT), None)
    if heard_again(guest, recovery, history):
        if waiting is None:
            return Finish(RECOVERED, _praise(history))
        verdict = _verified(recovery.policy.steps[waiting.step], waiting, guest, now)
        if verdict:
            return verdict
    if waiting:
        until = waiting.verify_until or now
        if now < until:
            return Wait(min(POLL, until - now), f'waiting for a heartbeat after {waiting.action}')
        return Conclude(waiting, UNVERIFIED, 'no newer heartbeat in time')
    if now - recovery.created_at > EXPIRY:
        return Finish(FAILED, f'not finished in {EXPIRY / 3600:g} hours: {recovery.reason}')
    if evidence is None:
        return NeedEvidence()
    held = guards.hold(recovery, history, guest, evidence, now)
    return held or _next_step(recovery, history, guest, evidence, now)


def _verified(step: Step, attempt: Attempt, guest: Guest, now: float) -> Decision | None:
    """What a newer heartbeat means for the attempt; None while it is not enough."""
    if attempt.dry_run:
        return Conclude(attempt, UNVERIFIED, 'heard again by itself: the action was not made')
    if step.healthy and guest.failures:
        return None
    if not step.hold:
        return Conclude(attempt, SUCCEEDED, 'a newer heartbeat came')
    if attempt.heard_at is None:
        return Heard(attempt)
    silent_for = now - (guest.last_seen or 0)
    if silent_for > guest.interval * guest.missed_limit:
        return Conclude(attempt, UNVERIFIED, f'it fell silent again within {step.hold:g}s')
    left = attempt.heard_at + step.hold - now
    if left > 0:
        return Wait(min(POLL, left), f'heard after {attempt.action}; it must stay well')
    return Conclude(
        attempt, SUCCEEDED, f'a newer heartbeat came, and it stayed well {step.hold:g}s'
    )


def applies(step: Step, recovery: Recovery, guest: Guest, evidence: Evidence) -> bool:
    """Whether the step is of use for what failed: a dead host's guests are not rebooted."""
    server = evidence.server
    off = server is not None and server.vm_state == 'stopped'
    when = step.applies
    if when == SERVICE:
        return recovery.trigger == 'service' and evidence.missed < guest.missed_limit
    if when == HOST_UP:
        return not evidence.host_down and not off
    if when == HOST_DOWN:
        return evidence.host_down
    if when == OFF:
        return off and not evidence.host_down
    return True


def suspect(recovery: Recovery, evidence: Evidence) -> bool:
    """Whether the guest is silent but still does I/O, and its policy wants that respected."""
    activity = evidence.activity
    return (
        recovery.trigger == 'heartbeat'
        and recovery.policy.suspect == GENTLE
        and activity is not None
        and activity.alive
    )


def _gentle(step: Step) -> bool:
    return step.kind.gentle or step.type == 'soft'


def _next_step(
    recovery: Recovery,
    history: Sequence[Attempt],
    guest: Guest,
    evidence: Evidence,
    now: float,
) -> Decision:
    server = evidence.server
    assert server is not None  # noqa: S101 - guards.hold() ends a recovery without one
    passed_over = False
    for n, step in enumerate(recovery.policy.steps):
        tries = [a for a in history if a.step == n]
        if any(a.step > n for a in history) or any(a.status == REFUSED for a in tries):
            continue
        counted = [a for a in tries if a.status != ABANDONED]
        if len(counted) >= step.attempts or not applies(step, recovery, guest, evidence):
            continue
        if suspect(recovery, evidence) and not _gentle(step):
            passed_over = True
            continue
        if len(tries) - len(counted) >= MOST_ABANDONED:
            return Finish(FAILED, f'{step.name} never reached the cloud: {tries[-1].detail}')
        return _this_step(n, step, tries, counted, recovery, history, evidence, server, now)
    return _exhausted(recovery, history, evidence, passed_over, now)


def _this_step(
    n: int,
    step: Step,
    tries: Sequence[Attempt],
    counted: Sequence[Attempt],
    recovery: Recovery,
    history: Sequence[Attempt],
    evidence: Evidence,
    server: Server,
    now: float,
) -> Decision:
    """The step that is due: refused, waited for, or taken."""
    number = len(tries) + 1
    refusal = preservation.refusal(step, recovery.policy, evidence)
    if refusal:
        return Refuse(n, number, refusal)
    if step.intensity:
        most, window = step.intensity
        done = budget.times(evidence.past, step.name, recovery.policy.budget.reset, now, window)
        if done >= most:
            return Refuse(n, number, f'taken {done} times in {window:g}s, which is the most')
    pause = step.backoff * 2 ** (len(counted) - 1) if counted else step.delay
    since = max((a.finished_at or a.intended_at for a in history), default=recovery.created_at)
    if now < since + pause:
        return Wait(min(since + pause - now, guards.RECHECK), f'before {step.name}', 'delay')
    if step.action == 'server.evacuate':
        held = _fenced(recovery, evidence, server)
        if held:
            return held
    approved = recovery.approved_step is not None and recovery.approved_step >= n
    if step.approval and not approved:
        return Wait(guards.RECHECK, f'{step.name} waits for "recovery approve"', 'approval')
    return Act(n, number, _why(evidence, history))


def _fenced(recovery: Recovery, evidence: Evidence, server: Server) -> Decision | None:
    """Hold an evacuation back until nobody can still write to the guest's disks from there."""
    host, incident = evidence.host, evidence.incident
    if host and host.forced_down:
        return None
    if recovery.policy.fencing != FORCED_DOWN:
        if incident and incident.fenced_at:
            return None
        return Fence(recovery.policy.fencing, server.host or '', 'before the evacuation')
    return Wait(
        guards.RECHECK,
        f'{server.host} is down but not fenced: make sure that it is off, then '
        f'"openstack compute service set --down {server.host} nova-compute"',
        'fencing',
    )


def _exhausted(
    recovery: Recovery,
    history: Sequence[Attempt],
    evidence: Evidence,
    passed_over: bool,
    now: float,
) -> Decision:
    tried = ', '.join(f'{a.action} {a.status}' for a in history if a.status in CONCLUDED)
    if recovery.policy.dry_run and history:
        return Finish(FAILED, f'dry run, nothing was done; it would have been: {tried}')
    if passed_over:
        return Finish(
            FAILED,
            'silent, but its disk or network still work: only gentle steps were allowed'
            + (f': {tried}' if tried else ''),
        )
    if evidence.host_down and now - recovery.created_at < HOST_PATIENCE:
        host = evidence.server.host if evidence.server else ''
        return Wait(guards.RECHECK, f'its host {host} is down; the policy has no step left', 'host')
    if not tried:
        return Finish(FAILED, 'no step of the policy is of use here')
    return Finish(FAILED, f'every step was tried without a heartbeat: {tried}')


def _why(evidence: Evidence, history: Sequence[Attempt]) -> str:
    last = f' after {history[-1].action} ({history[-1].status})' if history else ''
    state = evidence.server.status if evidence.server else 'gone'
    host = ', its host is down' if evidence.host_down else ''
    return f'{evidence.missed} heartbeats missed, Nova says {state}{host}{last}'


def _praise(history: Sequence[Attempt]) -> str:
    acted = made(history)
    if not acted:
        return 'heard again by itself'
    late = acted[-1].status != SUCCEEDED
    return f'by {acted[-1].action}' + (', later than it was waited for' if late else '')
