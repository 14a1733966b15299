"""The agent's package under a real systemd and polkit, in namespaces of its own.

systemd boots on top of this machine's files, which it cannot change: what it writes goes to
memory. It shares the network, so the agent finds the test's gateway on loopback.
"""

import fcntl
import os
import pathlib
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.agent.conftest import GUEST, KEY, Gateway, make_gateway
from tests.functional.test_agent_package import built
from tests.waiting import wait_for

__all__ = ['built', 'make_gateway']  # fixtures

BOOT = r"""
set -e
mount --make-rprivate /
mount -t tmpfs none "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
cd "$1/root"
mount -t proc proc proc
mount --rbind /dev dev
mount -t tmpfs none run
mount -t tmpfs none tmp
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs none sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
dpkg --root=. --force-depends --log=run/dpkg.log --install "$2" >&2
cp -r "$3/." .
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=other \
    chroot . /lib/systemd/systemd --system --unit=guest.target --log-target=journal
"""

SERVICE = '[Service]\nExecStart=/bin/sleep infinity\n'
UNITS = {
    'web.service': SERVICE,
    'db.service': SERVICE,
    'guest.target': '[Unit]\nWants=dbus.socket web.service db.service aodh-ha-agent.service\n',
    # A unit's own limit of a minute is more than a test may take.
    'aodh-ha-agent.service.d/soon.conf': '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n',
}
SETTINGS = """[agent]
gateways = {url}
guest = {guest}
key = {key}
generation = 1

[service:web]
unit = web.service
interval = 0.2s
failures = 2
restart_attempts = 1

[service:db]
unit = db.service
interval = 0.2s
failures = 2
restart_attempts = 1
"""
ALLOWED = 'var aodh_ha_units = [\n    "web.service",\n'


class Guest:
    """A booted guest."""

    def __init__(self, pid: int) -> None:
        self._enter = ['nsenter', '-t', str(pid), '-m', '-p', '-C', '-r', '-w']

    def run(self, *command: str) -> str:
        """Output of a command in the guest, whatever its exit code."""
        done = subprocess.run([*self._enter, *command], capture_output=True, text=True)
        return done.stdout + done.stderr

    def show(self, unit: str, *names: str) -> list[str]:
        """Properties of a unit."""
        shown = self.run('systemctl', 'show', unit, *(f'-p{n}' for n in names))
        found = dict(line.partition('=')[::2] for line in shown.splitlines())
        return [found.get(n, '') for n in names]

    def agent(self) -> dict[str, str]:
        """The status of the agent's process, by the kernel."""
        (pid,) = self.show('aodh-ha-agent', 'MainPID')
        lines = self.run('cat', f'/proc/{pid}/status').splitlines()
        return dict(line.partition(':\t')[::2] for line in lines)


def children(pid: int) -> list[int]:
    text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
    return [int(p) for p in text.split()]


@pytest.fixture(scope='module')
def gateway() -> Iterator[Gateway]:
    making = make_gateway.__wrapped__()  # type: ignore[attr-defined]  # that one is a test's
    yield next(making)(interval=0.2)
    next(making, None)


@pytest.fixture(scope='module')
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One guest at a time, of all processes that run tests: they would share their cgroups."""
    with (tmp_path_factory.getbasetemp().parent / 'guest.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope='module')
def guest(
    alone: None, built: Any, gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    folder, content = tmp_path_factory.mktemp('guest'), tmp_path_factory.mktemp('content')
    for name, text in UNITS.items():
        path = content / 'etc/systemd/system' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    rule = pathlib.Path(__file__).parents[2] / 'deploy/agent/50-aodh-ha-agent.rules'
    rules = content / 'etc/polkit-1/rules.d'
    rules.mkdir(parents=True)
    text = rule.read_text().replace('var aodh_ha_units = [\n', ALLOWED)
    assert ALLOWED in text
    (rules / rule.name).write_text(text)
    (content / 'etc/aodh-ha').mkdir()
    settings = SETTINGS.format(url=gateway.url, guest=GUEST, key=KEY)
    (content / 'etc/aodh-ha/agent.conf').write_text(settings)
    may = subprocess.run(['unshare', '-mpfC', 'mount', '--make-rprivate', '/'])
    if os.geteuid() or may.returncode:
        pytest.skip('needs the right to mount')
    command = ['unshare', '-mpfC', 'bash', '-c', BOOT, 'boot', folder, built[1], content]
    with (folder.parent / 'boot.log').open('wb') as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        (init,) = wait_for(lambda: children(process.pid), 10, 'the namespaces')
        guest = Guest(init)
        wait_for(
            lambda: process.poll() is not None or guest.show('web', 'ActiveState') == ['active'],
            30,
            'systemd has booted',
        )
        assert process.poll() is None, (folder.parent / 'boot.log').read_text()
        yield guest
    finally:
        for pid in children(process.pid):
            os.kill(pid, signal.SIGKILL)  # and with it all of its namespace
        process.wait(10)


def state(gateway: Gateway, service: str) -> str:
    """As the newest heartbeat has it."""
    found = {s['name']: s['state'] for s in gateway.beats[-1]['services']}
    return str(found[service])


def test_it_runs_in_its_sandbox_and_beats(guest: Guest, gateway: Gateway) -> None:
    wait_for(lambda: gateway.beats and state(gateway, 'web') == 'ok', 20, 'a heartbeat')
    assert guest.show('aodh-ha-agent', 'ActiveState', 'SubState') == ['active', 'running']
    status = guest.agent()
    assert '0' not in status['Uid'].split()
    assert int(status['CapEff'], 16) == int(status['CapBnd'], 16) == 0
    assert status['NoNewPrivs'] == '1'
    assert status['Seccomp'] == '2'


def test_it_restarts_what_polkit_allows_and_nothing_else(guest: Guest, gateway: Gateway) -> None:
    wait_for(lambda: gateway.beats and state(gateway, 'db') == 'ok', 20, 'both are well')
    for unit in ('web', 'db'):
        guest.run('systemctl', 'kill', '--signal=KILL', unit)
    wait_for(lambda: state(gateway, 'db') == 'failed', 20, 'what it may not restart is failed')
    wait_for(lambda: guest.show('web', 'ActiveState') == ['active'], 20, 'the other one is back')
    wait_for(lambda: state(gateway, 'web') == 'ok', 20, 'and well')
    assert guest.show('db', 'ActiveState') == ['failed']
    told = [e for beat in gateway.beats for e in beat.get('events', ())]
    assert {e['state'] for e in told if e['service'] == 'web'} == {'restarted'}
    (vain,) = {e['detail'] for e in told if e['service'] == 'db' and e['state'] == 'restarted'}
    assert vain.startswith('in vain: systemctl')


def test_one_that_hangs_is_started_again(guest: Guest, gateway: Gateway) -> None:
    (pid,) = guest.show('aodh-ha-agent', 'MainPID')
    guest.run('kill', '-STOP', pid)
    wait_for(lambda: guest.show('aodh-ha-agent', 'NRestarts') != ['0'], 30, 'the watchdog')
    before = len(gateway.beats)
    wait_for(lambda: len(gateway.beats) > before + 2, 20, 'heartbeats')
    assert guest.show('aodh-ha-agent', 'MainPID') != [pid]
