"""The command `aodh-ha-agent`."""

import logging
import os
import signal
import sys
import threading

from .beater import Alarm, Beater, boot_id
from .checks import Watch
from .commands import Commands
from .config import ConfigError, Source, load
from .state import Memory, Sequence
from .version import VERSION

USAGE = """usage: aodh-ha-agent [--config FILE] [--verbose] [--version]

Sends signed heartbeats from this guest, and restarts its services. Settings, of
which the first one counts: the environment (AODH_HA_GATEWAYS, AODH_HA_GUEST,
AODH_HA_KEY, AODH_HA_GENERATION, AODH_HA_INTERVAL, AODH_HA_STATE_DIR,
AODH_HA_METADATA, AODH_HA_CA_FILE), FILE (or AODH_HA_CONFIG, or
/etc/aodh-ha/agent.conf), the server's metadata.
"""


def main(arguments: 'list[str] | None' = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code, 2 if a setting is wrong."""
    config = ''
    level = logging.INFO
    words = list(sys.argv[1:] if arguments is None else arguments)
    while words:
        word = words.pop(0)
        if word == '--version':
            print(VERSION)
            return 0
        if word in ('-h', '--help'):
            print(USAGE, end='')
            return 0
        if word == '--verbose':
            level = logging.DEBUG
        elif word == '--config' and words:
            config = words.pop(0)
        elif word.startswith('--config='):
            config = word.partition('=')[2]
        else:
            print(USAGE, end='', file=sys.stderr)
            return 2
    logging.basicConfig(
        level=level, stream=sys.stderr, format='%(asctime)s %(levelname)s %(message)s'
    )
    log = logging.getLogger('aodh-ha-agent')
    environ = dict(os.environ)
    try:
        settings = load(config, environ)
        source = Source(settings, log)
    except ConfigError as e:
        log.error('%s', e)
        return 2
    # Blocked in every thread and taken by sigwait: no handler runs in the
    # middle of anything, and none can be lost.
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    alarm = Alarm()
    watches = [Watch(s, alarm.ring, log) for s in settings.services]
    beater = Beater(
        source,
        Sequence(settings.state_dir, log),
        watches,
        settings.interval,
        boot_id(environ),
        log,
        settings.ca_file,
        alarm,
        Commands(watches, Memory(settings.state_dir, log), alarm.ring, log),
    )
    for watch in watches:
        watch.start()
    log.info('aodh-ha-agent %s starts', VERSION)
    thread = threading.Thread(target=beater.run, name='beater', daemon=True)
    thread.start()
    got = signal.sigwait(ending)
    beater.stop()
    thread.join(1.0)
    log.info('ended by %s', signal.Signals(got).name)
    return 0
