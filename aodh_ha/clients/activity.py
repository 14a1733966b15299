"""What Ceilometer's measures say of a server's work: pure, nothing is asked here."""

from collections.abc import Mapping, Sequence
from typing import Any

from aodh_ha.rules.evidence import Activity

WINDOW = 120.0
"""Seconds back from now that count."""

COARSEST = 60.0
"""Seconds; of a coarser granularity, such as Ceilometer's usual 5 minutes, nobody can tell
whether it did something in the last two minutes."""

LEVELS = ('last', 'max', 'mean', 'min')
RATES = ('rate:last', 'rate:max', 'rate:mean')
"""Ways of aggregation that serve, best first. Gnocchi's rate is no rate: it is the difference
from the measure before."""

DISK = ('disk.device.read.bytes', 'disk.device.write.bytes')
NETWORK = ('network.incoming.bytes', 'network.outgoing.bytes')
CPU = 'cpu'

Point = tuple[float, float]
"""Time in seconds, value."""


def way(policy: Mapping[str, Any], seconds: Any) -> tuple[str, float] | None:
    """Aggregation and granularity that an archive policy offers; None: none that serves.

    ``seconds`` reads a granularity as Gnocchi prints it.
    """
    methods = set(policy.get('aggregation_methods') or ())
    aggregation = next((m for m in (*LEVELS, *RATES) if m in methods), None)
    granularities = [seconds(d.get('granularity')) for d in policy.get('definition') or ()]
    fine = [g for g in granularities if 0 < g <= COARSEST]
    return (aggregation, min(fine)) if aggregation and fine else None


def rate(points: Sequence[Point], aggregation: str, now: float) -> float | None:
    """The newest change a second of a counter; None when it was not measured lately.

    Only the last two measures count: what a guest did before it fell silent says nothing.
    """
    lately = sorted(p for p in points if p[0] >= now - WINDOW)
    if len(lately) < 2:
        return None
    (before, low), (after, high) = lately[-2:]
    change = high if aggregation in RATES else high - low
    return change / (after - before) if change >= 0 else None  # a counter begins anew with a boot


def of_rates(rates: Mapping[str, Sequence[float | None]]) -> Activity | None:
    """By meter, a rate for each of a server's devices."""

    def total(*meters: str) -> float | None:
        known = [r for m in meters for r in rates.get(m, ()) if r is not None]
        return sum(known) if known else None

    cpu, disk, network = total(CPU), total(*DISK), total(*NETWORK)
    if cpu is None and disk is None and network is None:
        return None
    return Activity(None if cpu is None else cpu / 1e9, disk, network)
