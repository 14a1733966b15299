"""The first level: a service is restarted in its guest; what that does not heal goes up."""

import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

POOL: dict[str, dict[str, object]] = {
    'local': {'trigger': 'service'},
    'broken': {'trigger': 'service', 'volume': True},
}
RESTARTING = """
name: restarting
heartbeat: {interval: 2s, missed: 3, boot_grace: 20s}
steps:
  - {action: service.restart, verify: 60s}
"""
CONTROL_PLANE = (
    *('aodh-ha-webhook', 'aodh-ha-worker', 'aodh-evaluator', 'aodh-notifier'),
    *('nova-api', 'heat-api', 'heat-engine', 'gnocchi-api'),
)
MARKER = 'written before the fault\n'


@pytest.fixture(scope='module')
def guests(cloud: Devcloud, pool: Pool) -> Iterator[dict[str, Guest]]:
    """Healthy guests; two of them restart their service themselves, twice a minute at most."""
    cloud.api.save_policy('restarting', RESTARTING)
    made = pool(POOL)
    made |= cloud.watched(['ordered'], policy='restarting', triggers={'ordered': 'service'})
    for name in ('local', 'broken'):
        path = made[name].folder() / 'root' / 'etc' / 'aodh-ha' / 'agent.conf'
        own = 'restart_attempts = 2\nrestart_window = 1m\n'
        path.write_text(path.read_text() + own)  # the service's section is the last one
        wait(lambda g=made[name]: 'settings' in console(g), f'the agent of {name} reads them')  # type: ignore[misc]
    yield made
    cloud.remove(made.values())


def console(guest: Guest) -> str:
    """What the guest has printed since it was made."""
    return (guest.folder() / 'console.log').read_text(errors='replace')


def restarts(guest: Guest) -> int:
    """How often its service was restarted, not by a boot."""
    return console(guest).count('web: restarting')


def answers(guest: Guest) -> bool:
    """Whether the guest's service is well."""
    port = (guest.folder() / 'root' / 'run' / 'web.port').read_text().strip()
    try:
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/health', timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_a_service_is_restarted_in_its_guest_while_the_control_plane_is_away(
    cloud: Devcloud, guests: dict[str, Guest]
) -> None:
    guest = guests['local']
    with cloud.stopped(*CONTROL_PLANE):
        guest.fault('service-dies')
        assert not answers(guest)
        began = time.monotonic()
        wait(lambda: answers(guest), 'the service is back', 30, every=0.1)
        print(f'back after {time.monotonic() - began:.1f} s, with the control plane away')
        assert restarts(guest) == 1
    wait(lambda: guest.shown()['missed'] == 0, 'it is heard again')
    wait(
        lambda: [e['message'] for e in guest.events('service') if 'restart' in e['message']],
        'what happened meanwhile is told',
    )
    assert guest.told() == []
    assert guest.actions() == []


def test_a_service_that_no_restart_heals_goes_up_the_ladder(
    cloud: Devcloud, guests: dict[str, Guest]
) -> None:
    """Twice restarted in the guest, then told; soft reboot, hard reboot, rebuild: it is well."""
    guest = guests['broken']
    volume = next((guest.folder() / 'volumes').iterdir())
    (volume / 'marker').write_text(MARKER)
    addresses = guest.addresses()
    guest.fault('service-breaks')
    wait(lambda: restarts(guest) == 2, 'two restarts in the guest', 60)
    assert guest.recoveries() == [], 'nobody was told before'
    ended = guest.ended(240)
    assert ended['recovery']['status'] == 'recovered', ended
    assert ended['recovery']['reason'].startswith('by server.rebuild')
    assert guest.actions() == ['reboot', 'reboot', 'rebuild']
    assert answers(guest)
    assert [s['state'] for s in guest.shown()['services']] == ['ok']
    assert (volume / 'marker').read_text() == MARKER
    assert guest.addresses() == addresses


def test_a_command_is_carried_out_once_though_the_agent_is_restarted(
    guests: dict[str, Guest],
) -> None:
    guest = guests['ordered']
    assert restarts(guest) == 0
    guest.fault('service-hangs')
    wait(lambda: restarts(guest), 'the service is restarted', 120, every=0.05)
    guest.fault('agent-restarts')
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'recovered', ended
    assert [a['action'] for a in ended['attempts']] == ['service.restart']
    assert restarts(guest) == 1
    assert guest.actions() == []
