"""A devcloud for the whole session, in a state of its own."""

import os
import pathlib
import shutil
from collections.abc import Iterator

import pytest

from tests.acceptance.devcloud import POLICY, REPOSITORY, Devcloud


@pytest.fixture(scope='session')
def cloud() -> Iterator[Devcloud]:
    """A devcloud that is up, with aodh-ha as two processes and the tests' policy.

    ACCEPTANCE_KEEP=1 leaves it up, and takes one that is left: for a short loop.
    """
    state = pathlib.Path(os.environ.get('ACCEPTANCE_STATE', REPOSITORY / '.devcloud-acceptance'))
    keep = os.environ.get('ACCEPTANCE_KEEP') == '1'
    devcloud = Devcloud(state, int(os.environ.get('ACCEPTANCE_PORT', '24000')))
    if not keep and state.exists():
        devcloud.run('wipe')
    try:
        devcloud.up()
        devcloud.connect()
        devcloud.api.save_policy('ladder', POLICY)
        yield devcloud
    finally:
        if not keep:
            logs = os.environ.get('ACCEPTANCE_LOGS')
            if logs:
                shutil.copytree(state / 'log', logs, dirs_exist_ok=True)
            devcloud.run('wipe')
