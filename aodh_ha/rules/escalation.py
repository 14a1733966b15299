"""The ladder: from what was tried and what is known to what is done next."""

from collections.abc import Sequence

from aodh_ha.rules import budget, guards, preservation, verification
from aodh_ha.rules.evidence import Evidence, Server
from aodh_ha.rules.guards import made
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import (
    DEAD_HOST,
    FORCED_DOWN,
    GENTLE,
    HOST_DOWN,
    HOST_UP,
    OFF,
    SERVICE,
    Step,
)
from aodh_ha.rules.recovery import (
    ABANDONED,
    CONCLUDED,
    FAILED,
    NOT_HEARD,
    RECOVERED,
    REFUSED,
    SENT,
    SUCCEEDED,
    Act,
    Attempt,
    Decision,
    Fence,
    Finish,
    NeedEvidence,
    Recovery,
    Refuse,
    Wait,
)
from aodh_ha.rules.verification import ECHOED, HEARD, OLD_BOOT, POLL

__all__ = ['POLL', 'decide']

EXPIRY = 86400.0
"""Seconds after which a recovery that could not be finished is a person's."""

HOST_PATIENCE = 3600.0
"""Seconds that a guest on a dead host is waited for, where the policy has no step for it."""

WHOLE = ('stack.rebuild', 'stack.recreate')
"""Steps that replace every server of a stack."""

MOST_ABANDONED = 5
"""Tries of one step that never reached the cloud, before a person is called: the next step, a
harsher one, would fare no better, and must not be taken for that."""


def decide(
    recovery: Recovery,
    history: Sequence[Attempt],
    guest: Guest,
    evidence: Evidence | None,
    now: float,
    listening_since: float | None = 0.0,
) -> Decision:
    """What to do next about this recovery.

    ``history`` is every attempt so far, oldest first; none of them INTENDED (what became of
    those has to be observed first). ``evidence`` is None until it was asked for with
    NeedEvidence, and taken anew for each action. ``listening_since``: since when the guest could
    be heard without a gap; None: nobody listens.
    """
    waiting = next((a for a in history if a.status == SENT), None)
    life = verification.life(guest, recovery, history)
    if waiting:
        return verification.verdict(recovery, waiting, life, guest, listening_since, now)
    if life in (HEARD, OLD_BOOT):
        return Finish(RECOVERED, _praise(history, life))
    if life == ECHOED:
        left = verification.echo_left(guest, recovery, history, now)
        if left > 0:
            reason = 'heard by the boot from before the action; it may be going down'
            return Wait(min(guards.UNHEARD_RECHECK, left), reason, 'unheard')
    if now - recovery.created_at > EXPIRY:
        return Finish(FAILED, f'not finished in {EXPIRY / 3600:g} hours: {recovery.reason}')
    if evidence is None:
        return NeedEvidence()
    held = guards.hold(recovery, history, guest, evidence, now)
    return held or _next_step(recovery, history, guest, evidence, now)


def applies(step: Step, recovery: Recovery, guest: Guest, evidence: Evidence) -> bool:
    """Whether the step is of use for what failed: a dead host's guests are not rebooted."""
    server = evidence.server
    off = server is not None and server.vm_state == 'stopped'
    when = step.applies
    if step.action == 'server.evacuate' and not evidence.host_down:
        return False
    if step.action == 'server.start' and not off:
        return False
    in_cloud = step.action.startswith(('server.', 'stack.'))
    if evidence.host_down and in_cloud and step.action not in DEAD_HOST:
        return False
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
    if step.kind.in_stack and evidence.member is None:
        return Refuse(n, number, 'no stack has the server')
    if step.action in WHOLE and evidence.excused:
        name, why = next(iter(sorted(evidence.excused.items())))
        return Refuse(n, number, f'it would replace {name} of its stack, too, and {why}')
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
    if evidence.host_down and step.action in DEAD_HOST:
        held = _fenced(step, recovery, evidence, server)
        if held:
            return held
    approved = recovery.approved_step is not None and recovery.approved_step >= n
    if step.approval and not approved:
        return Wait(guards.RECHECK, f'{step.name} waits for "recovery approve"', 'approval')
    return Act(n, number, _why(evidence, history))


def _fenced(step: Step, recovery: Recovery, evidence: Evidence, server: Server) -> Decision | None:
    """Hold a step back until nobody can still write to the guest's disks from the dead host."""
    host, incident = evidence.host, evidence.incident
    if host and host.forced_down:
        return None
    if recovery.policy.fencing != FORCED_DOWN:
        if incident and incident.fenced_at:
            return None
        return Fence(recovery.policy.fencing, server.host or '', f'before {step.name}')
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
    doubt = recovery.created_at + guards.HOST_DOUBT - now
    if doubt > 0 and not evidence.host_down and _left_for_a_dead_host(recovery, history):
        return Wait(
            min(doubt, guards.BUSY_RECHECK),
            'no step is left but for a dead host: Nova may find it down yet',
            'host',
        )
    if not tried:
        return Finish(FAILED, 'no step of the policy is of use here')
    return Finish(FAILED, f'every step was tried without a heartbeat: {tried}')


def _left_for_a_dead_host(recovery: Recovery, history: Sequence[Attempt]) -> bool:
    """Whether a step is still to come that is only taken when the host is down."""
    reached = max((a.step for a in history), default=-1)
    return any(
        s.action == 'server.evacuate' or s.applies == HOST_DOWN
        for s in recovery.policy.steps[reached + 1 :]
    )


def _why(evidence: Evidence, history: Sequence[Attempt]) -> str:
    last = f' after {history[-1].action} ({history[-1].status})' if history else ''
    state = evidence.server.status if evidence.server else 'gone'
    host = ', its host is down' if evidence.host_down else ''
    return f'{evidence.missed} heartbeats missed, Nova says {state}{host}{last}'


def _praise(history: Sequence[Attempt], life: str) -> str:
    acted = made(history)
    if not acted:
        return 'heard again by itself'
    if life == OLD_BOOT:
        return f'heard again by itself: it has not booted since {acted[-1].action}'
    if acted[-1].detail.startswith(NOT_HEARD):
        return f'heard again; after {acted[-1].action} {acted[-1].detail}'
    late = acted[-1].status != SUCCEEDED
    return f'by {acted[-1].action}' + (', later than it was waited for' if late else '')
