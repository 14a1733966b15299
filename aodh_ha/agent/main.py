"""The command `aodh-ha-agent`."""

import functools
import os
import signal
import sys
import threading

from .beater import Alarm, Beater, boot_id
from .checks import Watch
from .commands import Commands
from .config import ConfigError, load, stamp
from .events import Events
from .identity import Source
from .log import logger
from .push import Outbox
from .state import Attempts, Memory, Sequence
from .systemd import notify, watchdog
from .version import VERSION

USAGE = """usage: aodh-ha-agent [--config FILE] [--verbose] [--check] [--version]
       aodh-ha-agent push --metric NAME --value NUMBER [--unit UNIT]

Sends signed heartbeats from this guest, and restarts its services. Settings, of
which the first one counts: the environment (AODH_HA_GATEWAYS, AODH_HA_GUEST,
AODH_HA_KEY, AODH_HA_GENERATION, AODH_HA_INTERVAL, AODH_HA_STATE_DIR,
AODH_HA_METADATA, AODH_HA_CA_FILE, AODH_HA_STATISTICS,
AODH_HA_STATISTICS_INTERVAL, AODH_HA_DISKS, AODH_HA_HAPROXY), FILE (or
AODH_HA_CONFIG, or /etc/aodh-ha/agent.conf), the server's metadata, its vendor
data. With --check the settings are read and nothing else is done. FILE is read
again when it has changed, and on SIGHUP. `push` gives the running agent a value
to send, see `aodh-ha-agent push --help`.
"""
LOOK_EVERY = 2.0  # seconds between two looks at the settings' file
ENDING = (signal.SIGTERM, signal.SIGINT)


class Agent:
    """Everything that runs in a guest, and how it follows its settings."""

    def __init__(self, path: str, environ: 'dict[str, str]', log: 'logging.Logger') -> None:
        """Raises ConfigError."""
        self._path = path
        self._environ = environ
        self._log = log
        self._seen = self._read = stamp(path, environ)
        self._has_file = self._read is not None
        self._settings = settings = load(path, environ)
        self._source = Source(settings, log)
        boot = boot_id(environ)
        self._alarm = Alarm()
        self._events = Events(settings.state_dir, boot, log)
        memory = Memory(settings.state_dir, log)
        self._attempts = Attempts(settings.state_dir, boot, log)
        self.watches = []  # type: list[Watch]
        self._commands = Commands(self.watches, memory, self._alarm.ring, log)
        outbox = self._outbox(settings)
        self._follow()
        self.beater = Beater(
            self._source,
            Sequence(settings.state_dir, log),
            self.watches,
            settings.interval,
            boot,
            log,
            settings.ca_file,
            self._alarm,
            self._commands,
            self._events,
            outbox,
        )

    def _outbox(self, settings: 'Settings') -> Outbox:
        """Where metrics come from; raises ConfigError."""
        statistics = None
        if settings.statistics:
            from .stats import Statistics

            try:
                statistics = Statistics(
                    settings.statistics,
                    self._log,
                    settings.statistics_interval,
                    settings.disks,
                    settings.haproxy,
                )
            except ValueError as e:
                raise ConfigError('[agent] {}'.format(e)) from e
        return Outbox(settings.state_dir, self._log, statistics)

    def _follow(self) -> 'list[Watch]':
        """Have a watch of each service as it is configured now; those that are new."""
        known = {w.name: w for w in self.watches}
        new = []
        watches = []
        for service in self._settings.services:
            watch = known.get(service.name)
            # Who has not changed keeps state, failed checks and used restarts.
            if watch is None or watch.service.options != service.options:
                watch = Watch(service, self._alarm.ring, self._log, self._events)
                new.append(watch)
                if service.restarter:
                    # Who has changed begins anew.
                    used = [] if self.watches else self._attempts.of(service.name)
                    keep = functools.partial(self._attempts.keep, service.name)
                    service.restarter.remember(used, keep)
            watches.append(watch)
        for watch in self.watches:
            if watch not in watches:
                watch.stop()
        found = {w.name: w for w in watches}
        for watch in watches:
            watch.depend(found)
        self.watches = self._commands.watches = watches
        return new

    def start(self) -> 'threading.Thread':
        """Start the checks and the heartbeats; the thread of those."""
        for watch in self.watches:
            watch.start()
        thread = threading.Thread(target=self.beater.run, name='beater', daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Keep what no gateway has heard yet."""
        self._events.keep()

    def look(self) -> None:
        """Read the settings again if their file has changed."""
        before, self._seen = self._seen, stamp(self._path, self._environ)
        # Only a file that has been left alone since the last look: an editor may be half done.
        if self._seen != self._read and self._seen == before:
            self.reload()

    def reload(self) -> None:
        """Read the settings again; if anything is wrong with them, the old ones stay."""
        self._seen = now = stamp(self._path, self._environ)
        self._read = now
        try:
            if now is None and self._has_file:
                raise ConfigError('the file of the settings is not there any more')
            settings = load(self._path, self._environ)
            outbox = self._outbox(settings)
            self._source.configure(settings)
        except ConfigError as e:
            self._log.error('the old settings stay: %s', e)
            return
        self._has_file = now is not None
        old, self._settings = self._settings, settings
        if settings.interval != old.interval:
            self.beater.interval = settings.interval
        if settings.state_dir != old.state_dir:
            self._log.warning('state_dir is taken with the next start')
        self.beater.ca_file = settings.ca_file
        if settings.measured != old.measured:
            self.beater.outbox = outbox
        new = self._follow()
        self.beater.watches = self.watches
        for watch in new:
            watch.start()
        self._alarm.ring()
        self._log.info(
            'settings read again: %d services, new or changed: %s',
            len(self.watches), ', '.join(w.name for w in new) or 'none',
        )  # fmt: skip


def _serve(agent: Agent, log: 'logging.Logger') -> int:
    """Run until a signal ends it."""
    # Blocked in every thread and taken by sigtimedwait: no handler runs in the middle of
    # anything. A thread that starts a command unblocks them for a moment: hence a handler
    # too, for what comes right then.
    caught = []  # type: list[int]
    signals = {*ENDING, signal.SIGHUP}
    for each in signals:
        signal.signal(each, lambda number, _frame: caught.append(number))
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    log.info('aodh-ha-agent %s starts', VERSION)
    thread = agent.start()
    notify('READY=1')
    every = min(LOOK_EVERY, watchdog() / 3 or LOOK_EVERY)
    said = ''
    complained = False
    while True:
        info = signal.sigtimedwait(signals, every)
        got = info.si_signo if info else caught.pop(0) if caught else 0
        if got in ENDING:
            break
        if got == signal.SIGHUP:
            agent.reload()
        else:
            agent.look()
        if not agent.beater.stuck:
            notify('WATCHDOG=1')
            complained = False
        elif not complained:
            complained = True
            log.error('the heartbeats are stuck; systemd is not told any more that all is well')
        if agent.beater.said != said:
            said = agent.beater.said
            notify('STATUS=' + said)
    notify('STOPPING=1')
    agent.beater.stop()
    thread.join(1.0)
    agent.stop()
    log.info('ended by %s', signal.Signals(got).name)
    return 0


def main(arguments: 'list[str] | None' = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 2 if a setting is wrong."""
    config = ''
    environ = dict(os.environ)
    verbose = False
    only_check = False
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ['push']:
        from .push import main as push

        return push(words[1:], environ)
    while words:
        word = words.pop(0)
        if word == '--version':
            print(VERSION)
            return 0
        if word in ('-h', '--help'):
            print(USAGE, end='')
            return 0
        if word == '--verbose':
            verbose = True
        elif word == '--check':
            only_check = True
        elif word == '--config' and words:
            config = words.pop(0)
        elif word.startswith('--config='):
            config = word.partition('=')[2]
        else:
            print(USAGE, end='', file=sys.stderr)
            return 2
    log = logger(verbose)
    try:
        agent = Agent(config, environ, log)
    except ConfigError as e:
        log.error('%s', e)
        return 2
    if only_check:
        print('{} services'.format(len(agent.watches)))
        return 0
    return _serve(agent, log)


MYPY = False
if MYPY:
    import logging

    from .config import Settings
