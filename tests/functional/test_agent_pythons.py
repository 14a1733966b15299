"""The agent on each Python that this machine has: the same file, from 3.6 on."""

import os
import pathlib
import shutil
import subprocess
from typing import Any

import pytest

from tests.functional.agent.conftest import GUEST, KEY, make_gateway
from tests.waiting import wait_for

BUILD = pathlib.Path(__file__).parents[2] / 'deploy' / 'agent' / 'build'
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


def found() -> list[str]:
    """What is called python3.N and runs: a version manager has names for what it has not."""
    known = (shutil.which(f'python3.{minor}') for minor in range(6, 16))
    ask = ('-c', 'import ssl')
    return [p for p in known if p and not subprocess.run([p, *ask], capture_output=True).returncode]


@pytest.fixture(scope='module')
def zipapp(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp('dist')
    subprocess.run([BUILD, folder], check=True, capture_output=True)
    return folder / 'aodh-ha-agent'


@pytest.mark.parametrize('python', found(), ids=os.path.basename)
def test_it_beats_and_checks_its_services(
    python: str, zipapp: pathlib.Path, make_gateway: Any, tmp_path: pathlib.Path
) -> None:
    gateway = make_gateway(interval=0.1)
    settings = tmp_path / 'agent.conf'
    port = gateway.url.rpartition(':')[2]
    settings.write_text(SETTINGS.format(port=port, url=gateway.url))
    environ = {
        'PATH': os.environ['PATH'],
        'AODH_HA_CONFIG': str(settings),
        'AODH_HA_GATEWAYS': gateway.url,
        'AODH_HA_GUEST': GUEST,
        'AODH_HA_KEY': KEY,
        'AODH_HA_STATE_DIR': str(tmp_path / 'state'),
        'AODH_HA_STATISTICS': 'cpu,load,memory,swap,disk',
    }

    def states() -> dict[str, str]:
        return {s['name']: s['state'] for s in gateway.beats[-1]['services']}

    with subprocess.Popen([python, '-W', 'error', zipapp], env=environ) as process:
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
