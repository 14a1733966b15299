"""MariaDB's first start, and the schemas and keys that are made once in a state's life."""

import base64
import concurrent.futures
import dataclasses
import os
import pathlib
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence

from cloud.environment import environment
from cloud.install import InstallError
from cloud.progress import say
from cloud.services import ha_environment
from cloud.settings import PASSWORD, REGION, Settings

DATABASES = (
    'keystone',
    'placement',
    'glance',
    'neutron',
    'nova_api',
    'nova',
    'nova_cell0',
    'cinder',
    'heat',
    'gnocchi',
    'aodh',
    'aodh_ha',
)

LIMIT = 300.0
"""Seconds one command may take."""

Command = Sequence[object]


def run(s: Settings, *command: object, env: dict[str, str] | None = None) -> None:
    """Run one set-up command with its output in a log. Raises InstallError."""
    begin = time.monotonic()
    program = pathlib.Path(str(command[0])).name
    path = s.log / f'setup-{program}.log'
    with open(path, 'ab') as log:
        try:
            code = subprocess.run(
                [str(c) for c in command],
                env=env or environment(s),
                cwd=s.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                timeout=LIMIT,
            ).returncode
        except FileNotFoundError:
            raise InstallError(f'{command[0]} does not exist') from None
        except subprocess.TimeoutExpired:
            raise InstallError(f'{program} ran longer than {LIMIT:.0f} s; see {path}') from None
    # nova-manage answers 2 when the cell exists, as after an `up` that was interrupted.
    if code and not (code == 2 and 'create_cell' in command):
        raise InstallError(f'{" ".join(map(str, command))} ended with {code}; see {path}')
    say(f'  {_label(command)}: {time.monotonic() - begin:.1f} s')


def _label(command: Command) -> str:
    """A command in a few words: its program (a script's name for Python) and subcommands."""
    words = [str(c) for c in command if not str(c).startswith('-')]
    if words[0].endswith('/python'):
        del words[0]
    short = [w for w in words[1:] if '/' not in w and len(w) < 20]
    return ' '.join([pathlib.Path(words[0]).name, *short[:3]])


@dataclasses.dataclass(frozen=True)
class Once:
    """A command that runs once in a state's life.

    `databases` are empty before and have its tables after. MariaDB cannot take back half of
    a migration: when one was cut short they are dropped, and it begins anew.
    """

    command: Command
    databases: tuple[str, ...] = ()


def once(s: Settings, *lines: Sequence[Once]) -> None:
    """Run lines of commands side by side, in order within a line, and each only once a state."""

    def work(commands: Sequence[Once]) -> None:
        for item in commands:
            stamp = s.done / _label(item.command).replace(' ', '-')
            begun = stamp.with_suffix('.begun')
            if stamp.exists():
                continue
            if begun.exists():
                _recreate(s, item.databases)
            begun.touch()
            run(s, *item.command)
            begun.rename(stamp)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for job in [pool.submit(work, line) for line in lines]:
            job.result()


def install_mariadb(s: Settings) -> None:
    """Make MariaDB's own tables, as the current user."""
    folder = s.data / 'mysql'
    stamp = s.done / 'mariadb'
    if stamp.exists():
        return
    shutil.rmtree(folder, ignore_errors=True)  # half of them, of an `up` that was interrupted
    run(
        s,
        '/usr/bin/mariadb-install-db',
        '--no-defaults',
        f'--datadir={folder}',
        '--skip-test-db',
        '--auth-root-authentication-method=normal',
        *_user(),
    )
    stamp.touch()


def _user() -> list[str]:
    return ['--user=root'] if os.geteuid() == 0 else []


def create_databases(s: Settings) -> None:
    sql = ''.join(f'CREATE DATABASE IF NOT EXISTS {name};' for name in DATABASES)
    sql += (
        f"CREATE USER IF NOT EXISTS 'devcloud'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';"
        "GRANT ALL ON *.* TO 'devcloud'@'127.0.0.1';"
    )
    _sql(s, sql)


def _recreate(s: Settings, databases: Sequence[str]) -> None:
    if databases:
        _sql(s, ''.join(f'DROP DATABASE {name}; CREATE DATABASE {name};' for name in databases))


def _sql(s: Settings, text: str) -> None:
    socket = f'--socket={s.data}/mysql.sock'
    run(s, 'mariadb', '--no-defaults', '--user=root', socket, '-e', text)


def migrate(s: Settings) -> None:
    """Make every project's schema, and Keystone's keys and first user."""
    make_keystone_keys(s)
    url, cell0 = s.auth_url, s.mariadb_url('nova_cell0')
    keystone = _with(s, 'keystone-manage', 'keystone/keystone.conf')
    nova = _with(s, 'nova-manage', 'nova/nova.conf')
    neutron = _with(s, 'neutron-db-manage', 'neutron/neutron.conf', 'neutron/ml2_conf.ini')
    once(
        s,
        [
            Once(keystone('db_sync'), ('keystone',)),
            Once(
                keystone(
                    'bootstrap',
                    f'--bootstrap-password={PASSWORD}',
                    f'--bootstrap-region-id={REGION}',
                    f'--bootstrap-public-url={url}',
                    f'--bootstrap-internal-url={url}',
                    f'--bootstrap-admin-url={url}',
                )
            ),
            Once(_with(s, 'heat-manage', 'heat/heat.conf')('db_sync'), ('heat',)),
        ],
        [
            Once(nova('api_db', 'sync'), ('nova_api',)),
            Once(nova('cell_v2', 'map_cell0', f'--database_connection={cell0}')),
            Once(nova('cell_v2', 'create_cell', '--name=cell1')),
            Once(nova('db', 'sync'), ('nova', 'nova_cell0')),
            Once(_with(s, 'aodh-dbsync', 'aodh/aodh.conf')(), ('aodh',)),
        ],
        [Once(neutron('upgrade', 'heads'), ('neutron',))],
        [
            Once(_with(s, 'glance-manage', 'glance/glance-api.conf')('db_sync'), ('glance',)),
            Once(
                _with(s, 'placement-manage', 'placement/placement.conf')('db', 'sync'),
                ('placement',),
            ),
            Once(_with(s, 'gnocchi-upgrade', 'gnocchi/gnocchi.conf')(), ('gnocchi',)),
            Once(_with(s, 'cinder-manage', 'cinder/cinder.conf')('db', 'sync'), ('cinder',)),
        ],
    )


def make_keystone_keys(s: Settings) -> None:
    """Keystone's keys for tokens and credentials, 0 being the next one and 1 the one in use.

    As `keystone-manage fernet_setup` and `credential_setup` make them, which take 5 s each.
    """
    for name in ('fernet', 'credential'):
        folder = s.data / name
        folder.mkdir(mode=0o700, exist_ok=True)
        for key in ('0', '1'):
            path = folder / key
            if not path.exists():
                path.touch(mode=0o600)
                path.write_bytes(base64.urlsafe_b64encode(os.urandom(32)))


def _with(s: Settings, program: str, *files: str) -> Callable[..., Command]:
    head = [s.bin / program, *(f'--config-file={s.etc / f}' for f in files)]
    return lambda *arguments: [*head, *arguments]


def upgrade_aodh_ha(s: Settings) -> None:
    """Bring aodh-ha's schema to its newest state: at every start, since its code moves."""
    if s.ha != 'none':  # nobody makes the key by itself where the database is not SQLite
        run(s, s.ha_bin / 'aodh-ha', 'secrets', 'create', env=ha_environment(s))
    if s.ha == 'split':  # `aodh-ha serve` does it itself
        run(s, s.ha_bin / 'aodh-ha', 'db', 'upgrade', env=ha_environment(s))


def prepare_telemetry(s: Settings) -> None:
    """Make what Ceilometer and aodh-ha need in Gnocchi: resource types and archive policies."""
    conf = s.etc / 'ceilometer/ceilometer.conf'
    once(s, [Once([s.bin / 'ceilometer-upgrade', '--config-file', conf])])
    if s.ha != 'none':
        run(s, s.ha_bin / 'aodh-ha', 'telemetry', 'prepare', env=ha_environment(s))
