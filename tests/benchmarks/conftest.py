"""A devcloud at an operator's settings, and a place for the figures."""

import os
import pathlib
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.devcloud import REPOSITORY, Devcloud, running
from tests.benchmarks.fleet import Fleet

POLICY = """
name: benchmark
heartbeat: {interval: 10s, missed: 3, boot_grace: 20s}
steps:
  - {action: server.reboot, type: soft, verify: 60s}
  - {action: server.reboot, type: hard, verify: 60s}
"""


@pytest.fixture(scope='session')
def cloud() -> Iterator[Devcloud]:
    """Aodh evaluates every 5 s, Ceilometer polls every 5 s."""
    state = os.environ.get('DEVCLOUD_STATE', '.devcloud-benchmarks')
    port = int(os.environ.get('DEVCLOUD_PORT', '26000'))
    with running(state, port, seconds=5) as devcloud:
        devcloud.api.save_policy('benchmark', POLICY)
        yield devcloud


@pytest.fixture(scope='module')
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """The gateway on SQLite with so many enrolled guests, and the view that does nothing."""
    fleet = Fleet(tmp_path_factory.mktemp('gateway'))
    with fleet.running():
        yield fleet


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Prints a table and keeps it in benchmark-results/."""

    def write(text: str) -> None:
        folder = pathlib.Path(REPOSITORY / 'benchmark-results')
        folder.mkdir(exist_ok=True)
        (folder / f'{request.node.name}.txt').write_text(text + '\n')
        with capsys.disabled():
            print(f'\n{text}')

    return write
