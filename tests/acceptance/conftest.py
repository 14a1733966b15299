"""A devcloud for the whole session, in a state of its own."""

from collections.abc import Iterator

import pytest

from tests.acceptance.devcloud import POLICY, Devcloud, running


@pytest.fixture(scope='session')
def cloud() -> Iterator[Devcloud]:
    """A devcloud with aodh-ha as two processes and the tests' policy."""
    with running('.devcloud-acceptance', 24000) as devcloud:
        devcloud.api.save_policy('ladder', POLICY)
        yield devcloud
