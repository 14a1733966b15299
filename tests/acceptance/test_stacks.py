"""The third level on real Heat: a server replaced, a stack healed, rebuilt, created anew.

A replaced server has a new id; its guest goes on under that, with its volume and its fixed IP.
"""

from collections.abc import Iterator

import pytest

from tests.acceptance import stacks
from tests.acceptance.devcloud import Devcloud, wait
from tests.acceptance.stacks import CASES, MARKER, Broken, healed, resources


@pytest.fixture(scope='module')
def broken(cloud: Devcloud) -> Iterator[dict[str, Broken]]:
    """A stack for each step, whose server panics."""
    made = stacks.create(cloud)
    stacks.panic(made)
    yield made
    stacks.remove(cloud)


@pytest.mark.parametrize('name', CASES)
def test_a_stack_step_heals_and_keeps_what_it_must(
    cloud: Devcloud, broken: dict[str, Broken], name: str
) -> None:
    case, one = CASES[name], broken[name]
    ended, guest = healed(cloud, one)
    assert ended['recovery']['status'] == 'recovered', ended
    now = resources(cloud, name)
    assert guest.id == now['server'] != one.before['server']
    for kept in case.kept:
        assert now[kept] == one.before[kept]
    if case.kept:
        assert guest.addresses() == one.addresses
        volume = wait(lambda: list((guest.folder() / 'volumes').iterdir()), 'the volume moved')
        assert (volume[0] / 'marker').read_text() == MARKER
    wait(lambda: guest.shown()['missed'] == 0, 'the new server is heard')
    assert stacks.updates(cloud, name) == (1 if case.kept else 0), 'one update, not repeated'


def test_the_alarm_watches_the_new_server(cloud: Devcloud, broken: dict[str, Broken]) -> None:
    _, guest = healed(cloud, broken['replace'])
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
