"""A server that Heat replaced has a new id: its guest, alarms and recovery go on under that."""

from dataclasses import asdict, replace

import sqlalchemy as sa

from aodh_ha.db import audit, guests
from aodh_ha.db.models import alarms, recoveries
from aodh_ha.db.models import guests as table
from aodh_ha.exceptions import NotFound
from aodh_ha.rules.guest import Guest


def follow(
    connection: sa.Connection, old_id: str, new_id: str, generation: int, now: float
) -> Guest | None:
    """Move what is under the old server's id to the new one's, in one transaction.

    A guest that somebody enrolled under the new id meanwhile, of the same project, stays as it
    is. None, and nothing is changed, when there is no guest of the old id (any more), or when
    another project has the new one. May be called again.
    """
    try:
        old = guests.get(connection, old_id)
    except NotFound:
        return None
    try:
        new = guests.get(connection, new_id)
    except NotFound:
        new = _successor(old, new_id, generation, now)
        values = asdict(new) | {'services': '[]'}
        connection.execute(table.insert().values(values))
    if new.project_id != old.project_id:
        return None
    connection.execute(alarms.update().where(alarms.c.server_id == old_id).values(server_id=new_id))
    # An alarm of the new server's own may have opened a recovery: that one goes on.
    taken = sa.select(recoveries.c.id).where(recoveries.c.active_key == new_id)
    if connection.execute(taken).first() is None:
        connection.execute(
            recoveries.update()
            .where(recoveries.c.active_key == old_id)
            .values(server_id=new_id, active_key=new_id)
        )
    # What was done before counts on: else a server could be replaced for ever.
    ended = sa.and_(recoveries.c.server_id == old_id, recoveries.c.active_key.is_(None))
    connection.execute(recoveries.update().where(ended).values(server_id=new_id))
    guests.forget(connection, old_id)
    for server_id in (old_id, new_id):
        audit.record(
            connection,
            now,
            'replaced',
            f'server {old_id} was replaced by {new_id}',
            project_id=old.project_id,
            server_id=server_id,
            data={'old': old_id, 'new': new_id},
        )
    return new


def _successor(old: Guest, new_id: str, generation: int, now: float) -> Guest:
    """A guest that was never heard, with the settings of the old one."""
    return replace(
        old,
        server_id=new_id,
        generation=generation,
        oldest_generation=0,
        previous_until=0.0,
        enrolled_at=now,
        last_seen=None,
        sequence=0,
        beats=0,
        boot_id=None,
        services=(),
        failures=0,
        failing_since=None,
        seen_by=None,
        looked_at=0.0,
        host='',
        zone='',
    )
