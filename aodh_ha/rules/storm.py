"""Too many guests silent at once: that is no failure of theirs, and no recovery would help."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from aodh_ha.rules import heartbeat
from aodh_ha.rules.evidence import Fleet
from aodh_ha.rules.gateway import AGENT
from aodh_ha.rules.guest import ENROLLED, Guest

MEMORY = 86400.0
"""Seconds that a storm lasts at most: by then every recovery it held is a person's anyway."""

MOSTLY = 0.9
"""The share of the guests in a storm that must have something in common for it to be the cause:
somewhere in a large cloud one more guest always fails by itself."""


@dataclass(frozen=True)
class Look:
    """A guest, and since when it counts as silent; None: it is heard."""

    guest: Guest
    silent_at: float | None


def survey(
    guests: Sequence[Guest],
    listening: Mapping[str, float | None],
    down_hosts: Collection[str],
    now: float,
    *,
    share: float,
    window: float,
    minimum: int,
    group: str = '',
    excused: Collection[str] = (),
    since: float = 0.0,
) -> Fleet:
    """Who is silent, and whether it is a storm.

    A storm: of all guests, or of those in one zone, or of those heard in one way, at least
    ``share`` (0 to 1) and ``minimum`` fell silent within one ``window`` (seconds) and are silent
    still; or every guest of a host did. It lasts as long as they are silent, not as long as the
    window: else all would be rebooted as soon as that is over.

    ``listening``: since when guests are heard, by way (see rules.gateway); those of a way that
    nobody listens to are left out, for nothing is known of them. Guests on ``down_hosts`` are
    left out too: why they are silent is known. ``excused`` are server ids whose silence a
    recovery has looked into and left alone; ``since`` is when a person closed the last storm:
    neither counts any more towards a storm.
    """
    looks = [
        Look(g, silent_at(g, listening[g.way], now))
        for g in guests
        if g.status == ENROLLED and listening.get(g.way) is not None and g.host not in down_hosts
    ]
    after = max(since, now - MEMORY)

    def together(some: Sequence[Look]) -> list[Look]:
        """The most of them that fell silent within one window."""
        return cluster(
            [
                s
                for s in some
                if s.silent_at and s.silent_at > after and s.guest.server_id not in excused
            ],
            window,
        )

    cause = reason = ''
    for of, some, needed in _scopes(looks, share):
        fell = together(some)
        if fell and len(fell) >= max(minimum, needed * len(some)):
            cause, what = _cause(fell, looks)
            reason = _sentence(fell, some, of, window, what)
            break
    mine = [s for s in looks if group and s.guest.group_name == group]
    return Fleet(
        guests=len(looks),
        silent=sum(s.silent_at is not None for s in looks),
        recent=len(together(looks)),
        window=window,
        by_host=_counted(looks, lambda g: g.host),
        by_zone=_counted(looks, lambda g: g.zone),
        by_way=_counted(looks, lambda g: g.way),
        group=(sum(s.silent_at is not None for s in mine), len(mine)),
        storm=reason,
        cause=cause,
    )


def silent_at(guest: Guest, listening_since: float | None, now: float) -> float | None:
    """When the guest had missed as many heartbeats as it may; None while it has not.

    After an outage of a gateway the count begins anew, and with it the time of the silence: so
    guests that nobody hears afterwards either fell silent together, and not long ago.
    """
    if listening_since is None or guest.missed(now, listening_since) < guest.missed_limit:
        return None
    start = guest.enrolled_at + guest.boot_grace if guest.last_seen is None else guest.last_seen
    patience = guest.interval * guest.missed_limit + heartbeat.slack(guest.interval)
    return min(now, max(start, listening_since) + patience)


def cluster(silent: Iterable[Look], window: float) -> list[Look]:
    """The most guests that fell silent within one window; of several such, the newest."""
    ordered = sorted(silent, key=lambda s: s.silent_at or 0.0)
    times = [s.silent_at or 0.0 for s in ordered]
    best: list[Look] = []
    for n, at in enumerate(times):
        end = bisect_right(times, at + window)
        if end - n >= len(best):
            best = ordered[n:end]
    return best


def _scopes(looks: Sequence[Look], share: float) -> Iterable[tuple[str, Sequence[Look], float]]:
    """Of whom a storm is the share: words for them, who they are, and the share needed."""
    yield '', looks, share
    for way, some in _by(looks, lambda g: g.way):
        yield f' heard by {way}', some, share
    for zone, some in _by(looks, lambda g: g.zone):
        yield f' in zone {zone}', some, share
    # Hosts are many, and a third of one host's guests may well fail for a reason of their own.
    for host, some in _by(looks, lambda g: g.host):
        yield f' on host {host}', some, 1.0


def _by(looks: Sequence[Look], key: Callable[[Guest], str]) -> list[tuple[str, list[Look]]]:
    found: dict[str, list[Look]] = {}
    for look in looks:
        found.setdefault(key(look.guest), []).append(look)
    return sorted((name, some) for name, some in found.items() if name)


def _cause(fell: Sequence[Look], looks: Sequence[Look]) -> tuple[str, str]:
    """What the silent ones have in common: a name for it, and what a person should look at."""
    heard = [s.guest for s in looks if s.silent_at is None]
    host = _common(s.guest.host for s in fell)
    if host and any(g.host != host for g in heard):
        return f'host {host}', (
            f'they are on host {host}, which Nova says is up: see whether it is, and when it is '
            f'dead, "openstack compute service set --down {host} nova-compute"'
        )
    zone = _common(s.guest.zone for s in fell)
    if zone and any(g.zone != zone for g in heard):
        return f'zone {zone}', f'they are in zone {zone}: see to its power and network'
    way = _common(s.guest.way for s in fell)
    if way and not any(g.way == way for g in heard):
        if way == AGENT:
            what = 'not one guest is heard by the gateway: see whether guests can reach it'
        else:
            what = f'not one guest is heard by {way}: see whether its agents run'
        return f'way {way}', what
    hosts = len({s.guest.host for s in fell})
    return 'unknown', f'they are on {hosts} host{"s" * (hosts != 1)}: no cause is known'


def _common(values: Iterable[str]) -> str:
    """The value that nearly all have; empty when there is none, or nobody knows it."""
    counted = Counter(values)
    value, number = counted.most_common(1)[0]
    return value if number >= MOSTLY * counted.total() else ''


def _sentence(fell: Sequence[Look], some: Sequence[Look], of: str, window: float, what: str) -> str:
    percent = round(100 * len(fell) / len(some))
    return (
        f'{len(fell)} of {len(some)} guests{of} ({percent}%) fell silent within {window:g}s: '
        f'{what}. Nothing is done to them; see "aodh-ha incident show"'
    )


def _counted(looks: Sequence[Look], key: Callable[[Guest], str]) -> dict[str, tuple[int, int]]:
    every = Counter(key(s.guest) for s in looks)
    silent = Counter(key(s.guest) for s in looks if s.silent_at is not None)
    return {name: (silent[name], every[name]) for name in sorted(every)}
