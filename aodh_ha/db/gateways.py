"""The gateways' own signs of life: silence counts only while one of them listened."""

import time
from collections.abc import Callable

import sqlalchemy as sa

from aodh_ha.db.database import Database
from aodh_ha.db.models import gateways
from aodh_ha.rules import gateway
from aodh_ha.rules.gateway import Gateway

STALE = 86400.0
"""Seconds after which a gateway that never came back is forgotten."""


def get_all(connection: sa.Connection) -> list[Gateway]:
    """Every gateway that ever ticked."""
    rows = connection.execute(sa.select(gateways)).all()
    return [Gateway(r.name, r.alive_at, r.listening_since) for r in rows]


def listening_since(
    connection: sa.Connection, now: float, way: str = gateway.AGENT
) -> float | None:
    """Since when guests could be heard this way without a gap; None when nobody listens."""
    return gateway.listening_since(get_all(connection), now, way)


def tick(connection: sa.Connection, name: str, now: float, monotonic_step: float | None) -> Gateway:
    """Record that this gateway listens; see rules.gateway.tick."""
    row = connection.execute(sa.select(gateways).where(gateways.c.name == name)).one_or_none()
    before = Gateway(row.name, row.alive_at, row.listening_since) if row else None
    after = gateway.tick(before, name, now=now, monotonic_step=monotonic_step)
    values = {'alive_at': after.alive_at, 'listening_since': after.listening_since}
    if row:
        connection.execute(gateways.update().where(gateways.c.name == name).values(values))
    else:
        # Ceilometer's agents have a new name after each start.
        connection.execute(gateways.delete().where(gateways.c.alive_at < now - STALE))
        connection.execute(gateways.insert().values(name=name, **values))
    return after


class Ticker:
    """The ticks of one gateway in this process, with the time between them by the clock that
    never jumps. Not safe for use by several threads at once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._ticked: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the last tick that was committed; None before the first."""
        return None if self._ticked is None else time.monotonic() - self._ticked

    def tick(
        self,
        database: Database,
        now: float,
        also: Callable[[sa.Connection], object] = lambda connection: None,
    ) -> None:
        """Record that this gateway listens, and ``also`` in the same transaction.

        Raises DatabaseAway.
        """
        monotonic, step = time.monotonic(), self.age

        def work(connection: sa.Connection) -> None:
            tick(connection, self._name, now, step)
            also(connection)

        database.run(work)
        self._ticked = monotonic

    def end(self, database: Database) -> None:
        """Record that this gateway listens no more: else it would count for some seconds yet.

        Raises DatabaseAway.
        """
        mine = gateways.delete().where(gateways.c.name == self._name)
        database.run(lambda connection: connection.execute(mine))
        self._ticked = None
