"""What one devcloud is: its folders, ports and choices, from DEVCLOUD_* variables.

`up` writes its choices into the state folder, so later verbs need DEVCLOUD_STATE at most.
A variable that is set wins over what was written, and that over the default.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

HOME = pathlib.Path(__file__).resolve().parents[1]
REPO = HOME.parents[1]

PASSWORD = 'devcloud'  # of every user and service: the cloud listens on loopback only
REGION = 'RegionOne'

OFFSETS = {
    'heat-api': 4,
    'heat-api-cfn': 5,
    'mariadb': 6,
    'gnocchi-api': 41,
    'aodh-api': 42,
    'keystone': 50,
    'epmd': 69,
    'rabbitmq': 72,
    'rabbitmq-dist': 73,
    'nova-api': 74,
    'nova-metadata': 75,
    'cinder-api': 76,
    'placement-api': 78,
    'guest-net': 80,
    'aodh-ha': 87,
    'glance-api': 92,
    'neutron-api': 96,
    'cloudwatch': 103,
}
"""Port of each listener, counted from DEVCLOUD_PORT."""

# A Unix socket's path has at most 107 bytes; MariaDB's and the guests' lie below the state.
LONGEST_STATE = 70


class UsageError(Exception):
    """A setting or argument that cannot work; the message says what to change."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """The choices of one devcloud. Intervals are in seconds."""

    state: pathlib.Path
    venv: pathlib.Path
    port: int = 21000
    eval: int = 5
    interval: int = 5
    hosts: tuple[str, ...] = ('host1', 'host2')
    skip: tuple[str, ...] = ()
    ha: str = 'serve'
    ha_bin: pathlib.Path = REPO / '.venv' / 'bin'
    database: str = 'sqlite'
    publisher: str = 'ceilometer'
    storm: int = 20

    @property
    def etc(self) -> pathlib.Path:
        return self.state / 'etc'

    @property
    def log(self) -> pathlib.Path:
        return self.state / 'log'

    @property
    def run(self) -> pathlib.Path:
        return self.state / 'run'

    @property
    def data(self) -> pathlib.Path:
        return self.state / 'data'

    @property
    def apps(self) -> pathlib.Path:
        return self.state / 'apps'

    @property
    def done(self) -> pathlib.Path:
        """Stamps of what is done once in a state's life."""
        return self.state / 'done'

    @property
    def pages(self) -> pathlib.Path:
        """What aodh-ha told a person, by its hook `page`."""
        return self.data / 'pages.jsonl'

    @property
    def bin(self) -> pathlib.Path:
        return self.venv / 'bin'

    @property
    def site(self) -> pathlib.Path:
        return next((self.venv / 'lib').glob('python3*/site-packages'))

    def port_of(self, listener: str) -> int:
        return self.port + OFFSETS[listener]

    def url(self, listener: str) -> str:
        return f'http://127.0.0.1:{self.port_of(listener)}'

    @property
    def auth_url(self) -> str:
        return self.url('keystone') + '/v3'

    @property
    def rabbit_url(self) -> str:
        return f'rabbit://guest:guest@127.0.0.1:{self.port_of("rabbitmq")}/'

    def mariadb_url(self, name: str) -> str:
        host = f'127.0.0.1:{self.port_of("mariadb")}'
        return f'mysql+pymysql://devcloud:{PASSWORD}@{host}/{name}?charset=utf8mb4'

    @property
    def ha_database_url(self) -> str:
        if self.database == 'sqlite':
            return f'sqlite:///{self.data}/aodh-ha.sqlite'
        if self.database == 'mariadb':
            return self.mariadb_url('aodh_ha')
        return self.database

    def _text(self) -> str:
        fields = dataclasses.asdict(self)
        del fields['state']  # a state folder may be moved while it is down
        return json.dumps(fields, indent=1, default=str) + '\n'

    def changed(self) -> set[str]:
        """Names of the settings that differ from those in the state; none in a new one."""
        before = _saved(self.state)
        return {k for k, v in json.loads(self._text()).items() if before and before.get(k) != v}

    def save(self) -> None:
        """Write the settings into the state, which makes the folder ours."""
        new = self.state / 'settings.json.new'
        new.write_text(self._text())
        new.replace(self.state / 'settings.json')

    def ours(self) -> bool:
        """Whether a devcloud made the state folder: only then may its content be removed."""
        return {'port', 'venv', 'ha_bin'} <= _saved(self.state).keys()


def _saved(state: pathlib.Path) -> dict[str, Any]:
    try:
        found = json.loads((state / 'settings.json').read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings. Raises UsageError for a value that cannot work."""
    state = pathlib.Path(environ.get('DEVCLOUD_STATE') or REPO / '.devcloud').absolute()
    if len(str(state)) > LONGEST_STATE:
        raise UsageError(
            f'DEVCLOUD_STATE: {state} has more than {LONGEST_STATE} characters, too many for '
            'the Unix sockets in it; choose a shorter path'
        )
    saved = _saved(state)

    def value(name: str, default: object) -> str:
        return environ.get(f'DEVCLOUD_{name.upper()}') or str(saved.get(name, default))

    def number(name: str, default: int, low: int, high: int) -> int:
        text = value(name, default)
        if not text.isdecimal() or not low <= int(text) <= high:
            raise UsageError(f'DEVCLOUD_{name.upper()}: {text!r} is not {low} to {high}')
        return int(text)

    def words(name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        variable = f'DEVCLOUD_{name.upper()}'
        if variable in environ:
            return tuple(environ[variable].split())
        return tuple(saved.get(name, default))

    ha = value('ha', Settings.ha)
    if ha not in ('none', 'serve', 'split'):
        raise UsageError(f'DEVCLOUD_HA: {ha!r} is none of serve, split, none')
    publisher = value('publisher', Settings.publisher)
    if publisher not in ('ceilometer', 'gnocchi'):
        raise UsageError(f'DEVCLOUD_PUBLISHER: {publisher!r} is neither ceilometer nor gnocchi')
    database = value('database', Settings.database)
    if database not in ('sqlite', 'mariadb') and '://' not in database:
        raise UsageError(f'DEVCLOUD_DATABASE: {database!r} is not sqlite, mariadb or a URL')
    return Settings(
        state=state,
        venv=pathlib.Path(value('venv', state.parent / '.devcloud-venv')).absolute(),
        port=number('port', Settings.port, 1024, 65400),
        eval=number('eval', Settings.eval, 1, 3600),
        interval=number('interval', Settings.interval, 1, 3600),
        hosts=words('hosts', Settings.hosts),
        skip=words('skip', Settings.skip),
        ha=ha,
        ha_bin=pathlib.Path(value('ha_bin', Settings.ha_bin)).absolute(),
        database=database,
        publisher=publisher,
        storm=number('storm', Settings.storm, 1, 100000),
    )
