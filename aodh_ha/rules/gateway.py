"""Whether anybody listened: silence counts only while a gateway did."""

from dataclasses import dataclass

AGENT, CEILOMETER, CLOUDWATCH = 'agent', 'ceilometer', 'cloudwatch'
"""The ways in which guests are heard: by our webhook, by Ceilometer's notification agent, or by the
webhook's CloudWatch bridge, which is deaf while Keystone is away."""

GAPS = {AGENT: 5.0, CEILOMETER: 30.0, CLOUDWATCH: 5.0}
"""Seconds without a tick after which a gateway counts as having been away. The webhook ticks
every half second, its bridge every second; Ceilometer's agent with every batch of samples, so
every polling interval."""


@dataclass(frozen=True)
class Gateway:
    """One gateway's own sign of life. Times are seconds since the epoch."""

    name: str
    alive_at: float
    listening_since: float

    @property
    def way(self) -> str:
        """Whom it hears: guests with an agent, with cfn-push-stats, or told of by Ceilometer."""
        kind = self.name.partition(':')[0]
        return kind if ':' in self.name and kind in (CEILOMETER, CLOUDWATCH) else AGENT


def listening_since(gateways: list[Gateway], now: float, way: str = AGENT) -> float | None:
    """Since when guests could be heard this way, without a gap; None when nobody listens now.

    With several gateways the one that listens longest counts: guests reach any of them.
    """
    alive = [
        g.listening_since for g in gateways if g.way == way and abs(now - g.alive_at) <= GAPS[way]
    ]
    return min(alive) if alive else None


def tick(before: Gateway | None, name: str, *, now: float, monotonic_step: float | None) -> Gateway:
    """The gateway's record after one more second of listening.

    ``monotonic_step`` is the monotonic time since the last tick of this process, None for
    its first one. A gap, a wall clock that did not move with the monotonic one, or a new
    process starts the listening anew: however soon it came, guests found nobody meanwhile and
    wait before they try again, which for a short interval is as long as a silence.
    """
    if before is None or monotonic_step is None:
        return Gateway(name, now, now)
    jumped = abs(now - before.alive_at - monotonic_step) > GAPS[AGENT] / 2
    continuous = monotonic_step <= GAPS[before.way] and not jumped
    return Gateway(name, now, before.listening_since if continuous else now)
