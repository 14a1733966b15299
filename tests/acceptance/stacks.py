"""Stacks with a server, a port and a volume, for the steps that go through Heat."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

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


def policy(name: str, case: Case) -> str:
    """A policy that has the case's step only."""
    return f"""
name: {name}
heartbeat: {{interval: 2s, missed: 3, boot_grace: 30s}}
{case.more}
steps:
  - {{action: {case.step}, verify: 400s}}
"""


def create(cloud: Devcloud, prefix: str = '', names: Collection[str] = CASES) -> dict[str, Broken]:
    """A stack for each of these cases, its server enrolled under the case's policy.

    It has data on its volume. Stack, policy and guest are called as the case is, after the prefix.
    """
    made = {}
    for name in names:
        text = policy(prefix + name, CASES[name])
        cloud.operator.save_policy(prefix + name, text, operator=True)
        cloud.demo.orchestration.create_stack(name=prefix + name, template=TEMPLATE)
    for name in names:
        stack = cloud.demo.orchestration.find_stack(prefix + name)
        cloud.demo.orchestration.wait_for_status(stack, 'CREATE_COMPLETE', wait=300)
        before = resources(cloud, prefix + name)
        guest = Guest(cloud, before['server'], prefix + name)
        guest.enroll(prefix + name)
        guest.alarm()
        wait(lambda g=guest: g.measures()[-1:] == [0.0], f'a measure of {name}', 120)  # type: ignore[misc]
        next((guest.folder() / 'volumes').iterdir()).joinpath('marker').write_text(MARKER)
        made[name] = Broken(guest, before, guest.addresses())
    return made


def panic(broken: dict[str, Broken]) -> None:
    """Break them: no reboot and no rebuild heals them."""
    for one in broken.values():
        one.guest.fault('panic', '--healed-by', 'nothing')


def remove(cloud: Devcloud, prefix: str = '', names: Collection[str] = CASES) -> None:
    """Forget the guests, under whichever ids they go on, and delete the stacks."""
    for name in names:
        for guest in cloud.api.guests():
            if guest['id'] == resources(cloud, prefix + name).get('server'):
                Guest(cloud, guest['id'], prefix + name).forget()
        cloud.demo.orchestration.delete_stack(prefix + name)


def healed(cloud: Devcloud, one: Broken, seconds: float = 300) -> tuple[dict[str, Any], Guest]:
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
        seconds,
    )
    ended = cloud.api.recovery(recovery_id)
    return ended, Guest(cloud, ended['recovery']['server_id'], one.guest.name)


def prove(cloud: Devcloud, case: Case, one: Broken, guest: Guest) -> None:
    """The new server is heard and has what the old one had, after one update of the stack."""
    now = resources(cloud, guest.name)
    assert guest.id == now['server'] != one.before['server']
    for kept in case.kept:
        assert now[kept] == one.before[kept]
    if case.kept:
        assert guest.addresses() == one.addresses
        volume = wait(lambda: list((guest.folder() / 'volumes').iterdir()), 'the volume moved')
        assert (volume[0] / 'marker').read_text() == MARKER
    wait(lambda: guest.shown()['missed'] == 0, 'the new server is heard')
    # One that is created anew has no update.
    wanted = 1 if case.kept else 0
    assert updates(cloud, guest.name) == wanted, 'neither lost nor repeated'


def updates(cloud: Devcloud, name: str) -> int:
    """How many updates of the stack Heat's own log has."""
    stack = cloud.demo.orchestration.find_stack(name)
    return sum(
        e.resource_name == name and e.resource_status == 'UPDATE_COMPLETE'
        for e in cloud.demo.orchestration.stack_events(stack)
    )


class Recoveries:
    """Recoveries of servers that Heat replaces: each keeps its id when its server's goes."""

    def __init__(self, cloud: Devcloud) -> None:
        self._cloud = cloud
        self._ids: dict[str, str] = {}
        """By what the server is called."""

    def opened(self, servers: dict[str, str]) -> bool:
        """Whether each of these servers, by what it is called, has had its recovery."""
        for name, server_id in servers.items():
            found = next(iter(self._cloud.api.recoveries(server_id)), None)
            if found and name not in self._ids:
                self._ids[name] = found['id']
        return servers.keys() == self._ids.keys()

    def ended(self, name: str, seconds: float = 500) -> dict[str, Any]:
        """With attempts and events, once it has ended."""

        def look() -> dict[str, Any] | None:
            shown = self._cloud.api.recovery(self._ids[name])
            return shown if shown['recovery']['finished_at'] else None

        return wait(look, f'the recovery of {name} ends', seconds)  # type: ignore[return-value]
