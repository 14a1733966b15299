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
    drop: tuple[str, ...]

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """Yield the SQLAlchemy URL of a new, empty database; drop it afterwards, in use or not."""
        name = f'test_{uuid.uuid4().hex[:12]}'
        self._execute(f'CREATE DATABASE {name}')
        try:
            yield self.url(name)
        finally:
            self._execute(*(line.format(name=name) for line in self.drop))

    def _execute(self, *statements: str) -> None:
        engine = sa.create_engine(
            self.administration, isolation_level='AUTOCOMMIT', poolclass=sa.NullPool
        )
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)


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
        command += ['-c', 'fsync=off', '-c', 'max_connections=200']

        def url(name: str) -> str:
            return f'postgresql+psycopg://test@/{name}?host={folder}'

        # SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for every client to leave.
        with _process(command, folder / 'log', url('postgres'), signal.SIGINT):
            yield Server(url, url('postgres'), ('DROP DATABASE {name} WITH (FORCE)',))


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
        command += ['--innodb-flush-log-at-trx-commit=0', '--skip-log-bin', '--sync-binlog=0']

        def url(name: str) -> str:
            return f'mysql+pymysql://root@localhost/{name}?unix_socket={socket}&charset=utf8mb4'

        # DROP waits for whoever still holds the tables, so they go first. Error 1094 is a client
        # that has left by itself meanwhile.
        drop = (
            'BEGIN NOT ATOMIC '
            'DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; '
            'FOR c IN (SELECT id FROM information_schema.processlist WHERE db = "{name}") '
            'DO KILL c.id; END FOR; '
            'END',
            'DROP DATABASE {name}',
        )
        with _process(command, folder / 'log', url('mysql'), signal.SIGTERM):
            yield Server(url, url('mysql'), drop)


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
) -> Iterator[None]:
    with log.open('wb') as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd='/'
        )
    try:
        _wait_until_it_answers(process, log, url)
        yield
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
