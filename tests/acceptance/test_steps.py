"""Each step of the ladder, alone in its policy, on a guest that it heals; what is to be kept is.

All guests are broken at once; each test then looks at one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.devcloud import Devcloud, Guest


@dataclass(frozen=True)
class Case:
    """A step, what only it can heal, and what Nova's log must have of it."""

    step: str
    fault: tuple[str, ...]
    logged: list[str]
    keeps_root_disk: bool = True
    trigger: str = 'heartbeat'
    more: str = ''
    """Further keys of the policy."""


CASES = {
    'service-restart': Case('action: service.restart', ('service-dies',), [], trigger='service'),
    'reboot-soft': Case(
        'action: server.reboot, type: soft', ('panic', '--healed-by', 'soft'), ['reboot']
    ),
    'reboot-hard': Case(
        'action: server.reboot, type: hard, hold: 6s', ('panic', '--healed-by', 'hard'), ['reboot']
    ),
    # Nova finds it off and writes a stop of its own, which is nobody's will.
    'start': Case('action: server.start', ('crashes',), ['stop', 'start']),
    'rebuild': Case(
        'action: server.rebuild', ('panic', '--healed-by', 'rebuild'), ['rebuild'], False
    ),
    'migrate': Case(
        'action: server.migrate', ('panic', '--healed-by', 'hard'), ['migrate', 'confirmResize']
    ),
}
MARKER = 'written before the fault\n'


def document(name: str, case: Case) -> str:
    """The case's policy."""
    kept = ['volumes', 'fixed_ips'] + ['root_disk'] * case.keeps_root_disk
    return f"""
name: {name}
heartbeat: {{interval: 2s, missed: 3, boot_grace: 20s}}
preserve: [{', '.join(kept)}]
steps:
  - {{{case.step}, verify: 60s}}
{case.more}
"""


@dataclass
class Before:
    """What a guest had."""

    addresses: list[str]
    volumes: list[tuple[str, str]] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)


def had(guest: Guest) -> Before:
    """Its fixed IPs, its volumes by device, its ports: as Nova, Cinder and Neutron say."""
    attached = guest.cloud.admin.compute.volume_attachments(guest.id)
    ports = guest.cloud.admin.network.ports(device_id=guest.id)
    return Before(
        guest.addresses(),
        sorted((a.device, a.volume_id) for a in attached),
        sorted(p.id for p in ports),
    )


@pytest.fixture(scope='module')
def broken(cloud: Devcloud) -> Iterator[dict[str, tuple[Guest, Before]]]:
    """A guest a step, with data on its volume and its root disk, each broken its way."""
    operator = cloud.operator
    for name, case in CASES.items():
        operator.save_policy(name, document(name, case), operator=True)
    guests = {}
    for trigger in ('heartbeat', 'service'):
        names = [n for n, c in CASES.items() if c.trigger == trigger]
        found = cloud.watched(
            names, policy={n: n for n in names}, volume=True, triggers=dict.fromkeys(names, trigger)
        )
        guests |= found
    before = {}
    for name, guest in guests.items():
        folder = guest.folder()
        (folder / 'root' / 'marker').write_text(MARKER)
        next((folder / 'volumes').iterdir()).joinpath('marker').write_text(MARKER)
        before[name] = had(guest)
    for name, guest in guests.items():
        guest.fault(*CASES[name].fault)
    yield {name: (guest, before[name]) for name, guest in guests.items()}
    cloud.remove(guests.values())
    for name in CASES:
        operator.delete_policy(name, operator=True)


@pytest.mark.parametrize('name', CASES)
def test_a_step_heals_what_it_can(broken: dict[str, tuple[Guest, Before]], name: str) -> None:
    (guest, _), case = broken[name], CASES[name]
    ended = guest.ended(180)
    assert ended['recovery']['status'] == 'recovered', ended
    made = [a for a in ended['attempts'] if a['status'] != 'abandoned']
    assert [a['status'] for a in made] == ['succeeded'], ended
    assert guest.shown()['last_seen'] > made[0]['sent_at'], 'a heartbeat newer than the action'
    assert guest.actions() == case.logged


@pytest.mark.parametrize('name', CASES)
def test_what_must_survive_survives(broken: dict[str, tuple[Guest, Before]], name: str) -> None:
    (guest, before), case = broken[name], CASES[name]
    ended = guest.ended(180)
    folder = guest.folder()
    volume = next((folder / 'volumes').iterdir())
    assert (volume / 'marker').read_text() == MARKER
    assert (folder / 'root' / 'marker').exists() is case.keeps_root_disk
    assert had(guest) == before
    if name != 'service-restart':
        proof = ended['attempts'][-1]['proof']
        assert proof['differences'] == []
        assert proof['before']['ports'][0]['fixed_ips'] == before.addresses


def test_evidence_is_kept_with_the_attempt(broken: dict[str, tuple[Guest, Before]]) -> None:
    guest, before = broken['rebuild']
    evidence: dict[str, Any] = guest.ended(180)['attempts'][-1]['evidence']
    assert evidence['host']['up'] is True
    assert evidence['holdings']['root_disk'] == 'image'
    assert [v['id'] for v in evidence['holdings']['volumes']] == [v for _, v in before.volumes]
    assert 'panic' in evidence['console']
    assert evidence['server']['status'] == 'ACTIVE'
    assert evidence['heartbeats_missed'] >= 3


def test_explain_tells_it_in_words(broken: dict[str, tuple[Guest, Before]]) -> None:
    guest, _ = broken['rebuild']
    recovery = guest.ended(180)['recovery']
    found = guest.cloud.api.explain_recovery(recovery['id'])['explanation']
    told = '\n'.join(str(line) for line in found['decisions'])
    assert 'server.rebuild' in told
    assert 'heartbeat' in told
