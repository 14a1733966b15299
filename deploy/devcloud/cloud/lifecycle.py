"""What the verbs do."""

import contextlib
import fcntl
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator

from cloud import database, files, process, services
from cloud.environment import environment
from cloud.install import install
from cloud.progress import elapsed, say
from cloud.services import Service
from cloud.settings import HOME, PASSWORD, Settings, UsageError
from cloud.waiting import NotReadyError, busy, wait


@contextlib.contextmanager
def alone(s: Settings) -> Iterator[None]:
    """One verb at a time changes a state folder."""
    s.state.mkdir(parents=True, exist_ok=True)
    with open(s.state / 'lock', 'a') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say('another devcloud command works on this state: waiting for it')
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def start(s: Settings, wanted: Iterable[Service]) -> list[Service]:
    """Start those that do not run; returns what was started."""
    started = []
    for service in wanted:
        if service.name in s.skip or process.pid_of(s, service.name):
            continue
        process.stop(s, [service.name], signal.SIGKILL)  # what it left when it died
        if service.port and busy(service.port):
            raise UsageError(
                f'port {service.port}, which {service.name} needs, is used by another program; '
                'choose other ports with DEVCLOUD_PORT'
            )
        process.start(s, service.name, service.command, service.env)
        started.append(service)
    return started


def ready(s: Settings, wanted: Iterable[Service]) -> None:
    """Wait until each answers or, if it has no port, see that it still runs."""
    wanted = [x for x in wanted if x.name not in s.skip]
    for service in wanted:
        if service.port:
            wait(s, service.name, service.port, service.path)
    dead = [x.name for x in wanted if not process.pid_of(s, x.name)]
    if dead:
        raise NotReadyError(f'ended at once: {", ".join(dead)}; see the logs in {s.log}')


def _bootstrap(s: Settings, script: str, *, again: bool = False) -> None:
    """Run a script that needs libraries; only once in a state's life, until it is changed."""
    listeners = [*(x.name for x in services.apis(s)), 'aodh-ha']
    env = environment(s) | {
        'BOOTSTRAP_PASSWORD': PASSWORD,
        'BOOTSTRAP_URLS': ' '.join(f'{name}={s.url(name)}' for name in listeners),
        'BOOTSTRAP_HOSTS': ' '.join(s.hosts),
    }
    path, done = HOME / 'bootstrap' / script, s.done / script
    if again or not done.exists() or done.read_text() != path.read_text():
        database.run(s, s.bin / 'python', path, env=env)
        done.write_text(path.read_text())


_READERS = {
    'eval': ('aodh-evaluator',),
    'interval': ('aodh-ha-', 'ceilometer-'),
    'database': ('aodh-ha-', 'ceilometer-'),
    'publisher': ('aodh-ha-', 'ceilometer-'),
    'ha_bin': ('aodh-ha-',),
    'storm': ('aodh-ha-',),
}
"""Which services, by the beginning of their names, read a setting."""


def _running(s: Settings) -> list[str]:
    return [n for n in process.recorded(s) if process.pid_of(s, n)]


def _stop_outdated(s: Settings, changed: set[str]) -> None:
    """Stop what these settings no longer ask for, and what has to read changed ones."""
    running = _running(s)
    wanted = {x.name for x in services.everything(s)}
    readers = tuple(name for setting in changed for name in _READERS.get(setting, ()))
    outdated = [n for n in running if n not in wanted or n.startswith(readers)]
    if outdated:
        say(f'settings have changed: stopping {" ".join(outdated)}')
        process.stop(s, outdated)


def up(s: Settings) -> None:
    """Install what is missing, start what is down, and wait until the cloud can be used."""
    changed = s.changed()
    if changed & {'port', 'venv'} and _running(s):
        raise UsageError('DEVCLOUD_PORT and DEVCLOUD_VENV change only after `devcloud down`')
    if not s.ours():
        s.save()
    files.make_folders(s)
    install(s)
    files.write_files(s)
    _stop_outdated(s, changed)
    s.save()  # not earlier: an `up` that was interrupted must find the change again
    database.install_mariadb(s)
    (epmd, rabbitmq), mariadb = services.queue(s), services.mariadb(s)
    start(s, [epmd])
    ready(s, [epmd])
    start(s, [rabbitmq, mariadb])
    ready(s, [mariadb])
    database.create_databases(s)
    database.migrate(s)

    apis, daemons = services.apis(s), services.daemons(s)
    keystone = [x for x in apis if x.name == 'keystone']
    start(s, keystone)  # does not need the message queue
    ready(s, [*keystone, rabbitmq])
    _bootstrap(s, 'identity.py')
    say('database, message queue and Keystone ready')

    # nova-compute waits for these two, in steps of 10 s: they come before the crowd.
    early = [x for x in (*apis, *daemons) if x.name in ('placement-api', 'nova-conductor')]
    if start(s, early):
        ready(s, early)
    control, last = [*apis, *daemons], [*services.ha(s), *services.agents(s)]
    start(s, control)
    prepared = s.done / 'telemetry'
    missing = any(not process.pid_of(s, x.name) for x in last if x.name not in s.skip)
    if missing:
        _bootstrap(s, 'telemetry.py', again=True)
        database.upgrade_aodh_ha(s)
    if prepared.exists():
        start(s, last)
    ready(s, control)
    say('APIs answer')

    if missing:
        database.prepare_telemetry(s)
        prepared.touch()
    start(s, last)  # for the first time only now: they need what was prepared in Gnocchi
    ready(s, [*control, *last])  # some end late, when a first call fails
    _bootstrap(s, 'hosts.py', again=True)
    _bootstrap(s, 'content.py')
    say(
        f'up after {elapsed():.0f} s: eval "$({HOME}/devcloud env)", or '
        f'OS_CLIENT_CONFIG_FILE={s.etc}/clouds.yaml OS_CLOUD=devcloud-admin'
    )


def down(s: Settings) -> None:
    """Stop everything that was started here, guests included; what is stored stays."""
    left = guests(s, 'down')
    names = process.recorded(s)
    base = [x.name for x in (*services.queue(s), services.mariadb(s))]
    process.stop(s, [n for n in names if n not in base])
    process.stop(s, ['rabbitmq'])
    process.stop(s, ['mariadb', 'epmd'])
    if left:
        raise NotReadyError('the services are down, but not all guests: see above')
    say(f'down after {elapsed():.0f} s')


def wipe(s: Settings) -> None:
    """Kill everything and remove the state folder; the virtual environment stays."""
    # First the hosts, which would start a guest again.
    process.stop(s, process.recorded(s), signal.SIGKILL)
    if guests(s, 'kill'):
        raise NotReadyError(f'not all guests ended: {s.state} stays')
    shutil.rmtree(s.state)
    say(f'removed {s.state}')


def signal_services(s: Settings, names: list[str], sig: signal.Signals) -> None:
    _known(s, names)
    ran = process.stop(s, names, sig)
    for name in names:
        say(f'{name}: {"stopped" if name in ran else "was not running"}')


def start_services(s: Settings, names: list[str]) -> None:
    _known(s, names)
    wanted = [x for x in services.everything(s) if x.name in names]
    for service in start(s, wanted):
        say(f'{service.name}: started')
    ready(s, wanted)


def _known(s: Settings, names: list[str]) -> None:
    known = {x.name for x in services.everything(s)} | set(process.recorded(s))
    unknown = [n for n in names if n not in known]
    if unknown:
        raise UsageError(
            f'no such service: {" ".join(unknown)}; there are {" ".join(sorted(known))}'
        )


def status(s: Settings) -> int:
    """Print one line a service; returns how many are down that should be up."""
    total = down_count = 0
    wanted = {x.name: x.port for x in services.everything(s)}
    for name in [*wanted, *(n for n in process.recorded(s) if n not in wanted)]:
        port = f'port {wanted[name]}' if wanted.get(name) else ''
        pid = process.pid_of(s, name)
        if pid is None:
            down_count += 1
            print(f'{name:24} down  {port}')
            continue
        mib, count = process.memory(pid)
        total += mib
        print(f'{name:24} up    {port:10}  pid {pid:<8} {count:2} processes {mib:5} MiB')
    print(f'{"total":24} {total} MiB; {down_count} down')
    return down_count


def guests(s: Settings, *arguments: str) -> int:
    """Hand a command to the guests' own program."""
    command = [sys.executable, str(HOME / 'guests' / 'cli.py'), *arguments]
    return subprocess.run(command, env=environment(s)).returncode
