"""Each fault that a reboot or a rebuild heals is healed, and counted once in Nova's log.

All guests are broken at once, and each is then looked at by a test of its own: the ladder of
one must not hold up another's.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import Devcloud, Guest, wait


@dataclass(frozen=True)
class Case:
    """A fault, and what must become of the guest."""

    fault: tuple[str, ...]
    actions: list[str]
    """What Nova's log must have, and nothing more."""
    by: str
    trigger: str = 'heartbeat'


SOFT, HARD, REBUILD = ['reboot'], ['reboot', 'reboot'], ['reboot', 'reboot', 'rebuild']
CASES = {
    'service-dies': Case(('service-dies',), SOFT, 'server.reboot soft', 'service'),
    'service-hangs': Case(('service-hangs',), SOFT, 'server.reboot soft', 'service'),
    'agent-dies': Case(('agent-dies',), SOFT, 'server.reboot soft'),
    'freeze': Case(('freeze',), HARD, 'server.reboot hard'),
    'panic-soft': Case(('panic', '--healed-by', 'soft'), SOFT, 'server.reboot soft'),
    'panic-hard': Case(('panic', '--healed-by', 'hard'), HARD, 'server.reboot hard'),
    'panic-rebuild': Case(('panic', '--healed-by', 'rebuild'), REBUILD, 'server.rebuild'),
}
HOPELESS = {
    'panic-nothing': ('panic', '--healed-by', 'nothing'),
    'net-cut': ('net-cut',),
}
CLOCKS = {'clock-ahead': '+3600', 'clock-back': '-3600'}
UNTOUCHED = (*CLOCKS, 'healthy')
LEFT_ALONE = {'stopped': ['stop'], 'locked': ['lock']}
"""What the owner did, and what Nova's log must have, and nothing more."""
POOL: dict[str, dict[str, object]] = {
    **{name: {'volume': True, 'trigger': case.trigger} for name, case in CASES.items()},
    **{name: {} for name in (*HOPELESS, *UNTOUCHED, *LEFT_ALONE)},
}
MARKER = 'written before the fault\n'


@pytest.fixture(scope='module')
def broken(cloud: Devcloud, pool: Pool) -> Iterator[dict[str, Guest]]:
    """A guest a fault, with data on its volume and its root disk, each broken its way."""
    guests = pool(POOL)
    for name in CASES:
        folder = guests[name].folder()
        (folder / 'root' / 'marker').write_text(MARKER)
        next((folder / 'volumes').iterdir()).joinpath('marker').write_text(MARKER)
        guests[name].addresses_before = guests[name].addresses()  # type: ignore[attr-defined]
    for name, jump in CLOCKS.items():
        guests[name].fault('clock', jump)
        guests[name].fault('agent-restarts')  # one that runs goes by the monotonic clock
    cloud.demo.compute.stop_server(guests['stopped'].id)
    cloud.demo.compute.lock_server(guests['locked'].id)
    guests['locked'].fault('freeze')
    for name, fault in ({n: c.fault for n, c in CASES.items()} | HOPELESS).items():
        guests[name].fault(*fault)
    yield guests
    cloud.demo.compute.unlock_server(guests['locked'].id)
    cloud.remove(guests.values())


@pytest.mark.parametrize('name', CASES)
def test_a_fault_is_healed_by_the_first_step_that_can(broken: dict[str, Guest], name: str) -> None:
    guest, case = broken[name], CASES[name]
    ended = guest.ended(240)
    assert ended['recovery']['status'] == 'recovered', ended
    # On a busy machine the heartbeat may come after the time limit, and before another step.
    assert ended['recovery']['reason'].split(',')[0] == f'by {case.by}'
    assert guest.actions() == case.actions
    wait(lambda: guest.shown()['missed'] == 0, f'{name} is healthy')
    assert len(guest.told()) == 1, guest.told()
    assert guest.shown()['last_seen'] > ended['attempts'][-1]['sent_at'], 'a newer heartbeat'
    assert all(a['evidence']['server']['status'] for a in ended['attempts'])
    assert all(a['request_id'] for a in ended['attempts'])


@pytest.mark.parametrize('name', CASES)
def test_data_on_the_volume_and_the_fixed_ip_are_kept(broken: dict[str, Guest], name: str) -> None:
    guest = broken[name]
    guest.ended(240)
    folder = guest.folder()
    volume = next((folder / 'volumes').iterdir())
    assert (volume / 'marker').read_text() == MARKER
    assert guest.addresses() == guest.addresses_before  # type: ignore[attr-defined]
    rebuilt = 'rebuild' in CASES[name].actions
    assert (folder / 'root' / 'marker').exists() is not rebuilt


@pytest.mark.parametrize('name', HOPELESS)
def test_what_nothing_heals_ends_failed_and_says_so(broken: dict[str, Guest], name: str) -> None:
    guest = broken[name]
    ended = guest.ended(240)
    assert ended['recovery']['status'] == 'failed'
    assert 'every step was tried' in ended['recovery']['reason']
    assert [a['status'] for a in ended['attempts']] == ['unverified'] * 3
    assert guest.actions() == REBUILD
    callbacks = ended['recovery']['callbacks']
    wait(
        lambda: guest.recoveries()[0]['callbacks'] > callbacks + 1,
        'the alarm that lasts calls again and again',
        60,
    )
    assert guest.actions() == REBUILD, 'a failed recovery waits for a person; it never loops'
    assert len(guest.told()) == 1, guest.told()


@pytest.mark.parametrize('name', UNTOUCHED)
def test_a_guest_that_is_well_is_not_touched(broken: dict[str, Guest], name: str) -> None:
    guest = broken[name]
    for other in CASES:
        broken[other].ended(240)
    assert guest.told() == []
    assert guest.actions() == []
    beats = guest.shown()['beats']
    wait(lambda: guest.shown()['beats'] >= beats + 2, f'{name} goes on sending heartbeats')


@pytest.mark.parametrize('name', CLOCKS)
def test_a_wrong_clock_is_told_and_corrected(
    cloud: Devcloud, broken: dict[str, Guest], name: str
) -> None:
    """The webhook refused a request with this guest's time, or the fault had no effect."""
    times = re.findall(r'clock_skew time (\d+) ', cloud.log('aodh-ha-webhook'))
    hours = {round((int(t) - time.time()) / 3600) for t in times}
    assert int(CLOCKS[name]) // 3600 in hours
    wait(lambda: broken[name].shown()['missed'] == 0, 'it is heard')


@pytest.mark.parametrize('name', LEFT_ALONE)
def test_what_its_owner_stopped_or_locked_is_left_alone(
    broken: dict[str, Guest], name: str
) -> None:
    guest = broken[name]
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'left_alone'
    assert name in ended['recovery']['reason']
    assert ended['attempts'] == []
    callbacks = ended['recovery']['callbacks']
    wait(lambda: guest.recoveries()[0]['callbacks'] > callbacks + 1, 'the alarm lasts', 60)
    assert guest.actions() == LEFT_ALONE[name]


def test_a_second_failure_is_a_recovery_of_its_own(broken: dict[str, Guest]) -> None:
    guest = broken['agent-dies']
    guest.ended(240)
    wait(lambda: guest.shown()['missed'] == 0, 'it is healthy')
    guest.fault('agent-dies')
    wait(lambda: len(guest.recoveries()) == 2, 'a second recovery', 60)
    ended = guest.ended(120)
    assert ended['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot', 'reboot']
