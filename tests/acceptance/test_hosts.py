"""A compute host dies with its guests; and a gateway that nobody reaches is nobody's failure."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.devcloud import Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

GUESTS = 10
AT_ONCE = 4
POLICY = f"""
name: evacuating
heartbeat: {{interval: 2s, missed: 3, boot_grace: 20s}}
preserve: [volumes, fixed_ips]
fencing: fence
steps:
  - {{action: server.reboot, type: hard, verify: 20s}}
  - {{action: server.evacuate, verify: 90s}}
budget: {{concurrent: {AT_ONCE}}}
"""
MARKER = 'written before the host died\n'


@pytest.fixture(scope='module')
def sensitive(cloud: Devcloud) -> Iterator[None]:
    """Ten guests at once are a storm here; elsewhere the tests break as many on purpose."""
    path = cloud.state / 'etc' / 'aodh-ha' / 'aodh-ha.conf'
    text = path.read_text()
    path.write_text(re.sub(r'storm_minimum *=.*', 'storm_minimum = 5', text))
    cloud.run('restart', 'aodh-ha-worker')
    yield
    path.write_text(text)
    cloud.run('restart', 'aodh-ha-worker')


@pytest.fixture(scope='module')
def everyone(cloud: Devcloud, sensitive: None) -> Iterator[list[Guest]]:
    """All on host2, with data on their volumes; the last one under a policy of its tenant's."""
    cloud.operator.save_policy('evacuating', POLICY, operator=True)

    def make(number: int) -> Guest:
        guest = cloud.guest(f'many-{number}', host='host2', volume=True)
        guest.enroll('evacuating' if number < GUESTS else 'ladder')
        guest.alarm()
        wait(lambda: guest.measures()[-1:] == [0.0], f'a measure of {guest.name}', 180)
        next((guest.folder() / 'volumes').iterdir()).joinpath('marker').write_text(MARKER)
        return guest

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, range(GUESTS + 1)))
    yield made
    cloud.remove(made)
    cloud.operator.delete_policy('evacuating', operator=True)


@pytest.fixture(scope='module')
def guests(everyone: list[Guest]) -> list[Guest]:
    """Ten under an operator's policy that evacuates."""
    return everyone[:GUESTS]


@pytest.fixture(scope='module')
def another(everyone: list[Guest]) -> Guest:
    """One under a policy that has nothing for a dead host."""
    return everyone[GUESTS]


def seconds(text: str | None) -> float:
    """Of one of the API's times."""
    assert text
    return datetime.fromisoformat(text).timestamp()


def most_at_once(recoveries: list[dict[str, Any]]) -> int:
    """How many of them were between admission and end at any one time."""
    turns = [(seconds(r['admitted_at']), 1) for r in recoveries]
    turns += [(seconds(r['finished_at']), -1) for r in recoveries]
    now = most = 0
    for _, step in sorted(turns):
        now += step
        most = max(most, now)
    return most


def test_a_gateway_that_nobody_reaches_lets_nobody_be_touched(
    cloud: Devcloud, guests: list[Guest]
) -> None:
    """All fall silent at once: held as a storm, the operator told why; then all is well again."""
    told = len(cloud.pages())
    cloud.run('fault', 'net-cut', 'all')
    try:
        # It is first seen when some of them are silent, and those may have other things in common.
        wait(
            lambda: [
                i
                for i in cloud.operator.incidents()
                if i['kind'] == 'storm' and 'gateway' in i['reason']
            ],
            'the storm is an incident, and its cause is found',
            90,
        )
        wait(
            lambda: all(g.recoveries() and g.recoveries()[0]['guard'] == 'storm' for g in guests),
            'every recovery is held',
            90,
        )
        wait(
            lambda: [p for p in cloud.pages()[told:] if 'gateway' in p['message']],
            'the operator is told why',
        )
    finally:
        cloud.run('fault', 'net-heal', 'all')
    for guest in guests:
        ended = guest.ended(120)
        assert ended['recovery']['reason'] == 'heard again by itself'
        assert ended['attempts'] == []
        assert guest.actions() == []
    wait(lambda: not cloud.operator.incidents(open_only=True), 'the storm is over', 120)


def test_a_host_that_dies_is_one_incident_and_its_guests_are_evacuated(
    cloud: Devcloud, guests: list[Guest], another: Guest
) -> None:
    addresses = {g.id: g.addresses() for g in guests}
    cloud.run('fault', 'host-dies', 'host2')
    try:
        for guest in guests:
            wait(lambda g=guest: g.actions(), f'{guest.name} is evacuated', 240)  # type: ignore[misc]
        recoveries = []
        for guest in guests:
            ended = guest.ended(240)
            assert ended['recovery']['status'] == 'recovered', ended
            assert guest.actions() == ['evacuate'], 'none is rebooted on a dead host'
            recoveries.append(ended['recovery'])
            assert guest.server().compute_host == 'host1'
            assert guest.addresses() == addresses[guest.id]
            volume = next((guest.folder() / 'volumes').iterdir())
            assert (volume / 'marker').read_text() == MARKER
        incidents = [i for i in cloud.operator.incidents() if i['kind'] == 'host']
        assert [i['name'] for i in incidents] == ['host2'], 'one incident'
        assert {r['incident_id'] for r in recoveries} == {incidents[0]['id']}
        assert incidents[0]['fenced_at'], 'fenced before anything was evacuated'
        assert most_at_once(recoveries) <= AT_ONCE
        left_to_a_person(another)
    finally:
        cloud.host_back('host2')
    wait(lambda: not cloud.operator.incidents(open_only=True), 'the incident is closed', 120)


def left_to_a_person(guest: Guest) -> None:
    """No reboot heals a dead host, though Nova takes it all the same: none is tried."""
    recovery = wait(
        lambda: next((r for r in guest.recoveries() if r['guard'] == 'host'), None),
        'the recovery waits for the host',
        90,
    )
    guest.cloud.admin.compute.evacuate_server(guest.id)
    ended = guest.ended(180)
    assert ended['recovery']['id'] == recovery['id']
    assert ended['recovery']['reason'] == 'heard again by itself'
    assert ended['attempts'] == []
    assert guest.actions() == ['evacuate'], "the person's, and no other"
    assert guest.server().compute_host == 'host1'
