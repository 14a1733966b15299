"""What a changed policy would have done about past recoveries, with the evidence of then.

Nothing is known of what would have followed: so each step of the changed policy is taken for one
that did not help, until there is no more evidence, or the one that did help is reached.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from aodh_ha.rules import escalation
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import ENROLLED, Guest
from aodh_ha.rules.heartbeat import OK, Service
from aodh_ha.rules.policy import Policy
from aodh_ha.rules.recovery import (
    REFUSED,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Attempt,
    Decision,
    Fence,
    Finish,
    Recovery,
    Refuse,
    Wait,
)

MOST = 50
"""Decisions with one piece of evidence; a policy has 20 steps at most."""


@dataclass(frozen=True)
class Line:
    """One past recovery."""

    recovery_id: str
    server_id: str
    did: tuple[str, ...]
    """The actions that were made, in their order, each with what became of it."""
    would: tuple[str, ...] = ()
    """The steps that would have been taken or refused, and what would have held it back."""
    remark: str = ''
    """Where the two part, or why nothing can be said."""


@dataclass
class _Run:
    """The recovery as it would have gone."""

    recovery: Recovery
    would: list[str] = field(default_factory=list)
    history: list[Attempt] = field(default_factory=list)
    ended: bool = False
    helped: bool = False


def replay(policy: Policy, recoveries: Iterable[tuple[Recovery, Sequence[Attempt]]]) -> list[Line]:
    """For each past recovery what the changed policy would have done."""
    return [_line(policy, recovery, history) for recovery, history in recoveries]


def _line(policy: Policy, recovery: Recovery, history: Sequence[Attempt]) -> Line:
    did = tuple(f'{a.action}: {a.status}' for a in history)
    run = _Run(replace(recovery, policy=policy, approved_step=None))
    known = 0
    for attempt in sorted(history, key=lambda a: a.intended_at):
        evidence = _evidence(attempt, recovery)
        if run.ended or evidence is None:
            continue
        known += 1
        _go_on(run, evidence, attempt)
        if attempt.status == SUCCEEDED and not run.ended:
            break
    if not known:
        reason = f'no evidence was kept: it ended as {recovery.status.replace("_", " ")}'
        return Line(recovery.id, recovery.server_id, did, (), f'{reason}, {recovery.reason}')
    return Line(recovery.id, recovery.server_id, did, tuple(run.would), _remark(run, history))


def _evidence(attempt: Attempt, recovery: Recovery) -> Evidence | None:
    try:
        found = Evidence.from_dict(attempt.evidence)
    except (LookupError, TypeError, ValueError, AttributeError):
        return None  # of another version of this program, or none at all
    return found if found.server else None


def _go_on(run: _Run, evidence: Evidence, attempt: Attempt) -> None:
    """Decide with this evidence until something is done or waited for."""
    now = attempt.intended_at
    guest = _guest(run.recovery, evidence)
    for _ in range(MOST):
        found = escalation.decide(run.recovery, run.history, guest, evidence, now)
        if isinstance(found, Wait) and found.guard == 'delay':
            now += found.seconds
            continue
        step = _step(run.recovery, found)
        match found:
            case Act():
                run.helped = attempt.status == SUCCEEDED and step == attempt.action
                run.would.append(step)
                status = SUCCEEDED if run.helped else UNVERIFIED
                run.history.append(_attempt(run, found, status, now))
                return
            case Refuse(reason=reason):
                run.would.append(f'{step}: refused, {reason}')
                run.history.append(_attempt(run, found, REFUSED, now))
            case Wait(reason=reason):
                _add(run, f'held back: {reason}')
                return
            case Fence(hook=hook, host=host):
                _add(run, f'hook {hook}, to fence {host}')
                return
            case Finish(status=status, reason=reason):
                run.would.append(f'{status.replace("_", " ")}: {reason}')
                run.ended = True
                return
            case _:
                return


def _step(recovery: Recovery, found: Decision) -> str:
    return recovery.policy.steps[found.step].name if isinstance(found, Act | Refuse) else ''


def _add(run: _Run, text: str) -> None:
    if text not in run.would[-1:]:
        run.would.append(text)


def _attempt(run: _Run, found: Act | Refuse, status: str, now: float) -> Attempt:
    return Attempt(
        id=f'{found.step}-{found.number}',
        recovery_id=run.recovery.id,
        step=found.step,
        number=found.number,
        action=_step(run.recovery, found),
        status=status,
        intended_at=now,
        sent_at=now,
        finished_at=now,
    )


def _guest(recovery: Recovery, evidence: Evidence) -> Guest:
    """The guest as it was when the evidence was taken, as the changed policy watches it."""
    policy = recovery.policy
    services = _services(evidence.services)
    failing = recovery.trigger == 'service' and (not services or any(s.failing for s in services))
    last_seen = evidence.last_seen
    if last_seen is not None and recovery.trigger == 'heartbeat':
        # Heard meanwhile, and silent again: that was the end of a step, not of the recovery.
        last_seen = min(last_seen, recovery.created_at)
    return Guest(
        server_id=recovery.server_id,
        project_id=recovery.project_id,
        status=ENROLLED,
        status_reason='',
        name='',
        generation=1,
        interval=policy.interval,
        missed_limit=policy.missed,
        boot_grace=policy.boot_grace,
        policy=policy.name,
        enrolled_at=0.0,
        last_seen=last_seen,
        boot_id=evidence.boot_id,
        services=services,
        failures=int(failing),
        host=recovery.host,
        group_name=recovery.group_name,
    )


def _services(states: Mapping[str, str]) -> tuple[Service, ...]:
    return tuple(Service(name, state, int(state != OK)) for name, state in states.items())


def _remark(run: _Run, history: Sequence[Attempt]) -> str:
    if run.helped:
        return f'as it was: {run.history[-1].action} helped'
    helped = next((a.action for a in history if a.status == SUCCEEDED), '')
    if helped:
        return f'{helped} helped then; whether this would have is not known'
    before = [a.action for a in history if a.status != REFUSED]
    after = [a.action for a in run.history if a.status != REFUSED]
    if before == after:
        return 'the same'
    return '' if after else 'nothing would have been done'
