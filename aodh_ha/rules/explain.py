"""A recovery's decisions in plain words, a line each, with what each was based on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from aodh_ha.rules.recovery import (
    ABANDONED,
    ENDED,
    INTENDED,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Attempt,
    Recovery,
)

OUTCOMES = {
    INTENDED: 'whether the request arrived is not known yet',
    SENT: 'a newer heartbeat is waited for',
    SUCCEEDED: 'it helped',
    UNVERIFIED: 'it did not help',
    REFUSED: 'not taken',
    ABANDONED: 'the request never arrived',
}

OF_ATTEMPTS = ('intended', 'dry_run', 'sent', 'heard', SUCCEEDED, UNVERIFIED, REFUSED, ABANDONED)
"""Kinds of events that are told with their attempt."""


class Event(Protocol):
    """An entry of the audit trail."""

    @property
    def at(self) -> float:
        """Seconds since the epoch."""

    @property
    def kind(self) -> str:
        """Such as ``opened`` or ``held``."""

    @property
    def message(self) -> str:
        """What happened."""


def explain(recovery: Recovery, history: Sequence[Attempt], events: Sequence[Event]) -> list[str]:
    """One line for each decision, oldest first; times of the day in UTC.

    ``18:20:11 server.reboot soft: 4 heartbeats missed, host1 up; it did not help after 90s (no
    newer heartbeat in time)``
    """
    told = [(a.intended_at, _attempt(a)) for a in history]
    told += [
        (e.at, f'{e.kind.replace("_", " ")}: {e.message}')
        for e in events
        if e.kind not in OF_ATTEMPTS
    ]
    if not any(e.kind == recovery.status for e in events) and recovery.status in ENDED:
        ended = recovery.finished_at or recovery.updated_at
        told.append((ended, f'{recovery.status.replace("_", " ")}: {recovery.reason}'))
    # Sorted by time alone: of one time they stay in the order in which they were written.
    return [f'{_clock(at)} {text}' for at, text in sorted(told, key=lambda line: line[0])]


def based_on(evidence: Mapping[str, Any]) -> str:
    """What an attempt's evidence says, in a few words; empty when there is none."""
    if not evidence:
        return ''
    missed = evidence.get('heartbeats_missed')
    found = [] if missed is None else [f'{missed} heartbeat{"s" * (missed != 1)} missed']
    services = evidence.get('services') or {}
    found += [f'{name} {state}' for name, state in sorted(services.items()) if state != 'ok']
    server, host = evidence.get('server'), evidence.get('host')
    if server is None:
        found.append('Nova has no such server')
    else:
        found.append(f'Nova says {server["status"]}')
        if server.get('task_state'):
            found.append(f'task {server["task_state"]}')
    if host:
        forced = ', forced down' if host.get('forced_down') else ''
        found.append(f'{host["name"]} {"up" if host["up"] else "down"}{forced}')
    return ', '.join(found)


def _attempt(attempt: Attempt) -> str:
    dry = ' (dry run)' if attempt.dry_run else ''
    number = f' (try {attempt.number})' if attempt.number > 1 else ''
    after = ''
    if attempt.finished_at and attempt.status in (SUCCEEDED, UNVERIFIED):
        after = f' after {attempt.finished_at - (attempt.sent_at or attempt.intended_at):.0f}s'
    why = f' ({attempt.detail})' if attempt.detail else ''
    basis = based_on(attempt.evidence)
    outcome = f'{OUTCOMES.get(attempt.status, attempt.status)}{after}{why}'
    return f'{attempt.action}{number}{dry}: {basis}{"; " if basis else ""}{outcome}'


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime('%H:%M:%S')
