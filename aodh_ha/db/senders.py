"""Guests that have sent a heartbeat just now, and the commands that its answer carries."""

import sqlite3
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from aodh_ha.db import commands
from aodh_ha.db.commands import Command
from aodh_ha.db.database import Database
from aodh_ha.db.guests import of_row
from aodh_ha.db.models import commands as orders
from aodh_ha.db.models import guests
from aodh_ha.exceptions import DatabaseAway, first_line
from aodh_ha.rules.guest import Guest

# Built once: building it takes longer than what it asks for. Commands are rare, and looked up
# only where there are any.
_GUESTS = sa.select(
    guests,
    sa.exists()
    .where(
        orders.c.server_id == guests.c.server_id,
        orders.c.status.in_(commands.OPEN),
        orders.c.expires_at > sa.bindparam('now', 0.0),
    )
    .label('awaited'),
)
_MANY = _GUESTS.where(guests.c.server_id.in_(sa.bindparam('ids', expanding=True)))
_ONE = _GUESTS.where(guests.c.server_id == sa.bindparam('id', ''))

Found = tuple[Guest, list[Command]]


def look(connection: sa.Connection, server_ids: Sequence[str], now: float) -> dict[str, Found]:
    """These guests, whatever their status, each with its commands; unknown ones are left out."""
    rows = connection.execute(_MANY, {'ids': server_ids, 'now': now}).all()
    awaited = [r.server_id for r in rows if r.awaited]
    waiting = commands.pending_of(connection, awaited, now) if awaited else {}
    return {r.server_id: (of_row(r[:-1]), waiting.get(r.server_id, [])) for r in rows}


class Quick:
    """One guest from SQLite by its driver alone: SQLAlchemy around it takes ten times as long.

    The statement is SQLAlchemy's; a single one needs no transaction around it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        compiled = _ONE.compile(database.engine, compile_kwargs={'render_postcompile': True})
        self._statement = str(compiled)
        values: Any = compiled.params
        self._names: list[str] = list(compiled.positiontup or ())
        self._values = [values.get(name) for name in self._names]
        self._now, self._id = self._names.index('now'), self._names.index('id')

    def look(self, server_id: str, now: float) -> Found | None:
        """The guest, whatever its status, and its commands; raises DatabaseAway."""
        values = self._values.copy()
        values[self._now], values[self._id] = now, server_id
        try:
            connection = self._database.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(self._statement, values)
                row = cursor.fetchone()
            finally:
                connection.close()
        except (sqlite3.Error, sa.exc.SQLAlchemyError) as e:
            raise DatabaseAway(first_line(e, 200)) from None
        if row is None:
            return None
        if not row[-1]:
            return of_row(row[:-1]), []
        with self._database.read() as c:
            return look(c, [server_id], now).get(server_id)
