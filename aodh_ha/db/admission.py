"""The budget: which recovery may act now, counted by one process at a time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
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

RIVALS = 100
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
    where = {
        'host': place.host,
        'zone': place.zone,
        'stack_id': place.stack_id,
        'group_name': place.group_name,
    }
    queue.fenced(connection, recovery, where)
    if recovery.admitted_at is not None:
        return ''
    _lock(connection)
    columns = recoveries.c
    everyone = connection.execute(
        sa.select(
            *(columns.id, columns.project_id, columns.group_name, columns.host, columns.zone),
            *(columns.stack_id, columns.policy, columns.policy_version, columns.priority),
            *(columns.admitted_at, columns.active_key, columns.guard),
        ).where(
            columns.id != recovery.id,
            sa.or_(
                columns.active_key.is_not(None),
                columns.admitted_at > now - _longest(limits, recovery.policy),
            ),
        )
    ).all()
    me = _Candidate(recovery.project_id, where, recovery.policy)
    load = _load(connection, me, everyone, limits, now)
    refusal = budget.over(me.policy, limits, load)
    if not refusal:
        before = _rivals(connection, recovery, everyone, limits, now)
        refusal = budget.over(me.policy, limits, _waiting(load, before))
    if not refusal and place.counted:
        queue.fenced(connection, recovery, {'admitted_at': now})
    return refusal


@dataclass(frozen=True)
class _Candidate:
    project_id: str
    where: dict[str, str]
    policy: Policy

    def same_policy(self, row: Any) -> bool:
        """Whether a recovery goes by the same policy, be it another version of it."""
        if row.policy == self.policy.document:
            return True
        return bool(row.project_id == self.project_id and _name(row) == self.policy.name)


def _name(row: Any) -> str:
    return policy_rules.parse(row.policy, row.policy_version).name


def _lock(connection: sa.Connection) -> None:
    mine = admissions.update().where(admissions.c.name == LOCK)
    if not rowcount(connection.execute(mine.values(number=admissions.c.number + 1))):
        # Two at the same time: one of them has an IntegrityError and begins anew.
        connection.execute(admissions.insert().values(name=LOCK, number=1))


def _longest(limits: Limits, policy: Policy) -> float:
    rates = (limits.per_window, policy.budget.per_window)
    return max((rate[1] for rate in rates if rate), default=0.0)


def _load(
    connection: sa.Connection,
    me: _Candidate,
    everyone: Sequence[Any],
    limits: Limits,
    now: float,
) -> Load:
    flying = [r for r in everyone if r.active_key is not None and r.admitted_at is not None]

    def count(rows: Iterable[Any], scope: str) -> int:
        if scope == 'all':
            return len(list(rows))
        if scope == 'policy':
            return sum(me.same_policy(r) for r in rows)
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
            recent = (r for r in everyone if (r.admitted_at or 0) > now - rate[1])
            in_window[scope] = count(recent, scope)
    share = me.policy.budget.concurrent_share is not None
    return Load(
        in_flight={scope: count(flying, scope) for scope in budget.SCOPES},
        in_window=in_window,
        guests_under_policy=_guests_under(connection, me.policy) if share else 0,
    )


def _waiting(load: Load, before: int) -> Load:
    return Load(load.in_flight, load.in_window, load.guests_under_policy, before)


def _rivals(
    connection: sa.Connection,
    recovery: Recovery,
    everyone: Sequence[Any],
    limits: Limits,
    now: float,
) -> int:
    """How many of higher priority wait for the budget and could be admitted in our place.

    One that its own project or host keeps waiting anyway holds nobody else back.
    """
    rivals = [
        r
        for r in everyone
        if r.active_key is not None
        and r.admitted_at is None
        and r.guard == 'budget'
        and r.priority > recovery.priority
    ]
    found = 0
    for row in sorted(rivals, key=lambda r: -r.priority)[:RIVALS]:
        where = {k: getattr(row, k) for k in ('host', 'zone', 'stack_id', 'group_name')}
        policy = policy_rules.parse(row.policy, row.policy_version)
        rival = _Candidate(row.project_id, where, policy)
        load = _load(connection, rival, [r for r in everyone if r is not row], limits, now)
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
