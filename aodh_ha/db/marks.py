"""Attempts that had Heat mark servers unhealthy, until it is known that no mark is left.

A mark that stays is acted on by whichever update the stack's owner makes next.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from aodh_ha.db import queue
from aodh_ha.db.models import attempts, marks
from aodh_ha.rules.recovery import ACTIVE, INTENDED, SENT, Attempt, Recovery


@dataclass(frozen=True)
class Marked:
    """An attempt whose marks are to be looked after. Times are seconds."""

    attempt: Attempt
    recovery: Recovery
    root_id: str
    """Of the stack that was to be updated."""
    created_at: float
    tries: int
    told: bool
    """Whether a person knows that they cannot be taken back."""

    @property
    def under_way(self) -> bool:
        """Whether the recovery has still to learn what became of the attempt."""
        return self.recovery.status in ACTIVE and self.attempt.status in (INTENDED, SENT)


def keep(connection: sa.Connection, attempt_id: str, root_id: str, now: float) -> None:
    """Record that an attempt is about to mark servers of a stack."""
    values = {'root_id': root_id, 'created_at': now, 'not_before': 0.0, 'tries': 0, 'told': False}
    connection.execute(marks.insert().values(attempt_id=attempt_id, **values))


def stacks(connection: sa.Connection, now: float, limit: int) -> list[str]:
    """Root stacks that are to be looked at now, the longest due first."""
    query = sa.select(marks.c.root_id).group_by(marks.c.root_id)
    due = query.having(sa.func.min(marks.c.not_before) <= now)
    due = due.order_by(sa.func.min(marks.c.not_before), marks.c.root_id).limit(limit)
    return list(connection.execute(due).scalars())


def of_stack(connection: sa.Connection, root_id: str) -> list[Marked]:
    """All that are kept for a root stack, the oldest first."""
    query = sa.select(marks, attempts.c.recovery_id)
    query = query.join(attempts, attempts.c.id == marks.c.attempt_id)
    rows = connection.execute(
        query.where(marks.c.root_id == root_id).order_by(marks.c.created_at, marks.c.attempt_id)
    ).all()
    found = []
    for row in rows:
        history = queue.history(connection, row.recovery_id)
        attempt = next(a for a in history if a.id == row.attempt_id)
        recovery = queue.get(connection, row.recovery_id)
        found.append(Marked(attempt, recovery, root_id, row.created_at, row.tries, bool(row.told)))
    return found


def later(connection: sa.Connection, kept: Sequence[Marked], not_before: float, told: bool) -> None:
    """Look again then; ``told``: a person knows now."""
    values = {'not_before': not_before, 'tries': marks.c.tries + 1}
    if told:
        values['told'] = True
    connection.execute(marks.update().where(_these(kept)).values(values))


def put_off(connection: sa.Connection, root_id: str, not_before: float) -> None:
    """Look at a stack then, as nothing can be said of it now."""
    of_stack = marks.c.root_id == root_id
    connection.execute(marks.update().where(of_stack).values(not_before=not_before))


def gone(connection: sa.Connection, kept: Sequence[Marked]) -> None:
    """Nothing is left of them in Heat."""
    connection.execute(marks.delete().where(_these(kept)))


def _these(kept: Collection[Marked]) -> sa.ColumnElement[bool]:
    return marks.c.attempt_id.in_([k.attempt.id for k in kept])
