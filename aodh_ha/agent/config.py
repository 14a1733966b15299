"""The agent's settings: INI file and environment.

The environment (AODH_HA_GATEWAYS, AODH_HA_KEY, ...) wins over the file, and
either wins over what Nova's metadata says (see identity.py).
"""

import configparser
import os
import re

from .checks import Service
from .probes import Command, FileAge, Http, Process, Tcp, Unit
from .restarts import Hooks, Restarter

CONFIG_FILE = '/etc/aodh-ha/agent.conf'
STATE_DIR = '/var/lib/aodh-ha-agent'
# The metadata service, and where config drives are mounted.
METADATA = (
    'http://169.254.169.254/openstack/latest/meta_data.json, '
    '/mnt/config/openstack/latest/meta_data.json'
)
OPTIONS = (
    'gateways', 'guest', 'key', 'generation', 'interval', 'state_dir', 'metadata', 'ca_file',
    'statistics', 'statistics_interval', 'disks', 'haproxy',
)  # fmt: skip
CHECKS = ('http', 'tcp', 'process', 'pid_file', 'command', 'file')
SERVICE_OPTIONS = (
    *CHECKS, 'expect_status', 'expect_body', 'ca_file', 'verify', 'max_age',
    'interval', 'timeout', 'failures', 'start_period', 'depends_on',
    'unit', 'restart', 'restart_timeout', 'restart_attempts', 'restart_window',
    'before', 'after', 'hook_timeout',
)  # fmt: skip
# Options that mean something with another one only.
NEEDS = {
    'expect_status': 'http', 'expect_body': 'http', 'ca_file': 'http', 'verify': 'http',
    'max_age': 'file', 'hook_timeout': 'before or after',
}  # fmt: skip
NAME_LIMIT = 64  # characters
MOST_SERVICES = 64
UNIT = re.compile(r'^[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*$')


class ConfigError(Exception):
    """A setting is wrong; the text says which one and what to write instead."""


class Settings:
    """The agent's settings as read at one time; times in seconds."""

    def __init__(self, agent: 'dict[str, str]', services: 'list[Service]') -> None:
        self.gateways = split(agent.get('gateways', ''))
        self.guest = agent.get('guest', '')
        self.key = agent.get('key', '')
        self.generation = agent.get('generation', '') or '1'
        self.interval = seconds(agent.get('interval', '') or '10', '[agent] interval')
        self.state_dir = agent.get('state_dir', '') or STATE_DIR
        self.metadata = split(agent.get('metadata', '') or METADATA)
        self.ca_file = agent.get('ca_file', '')
        self.statistics = split(agent.get('statistics', ''))
        self.statistics_interval = seconds(
            agent.get('statistics_interval', '') or '60', '[agent] statistics_interval'
        )
        self.disks = [d.strip() for d in agent.get('disks', '/').split(',')]
        self.haproxy = agent.get('haproxy', '')
        self.services = services

    @property
    def measured(self) -> 'tuple[object, ...]':
        """What the statistics are made of."""
        return self.statistics, self.statistics_interval, self.disks, self.haproxy


def split(text: str) -> 'list[str]':
    """The parts of a comma separated list."""
    return [p.strip().rstrip('/') for p in text.split(',') if p.strip()]


def seconds(text: str, where: str) -> float:
    """A time such as `10`, `10s`, `0.5s` or `2m`, in seconds."""
    found = re.match(r'^(\d+(?:\.\d+)?)(ms|s|m|h|)$', text.strip())
    units = {'ms': 0.001, 'm': 60, 'h': 3600}
    value = float(found.group(1)) * units.get(found.group(2), 1) if found else 0
    if value <= 0:
        raise ConfigError('{} = {}: write a time above zero, such as 10s'.format(where, text))
    return value


class Section:
    """A section [service:NAME], and errors that name it."""

    def __init__(self, name: str, options: 'dict[str, str]') -> None:
        self.name = name
        self.where = '[service:{}]'.format(name)
        self.options = options

    def get(self, option: str) -> str:
        """The option's text, or ''."""
        return self.options.get(option, '')

    def wrong(self, option: str, fix: str) -> ConfigError:
        """What is wrong with the option, and what to write."""
        return ConfigError('{} {} = {}: {}'.format(self.where, option, self.get(option), fix))

    def seconds(self, option: str, default: str) -> float:
        """A time."""
        return seconds(self.get(option) or default, '{} {}'.format(self.where, option))

    def whole(self, option: str, default: str, least: int) -> int:
        """A whole number."""
        text = self.options.get(option, default)
        if not re.match(r'^[0-9]{1,9}$', text) or int(text) < least:
            raise self.wrong(option, 'write a whole number from {}'.format(least))
        return int(text)

    def words(self, option: str) -> 'list[str]':
        """A command line, split as a shell does."""
        text = self.get(option)
        if not text:
            return []
        import shlex

        try:
            return shlex.split(text)
        except ValueError as e:
            raise self.wrong(option, '{}; write a command and its arguments'.format(e)) from e

    def yes(self, option: str, default: bool) -> bool:
        """Yes or no."""
        text = self.get(option).lower()
        if text and text not in ('yes', 'no'):
            raise self.wrong(option, 'write yes or no')
        return text == 'yes' if text else default


def _service(section: Section) -> Service:
    # What the gateway takes; it would refuse the whole heartbeat.
    if not 0 < len(section.name) <= NAME_LIMIT or not section.name.isprintable():
        raise ConfigError(
            '{}: write a name of at most {} characters'.format(section.where, NAME_LIMIT)
        )
    unknown = sorted(set(section.options) - set(SERVICE_OPTIONS))
    if unknown:
        known = 'unknown; known are {}'.format(', '.join(SERVICE_OPTIONS))
        raise ConfigError('{} {}: {}'.format(section.where, unknown[0], known))
    for option, needed in sorted(NEEDS.items()):
        if section.get(option) and not any(section.get(n) for n in needed.split(' or ')):
            raise section.wrong(option, 'write also {} = ..., or leave it out'.format(needed))
    if section.get('unit') and not UNIT.match(section.get('unit')):
        raise section.wrong('unit', 'write the name of a unit of systemd')
    return Service(
        section.name,
        _probe(section),
        section.seconds('interval', '10'),
        section.seconds('timeout', '5'),
        section.whole('failures', '3', 1),
        section.seconds('start_period', '') if section.get('start_period') else 0.0,
        _restarter(section),
        tuple(split(section.get('depends_on'))),
        section.options,
    )


def _probe(section: Section) -> 'Probe':
    given = [c for c in CHECKS if section.get(c)]
    if given in (['process'], ['pid_file'], ['process', 'pid_file']):
        return _process(section)
    if len(given) > 1 or not (given or section.get('unit')):
        raise ConfigError(
            '{}: write one of {} or unit = NAME.service'.format(
                section.where, ', '.join(c + ' = ...' for c in CHECKS)
            )
        )
    kind = given[0] if given else 'unit'
    text = section.get(kind)
    if kind == 'unit':
        return Unit(text)
    if kind == 'http':
        return _http(section)
    if kind == 'tcp':
        if not re.match(r'^.+:[0-9]{1,5}$', text) or int(text.rpartition(':')[2]) > 65535:
            raise section.wrong('tcp', 'write host:port')
        return Tcp(text)
    if kind == 'command':
        return Command(section.words('command'))
    return FileAge(text, section.seconds('max_age', '5m'))


def _process(section: Section) -> Process:
    try:
        return Process(section.get('process'), section.get('pid_file'))
    except (re.error, RecursionError) as e:
        fix = '{}; write a regular expression for the command line'.format(e)
        raise section.wrong('process', fix) from e


def _http(section: Section) -> Http:
    if not re.match(r'^https?://[!-~]+$', section.get('http')):
        raise section.wrong('http', 'write a URL that begins with http:// or https://')
    statuses = []
    for part in split(section.get('expect_status')) or ['200-399']:
        found = re.match(r'^([1-5][0-9][0-9])(?:-([1-5][0-9][0-9]))?$', part)
        if not found:
            raise section.wrong('expect_status', 'write statuses, such as 200, 204 or 200-299')
        statuses.append((int(found.group(1)), int(found.group(2) or found.group(1))))
    return Http(
        section.get('http'),
        tuple(statuses),
        section.get('expect_body'),
        section.get('ca_file'),
        section.yes('verify', True),
    )


def _restarter(section: Section) -> 'Restarter | None':
    restart, unit = section.get('restart'), section.get('unit')
    if restart == 'no':
        command = []  # type: list[str]  # the unit is looked at only
    else:
        command = section.words('restart') or (['systemctl', 'restart', unit] if unit else [])
    if not command:
        about = ('restart_', 'before', 'after')
        more = sorted(o for o in section.options if o.startswith(about) and section.get(o))
        if more:
            raise section.wrong(
                more[0], 'write also restart = COMMAND or unit = NAME.service, or leave it out'
            )
        return None
    hooks = None
    if section.get('before') or section.get('after'):
        timeout = section.seconds('hook_timeout', '30')
        hooks = Hooks(section.name, section.words('before'), section.words('after'), timeout)
    return Restarter(
        command,
        section.seconds('restart_timeout', '60'),
        section.whole('restart_attempts', '0', 0),
        section.seconds('restart_window', '10m'),
        hooks,
    )


def _check_dependencies(services: 'list[Service]') -> None:
    """Raise ConfigError for a dependency on nobody, or on the service itself."""
    needs = {s.name: s.depends_on for s in services}
    for service in services:
        where = '[service:{}] depends_on = {}'.format(service.name, ', '.join(service.depends_on))
        missing = [n for n in service.depends_on if n not in needs]
        if missing:
            fix = '{}: there is no [service:{}]; write one, or leave it out'
            raise ConfigError(fix.format(where, missing[0]))
        seen = set()  # type: set[str]
        ahead = list(service.depends_on)
        while ahead:
            name = ahead.pop()
            if name == service.name:
                fix = '{}: it depends on itself in the end; leave one of the services out'
                raise ConfigError(fix.format(where))
            if name not in seen:
                seen.add(name)
                ahead.extend(needs[name])


def load(path: str, environ: 'dict[str, str]') -> Settings:
    """Read the INI file, if there is one, and the environment.

    Raises ConfigError, also when a file was asked for by name and is not there.
    """
    parser = configparser.ConfigParser(interpolation=None)
    asked = path or environ.get('AODH_HA_CONFIG', '')
    try:
        with open(asked or CONFIG_FILE) as f:
            parser.read_file(f)
    except FileNotFoundError:
        if asked:
            raise ConfigError(
                '{}: there is no such file; write it, or leave --config and AODH_HA_CONFIG '
                'out'.format(asked)
            ) from None
    except (OSError, configparser.Error, UnicodeDecodeError) as e:
        raise ConfigError('{}: {}'.format(asked or CONFIG_FILE, e)) from e
    strange = [s for s in parser.sections() if s != 'agent' and not s.startswith('service:')]
    if strange:
        raise ConfigError('[{}]: unknown; write [agent] or [service:NAME]'.format(strange[0]))
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
        _service(Section(section.partition(':')[2].strip(), dict(parser[section])))
        for section in parser.sections()
        if section != 'agent'
    ]
    if len(services) > MOST_SERVICES:
        raise ConfigError('{} services: write at most {}'.format(len(services), MOST_SERVICES))
    names = [s.name for s in services]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError('[service:{}]: it is there twice; leave one out'.format(name))
    _check_dependencies(services)
    return Settings(agent, services)


def stamp(path: str, environ: 'dict[str, str]') -> 'tuple[int, int, int] | None':
    """Tells whether the file has changed; None while there is none."""
    try:
        s = os.stat(path or environ.get('AODH_HA_CONFIG', '') or CONFIG_FILE)
    except OSError:
        return None
    return (s.st_ino, s.st_mtime_ns, s.st_size)


MYPY = False
if MYPY:
    from .probes import Probe
