"""Bring a database's schema up to date."""

import contextlib
import pathlib
from collections.abc import Iterator

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from aodh_ha.db.database import Database
from aodh_ha.exceptions import DatabaseAway

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
    with database.write() as connection, _locked(connection):
        config.attributes['connection'] = connection
        command.upgrade(config, 'head')
    return before, current(database)


@contextlib.contextmanager
def _locked(connection: sa.Connection) -> Iterator[None]:
    if connection.dialect.name == 'postgresql':
        connection.exec_driver_sql('SELECT pg_advisory_xact_lock(6044021)')
        yield
    elif connection.dialect.name in ('mysql', 'mariadb'):
        # The lock is the session's: a rollback keeps it, and the pool keeps the session.
        got = connection.exec_driver_sql("SELECT GET_LOCK('aodh-ha-upgrade', 60)").scalar()
        if got != 1:
            raise DatabaseAway('another host has been upgrading it for a minute; try again')
        try:
            yield
        finally:
            with contextlib.suppress(sa.exc.DBAPIError):  # a session that ended has no lock
                connection.exec_driver_sql("SELECT RELEASE_LOCK('aodh-ha-upgrade')")
    else:
        yield
