"""The ladder: from what was tried and what is known to what is done next."""

from collections.abc import Sequence

from aodh_ha.rules import guards, preservation
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    ABANDONED,
    CONCLUDED,
    FAILED,
    LEFT_ALONE,
    RECOVERED,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Attempt,
    Conclude,
    Decision,
    Evidence,
    Finish,
    NeedEvidence,
    Recovery,
    Refuse,
    Server,
    Wait,
)

POLL = 1.0
"""Seconds between two looks at the guest while a step is verified."""


def heard_again(guest: Guest, recovery: Recovery, history: Sequence[Attempt]) -> bool:
    """Whether a sign of life came that is newer than the last action and the silence.

    For a failed service the beat must also report every service healthy: it beat all along.
    """
    if guest.last_seen is None:
        return False
    if recovery.trigger == 'heartbeat' and guest.episode('heartbeat') == recovery.episode:
        return False
    acted = [a.sent_at or a.intended_at for a in _made(history)]
    if guest.last_seen <= max([recovery.created_at, *acted]):
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
        if waiting:
            return Conclude(waiting, SUCCEEDED, 'a newer heartbeat came')
        return Finish(RECOVERED, _praise(history))
    if waiting:
        until = waiting.verify_until or now
        if now < until:
            return Wait(min(POLL, until - now), f'waiting for a heartbeat after {waiting.action}')
        return Conclude(waiting, UNVERIFIED, 'no newer heartbeat in time')
    if evidence is None:
        return NeedEvidence()
    acted = max((a.sent_at or a.intended_at for a in _made(history)), default=None)
    server = evidence.server
    if server is None:
        return Finish(LEFT_ALONE, 'Nova has no such server any more')
    held = (
        guards.intent(server, recovery.project_id)
        or guards.busy(server, now - acted if acted else None)
        or guards.unheard(evidence, guest, recovery.trigger)
    )
    return held or _next_step(recovery, history, evidence, server)


def _next_step(
    recovery: Recovery, history: Sequence[Attempt], evidence: Evidence, server: Server
) -> Decision:
    for n, step in enumerate(recovery.policy.steps):
        tries = [a for a in history if a.step == n]
        if any(a.step > n for a in history) or any(a.status == REFUSED for a in tries):
            continue
        counted = [a for a in tries if a.status != ABANDONED]
        if len(counted) >= step.attempts:
            continue
        refusal = preservation.refusal(step, recovery.policy, server)
        if refusal:
            return Refuse(n, len(tries) + 1, refusal)
        return Act(n, len(tries) + 1, _why(evidence, history))
    tried = ', '.join(f'{a.action} {a.status}' for a in history if a.status in CONCLUDED)
    return Finish(FAILED, f'every step was tried without a heartbeat: {tried}')


def _why(evidence: Evidence, history: Sequence[Attempt]) -> str:
    last = f' after {history[-1].action} ({history[-1].status})' if history else ''
    state = evidence.server.status if evidence.server else 'gone'
    return f'{evidence.missed} heartbeats missed, Nova says {state}{last}'


def _made(history: Sequence[Attempt]) -> list[Attempt]:
    """The attempts whose action was carried out."""
    return [a for a in history if a.status not in (REFUSED, ABANDONED)]


def _praise(history: Sequence[Attempt]) -> str:
    made = _made(history)
    if not made:
        return 'heard again by itself'
    late = made[-1].status != SUCCEEDED
    return f'by {made[-1].action}' + (', later than it was waited for' if late else '')
