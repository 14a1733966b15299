"""What is broken on our side recovers nobody, and holds a recovery up without losing it."""

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.devcloud import Devcloud, Guest, wait


@pytest.fixture(scope='module')
def guests(cloud: Devcloud) -> Iterator[list[Guest]]:
    """Three enrolled guests with alarms and fresh data."""
    found = list(cloud.watched(['outage-1', 'outage-2', 'outage-3']).values())
    yield found
    cloud.remove(found)


def stay_untouched(guests: list[Guest], seconds: float) -> None:
    """Fails as soon as anything is done to one of the guests within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for guest in guests:
            assert guest.recoveries() == []
        time.sleep(2)
    for guest in guests:
        assert guest.actions() == []


def settled(guests: list[Guest]) -> None:
    """Until Aodh has data again."""
    for guest in guests:
        wait(
            lambda g=guest: all(a['state'] == 'ok' for a in g.cloud.api.alarms(g.id)),
            f'the alarm of {guest.name} is ok',
            90,
        )


def test_gnocchi_stopped_for_two_minutes_reboots_nobody(
    cloud: Devcloud, guests: list[Guest]
) -> None:
    cloud.run('stop', 'gnocchi-api', 'gnocchi-metricd')
    try:
        wait(lambda: guests[0].events('telemetry'), 'broken telemetry is noted', 60)
        stay_untouched(guests, 120)
    finally:
        cloud.run('start', 'gnocchi-api', 'gnocchi-metricd')
    settled(guests)
    stay_untouched(guests, 10)


def test_ceilometer_stopped_reboots_nobody(cloud: Devcloud, guests: list[Guest]) -> None:
    """To Aodh this looks just as a silent guest would: no data."""
    cloud.run('stop', 'ceilometer-central')
    try:
        wait(
            lambda: all(a['state'] == 'insufficient data' for a in cloud.api.alarms(guests[0].id)),
            'Aodh has insufficient data',
            120,
        )
        stay_untouched(guests, 10)
    finally:
        cloud.run('start', 'ceilometer-central')
    settled(guests)


def test_a_webhook_that_was_away_blames_no_guest(cloud: Devcloud, guests: list[Guest]) -> None:
    """The guests could not be heard for ten intervals: the silence was ours."""
    cloud.run('stop', 'aodh-ha-webhook')
    time.sleep(20)  # the outage itself: nothing to wait for
    cloud.run('start', 'aodh-ha-webhook')
    stay_untouched(guests, 20)
    for guest in guests:
        assert guest.shown()['missed'] == 0


def test_a_recovery_waits_for_nova_and_goes_on(cloud: Devcloud, guests: list[Guest]) -> None:
    guest = guests[0]
    cloud.run('stop', 'nova-api')
    try:
        guest.fault('freeze')
        waiting = wait(
            lambda: [r for r in guest.recoveries() if 'Nova' in r['reason']],
            'the recovery waits for Nova',
            90,
        )
        assert waiting[0]['status'] in ('queued', 'running')
        assert cloud.api.recovery(waiting[0]['id'])['attempts'] == []
    finally:
        cloud.run('start', 'nova-api')
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']


def test_a_server_that_its_owner_stopped_is_left_alone(
    cloud: Devcloud, guests: list[Guest]
) -> None:
    guest = guests[1]
    cloud.demo.compute.stop_server(guest.id)
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'left_alone'
    assert 'stopped' in ended['recovery']['reason']
    assert ended['attempts'] == []
    callbacks = ended['recovery']['callbacks']
    wait(lambda: guest.recoveries()[0]['callbacks'] > callbacks + 1, 'the alarm lasts', 60)
    assert guest.actions() == ['stop']
    assert guest.server().status == 'SHUTOFF'


def test_a_locked_server_is_left_alone(cloud: Devcloud, guests: list[Guest]) -> None:
    guest = guests[2]
    cloud.demo.compute.lock_server(guest.id)
    try:
        guest.fault('freeze')
        ended = guest.ended(120)
        assert ended['recovery']['status'] == 'left_alone'
        assert 'locked' in ended['recovery']['reason']
        assert 'reboot' not in guest.actions()
    finally:
        cloud.demo.compute.unlock_server(guest.id)
