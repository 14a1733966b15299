"""A devcloud at an operator's settings, and a place for the figures."""

import pathlib
from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.devcloud import REPOSITORY, Devcloud, running

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
    with running('.devcloud-benchmarks', 26000, seconds=5) as devcloud:
        devcloud.api.save_policy('benchmark', POLICY)
        yield devcloud


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
