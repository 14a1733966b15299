"""What is broken on our side recovers nobody, and holds a recovery up without losing it."""

import time
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

POOL: dict[str, dict[str, object]] = {'outage-1': {}, 'outage-2': {}}


@pytest.fixture(scope='module')
def guests(cloud: Devcloud, pool: Pool) -> Iterator[list[Guest]]:
    """Enrolled guests with alarms and fresh data."""
    found = list(pool(POOL).values())
    yield found
    cloud.remove(found)


def stay_untouched(guests: list[Guest], seconds: float) -> None:
    """Fails as soon as anything is done to one of the guests within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for guest in guests:
            assert guest.told() == []
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
    with cloud.stopped('gnocchi-api', 'gnocchi-metricd'):
        end = time.monotonic() + 120
        wait(lambda: guests[0].events('telemetry'), 'broken telemetry is noted', 60)
        stay_untouched(guests, end - time.monotonic())
    settled(guests)
    stay_untouched(guests, 10)


def test_ceilometer_stopped_reboots_nobody(cloud: Devcloud, guests: list[Guest]) -> None:
    """To Aodh this looks just as a silent guest would: no data."""
    with cloud.stopped('ceilometer-central'):
        wait(
            lambda: all(a['state'] == 'insufficient data' for a in cloud.api.alarms(guests[0].id)),
            'Aodh has insufficient data',
            120,
        )
        stay_untouched(guests, 10)
    settled(guests)


def test_a_webhook_that_was_away_blames_no_guest(cloud: Devcloud, guests: list[Guest]) -> None:
    """The guests could not be heard for five intervals: the silence was ours."""
    begin = time.time()
    with cloud.stopped('aodh-ha-webhook'):
        time.sleep(10)  # the outage itself: nothing to wait for
    stay_untouched(guests, 10)
    for guest in guests:
        wait(lambda g=guest: g.measures()[-1:] == [0.0], 'it is heard again')  # type: ignore[misc]
        told = guest.measures(since=begin)
        assert max(told) < 3, f'nobody could have heard it: {told}'


def test_a_recovery_waits_for_nova_and_goes_on(cloud: Devcloud, guests: list[Guest]) -> None:
    guest = guests[0]
    with cloud.stopped('nova-api'):
        guest.fault('freeze')
        waiting = wait(
            lambda: [r for r in guest.recoveries() if 'Nova' in r['reason']],
            'the recovery waits for Nova',
            90,
        )
        assert waiting[0]['status'] in ('queued', 'running')
        assert cloud.api.recovery(waiting[0]['id'])['attempts'] == []
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']
