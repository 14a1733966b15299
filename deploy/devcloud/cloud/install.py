"""Debian packages, the virtual environment, and devcloud's own drivers in it."""

import configparser
import contextlib
import fcntl
import os
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

from cloud.progress import say, step
from cloud.settings import HOME, REPO, Settings, UsageError
from cloud.waiting import busy

PACKAGES = ('rabbitmq-server', 'mariadb-server', 'python3-venv', 'faketime')

DEBIAN_SERVICES = {'mariadb': 3306, 'rabbitmq-server': 5672, 'epmd': 4369}
"""Services that these packages would start, and where they would listen."""

# policy-rc.d is Debian's way to install a service without starting it, RUNLEVEL the one for
# sysvinit; under systemd the unit is enabled all the same and would start at the next boot.
_APT = """
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\\nexit 101\\n' > $policy
    chmod 755 $policy
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
apt-get -o DPkg::Lock::Timeout=600 update
apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@"
if [ -d /run/systemd/system ]; then
    systemctl disable mariadb.service rabbitmq-server.service epmd.socket epmd.service || true
fi
"""


class InstallError(Exception):
    """A step of the installation failed; the message names its log."""


def install(s: Settings) -> None:
    """Install what is missing. A second call does nothing but look."""
    if s.ha != 'none' and not (s.ha_bin / 'aodh-ha').exists():
        raise UsageError(
            f'{s.ha_bin}/aodh-ha does not exist: make it with `make venv`, name its folder with '
            'DEVCLOUD_HA_BIN, or go without by DEVCLOUD_HA=none'
        )
    _debian(s)
    s.venv.parent.mkdir(parents=True, exist_ok=True)
    with _alone(s.venv.with_name(s.venv.name + '.lock')):
        _virtual_environment(s)
        _drivers(s)
        _plugins(s)


@contextlib.contextmanager
def _alone(path: pathlib.Path) -> Iterator[None]:
    """Hold a file lock: several devclouds may share one virtual environment."""
    with open(path, 'a') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _run(s: Settings, log: str, *command: object) -> None:
    path = s.log / f'setup-{log}.log'
    with open(path, 'ab') as out:
        result = subprocess.run(
            [str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=out
        )
    if result.returncode:
        raise InstallError(f'{command[0]} ended with {result.returncode}; see {path}')


def missing_packages() -> list[str]:
    query = subprocess.run(
        ['dpkg-query', '-W', '-f', '${db:Status-Status} ${Package}\n', *PACKAGES],
        capture_output=True,
        text=True,
    )
    have = {line.split()[1] for line in query.stdout.splitlines() if line.startswith('installed ')}
    return [p for p in PACKAGES if p not in have]


def _debian(s: Settings) -> None:
    missing = missing_packages()
    if not missing:
        return
    sudo = []
    if os.geteuid() != 0:
        if not shutil.which('sudo'):
            raise UsageError(
                f'these Debian packages are missing: {" ".join(missing)}; install them as root '
                f'(there is no sudo here), their services need not run'
            )
        say(f'Debian packages are missing ({" ".join(missing)}): installing them with sudo')
        sudo = ['sudo']
        subprocess.run(['sudo', '-v'], check=False)  # ask for the password before output is logged
    else:
        say(f'Debian packages are missing ({" ".join(missing)}): installing them as root')
    before = {name for name, port in DEBIAN_SERVICES.items() if busy(port)}
    with step('apt-get install'):
        _run(s, 'apt', *sudo, 'sh', '-ec', _APT, 'sh', *missing)
    for name, port in DEBIAN_SERVICES.items():
        if name not in before and busy(port):
            say(
                f'  warning: port {port} is open now: did Debian start {name}? devcloud needs '
                'only its programs, stop it if you do not use it'
            )


def _virtual_environment(s: Settings) -> None:
    requirements, constraints = HOME / 'requirements.txt', HOME / 'constraints.txt'
    stamp = s.venv / 'devcloud-requirements'
    want = requirements.read_text() + constraints.read_text()
    if stamp.exists() and stamp.read_text() == want:
        return
    with step(f'virtual environment {s.venv}'):
        if not (s.bin / 'python').exists():
            _run(s, 'venv', sys.executable, '-m', 'venv', s.venv)
        pip = (s.bin / 'python', '-m', 'pip', 'install', '-q', '--disable-pip-version-check')
        _run(s, 'venv', *pip, '-c', constraints, 'uv')
        # Else 28 services would compile the same modules at once, at their first start.
        _run(s, 'venv', *_uv(s), '--compile-bytecode', '-r', requirements, '-c', constraints)
    stamp.write_text(want)


def _uv(s: Settings) -> tuple[object, ...]:
    return (s.bin / 'uv', 'pip', 'install', '--python', s.bin / 'python')


def _drivers(s: Settings) -> None:
    """Put devcloud's drivers where Nova, Cinder and Neutron can load them."""
    _copy(HOME / 'nova_driver.py', s.site / 'nova/virt/devcloud.py')
    _copy(HOME / 'drivers/nova_extras.py', s.site / 'nova/virt/devcloud_extras.py')
    _copy(HOME / 'drivers/cinder.py', s.site / 'cinder/volume/drivers/devcloud.py')
    _copy(HOME / 'drivers/ml2.py', s.site / 'devcloud_ml2.py')
    # Neutron finds its driver by an entry point.
    entry_points = (
        '[neutron.ml2.mechanism_drivers]\ndevcloud = devcloud_ml2:DevcloudMechanismDriver\n'
    )
    _distribution(s, 'devcloud_drivers', '1', entry_points)


def _distribution(s: Settings, name: str, version: str, entry_points: str) -> None:
    """What tells Python of an installed distribution and its entry points."""
    info = s.site / f'{name}-{version}.dist-info'
    info.mkdir(exist_ok=True)
    head = f'Metadata-Version: 2.1\nName: {name.replace("_", "-")}\nVersion: {version}\n'
    _write(info / 'METADATA', head)
    _write(info / 'entry_points.txt', entry_points)
    _write(info / 'RECORD', '')


def _copy(source: pathlib.Path, target: pathlib.Path) -> None:
    _write(target, source.read_text())


def _write(path: pathlib.Path, text: str) -> None:
    """Replace a file in one step, and only if it changes: others may be reading it."""
    if path.exists() and path.read_text() == text:
        return
    new = path.with_name(f'.{path.name}.{os.getpid()}')
    new.write_text(text)
    new.rename(path)


def _plugins(s: Settings) -> None:
    """Make aodh-ha's plugins known to Ceilometer's agents, which run in this environment.

    As an editable install does, but without writing into the repository: it may belong to
    another user.
    """
    config = configparser.ConfigParser(delimiters=('=',))
    if not config.read(REPO / 'setup.cfg'):
        return
    groups = config['options.entry_points']
    entry_points = ''.join(f'[{group}]{lines}\n' for group, lines in groups.items())
    _distribution(s, 'aodh_ha', config['metadata']['version'], entry_points)
    _write(s.site / 'aodh_ha.pth', f'{REPO}\n')
    stamp = s.venv / 'devcloud-plugins'
    want = ' '.join(_requirements())
    if stamp.exists() and stamp.read_text() == want:
        return
    with step("what aodh-ha's plugins need"):
        _run(s, 'plugins', *_uv(s), '-c', HOME / 'constraints.txt', *_requirements())
    stamp.write_text(want)


def _requirements() -> list[str]:
    """aodh-ha's requirements by name only: the versions are those of the constraints."""
    lines = (REPO / 'requirements.txt').read_text().splitlines()
    found = [re.match(r'[A-Za-z0-9._-]+', line.strip()) for line in lines]
    return [m.group() for m in found if m]
