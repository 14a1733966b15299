"""Bring a database's schema up to date."""

import pathlib

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from aodh_ha.db.database import Database
from aodh_ha.exceptions import DatabaseAway

FOLDER = pathlib.Path(__file__).parent / 'migrations'

PATIENCE = 600.0
"""Seconds that one statement of an upgrade may take: it may rewrite a large table, or wait for
an upgrade that another host has begun."""


def _config() -> Config:
    config = Config()
    config.set_main_option('script_location', str(FOLDER))
    return config


def current(database: Database) -> str | None:
    """The schema's revision; None for an empty database. Raises DatabaseAway."""
    with database.read() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head() -> str | None:
    """The newest revision that this code knows."""
    return ScriptDirectory.from_config(_config()).get_current_head()


def upgrade(database: Database) -> tuple[str | None, str | None]:
    """Upgrade to the newest revision; returns the revisions before and after.

    Safe to run from several hosts at once: where the engine has an advisory lock it is held,
    and SQLite's write lock is taken at the start.
    """
    before = current(database)
    if before == head():
        return before, before
    patient = database if database.is_sqlite else Database(database.engine.url, PATIENCE)
    config = _config()
    try:
        with patient.write() as connection:
            _lock(connection)
            config.attributes['connection'] = connection
            command.upgrade(config, 'head')
    finally:
        if patient is not database:
            patient.close()
    return before, current(database)


def _lock(connection: sa.Connection) -> None:
    """Keep others from upgrading until this transaction (PostgreSQL) or session ends."""
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('SELECT pg_advisory_xact_lock(6044021)')
    elif connection.dialect.name in ('mysql', 'mariadb'):
        got = connection.exec_driver_sql("SELECT GET_LOCK('aodh-ha-upgrade', 60)").scalar()
        if got != 1:
            raise DatabaseAway('another host has been upgrading it for a minute; try again')
