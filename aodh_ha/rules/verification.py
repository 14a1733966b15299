"""Whether an action helped: told by heartbeats that are newer than it, and by nothing else."""

from collections.abc import Collection, Sequence

from aodh_ha.rules import heartbeat
from aodh_ha.rules.guards import made
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    SUCCEEDED,
    UNVERIFIED,
    Attempt,
    Conclude,
    Decision,
    Heard,
    Recovery,
    Wait,
)

POLL = 1.0
"""Seconds between two looks at the guest while a step is verified."""

DEAF_RECHECK = 5.0
"""Seconds until it is looked again whether somebody listens."""

ECHO = 30.0
"""Seconds after an action that lets a guest boot, within which a heartbeat of the boot before it
may still be the last of a guest that is going down."""

SILENT = 'silent'
"""No heartbeat is newer than the last action, or not one of a guest that is well."""
ECHOED = 'echo'
"""Heard, but perhaps for the last time: by the boot from before the action, and soon after it."""
OLD_BOOT = 'old_boot'
"""Heard, by the boot from before: the guest came back by itself, the action did nothing to it."""
HEARD = 'heard'


def life(guest: Guest, recovery: Recovery, history: Sequence[Attempt]) -> str:
    """What the guest's newest sign of life is worth: SILENT, ECHOED, OLD_BOOT or HEARD.

    It must be newer than the last action and the silence; for a failed service it must also
    report that service well, for it beat all along.

    An action that boots the guest is proved by another boot id only. A guest that goes on with
    the old one longer than ECHO is well all the same: to go down the ladder then would do harm
    to a guest that is heard, so its recovery ends, and the action is not said to have helped.
    """
    if guest.last_seen is None:
        return SILENT
    if recovery.trigger == 'heartbeat' and guest.episode('heartbeat') == recovery.episode:
        return SILENT
    acted = [sent(a) for a in made(history)]
    # A guest that fell silent again within the hold has to be heard anew.
    relapsed = [a.finished_at or 0 for a in history if a.heard_at and a.status == UNVERIFIED]
    if guest.last_seen <= max([recovery.created_at, *acted, *relapsed]):
        return SILENT
    if recovery.trigger == 'service' and not _services_back(guest, history):
        return SILENT
    booted = _last_boot(recovery, history)
    before = booted.evidence.get('boot_id') if booted else None
    if booted is None or not before or not guest.boot_id or guest.boot_id != before:
        return HEARD
    return OLD_BOOT if guest.last_seen > sent(booted) + ECHO else ECHOED


def sent(attempt: Attempt) -> float:
    """When its action was sent, as far as that is known."""
    return attempt.sent_at or attempt.intended_at


def echo_left(guest: Guest, recovery: Recovery, history: Sequence[Attempt], now: float) -> float:
    """Seconds until a guest whose old boot was heard last has been heard later, or is silent."""
    booted = _last_boot(recovery, history)
    return sent(booted) + ECHO + patience(guest) - now if booted else 0.0


def patience(guest: Guest) -> float:
    """Seconds without a heartbeat after which a guest counts as silent."""
    return guest.interval * guest.missed_limit + heartbeat.slack(guest.interval)


def verdict(
    recovery: Recovery,
    attempt: Attempt,
    state: str,
    guest: Guest,
    listening_since: float | None,
    now: float,
) -> Decision:
    """What is known of an attempt that was sent: helped, not helped, or to be waited for.

    ``listening_since``: since when the guest can be heard without a gap; None: nobody listens.
    Time without anybody who listens proves nothing, so it is given again.
    """
    step = recovery.policy.steps[attempt.step]
    if state in (HEARD, OLD_BOOT):
        if attempt.dry_run:
            return Conclude(attempt, UNVERIFIED, 'heard again by itself: the action was not made')
        if state == OLD_BOOT and step.kind.boots:
            return Conclude(attempt, UNVERIFIED, 'heard again by itself: it has not booted since')
        if not step.healthy or _all_well(guest, attempt.evidence.get('services', {})):
            if not step.hold:
                return Conclude(attempt, SUCCEEDED, 'a newer heartbeat came')
            if attempt.heard_at is None:
                return Heard(attempt)
            if listening_since is not None:
                return _held(step.hold, attempt, attempt.heard_at, guest, listening_since, now)
    if listening_since is None:
        return Wait(DEAF_RECHECK, f'nobody listens; {attempt.action} is verified later', 'deaf')
    until = max(attempt.verify_until or now, listening_since + patience(guest))
    if now < until:
        return Wait(min(POLL, until - now), f'waiting for a heartbeat after {attempt.action}')
    if attempt.heard_at is not None:
        reason = f'it did not stay well for {step.hold:g}s'
    elif state == HEARD or recovery.trigger == 'service':
        reason = 'no newer heartbeat in time that reports its services well'
    else:
        reason = 'no newer heartbeat in time'
    return Conclude(attempt, UNVERIFIED, reason)


def _held(
    hold: float,
    attempt: Attempt,
    heard_at: float,
    guest: Guest,
    listening_since: float,
    now: float,
) -> Decision:
    if guest.missed(now, listening_since) >= guest.missed_limit:
        return Conclude(attempt, UNVERIFIED, f'it fell silent again within {hold:g}s')
    # What the gateway did not hear is no health.
    left = max(heard_at, listening_since) + hold - now
    if left > 0:
        return Wait(min(POLL, left), f'heard after {attempt.action}; it must stay well')
    return Conclude(attempt, SUCCEEDED, f'a newer heartbeat came, and it stayed well {hold:g}s')


def _last_boot(recovery: Recovery, history: Sequence[Attempt]) -> Attempt | None:
    """The newest action that lets the guest boot."""
    steps = recovery.policy.steps
    return next((a for a in reversed(made(history)) if steps[a.step].kind.boots), None)


def _services_back(guest: Guest, history: Sequence[Attempt]) -> bool:
    """Whether every service that had failed is there again, and well.

    An agent that has just started may report none yet: that is no recovery.
    """
    failed = {
        name
        for attempt in history
        for name, state in attempt.evidence.get('services', {}).items()
        if state != heartbeat.OK
    }
    return bool(guest.services) and not guest.failures and _well(guest) >= failed


def _all_well(guest: Guest, known: Collection[str]) -> bool:
    """Whether every service is well that is reported now, or was before the action."""
    return _well(guest) >= {s.name for s in guest.services} | set(known)


def _well(guest: Guest) -> set[str]:
    return {s.name for s in guest.services if s.state == heartbeat.OK and not s.failing}
