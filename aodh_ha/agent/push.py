"""`aodh-ha-agent push`: any metric, left in a spool for the running agent; and its way out.

The spool is the folder `push` in the agent's state folder, one small file a value. Who may write
into the folder may push; the agent, whoever it runs as, reads the files and deletes them.
"""

import json
import math
import os
import re
import stat
import time

FOLDER = 'push'
MOST = 256  # values that wait; beyond it the oldest one goes
AT_ONCE = 32  # metrics in one heartbeat, as the gateway takes them
OLDEST = 86400.0  # seconds that a value may be old; the gateway takes none beyond
FILE_LIMIT = 1024  # bytes
NAME = re.compile(r'^[A-Za-z0-9_.-]{1,64}\Z')
UNIT_LIMIT = 32
BOOTTIME = getattr(time, 'CLOCK_BOOTTIME', 7)  # named since Python 3.7
DROPPED = 'MetricsDropped'

USAGE = """usage: aodh-ha-agent push --metric NAME --value NUMBER [--unit UNIT]
                          [--state-dir DIR] [--config FILE]

Gives a value to the running agent, which sends it with its next heartbeat. It becomes a
sample of the meter guest.metric.NAME. A name has at most 64 letters, digits, "_", "." and
"-". DIR is the agent's state folder (default: AODH_HA_STATE_DIR, or what FILE says, which is
/etc/aodh-ha/agent.conf; else /var/lib/aodh-ha-agent). While no gateway answers 256 values are
kept, the newest ones, for a day. Exit code: 0 given, 1 not possible, 2 wrong arguments.
"""


class SpoolError(Exception):
    """The spool cannot be used; the text says why and what to do."""


def checked(name: object, value: object, unit: object) -> 'dict[str, object]':
    """A metric as a heartbeat carries it; raises ValueError for what the gateway would refuse."""
    if not isinstance(name, str) or not NAME.match(name):
        raise ValueError('a name has 1 to 64 letters, digits, "_", "." and "-"')
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError('{}: the value must be a number'.format(name))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError('{}: the value must be a finite number'.format(name))
    if not isinstance(unit, str) or len(unit) > UNIT_LIMIT or not unit.isprintable():
        raise ValueError('{}: a unit has at most {} printable characters'.format(name, UNIT_LIMIT))
    return {'name': name, 'value': number, 'unit': unit}


def this_boot() -> str:
    """The kernel's id of this boot; '' if it has none."""
    try:
        with open('/proc/sys/kernel/random/boot_id') as f:
            return f.read(64).strip()
    except OSError:
        return ''


def uptime() -> float:
    """Seconds since the boot, the time asleep included; no clock that is set changes it."""
    return time.clock_gettime(BOOTTIME)


def put(folder: str, name: str, value: float, unit: str = '') -> bool:
    """Leave a value in the state folder's spool; False if an older one had to go for it.

    Whole or not at all: the agent never sees half a file. Raises ValueError for a metric that
    cannot be sent, SpoolError when the spool cannot be written.
    """
    metric = checked(name, value, unit)
    spool = os.path.join(folder, FOLDER)
    at = uptime()
    metric.update(boot=this_boot(), uptime=at, time=time.time())
    # In the order of time, and no two of the same name.
    plain = '{:020d}-{}.json'.format(int(at * 1e9), os.urandom(4).hex())
    path, new = os.path.join(spool, plain), os.path.join(spool, '.' + plain)
    try:
        _make(folder, spool)
        with open(new, 'w') as f:
            json.dump(metric, f)
        os.chmod(new, 0o644)  # nothing secret, and the agent may be another user's process
        os.rename(new, path)
        return _make_room(spool, plain)
    except OSError as e:
        raise SpoolError(_help(e, spool)) from e


def _make(folder: str, spool: str) -> None:
    try:
        os.mkdir(spool, 0o775)
    except FileExistsError:
        return
    # Made by root for an agent that is not: the agent must be able to delete what is in it.
    owner = os.stat(folder)
    if os.geteuid() == 0:
        os.chown(spool, owner.st_uid, owner.st_gid)


def _make_room(spool: str, mine: str) -> bool:
    waiting = _files(spool)
    over = [n for n in waiting[: max(0, len(waiting) - MOST)] if n != mine]
    for name in over:
        try:
            os.unlink(os.path.join(spool, name))
        except FileNotFoundError:
            continue  # the agent took it just now
        # One byte for each, since appending needs no lock.
        with open(os.path.join(spool, 'dropped'), 'ab') as f:
            f.write(b'.')
    return not over


def _files(spool: str) -> 'list[str]':
    return sorted(n for n in os.listdir(spool) if n.endswith('.json') and n[0] != '.')


def _help(error: OSError, spool: str) -> str:
    text = '{}: {}'.format(error.filename or spool, error.strerror or error)
    if isinstance(error, FileNotFoundError):
        return text + '; run the agent once, or name its state folder with --state-dir'
    if isinstance(error, PermissionError):
        return (
            '{}; push as root or as the user of the agent, or let the group of the folder '
            '{} write into it'.format(text, spool)
        )
    return text


class Outbox:
    """Metrics on their way into heartbeats: what was measured, and what was pushed.

    For the beater::

        metrics = outbox.waiting()      # into the body: data['metrics'] = metrics, if there are any
        ...                             # the gateway answered 202, genuinely (or it refused the
        outbox.told(metrics)            # body as bad_request: these must not silence the guest)

    What was not told is given again, grown older. Not for use by several threads at once.
    """

    def __init__(
        self, folder: str, log: 'logging.Logger', statistics: 'Statistics | None' = None
    ) -> None:
        """`folder` is the state folder, '' for none; nothing in it is touched yet."""
        self._spool = os.path.join(folder, FOLDER) if folder else ''
        self._log = log
        self._statistics = statistics
        # By name: while nobody listens the newest value of each is kept.
        self._measured = {}  # type: dict[str, tuple[float, dict[str, object]]]
        self._given = []  # type: list[tuple[dict[str, object], str]]
        self._undeletable = set()  # type: set[str]
        self._boot = ''
        self._ready = False

    def waiting(self) -> 'list[dict[str, object]]':
        """At most AT_ONCE metrics for a heartbeat, each with name, value, unit and age."""
        now = uptime()
        for found in self._statistics.due() if self._statistics else ():
            name, age = str(found['name']), found.get('age', 0.0)
            self._measured.pop(name, None)
            self._measured[name] = (now - float(str(age)), found)
        pushed = self._pushed(now)
        # Neither keeps the other one out.
        room = AT_ONCE - min(len(pushed), AT_ONCE // 4)
        self._given = []
        for at, found in list(self._measured.values())[:room]:
            self._give(found, now - at, '')
        for path, age, found in pushed[: AT_ONCE - len(self._given)]:
            self._give(found, age, path)
        return [m for m, _ in self._given]

    def _give(self, found: 'dict[str, object]', age: float, path: str) -> None:
        self._given.append((dict(found, age=round(min(max(age, 0.0), OLDEST), 1)), path))

    def told(self, metrics: 'list[dict[str, object]]') -> None:
        """The gateway has these; a value that is newer than them stays."""
        for metric, path in self._given:
            if not any(metric is m for m in metrics):
                continue
            if path:
                self._delete(path)
            else:
                self._measured.pop(str(metric['name']), None)
        self._given = []

    def _pushed(self, now: float) -> 'list[tuple[str, float, dict[str, object]]]':
        """Path, age and metric of what is in the spool, the oldest first."""
        if not self._spool:
            return []
        try:
            if not self._ready:
                _make(os.path.dirname(self._spool), self._spool)
                self._ready = True
            names = _files(self._spool)
        except OSError:
            return []  # no folder, nothing pushed; push says what is wrong to who wants to push
        found = []  # type: list[tuple[str, float, dict[str, object]]]
        for name in names:
            path = os.path.join(self._spool, name)
            if path in self._undeletable:
                continue
            try:
                metric, age = self._load(path, now)
            except (OSError, ValueError, TypeError, KeyError, RecursionError) as e:
                self._log.warning('push: %s is left out: %s', path, e)
                self._delete(path)
                continue
            found.append((path, age, metric))
            if len(found) == AT_ONCE:
                break
        if len(found) < AT_ONCE:
            found += self._dropped()
        return found

    def _load(self, path: str, now: float) -> 'tuple[dict[str, object], float]':
        # Others may write here: no link out of the folder, no pipe that hangs, nothing large.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, 'rb') as f:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError('no file')
            data = json.loads(f.read(FILE_LIMIT).decode('utf-8'))
        metric = checked(data['name'], data['value'], data['unit'])
        self._boot = self._boot or this_boot()
        if data['boot'] == self._boot:
            age = now - float(data['uptime'])
        else:  # of before a reboot: only the wall clock knows
            age = time.time() - float(data['time'])
        if not age <= OLDEST:
            raise ValueError('it is more than a day old')
        return metric, age

    def _dropped(self) -> 'list[tuple[str, float, dict[str, object]]]':
        """How many values went because nobody took them, once somebody does."""
        path = os.path.join(self._spool, 'dropped')
        try:
            count = os.lstat(path).st_size
        except OSError:
            return []
        if not count or path in self._undeletable:
            return []
        return [(path, 0.0, {'name': DROPPED, 'value': count, 'unit': 'Counter'})]

    def _delete(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass
        except OSError as e:
            # Else it would go out with every heartbeat.
            self._undeletable.add(path)
            self._log.warning('push: %s cannot be deleted, and is not looked at again: %s', path, e)


def main(arguments: 'list[str]', environ: 'dict[str, str]') -> int:
    """The command: what follows `push`, and the environment; returns the exit code."""
    import sys

    options = {'--metric': '', '--value': '', '--unit': '', '--state-dir': '', '--config': ''}
    words = list(arguments)
    while words:
        name, equals, value = words.pop(0).partition('=')
        if name in ('-h', '--help'):
            print(USAGE, end='')
            return 0
        name = '--unit' if name == '--units' else name  # as cfn-push-stats has it
        if name not in options or not (equals or words):
            print(USAGE, end='', file=sys.stderr)
            return 2
        options[name] = value if equals else words.pop(0)
    try:
        if not options['--metric'] or not options['--value']:
            raise ValueError('write --metric NAME and --value NUMBER')
        number = _number(options['--value'])
        checked(options['--metric'], number, options['--unit'])
    except ValueError as e:
        print('aodh-ha-agent push: {}'.format(e), file=sys.stderr)
        return 2
    folder = options['--state-dir'] or _state_folder(options['--config'], environ)
    try:
        if not put(folder, options['--metric'], number, options['--unit']):
            print('the spool was full: the oldest value is dropped', file=sys.stderr)
    except SpoolError as e:
        print('aodh-ha-agent push: {}'.format(e), file=sys.stderr)
        return 1
    return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError('--value {}: write a number'.format(text)) from None


def _state_folder(config: str, environ: 'dict[str, str]') -> str:
    """As the agent finds it. Its file holds the key, so others may not be able to read it."""
    import configparser

    from .config import CONFIG_FILE, STATE_DIR

    given = environ.get('AODH_HA_STATE_DIR')
    if given:
        return given
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(config or environ.get('AODH_HA_CONFIG') or CONFIG_FILE)
    except (OSError, configparser.Error, UnicodeDecodeError):
        return STATE_DIR
    return parser.get('agent', 'state_dir', fallback='') or STATE_DIR


MYPY = False
if MYPY:
    import logging

    from .stats import Statistics
