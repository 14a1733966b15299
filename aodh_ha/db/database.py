"""One SQL database: SQLite, PostgreSQL or MariaDB."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from aodh_ha.exceptions import ConfigurationError, DatabaseAway

T = TypeVar('T')

RETRIES = 5
"""Times that a transaction which the database itself broke off (deadlock, Galera
certification, SQLite busy) is run again; all of ours are safe to repeat."""

_TRANSIENT = ('deadlock', 'database is locked', 'could not serialize', 'lock wait timeout')


class Database:
    """Short transactions on one database; every error of the driver becomes DatabaseAway."""

    def __init__(self, url: str) -> None:
        """Open nothing yet; ``url`` is SQLAlchemy's. Raises ConfigurationError."""
        try:
            parsed = sa.make_url(url)
            self.is_sqlite = parsed.get_backend_name() == 'sqlite'
            options: dict[str, Any] = {'pool_pre_ping': True}
            if self.is_sqlite:
                options['connect_args'] = {'timeout': 5, 'check_same_thread': False}
            else:
                options |= {
                    'isolation_level': 'READ COMMITTED',
                    'pool_size': 10,
                    'max_overflow': 20,
                    'pool_timeout': 5,
                    'pool_recycle': 3600,
                    'connect_args': {'connect_timeout': 5},
                }
            self.engine = sa.create_engine(parsed, **options)
        except (exc.ArgumentError, ImportError, exc.NoSuchModuleError) as e:
            raise ConfigurationError(
                f'[database] connection is not usable: {type(e).__name__}; use '
                'sqlite:////path/to/file, postgresql+psycopg://... or mysql+pymysql://...'
            ) from None
        if self.is_sqlite:
            event.listen(self.engine, 'connect', _sqlite_connect)
            event.listen(self.engine, 'begin', _sqlite_begin)

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A transaction that only reads."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction; committed, with fsync, when the block ends without an error."""
        with self._transaction(write=True) as connection:
            yield connection

    def run(self, work: Callable[[sa.Connection], T]) -> T:
        """``work`` in a write transaction, again if the database broke it off.

        A row that somebody else inserted between our look and our insert is such a case: the
        second time ``work`` sees it.
        """
        for left in range(RETRIES, -1, -1):
            try:
                with self.write() as connection:
                    return work(connection)
            except exc.IntegrityError:
                if not left:
                    raise
            except DatabaseAway as e:
                if not left or not any(t in e.detail.lower() for t in _TRANSIENT):
                    raise
        raise AssertionError('unreachable')

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[sa.Connection]:
        try:
            with self.engine.connect() as connection:
                connection = connection.execution_options(aodh_ha_write=write)
                with connection.begin():
                    yield connection
        except (
            exc.OperationalError,
            exc.InterfaceError,
            exc.InternalError,
            exc.TimeoutError,
            exc.ResourceClosedError,
            exc.ProgrammingError,
        ) as e:
            # The driver's text may quote the statement's values: keep its first line only,
            # and nothing of the URL.
            reason = str(getattr(e, 'orig', None) or e).splitlines()[0][:200]
            raise DatabaseAway(reason) from None

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # SQLAlchemy's begin event issues BEGIN; the driver must not do it a second time.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute('PRAGMA journal_mode=WAL')
    # FULL: a commit is on the disk before the answer goes out, also after a power cut.
    cursor.execute('PRAGMA synchronous=FULL')
    cursor.execute('PRAGMA foreign_keys=ON')
    cursor.close()


def _sqlite_begin(connection: sa.Connection) -> None:
    # A write transaction takes its lock at once: an upgrade from a read one may not wait.
    write = connection.get_execution_options().get('aodh_ha_write')
    connection.exec_driver_sql('BEGIN IMMEDIATE' if write else 'BEGIN')


def rowcount(result: sa.CursorResult[Any]) -> int:
    """Rows that a conditional UPDATE matched."""
    return int(result.rowcount)
