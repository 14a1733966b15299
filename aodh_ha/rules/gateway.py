"""Whether anybody listened: silence counts only while a gateway did."""

from dataclasses import dataclass

GAP = 5.0
"""Seconds without a tick after which a gateway counts as having been away."""


@dataclass(frozen=True)
class Gateway:
    """One gateway's own sign of life. Times are seconds since the epoch."""

    name: str
    alive_at: float
    listening_since: float


def listening_since(gateways: list[Gateway], now: float) -> float | None:
    """Since when guests could be heard, without a gap; None when nobody listens now.

    With several gateways the one that listens longest counts: guests reach any of them.
    """
    alive = [g.listening_since for g in gateways if abs(now - g.alive_at) <= GAP]
    return min(alive) if alive else None


def tick(before: Gateway | None, name: str, *, now: float, monotonic_step: float | None) -> Gateway:
    """The gateway's record after one more second of listening.

    ``monotonic_step`` is the monotonic time since the last tick of this process, None for
    its first one. A gap, or a wall clock that did not move with the monotonic one, starts
    the listening anew.
    """
    if before is None or monotonic_step is None:
        continuous = before is not None and 0 <= now - before.alive_at <= GAP
    else:
        step = now - before.alive_at
        continuous = monotonic_step <= GAP and abs(step - monotonic_step) <= GAP / 2
    since = before.listening_since if before and continuous else now
    return Gateway(name, now, since)
