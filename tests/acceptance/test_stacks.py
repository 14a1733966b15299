"""The third level on real Heat: a server replaced, a stack healed, rebuilt, created anew.

A replaced server has a new id; its guest goes on under that, with its volume and its fixed IP.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.acceptance.devcloud import Devcloud, Guest, wait

TEMPLATE = """
heat_template_version: 2021-04-16
resources:
  port:
    type: OS::Neutron::Port
    properties: {network: net}
  volume:
    type: OS::Cinder::Volume
    properties: {size: 1}
  server:
    type: OS::Nova::Server
    properties:
      image: tiny
      flavor: m1.nano
      networks: [{port: {get_resource: port}}]
  attachment:
    type: OS::Cinder::VolumeAttachment
    properties:
      volume_id: {get_resource: volume}
      instance_uuid: {get_resource: server}
"""


@dataclass(frozen=True)
class Case:
    """A step, and what of the stack must be the same afterwards."""

    step: str
    kept: tuple[str, ...] = ('port', 'volume')
    more: str = 'preserve: [volumes, fixed_ips]'


CASES = {
    'replace': Case('server.replace'),
    'heal': Case('stack.heal'),
    'stack-rebuild': Case('stack.rebuild'),
    'recreate': Case('stack.recreate', (), 'allow_data_loss: true'),
}
MARKER = 'written before the fault\n'


def resources(cloud: Devcloud, name: str) -> dict[str, str]:
    """Physical ids by resource name."""
    found = cloud.demo.orchestration.resources(name)
    return {r.name: r.physical_resource_id for r in found}


@dataclass
class Broken:
    """A stack whose server is beyond every reboot."""

    guest: Guest
    before: dict[str, str]
    addresses: list[str]


@pytest.fixture(scope='module')
def broken(cloud: Devcloud) -> Iterator[dict[str, Broken]]:
    """A stack for each step, its server enrolled, with data on its volume; then it panics."""
    made = {}
    for name, case in CASES.items():
        document = f"""
name: {name}
heartbeat: {{interval: 2s, missed: 3, boot_grace: 30s}}
{case.more}
steps:
  - {{action: {case.step}, verify: 180s}}
"""
        cloud.operator.save_policy(name, document, operator=True)
        cloud.demo.orchestration.create_stack(name=name, template=TEMPLATE)
    for name in CASES:
        stack = cloud.demo.orchestration.find_stack(name)
        cloud.demo.orchestration.wait_for_status(stack, 'CREATE_COMPLETE', wait=300)
        before = resources(cloud, name)
        guest = Guest(cloud, before['server'], name)
        guest.enroll(name)
        guest.alarm()
        wait(lambda g=guest: g.measures()[-1:] == [0.0], f'a measure of {name}', 120)  # type: ignore[misc]
        next((guest.folder() / 'volumes').iterdir()).joinpath('marker').write_text(MARKER)
        made[name] = Broken(guest, before, guest.addresses())
    for one in made.values():
        one.guest.fault('panic', '--healed-by', 'nothing')
    yield made
    for name in CASES:
        for guest in cloud.api.guests():
            if guest['id'] == resources(cloud, name).get('server'):
                Guest(cloud, guest['id'], name).forget()
        cloud.demo.orchestration.delete_stack(name)


def healed(cloud: Devcloud, one: Broken) -> tuple[dict[str, object], Guest]:
    """The ended recovery, and the guest under its new id."""
    found = wait(
        lambda: [r for r in cloud.api.recoveries() if r['policy'] == one.guest.name],
        'the recovery is opened',
        90,
    )
    recovery_id = found[0]['id']
    wait(
        lambda: cloud.api.recovery(recovery_id)['recovery']['finished_at'],
        f'the recovery of {one.guest.name} ends',
        300,
    )
    ended = cloud.api.recovery(recovery_id)
    return ended, Guest(cloud, ended['recovery']['server_id'], one.guest.name)


@pytest.mark.parametrize('name', CASES)
def test_a_stack_step_heals_and_keeps_what_it_must(
    cloud: Devcloud, broken: dict[str, Broken], name: str
) -> None:
    case, one = CASES[name], broken[name]
    ended, guest = healed(cloud, one)
    assert ended['recovery']['status'] == 'recovered', ended  # type: ignore[index]
    now = resources(cloud, name)
    assert guest.id == now['server'] != one.before['server']
    for kept in case.kept:
        assert now[kept] == one.before[kept]
    if case.kept:
        assert guest.addresses() == one.addresses
        volume = wait(lambda: list((guest.folder() / 'volumes').iterdir()), 'the volume moved')
        assert (volume[0] / 'marker').read_text() == MARKER
    wait(lambda: guest.shown()['missed'] == 0, 'the new server is heard')
    updates = [
        e
        for e in cloud.demo.orchestration.stack_events(cloud.demo.orchestration.find_stack(name))
        if e.resource_name == name and e.resource_status == 'UPDATE_COMPLETE'
    ]
    assert len(updates) == (1 if case.kept else 0), 'one update, not repeated'


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
