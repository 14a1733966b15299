"""Our processes are killed with -9 in the middle of a recovery; it ends as if they had not been."""

from collections.abc import Iterator

import pytest

from aodh_ha.exceptions import AodhHAError
from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import ENDED, Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

PROCESSES = ('aodh-ha-worker', 'aodh-ha-webhook')
FROZEN = ('crash-1', 'crash-2', 'crash-3')
LOST = 'crash-lost'
POOL: dict[str, dict[str, object]] = {name: {} for name in (*FROZEN, LOST)}


@pytest.fixture(scope='module')
def guests(cloud: Devcloud, pool: Pool) -> Iterator[dict[str, Guest]]:
    """Healthy guests by name."""
    made = pool(POOL)
    yield made
    cloud.remove(made.values())


def stages(guest: Guest) -> set[str]:
    """What its recovery has come to so far."""
    found = guest.recoveries()
    if not found:
        return set()
    attempts = guest.cloud.api.recovery(found[0]['id'])['attempts']
    return {'opened'} | {f'{a["action"]} {a["status"]}' for a in attempts}


def test_recoveries_survive_kill_9_of_everything(cloud: Devcloud, guests: dict[str, Guest]) -> None:
    """Webhook and worker die whenever any recovery comes to a stage that none had come to.

    The guests freeze one after the other: each death meets the recoveries in other stages.
    """
    frozen = [guests[name] for name in FROZEN]
    for guest in frozen:
        guest.fault('freeze')
        wait(lambda g=guest: g.shown()['missed'] >= 1, 'it is silent', every=0.1)  # type: ignore[misc]
    seen: set[str] = set()
    deaths = []

    def all_ended() -> bool:
        new = set().union(*map(stages, frozen)) - seen
        if new:
            seen.update(new)
            deaths.append(new)
            cloud.run('kill', *PROCESSES)
            cloud.run('start', *PROCESSES)
        return all(g.recoveries() and g.recoveries()[0]['status'] in ENDED for g in frozen)

    wait(all_ended, 'every recovery ends', 300, every=0.05)
    assert len(deaths) >= 4, deaths
    for guest in frozen:
        assert len(guest.told()) == 1, guest.told()
        ended = guest.ended()
        assert ended['recovery']['status'] == 'recovered', ended
        assert ended['recovery']['reason'].startswith('by server.reboot hard')
        # One soft, one hard: nothing was lost and nothing was done twice.
        assert guest.actions() == ['reboot', 'reboot'], ended
        counted = [a for a in ended['attempts'] if a['status'] != 'abandoned']
        assert [a['action'] for a in counted] == ['server.reboot soft', 'server.reboot hard']
        assert len({a['request_id'] for a in counted}) == 2


def test_a_lost_callback_is_repeated(cloud: Devcloud, guests: dict[str, Guest]) -> None:
    """Aodh's one delivery meets a webhook that is away; the alarm lasts, so it calls again."""
    guest = guests[LOST]
    aodh_alarm = next(iter(cloud.api.alarms(guest.id)))['aodh_alarm_id']
    with cloud.stopped('aodh-evaluator'):
        guest.fault('freeze')
        wait(lambda: guest.measures()[-1:] >= [4.0], 'the silence is in Gnocchi')
        cloud.run('kill', 'aodh-ha-webhook')
    try:
        wait(lambda: cloud.aodh.get(aodh_alarm)['state'] == 'alarm', 'Aodh has told nobody')
    finally:
        cloud.run('start', 'aodh-ha-webhook')
    ended = guest.ended(180)
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']


def test_the_api_says_so_while_it_is_away(cloud: Devcloud, guests: dict[str, Guest]) -> None:
    guest = guests[LOST]
    with cloud.stopped('aodh-ha-webhook'), pytest.raises(AodhHAError, match='nothing at'):
        guest.shown()
    wait(lambda: guest.shown()['missed'] == 0, 'it is heard again')
