"""Our processes are killed with -9 in the middle of a recovery; it ends as if they had not been."""

from collections.abc import Iterator

import pytest

from aodh_ha.exceptions import AodhHAError
from tests.acceptance.devcloud import Devcloud, Guest, wait

PROCESSES = ('aodh-ha-worker', 'aodh-ha-webhook')


@pytest.fixture(scope='module')
def guests(cloud: Devcloud) -> Iterator[Iterator[Guest]]:
    """A healthy guest for each test here."""
    made = cloud.watched([f'crash-{n}' for n in range(7)]).values()
    yield iter(made)
    cloud.remove(made)


@pytest.fixture
def guest(guests: Iterator[Guest]) -> Guest:
    """One that no test has broken yet."""
    made = next(guests)
    wait(lambda: made.shown()['missed'] == 0, 'it is heard', 60)
    return made


def attempts(guest: Guest) -> list[dict[str, object]]:
    """Of its newest recovery."""
    found = guest.recoveries()
    return list(guest.cloud.api.recovery(found[0]['id'])['attempts']) if found else []


@pytest.mark.parametrize(
    ('moment', 'reached'),
    [
        ('as soon as the recovery is queued', lambda g: g.recoveries()),
        ('as soon as an action is intended', attempts),
        (
            'while the first step is verified',
            lambda g: [a for a in attempts(g) if a['status'] == 'sent'],
        ),
        ('between two steps', lambda g: [a for a in attempts(g) if a['status'] == 'unverified']),
    ],
    ids=['queued', 'intended', 'verifying', 'between-steps'],
)
def test_a_recovery_survives_kill_9_of_everything(
    cloud: Devcloud, guest: Guest, moment: str, reached: object
) -> None:
    guest.fault('freeze')
    wait(lambda: reached(guest), moment, 90, every=0.05)  # type: ignore[operator]
    cloud.run('kill', *PROCESSES)
    cloud.run('start', *PROCESSES)
    ended = guest.ended(180)
    assert ended['recovery']['status'] == 'recovered', ended
    assert ended['recovery']['reason'] == 'by server.reboot hard'
    # One soft, one hard: nothing was lost and nothing was done twice.
    assert guest.actions() == ['reboot', 'reboot']
    counted = [a for a in ended['attempts'] if a['status'] != 'abandoned']
    assert [a['action'] for a in counted] == ['server.reboot soft', 'server.reboot hard']
    assert len({a['request_id'] for a in counted}) == 2


def test_a_callback_that_was_answered_is_not_lost(cloud: Devcloud, guest: Guest) -> None:
    """The webhook dies right after its 202 while no worker runs to take notice."""
    cloud.run('stop', 'aodh-ha-worker')
    guest.fault('freeze')
    queued = wait(lambda: guest.recoveries(), 'the recovery is queued', 90, every=0.05)
    cloud.run('kill', 'aodh-ha-webhook')
    cloud.run('start', *PROCESSES)
    ended = guest.ended(180)
    assert ended['recovery']['id'] == queued[0]['id']
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']


def test_a_lost_callback_is_repeated(cloud: Devcloud, guest: Guest) -> None:
    """Aodh's one delivery meets a webhook that is away; the alarm lasts, so it calls again."""
    cloud.run('stop', 'aodh-ha-worker')
    guest.fault('freeze')
    aodh_alarm = next(iter(cloud.api.alarms(guest.id)))['aodh_alarm_id']
    wait(lambda: guest.shown()['missed'] >= 2, 'the guest is silent', 60, every=0.2)
    cloud.run('kill', 'aodh-ha-webhook')
    try:
        wait(lambda: cloud.aodh.get(aodh_alarm)['state'] != 'ok', 'Aodh has told nobody', 60)
    finally:
        cloud.run('start', *PROCESSES)
    ended = guest.ended(180)
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']


def test_the_api_says_so_while_it_is_away(cloud: Devcloud, guest: Guest) -> None:
    cloud.run('stop', 'aodh-ha-webhook')
    try:
        with pytest.raises(AodhHAError, match='nothing at'):
            guest.shown()
    finally:
        cloud.run('start', 'aodh-ha-webhook')
    wait(lambda: guest.shown()['missed'] == 0, 'it is heard again')
