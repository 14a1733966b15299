"""One SQL database: SQLite, PostgreSQL or MariaDB."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc

from aodh_ha.exceptions import ConfigurationError, DatabaseAway, first_line

T = TypeVar('T')

ANSWER = 5.0
"""Seconds that the database may take for a statement of ours, and to let us in; they take
milliseconds. Longer, and it is away: as long as a gateway may be deaf, see rules.gateway.GAPS."""

RETRIES = 5
"""Times that a transaction which the database itself broke off (deadlock, Galera
certification, SQLite busy) is run again; all of ours are safe to repeat."""

BACKOFF = 0.02
"""Seconds, at most, before the first repetition; each further one may wait twice as long. At
random, so that two who broke each other off do not meet again."""

_TRANSIENT = (
    'deadlock',
    'database is locked',
    'could not serialize',
    'lock wait timeout',  # MariaDB
    'savepoint sa_savepoint',  # MariaDB: a deadlock has taken it along
    'lock timeout',  # PostgreSQL
)


class Database:
    """Short transactions on one database; every error of the driver becomes DatabaseAway."""

    def __init__(self, url: str | sa.URL, answer: float = ANSWER) -> None:
        """Open nothing yet; ``url`` is SQLAlchemy's. Raises ConfigurationError.

        A server that does not answer for ``answer`` seconds is away, whether it refuses, hangs,
        or its host is gone without a word. What the URL itself says of time limits comes first.
        """
        try:
            parsed = sa.make_url(url)
            self.is_sqlite = parsed.get_backend_name() == 'sqlite'
            # A file does not go away between two transactions.
            options: dict[str, Any] = {'pool_pre_ping': not self.is_sqlite}
            if self.is_sqlite:
                options['connect_args'] = {'timeout': 5, 'check_same_thread': False}
            else:
                limits = _limits(parsed, answer)
                options |= {
                    'isolation_level': 'READ COMMITTED',
                    'pool_size': 10,
                    'max_overflow': 20,
                    'pool_timeout': 5,
                    'pool_recycle': 3600,
                    'connect_args': {k: v for k, v in limits.items() if k not in parsed.query},
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
        elif self.engine.driver == 'psycopg':
            from aodh_ha.db.postgresql import connector  # an extra, which others go without

            event.listen(self.engine, 'do_connect', connector(answer))

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
        for tried in range(RETRIES + 1):
            try:
                with self.write() as connection:
                    return work(connection)
            except exc.IntegrityError:
                if tried == RETRIES:
                    raise
            except DatabaseAway as e:
                if tried == RETRIES or not any(t in e.detail.lower() for t in _TRANSIENT):
                    raise
            time.sleep(random.uniform(0, BACKOFF * 2**tried))  # noqa: S311 - no secret
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
            raise DatabaseAway(first_line(getattr(e, 'orig', None) or e, 200)) from None

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _limits(url: sa.URL, answer: float) -> dict[str, Any]:
    """Arguments of the driver's connect() for a server that is away, hangs, or never ends.

    A lock is waited for half as long as an answer, so that the server says that it was the lock;
    MariaDB counts whole seconds, and up to one more.
    """
    whole, lock = max(2, round(answer)), answer / 2
    if url.get_driver_name() == 'pymysql':
        return {
            'connect_timeout': whole,
            'read_timeout': answer,
            'write_timeout': answer,
            # A host that vanished in a transaction must not keep its rows; MySQL has no such
            # setting, and takes the second one as a comment.
            'init_command': f'SET SESSION innodb_lock_wait_timeout = {max(1, int(lock))} '
            '/*M!100300 , idle_transaction_timeout = 60 */',
        }
    if url.get_driver_name() == 'psycopg':
        settings = {
            'statement_timeout': int(1000 * answer),
            'lock_timeout': int(1000 * lock),
            'idle_in_transaction_session_timeout': 60000,
        }
        return {
            'connect_timeout': whole,
            'options': ' '.join(f'-c {name}={value}' for name, value in settings.items()),
            'keepalives_idle': 30,
            'tcp_user_timeout': int(1000 * answer),
        }
    return {'connect_timeout': whole}


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
