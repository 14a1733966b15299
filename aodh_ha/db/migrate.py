"""Bring a database's schema up to date."""

import pathlib

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from aodh_ha.db.database import Database

FOLDER = pathlib.Path(__file__).parent / 'migrations'


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
    config = _config()
    with database.write() as connection:
        _lock(connection)
        config.attributes['connection'] = connection
        command.upgrade(config, 'head')
        _unlock(connection)
    return before, current(database)


def _lock(connection: sa.Connection) -> None:
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('SELECT pg_advisory_xact_lock(6044021)')
    elif connection.dialect.name in ('mysql', 'mariadb'):
        connection.exec_driver_sql("SELECT GET_LOCK('aodh-ha-upgrade', 60)")


def _unlock(connection: sa.Connection) -> None:
    if connection.dialect.name in ('mysql', 'mariadb'):
        connection.exec_driver_sql("SELECT RELEASE_LOCK('aodh-ha-upgrade')")
