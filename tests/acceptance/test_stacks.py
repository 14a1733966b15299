"""A server of a stack is replaced on real Heat: its guest goes on under a new id.

All steps on stacks, with what they must keep, are in the campaign; groups, nested stacks and what
hangs in test_stack_level.py.
"""

from collections.abc import Iterator

import pytest

from tests.acceptance import stacks
from tests.acceptance.devcloud import Devcloud, wait
from tests.acceptance.stacks import CASES, Broken, healed


@pytest.fixture(scope='module')
def replaced(cloud: Devcloud) -> Iterator[Broken]:
    """A stack whose server panics."""
    made = stacks.create(cloud, names=['replace'])
    stacks.panic(made)
    yield made['replace']
    stacks.remove(cloud, names=['replace'])


def test_a_server_is_replaced_and_keeps_its_volume_and_address(
    cloud: Devcloud, replaced: Broken
) -> None:
    ended, guest = healed(cloud, replaced)
    assert ended['recovery']['status'] == 'recovered', ended
    stacks.prove(cloud, CASES['replace'], replaced, guest)


def test_the_alarm_watches_the_new_server(cloud: Devcloud, replaced: Broken) -> None:
    _, guest = healed(cloud, replaced)
    wait(lambda: guest.measures()[-1:] == [0.0], 'a measure of the new server', 60)
    alarm = next(iter(cloud.api.alarms(guest.id)))
    wait(
        lambda: (
            cloud.aodh.get(alarm['aodh_alarm_id'])['gnocchi_resources_threshold_rule'][
                'resource_id'
            ]
            == guest.shown()['resource_id']
        ),
        "Aodh's alarm is about it",
        60,
    )
    guest.fault('panic', '--healed-by', 'nothing')
    wait(lambda: guest.recoveries()[0]['finished_at'] is None, 'it is recovered again', 90)
