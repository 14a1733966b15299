"""The budget: which recovery may act now, counted by one process at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import policies, queue
from aodh_ha.db.database import rowcount
from aodh_ha.db.models import admissions, guests, recoveries
from aodh_ha.rules import budget
from aodh_ha.rules import policy as policy_rules
from aodh_ha.rules.budget import Limits, Load
from aodh_ha.rules.guest import ENROLLED
from aodh_ha.rules.policy import Policy
from aodh_ha.rules.recovery import Recovery

LOCK = 'budget'
"""The row that whoever admits writes to first: the others wait for its end."""

WHERE = ('host', 'zone', 'stack_id', 'group_name')

RIVALS = 20
"""Waiting recoveries of higher priority that are looked at, at most."""


@dataclass(frozen=True)
class Place:
    """Where a guest is when it is admitted: what budgets are counted by."""

    host: str = ''
    zone: str = ''
    stack_id: str = ''
    group_name: str = ''
    counted: bool = True
    """False for a dry run, which must not keep a real recovery waiting."""


def admit(
    connection: sa.Connection, recovery: Recovery, limits: Limits, now: float, place: Place
) -> str:
    """Let a recovery act, for the rest of its life; why not, when the budget is used up.

    To be called in the transaction that records the intent: whoever else admits waits for its
    end, so none is counted too late. Raises LeaseLost.
    """
    where = {k: getattr(place, k) for k in WHERE}
    queue.fenced(connection, recovery, where)
    if recovery.admitted_at is not None:
        return ''
    _lock(connection)
    refusal = _refusal(connection, recovery, where, limits, now)
    if not refusal and place.counted:
        queue.fenced(connection, recovery, {'admitted_at': now})
    return refusal


def foresee(connection: sa.Connection, recovery: Recovery, limits: Limits, now: float) -> str:
    """Why admit() would not let it act where it was last; nobody is kept waiting by the look."""
    if recovery.admitted_at is not None:
        return ''
    where = {k: getattr(recovery, k) for k in WHERE}
    return _refusal(connection, recovery, where, limits, now)


def _lock(connection: sa.Connection) -> None:
    mine = admissions.update().where(admissions.c.name == LOCK)
    if not rowcount(connection.execute(mine.values(number=admissions.c.number + 1))):
        # Two at the same time: one of them has an IntegrityError and begins anew.
        connection.execute(admissions.insert().values(name=LOCK, number=1))


def _refusal(
    connection: sa.Connection,
    recovery: Recovery,
    where: dict[str, str],
    limits: Limits,
    now: float,
) -> str:
    me = _Candidate(recovery.id, recovery.project_id, where, recovery.policy)
    admitted = _admitted(connection, me, limits, now)
    load = _load(connection, me, admitted, limits, now)
    refusal = budget.over(me.policy, limits, load)
    if refusal:
        return refusal
    before = _rivals(connection, recovery, limits, now)
    return budget.over(me.policy, limits, replace(load, waiting_before=before))


@dataclass(frozen=True)
class _Candidate:
    id: str
    project_id: str
    where: dict[str, str]
    policy: Policy


def _admitted(
    connection: sa.Connection, me: _Candidate, limits: Limits, now: float
) -> Sequence[Any]:
    """Who was admitted and is in flight, or was within the longest window."""
    c = recoveries.c
    rates = (limits.per_window, me.policy.budget.per_window)
    longest = max((rate[1] for rate in rates if rate), default=0.0)
    # Another version of a project's own policy is still the same policy.
    same = sa.or_(
        c.policy == me.policy.document,
        sa.and_(c.project_id == me.project_id, c.policy_name == me.policy.name),
    )
    return connection.execute(
        sa.select(
            *(c.project_id, c.group_name, c.host, c.zone, c.stack_id, c.admitted_at),
            sa.case((same, 1), else_=0).label('same_policy'),
            sa.case((c.active_key.is_not(None), 1), else_=0).label('active'),
        ).where(
            c.id != me.id,
            c.admitted_at.is_not(None),
            sa.or_(c.active_key.is_not(None), c.admitted_at > now - longest),
        )
    ).all()


def _load(
    connection: sa.Connection,
    me: _Candidate,
    admitted: Sequence[Any],
    limits: Limits,
    now: float,
) -> Load:
    def count(rows: Iterable[Any], scope: str) -> int:
        if scope == 'all':
            return sum(1 for _ in rows)
        if scope == 'policy':
            return sum(r.same_policy for r in rows)
        if scope == 'project':
            return sum(r.project_id == me.project_id for r in rows)
        column = {'stack': 'stack_id', 'group': 'group_name'}.get(scope, scope)
        mine = me.where[column]
        # A group belongs to its project: others may have one of the same name.
        return sum(
            bool(mine)
            and getattr(r, column) == mine
            and (scope != 'group' or r.project_id == me.project_id)
            for r in rows
        )

    in_window = {}
    for scope, rate in (('all', limits.per_window), ('policy', me.policy.budget.per_window)):
        if rate:
            recent = (r for r in admitted if r.admitted_at > now - rate[1])
            in_window[scope] = count(recent, scope)
    flying = [r for r in admitted if r.active]
    share = me.policy.budget.concurrent_share is not None
    return Load(
        in_flight={scope: count(flying, scope) for scope in budget.SCOPES},
        in_window=in_window,
        guests_under_policy=_guests_under(connection, me.policy) if share else 0,
    )


def _rivals(connection: sa.Connection, recovery: Recovery, limits: Limits, now: float) -> int:
    """How many of higher priority wait for the budget and could be admitted in our place.

    One that its own project or host keeps waiting anyway holds nobody else back.
    """
    c = recoveries.c
    rows = connection.execute(
        sa.select(c.id, c.project_id, c.policy, c.policy_version, *(c[k] for k in WHERE))
        .where(
            c.active_key.is_not(None),
            c.admitted_at.is_(None),
            c.guard == 'budget',
            c.priority > recovery.priority,
        )
        .order_by(c.priority.desc())
        .limit(RIVALS)
    ).all()
    found = 0
    for row in rows:
        policy = policy_rules.parse(row.policy, row.policy_version)
        where = {k: getattr(row, k) for k in WHERE}
        rival = _Candidate(row.id, row.project_id, where, policy)
        admitted = _admitted(connection, rival, limits, now)
        load = _load(connection, rival, admitted, limits, now)
        found += not budget.over(policy, limits, load)
    return found


def _guests_under(connection: sa.Connection, policy: Policy) -> int:
    """How many enrolled guests go by a policy of this name; see db.policies.of_guest."""
    g = guests.c
    told = sa.or_(
        g.policy == policy.name, sa.and_(g.policy == '', g.metadata_policy == policy.name)
    )
    matched: list[sa.ColumnElement[bool]] = [
        g.group_name.in_(policy.match.groups),
        g.stack_id.in_(policy.match.stacks),
    ]
    matched += [g.stack_name.in_(policy.match.stacks)]
    if policy.name == policies.DEFAULT:
        matched = [sa.true()]
    untold = sa.and_(g.policy == '', g.metadata_policy == '', sa.or_(*matched))
    query = sa.select(sa.func.count()).where(g.status == ENROLLED, sa.or_(told, untold))
    return int(connection.execute(query).scalar_one())
