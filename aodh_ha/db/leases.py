"""Named leases: duties that one process at a time may carry out."""

import sqlalchemy as sa
from sqlalchemy import exc

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import leases


def take(connection: sa.Connection, name: str, owner: str, now: float, seconds: float) -> bool:
    """Take or renew a lease; False while somebody else's lasts."""
    values = {'owner': owner, 'until': now + seconds}
    free = sa.or_(leases.c.owner == owner, leases.c.until < now)
    result = connection.execute(leases.update().where(leases.c.name == name, free).values(values))
    if rowcount(result):
        return True
    known = connection.execute(sa.select(leases.c.name).where(leases.c.name == name)).first()
    if known:
        return False
    try:
        with connection.begin_nested():
            connection.execute(leases.insert().values(name=name, **values))
    except exc.IntegrityError:
        return False
    return True


def release(connection: sa.Connection, name: str, owner: str) -> None:
    """Give a lease back."""
    connection.execute(
        leases.update().where(leases.c.name == name, leases.c.owner == owner).values(until=0)
    )


def owner(connection: sa.Connection, name: str, now: float) -> str | None:
    """Who has a lease now; None: nobody."""
    query = sa.select(leases.c.owner).where(leases.c.name == name, leases.c.until >= now)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found
