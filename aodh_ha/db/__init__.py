"""State: SQL only. SQLite for one host; PostgreSQL or MariaDB for more than one."""

from aodh_ha.db.database import Database

__all__ = ['Database']
