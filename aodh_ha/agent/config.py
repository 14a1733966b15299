"""Where the agent's settings come from: INI file, environment, server metadata.

The environment (AODH_HA_GATEWAYS, AODH_HA_KEY, ...) wins over the file, and
either wins over what Nova's metadata says.
"""

import configparser
import json
import os
import re

from .checks import Service
from .restarts import Restarter
from .transport import TransportError, exchange

CONFIG_FILE = '/etc/aodh-ha/agent.conf'
STATE_DIR = '/var/lib/aodh-ha-agent'
METADATA = 'http://169.254.169.254/openstack/latest/meta_data.json'
OPTIONS = (
    'gateways', 'guest', 'key', 'generation', 'interval', 'state_dir', 'metadata', 'ca_file',
)  # fmt: skip
SERVICE_OPTIONS = (
    'http', 'tcp', 'interval', 'timeout', 'failures', 'start_period',
    'restart', 'unit', 'restart_timeout', 'restart_attempts', 'restart_window',
)  # fmt: skip
NAME_LIMIT = 64  # characters
MOST_SERVICES = 64


class ConfigError(Exception):
    """A setting is wrong; the text says which one and what to write instead."""


class Identity:
    """Who this guest is and whom it tells: all that a heartbeat is signed with."""

    def __init__(self, gateways: 'list[str]', guest: str, key: str, generation: str) -> None:
        self.gateways = gateways
        self.guest = guest
        self.key = key
        self.generation = generation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and vars(self) == vars(other)

    def __repr__(self) -> str:  # the key must not reach a log by way of a traceback
        return 'Identity({}, generation {})'.format(self.guest, self.generation)


class Settings:
    """The agent's settings as read at its start; times in seconds."""

    def __init__(self, agent: 'dict[str, str]', services: 'list[Service]') -> None:
        self.gateways = split(agent.get('gateways', ''))
        self.guest = agent.get('guest', '')
        self.key = agent.get('key', '')
        self.generation = agent.get('generation', '') or '1'
        self.interval = seconds(agent.get('interval', '') or '10', '[agent] interval')
        self.state_dir = agent.get('state_dir', '') or STATE_DIR
        self.metadata = agent.get('metadata', '') or METADATA
        self.ca_file = agent.get('ca_file', '')
        self.services = services


def split(text: str) -> 'list[str]':
    """The parts of a comma separated list."""
    return [p.strip().rstrip('/') for p in text.split(',') if p.strip()]


def seconds(text: str, where: str) -> float:
    """A time such as `10`, `10s`, `0.5s` or `2m`, in seconds."""
    found = re.match(r'^(\d+(?:\.\d+)?)(ms|s|m|)$', text.strip())
    value = float(found.group(1)) * {'ms': 0.001, 'm': 60}.get(found.group(2), 1) if found else 0
    if value <= 0:
        raise ConfigError('{} = {}: write a time above zero, such as 10s'.format(where, text))
    return value


def _service(name: str, options: 'dict[str, str]') -> Service:
    where = '[service:{}]'.format(name)
    # What the gateway takes; it would refuse the whole heartbeat.
    if not 0 < len(name) <= NAME_LIMIT or not name.isprintable():
        raise ConfigError('{}: write a name of at most {} characters'.format(where, NAME_LIMIT))
    unknown = sorted(set(options) - set(SERVICE_OPTIONS))
    if unknown:
        raise ConfigError(
            '{} {}: unknown; known are {}'.format(where, unknown[0], ', '.join(SERVICE_OPTIONS))
        )
    http, tcp = options.get('http', ''), options.get('tcp', '')
    if bool(http) == bool(tcp):
        raise ConfigError('{}: write either http = URL or tcp = host:port'.format(where))
    if tcp and not re.match(r'^.+:\d+$', tcp):
        raise ConfigError('{} tcp = {}: write host:port'.format(where, tcp))
    start_period = options.get('start_period', '')
    return Service(
        name,
        http,
        tcp,
        seconds(options.get('interval', '10'), where + ' interval'),
        seconds(options.get('timeout', '5'), where + ' timeout'),
        _number(options.get('failures', '3'), where + ' failures', 1),
        seconds(start_period, where + ' start_period') if start_period else 0.0,
        _restarter(where, options),
    )


def _restarter(where: str, options: 'dict[str, str]') -> 'Restarter | None':
    restart, unit = options.get('restart', ''), options.get('unit', '')
    if not restart and not unit:
        more = sorted(o for o in options if o.startswith('restart_'))
        if more:
            raise ConfigError(
                '{} {}: write also restart = COMMAND or unit = NAME.service'.format(where, more[0])
            )
        return None
    if restart and unit:
        raise ConfigError('{}: write either restart or unit'.format(where))
    if unit and not re.match(r'^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$', unit):
        raise ConfigError('{} unit = {}: write a unit of systemd'.format(where, unit))
    command = ['systemctl', 'restart', unit]
    if restart:
        import shlex

        try:
            command = shlex.split(restart)
        except ValueError as e:
            raise ConfigError('{} restart = {}: {}'.format(where, restart, e)) from e
    return Restarter(
        command,
        seconds(options.get('restart_timeout', '60'), where + ' restart_timeout'),
        _number(options.get('restart_attempts', '0'), where + ' restart_attempts', 0),
        seconds(options.get('restart_window', '10m'), where + ' restart_window'),
    )


def _number(text: str, where: str, least: int) -> int:
    if not re.match(r'^[0-9]{1,9}$', text) or int(text) < least:
        raise ConfigError('{} = {}: write a whole number from {}'.format(where, text, least))
    return int(text)


def load(path: str, environ: 'dict[str, str]') -> Settings:
    """Read the INI file, if there is one, and the environment.

    Raises ConfigError, also when a file was asked for by name and is not there.
    """
    parser = configparser.ConfigParser(interpolation=None)
    path = path or environ.get('AODH_HA_CONFIG', '')
    try:
        with open(path or CONFIG_FILE) as f:
            parser.read_file(f)
    except FileNotFoundError:
        if path:
            raise ConfigError('{}: there is no such file'.format(path)) from None
    except (OSError, configparser.Error, UnicodeDecodeError) as e:
        raise ConfigError('{}: {}'.format(path or CONFIG_FILE, e)) from e
    agent = dict(parser['agent']) if parser.has_section('agent') else {}
    unknown = sorted(set(agent) - set(OPTIONS))
    if unknown:
        raise ConfigError(
            '[agent] {}: unknown; known are {}'.format(unknown[0], ', '.join(OPTIONS))
        )
    for option in OPTIONS:
        value = environ.get('AODH_HA_' + option.upper())
        if value:
            agent[option] = value
    services = [
        _service(section.partition(':')[2].strip(), dict(parser[section]))
        for section in parser.sections()
        if section.startswith('service:')
    ]
    if len(services) > MOST_SERVICES:
        raise ConfigError('{} services: write at most {}'.format(len(services), MOST_SERVICES))
    return Settings(agent, services)


class Source:
    """The guest's identity, read again when the metadata changes."""

    def __init__(self, settings: Settings, log: 'logging.Logger') -> None:
        self._settings = settings
        self._log = log
        self._stamp = None  # type: object
        self._said = ''
        try:
            self._identity = self._merge({})
        except ValueError as e:
            raise ConfigError('[agent] {}'.format(e)) from e

    @property
    def _is_file(self) -> bool:
        return '://' not in self._settings.metadata

    def current(self) -> 'Identity | None':
        """The identity as far as known; None as long as the guest is not enrolled."""
        if self._is_file:
            if self._stamp is None or self._stat() != self._stamp:
                self.reload()
        elif self._identity is None:
            self.reload()
        return self._identity

    def _stat(self) -> object:
        try:
            s = os.stat(self._settings.metadata)
        except OSError:
            return None
        return (s.st_ino, s.st_mtime_ns, s.st_size)

    def reload(self) -> bool:
        """Read the metadata now; whether that changed anything."""
        if self._settings.key and self._settings.guest and self._settings.gateways:
            return False  # all is in the configuration: the metadata has no say
        stamp = self._stat() if self._is_file else None
        try:
            identity = self._merge(self._read())
        except (OSError, TransportError, ValueError) as e:
            self._say('no metadata from {}: {}'.format(self._settings.metadata, e))
            identity = self._identity or self._merge({})
        else:
            self._stamp = stamp
        if identity is None:
            self._say('not enrolled yet: no gateways and key in the configuration or metadata')
        changed = identity != self._identity
        self._identity = identity
        return changed

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._log.warning('%s', text)

    def _read(self) -> 'dict[str, object]':
        if self._is_file:
            with open(self._settings.metadata, 'rb') as f:
                data = f.read(1 << 20)
        else:
            reply = exchange('GET', self._settings.metadata, limit=1 << 20)
            if reply.status != 200:
                raise ValueError('HTTP {}'.format(reply.status))
            data = reply.body
        found = json.loads(data.decode('utf-8'))
        if not isinstance(found, dict) or not isinstance(found.get('meta', {}), dict):
            raise ValueError('not the JSON object that Nova writes')
        return found

    def _merge(self, metadata: 'dict[str, object]') -> 'Identity | None':
        meta = metadata.get('meta')
        told = meta if isinstance(meta, dict) else {}
        s = self._settings
        gateways = s.gateways or split(str(told.get('aodh_ha_gateways', '')))
        guest = s.guest or str(metadata.get('uuid', ''))
        # A key of the file goes with the file's generation, never with another.
        key = s.key or str(told.get('aodh_ha_key', ''))
        generation = s.generation if s.key else str(told.get('aodh_ha_generation', '1'))
        if not (gateways and guest and key):
            return None
        if not all(re.match(r'^[!-~]+$', t) and '"' not in t for t in (guest, generation, key)):
            raise ValueError('guest, key and generation must be plain ASCII without quotes')
        return Identity(gateways, guest, key, generation)


MYPY = False
if MYPY:
    import logging
