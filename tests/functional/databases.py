"""Real database servers for the tests, started from Debian's packages and stopped by pid.

Each server has a data folder of its own, listens on a Unix socket only (no port to race for), and
ends with the process that started it. `database(url)` gives every test an empty database.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator

import sqlalchemy as sa

from aodh_ha.db import Database, migrate
from aodh_ha.db.models import metadata
from tests.waiting import wait_for

ENGINES = ('sqlite', 'postgresql', 'mariadb')
START_SECONDS = 60.0
STOP_SECONDS = 30.0
HINT = 'Install it with: make debian-packages'


class ServerFailed(Exception):
    """A database server is not installed or did not start; the message ends with its log."""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server: how to reach a database of it, and how to make and drop one."""

    url: Callable[[str], str]
    administration: str
    leave: str
    """Statement that sends every client of the database ``{name}`` away."""
    drop: str
    pid: int
    _back: list[str] = dataclasses.field(default_factory=list)

    @contextlib.contextmanager
    def hanging(self) -> Iterator[None]:
        """Every process of it hangs meanwhile; its sockets are open, and nobody answers."""
        stopped = _tree(self.pid)
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            # On a busy machine the signal is sent long before it is obeyed.
            wait_for(lambda: all(map(_is_stopped, stopped)), what='it hangs')
            yield
        finally:
            for pid in reversed(stopped):
                os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the SQLAlchemy URL of a new, empty database; drop it afterwards, in use or not."""
        name = f'test_{uuid.uuid4().hex[:12]}'
        self._execute(f'CREATE DATABASE {name}')
        try:
            yield self.url(name)
        finally:
            self._execute(self.leave.format(name=name), self.drop.format(name=name))

    @contextlib.contextmanager
    def migrated(self) -> Iterator[str]:
        """Yield the URL of a database with our tables, which are empty: made once, lent again.

        Making the tables anew for every test took longer than most of the tests.
        """
        if not self._back:
            name = f'migrated_{uuid.uuid4().hex[:12]}'
            self._execute(f'CREATE DATABASE {name}')
            database = Database(self.url(name))
            migrate.upgrade(database)
            database.close()
            self._back.append(name)
        name = self._back.pop()
        # When it is lent, not when it comes back: fixtures that end later may still write.
        self._execute(self.leave.format(name=name))
        engine = sa.create_engine(self.url(name), poolclass=sa.NullPool)
        with engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                connection.execute(table.delete())
        yield self.url(name)
        # Not in a finally: what a test that was broken off has left, nobody gets.
        self._back.append(name)

    def _execute(self, *statements: str) -> None:
        engine = sa.create_engine(
            self.administration, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


def _tree(pid: int) -> list[int]:
    """A process and all below it; it comes first, so that a stopped one starts no more."""
    children = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [pid, *(each for child in children for each in _tree(int(child)))]


def _is_stopped(pid: int) -> bool:
    """Whether each of its threads has stopped, or is gone."""
    try:
        texts = [t.read_text() for t in pathlib.Path(f'/proc/{pid}/task').glob('*/stat')]
    except (FileNotFoundError, ProcessLookupError):
        return False  # one just ended; the next look says
    return all(text.rpartition(')')[2].split()[0] in 'TXZ' for text in texts)


@contextlib.contextmanager
def postgresql() -> Iterator[Server]:
    """Run PostgreSQL, of the newest version installed. Raises ServerFailed."""
    initdb = _newest('/usr/lib/postgresql/*/bin/initdb')
    with _folder('pg') as folder:
        prefix: list[str] = []
        if os.geteuid() == 0:
            # Both programs refuse to run as root; Debian's package has made this user.
            prefix = ['setpriv', '--reuid=postgres', '--regid=postgres', '--init-groups']
            shutil.chown(folder, 'postgres', 'postgres')
        data = folder / 'data'
        _run(
            *prefix,
            str(initdb),
            f'--pgdata={data}',
            '--username=test',
            '--auth=trust',
            '--encoding=UTF8',
            '--locale=C.UTF-8',
            '--no-sync',
        )
        command = [*prefix, 'setpriv', '--pdeathsig', 'INT', str(initdb.with_name('postgres'))]
        command += ['-D', str(data), '-k', str(folder), '-c', 'listen_addresses=']
        # Nothing here has to survive a power cut.
        command += ['-c', 'fsync=off', '-c', 'synchronous_commit=off', '-c', 'full_page_writes=off']
        command += ['-c', 'max_connections=200', '-c', 'autovacuum=off']

        def url(name: str) -> str:
            return f'postgresql+psycopg://test@/{name}?host={folder}'

        leave = (
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{name}'"
        )
        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        with _process(command, folder / 'log', url('postgres'), signal.SIGINT) as pid:
            yield Server(url, url('postgres'), leave, 'DROP DATABASE {name} WITH (FORCE)', pid)


@contextlib.contextmanager
def mariadb() -> Iterator[Server]:
    """Run MariaDB. Raises ServerFailed."""
    install = _newest('/usr/bin/mariadb-install-db')
    server = _newest('/usr/sbin/mariadbd')
    with _folder('my') as folder:
        data, socket = folder / 'data', folder / 'socket'
        user = ['--user=root'] if os.geteuid() == 0 else []
        _run(
            str(install),
            '--no-defaults',
            *user,
            f'--datadir={data}',
            '--skip-test-db',
            '--auth-root-authentication-method=normal',
        )
        command = ['setpriv', '--pdeathsig', 'TERM', str(server), '--no-defaults', *user]
        command += [f'--datadir={data}', f'--socket={socket}', f'--pid-file={folder}/pid']
        command += ['--skip-networking', '--max-connections=200', '--performance-schema=OFF']
        command += ['--character-set-server=utf8mb4', '--innodb-buffer-pool-size=64M']
        # Nothing here has to survive a power cut.
        command += ['--innodb-flush-log-at-trx-commit=0', '--innodb-flush-method=nosync']
        command += ['--skip-innodb-doublewrite', '--innodb-log-file-size=16M', '--skip-log-bin']

        def url(name: str) -> str:
            return f'mysql+pymysql://root@localhost/{name}?unix_socket={socket}&charset=utf8mb4'

        # DROP waits for whoever still holds the tables, so they go first. Error 1094 is a client
        # that has left by itself meanwhile.
        leave = (
            'BEGIN NOT ATOMIC '
            'DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; '
            'FOR c IN (SELECT id FROM information_schema.processlist WHERE db = "{name}") '
            'DO KILL c.id; END FOR; '
            'END'
        )
        with _process(command, folder / 'log', url('mysql'), signal.SIGTERM) as pid:
            yield Server(url, url('mysql'), leave, 'DROP DATABASE {name}', pid)


SERVERS = {'postgresql': postgresql, 'mariadb': mariadb}


def _newest(pattern: str) -> pathlib.Path:
    found = [p for p in pathlib.Path('/').glob(pattern.lstrip('/')) if os.access(p, os.X_OK)]
    if not found:
        raise ServerFailed(f'There is no {pattern}. {HINT}')
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdecimal()])


@contextlib.contextmanager
def _folder(kind: str) -> Iterator[pathlib.Path]:
    # Not pytest's tmp_path: that is closed to user postgres, and too long for a socket (107 bytes).
    folder = pathlib.Path(tempfile.mkdtemp(prefix=f'aodh-ha-{kind}-', dir='/tmp'))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, cwd='/', check=False)
    if done.returncode:
        raise ServerFailed(f'{command[0]} failed ({done.returncode}): {done.stdout}{done.stderr}')


@contextlib.contextmanager
def _process(
    command: list[str], log: pathlib.Path, url: str, stop: signal.Signals
) -> Iterator[int]:
    with log.open('wb') as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd='/'
        )
    try:
        _wait_until_it_answers(process, log, url)
        yield process.pid
    finally:
        process.send_signal(stop)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(process: subprocess.Popen[bytes], log: pathlib.Path, url: str) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            engine.connect().close()
            return
        except sa.exc.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise ServerFailed(
                    f'{process.args!r} (exit code {process.returncode}): {log.read_text()}'
                ) from error
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)
