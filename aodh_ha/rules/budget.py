"""How much may be done at once, and how often for one guest."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from aodh_ha.rules.evidence import Past
from aodh_ha.rules.policy import Policy

SCOPES = ('all', 'project', 'group', 'host', 'zone', 'stack', 'policy')
"""What admitted recoveries are counted by."""


@dataclass(frozen=True)
class Limits:
    """The operator's, from the configuration; None or a missing scope: no limit."""

    concurrent: dict[str, int] = field(default_factory=dict, hash=False)
    """By scope: how many recoveries may be in flight in one project, on one host, …"""
    per_window: tuple[int, float] | None = None
    """At most so many recoveries admitted in so many seconds, in the whole cloud."""


@dataclass(frozen=True)
class Load:
    """What is being done now. Counts of admitted recoveries, without the one in question."""

    in_flight: dict[str, int] = field(default_factory=dict, hash=False)
    """By scope, of those that share its project, group, host, …"""
    in_window: dict[str, int] = field(default_factory=dict, hash=False)
    """``all`` and ``policy``: admitted within the window of the limit in question."""
    guests_under_policy: int = 0
    waiting_before: int = 0
    """Recoveries of higher priority that wait for the budget."""


def over(policy: Policy, limits: Limits, load: Load) -> str:
    """Why the budget does not admit one more recovery; empty when it does."""
    mine = policy.budget
    for scope in SCOPES:
        most = limits.concurrent.get(scope)
        now = load.in_flight.get(scope, 0)
        if most is not None and now >= most:
            return f'{now} of {most} recoveries at once are under way ({scope})'
    allowed = concurrent(policy, load.guests_under_policy)
    now = load.in_flight.get('policy', 0)
    if allowed is not None and now >= allowed:
        return f'{now} of {allowed} recoveries at once are under way (policy {policy.name})'
    for scope, rate in (('all', limits.per_window), ('policy', mine.per_window)):
        done = load.in_window.get(scope, 0)
        if rate and done >= rate[0]:
            return f'{done} of {rate[0]} recoveries in {rate[1]:g}s are used up ({scope})'
    if load.waiting_before:
        return f'{load.waiting_before} of higher priority go first'
    return ''


def concurrent(policy: Policy, guests: int) -> int | None:
    """How many at once the policy allows; a share is rounded down, but one is always allowed."""
    if policy.budget.concurrent_share is not None:
        return max(1, int(policy.budget.concurrent_share * guests))
    return policy.budget.concurrent


def since_reset(past: Sequence[Past], reset: float, now: float) -> list[Past]:
    """The actions that still count: those since the guest was last well for ``reset`` seconds."""
    kept: list[Past] = []
    after = now
    for action in sorted(past, key=lambda p: p.at, reverse=True):
        if after - action.at >= reset:
            break
        kept.append(action)
        after = action.at
    return kept[::-1]


def acted_recoveries(
    past: Sequence[Past], reset: float, now: float, window: float, but: str
) -> int:
    """In how many recoveries, within the window and without this one, something was done."""
    counted = since_reset(past, reset, now)
    return len({p.recovery_id for p in counted if p.at > now - window and p.recovery_id != but})


def times(past: Sequence[Past], step: str, reset: float, now: float, window: float) -> int:
    """How often a step was taken for the guest within the window."""
    counted = since_reset(past, reset, now)
    return sum(p.action == step and p.at > now - window for p in counted)
