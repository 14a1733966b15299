"""A worker that dies where a test wants it to, as by kill -9, and nowhere else."""

import os
import signal
import subprocess
import sys

import pytest

from aodh_ha.cmd import crash

PROGRAM = """
import os
from aodh_ha.cmd import crash
at = crash.boundary(os.environ)
for recovery in ('one', 'two', 'one', 'two'):
    for name in crash.BOUNDARIES:
        print(f'{name}@{recovery}', flush=True)
        at(name, recovery)
print('alive', flush=True)
"""


def run(**environ):
    """Where it died, as boundary@recovery; ``alive`` where it did not."""
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM],
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    last = done.stdout.splitlines()[-1]
    assert done.returncode == (0 if last == 'alive' else -signal.SIGKILL), done.stderr
    return last


def test_nobody_dies_who_was_not_asked_to():
    assert crash.boundary({}) is None


@pytest.mark.parametrize(
    ('where', 'died'),
    [
        ('after-send', 'after-send@one'),
        ('after-send:2', 'after-send@two'),
        ('verifying, after-intent', 'after-intent@one'),
        ('before-finish:9', 'alive'),
    ],
)
def test_it_dies_the_nth_time_it_passes(where, died):
    assert run(AODH_HA_DIE_AT=where) == died


def test_it_dies_once_for_each_recovery_and_boundary(tmp_path):
    environ = {'AODH_HA_DIE_AT': 'after-intent,verifying', 'AODH_HA_DIE_ONCE': str(tmp_path)}
    deaths = [run(**environ) for _ in range(5)]
    assert deaths == [
        *('after-intent@one', 'verifying@one', 'after-intent@two', 'verifying@two', 'alive'),
    ]
    assert {p.name for p in tmp_path.iterdir()} == set(deaths) - {'alive'}


def test_a_boundary_that_there_is_not_is_told():
    with pytest.raises(ValueError, match='before-dinner'):
        crash.boundary({'AODH_HA_DIE_AT': 'before-dinner'})
