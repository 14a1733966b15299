"""What Gnocchi still has of guests and watches that are forgotten here."""

import sqlalchemy as sa

from aodh_ha.db.models import guests, leftovers, watches


def add(connection: sa.Connection, owner_id: str) -> None:
    """Remember the Gnocchi resource of a guest (its server's id) or a watch, to be deleted."""
    connection.execute(leftovers.delete().where(leftovers.c.owner_id == owner_id))
    connection.execute(leftovers.insert().values(owner_id=owner_id, since=0.0))


def due(connection: sa.Connection, now: float, grace: float, limit: int) -> list[str]:
    """Whose are to be deleted now: ``grace`` seconds after they were first seen here.

    Until then samples of it may be on their way, which would create the resource again.
    """
    for owner in (guests.c.server_id, watches.c.id):
        again = sa.exists().where(owner == leftovers.c.owner_id)
        connection.execute(leftovers.delete().where(again))
    connection.execute(leftovers.update().where(leftovers.c.since == 0.0).values(since=now))
    old = sa.select(leftovers.c.owner_id).where(leftovers.c.since <= now - grace)
    return list(connection.execute(old.order_by(leftovers.c.since).limit(limit)).scalars())


def later(connection: sa.Connection, owner_id: str, now: float) -> None:
    """Try one again after another grace."""
    mine = leftovers.c.owner_id == owner_id
    connection.execute(leftovers.update().where(mine).values(since=now))


def gone(connection: sa.Connection, owner_id: str) -> None:
    """Nothing is left of it."""
    connection.execute(leftovers.delete().where(leftovers.c.owner_id == owner_id))
