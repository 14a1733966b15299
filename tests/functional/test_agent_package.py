"""What deploy/agent builds: the same bytes each time, and an agent that runs, on each Python."""

import configparser
import os
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from aodh_ha.agent import config
from aodh_ha.agent.version import VERSION
from tests.functional.agent.conftest import GUEST, KEY, Gateway, make_gateway
from tests.waiting import wait_for

HERE = pathlib.Path(__file__).parents[2] / 'deploy' / 'agent'
__all__ = ['make_gateway']  # a fixture

SETTINGS = """
[service:listens]
tcp = 127.0.0.1:{port}
interval = 1

[service:works]
command = true
interval = 1

[service:fails]
http = {url}/nothing
interval = 1
failures = 1
"""

pytestmark = pytest.mark.skipif(not shutil.which('dpkg-deb'), reason='Debian only')


def build(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The zipapp and the package."""
    subprocess.run([HERE / 'build', folder], check=True, capture_output=True)
    return folder / 'aodh-ha-agent', folder / f'aodh-ha-agent_{VERSION}_all.deb'


@pytest.fixture(scope='module')
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, pathlib.Path]:
    return build(tmp_path_factory.mktemp('dist'))


@pytest.fixture(scope='module')
def root(built: Any, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A root with nothing but the package, installed by dpkg with its scripts."""
    if os.geteuid():
        pytest.skip('dpkg --root needs root')
    root = tmp_path_factory.mktemp('root')
    (root / 'var/lib/dpkg').mkdir(parents=True)
    (root / 'var/lib/dpkg/status').touch()
    (root / 'etc').mkdir()
    for name in ('passwd', 'group', 'shadow', 'gshadow'):
        (root / 'etc' / name).touch()
    dpkg(root, '--force-depends', '--install', str(built[1]))
    return root


def environment(gateway: Gateway, settings: pathlib.Path, state: pathlib.Path) -> dict[str, str]:
    """What an agent is started with that speaks to this gateway."""
    return {
        'PATH': os.environ['PATH'],
        'AODH_HA_CONFIG': str(settings),
        'AODH_HA_GATEWAYS': gateway.url,
        'AODH_HA_GUEST': GUEST,
        'AODH_HA_KEY': KEY,
        'AODH_HA_STATE_DIR': str(state),
        'AODH_HA_STATISTICS': 'cpu,load,memory,swap,disk',
    }


def pythons() -> list[str]:
    """What is called python3.N and runs: a version manager has names for what it has not."""
    known = (shutil.which(f'python3.{minor}') for minor in range(6, 16))
    ask = ('-c', 'import ssl')
    return [p for p in known if p and not subprocess.run([p, *ask], capture_output=True).returncode]


def dpkg(root: pathlib.Path, *arguments: str) -> None:
    log = f'--log={root}/dpkg.log'
    command = ['dpkg', f'--root={root}', '--force-script-chrootless', log, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_same_source_gives_the_same_bytes(
    built: tuple[pathlib.Path, pathlib.Path],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv('TZ', 'Asia/Tokyo')
    before = os.umask(0o077)
    try:
        again = build(tmp_path)
    finally:
        os.umask(before)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in built]


def test_the_package_makes_its_user_and_guards_the_key(root: pathlib.Path) -> None:
    assert re.search(r'^aodh-ha-agent:.*:/usr/sbin/nologin$', (root / 'etc/passwd').read_text())
    group = int(re.findall(r'^aodh-ha-agent:[^:]*:(\d+):', (root / 'etc/group').read_text())[0])
    settings = (root / 'etc/aodh-ha/agent.conf').stat()
    assert (settings.st_mode & 0o777, settings.st_uid, settings.st_gid) == (0o640, 0, group)
    assert (root / 'etc/sudoers.d/aodh-ha-agent').stat().st_mode & 0o777 == 0o440


def test_the_agent_of_the_package_beats_and_takes_little_memory(
    root: pathlib.Path, make_gateway: Any, tmp_path: pathlib.Path
) -> None:
    gateway = make_gateway(interval=0.1)
    environ = environment(gateway, root / 'etc/aodh-ha/agent.conf', tmp_path / 'state')
    environ['MALLOC_ARENA_MAX'] = '1'  # as the unit has it
    with subprocess.Popen([root / 'usr/bin/aodh-ha-agent'], env=environ) as process:
        try:
            wait_for(lambda: len(gateway.beats) > 5, 20, 'heartbeats')
            status = pathlib.Path(f'/proc/{process.pid}/status').read_text()
        finally:
            process.terminate()
    assert int(re.findall(r'VmRSS:\s+(\d+) kB', status)[0]) < 15 * 1024


@pytest.mark.parametrize('python', pythons(), ids=os.path.basename)
def test_the_file_beats_and_checks_services_on_each_python_that_is_here(
    python: str, built: tuple[pathlib.Path, pathlib.Path], make_gateway: Any, tmp_path: pathlib.Path
) -> None:
    gateway = make_gateway(interval=0.1)
    settings = tmp_path / 'agent.conf'
    port = gateway.url.rpartition(':')[2]
    settings.write_text(SETTINGS.format(port=port, url=gateway.url))
    environ = environment(gateway, settings, tmp_path / 'state')

    def states() -> dict[str, str]:
        return {s['name']: s['state'] for s in gateway.beats[-1]['services']}

    with subprocess.Popen([python, '-W', 'error', built[0]], env=environ) as process:
        try:
            wait_for(lambda: len(gateway.beats) > 5, 20, 'heartbeats')
            wait_for(
                lambda: states() == {'listens': 'ok', 'works': 'ok', 'fails': 'failed'},
                20,
                'what the services are',
            )
        finally:
            process.terminate()
    assert process.wait(10) == 0
    assert gateway.refused == []


def test_the_unit_is_one_that_systemd_understands(root: pathlib.Path) -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(root / 'usr/lib/systemd/system/aodh-ha-agent.service')
    assert unit['Service']['User'] == 'aodh-ha-agent'
    assert unit['Service']['ExecStart'] == '/usr/bin/aodh-ha-agent'
    if not shutil.which('systemd-analyze'):
        pytest.skip('no systemd-analyze here')
    for name in ('sysinit', 'basic', 'network', 'multi-user', 'shutdown'):
        (root / f'usr/lib/systemd/system/{name}.target').write_text('[Unit]\n')
    (root / 'bin').mkdir(exist_ok=True)
    shutil.copy('/bin/true', root / 'bin/kill')
    verify = ['systemd-analyze', f'--root={root}', 'verify', 'aodh-ha-agent.service']
    done = subprocess.run(verify, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')


def test_the_examples_are_settings_that_load(tmp_path: pathlib.Path) -> None:
    cloud = yaml.safe_load((HERE / 'cloud-init.yaml').read_text())
    files = {f['path']: f['content'] for f in cloud['write_files']}
    commented = (HERE / 'agent.conf').read_text()
    given = re.sub(r'^#(?=\[|\w+ =)', '', commented, flags=re.MULTILINE)
    for text in (commented, given, files['/etc/aodh-ha/agent.conf']):
        file = tmp_path / 'agent.conf'
        file.write_text(text)
        settings = config.load(str(file), {})
    assert [s.name for s in settings.services] == ['web']
    # The rule names the units that the settings restart, no more.
    (rule,) = (text for path, text in files.items() if 'polkit' in path)
    assert re.findall(r'"([\w.@-]+\.service)"', rule) == ['nginx.service']
    assert settings.services[0].options['unit'] == 'nginx.service'


def test_purged_nothing_of_it_is_left(root: pathlib.Path) -> None:
    (root / 'var/lib/aodh-ha-agent').mkdir()
    dpkg(root, '--purge', 'aodh-ha-agent')
    assert 'aodh-ha-agent' not in (root / 'etc/passwd').read_text()
    left = list(root.rglob('*aodh-ha*'))
    assert left == []
