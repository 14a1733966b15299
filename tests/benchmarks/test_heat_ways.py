"""What a server of a stack loses, by the way in which it is recovered.

The ways of 2014 and of today are done by hand through Heat, as the stack's owner; ours are the
calls that the steps make. Each way has a stack of its own.
"""

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest
from heatclient import client as heatclient

from aodh_ha import opts
from aodh_ha.clients.cloud import OpenStack
from aodh_ha.clients.session import service_session
from tests.acceptance.devcloud import Devcloud, Guest, wait

MARKER = 'written before'

TEMPLATE: dict[str, Any] = {
    'heat_template_version': '2021-04-16',
    'resources': {
        'port': {'type': 'OS::Neutron::Port', 'properties': {'network': 'net'}},
        'floating': {
            'type': 'OS::Neutron::FloatingIP',
            'properties': {'floating_network': 'public'},
        },
        'association': {
            'type': 'OS::Neutron::FloatingIPAssociation',
            'properties': {
                'floatingip_id': {'get_resource': 'floating'},
                'port_id': {'get_resource': 'port'},
            },
        },
        'data': {'type': 'OS::Cinder::Volume', 'properties': {'size': 1}},
        'db': {
            'type': 'OS::Nova::Server',
            'properties': {
                'image': 'tiny',
                'flavor': 'm1.nano',
                'networks': [{'port': {'get_resource': 'port'}}, {'network': 'net'}],
            },
        },
        'attachment': {
            'type': 'OS::Cinder::VolumeAttachment',
            'properties': {
                'volume_id': {'get_resource': 'data'},
                'instance_uuid': {'get_resource': 'db'},
            },
        },
        # As in the EBS template of 2014: the volume is where its server is, and so depends on it.
        'beside': {
            'type': 'OS::Cinder::Volume',
            'properties': {'size': 1},
            'depends_on': 'db',
        },
        'beside_attachment': {
            'type': 'OS::Cinder::VolumeAttachment',
            'properties': {
                'volume_id': {'get_resource': 'beside'},
                'instance_uuid': {'get_resource': 'db'},
            },
        },
        # Another server, which is told where the database is.
        'web': {
            'type': 'OS::Nova::Server',
            'depends_on': 'db',
            'properties': {'image': 'tiny', 'flavor': 'm1.nano', 'networks': [{'network': 'net'}]},
        },
    },
}
VICTIM, DEPENDENTS = 'db', ('attachment', 'beside', 'beside_attachment', 'web')


@dataclass
class Seen:
    """A stack and its database server, as they are."""

    ids: dict[str, str]
    made: dict[str, str]
    """When each resource was made: an attachment has its volume's id, whenever it was."""
    fixed: str
    """The address on the port that is a resource."""
    unnamed: str
    """The address on the NIC that only names a network."""
    floating: str
    root: bool
    """Whether the marker is on the root disk."""
    data: bool
    beside: bool


class Stack:
    """One stack, and the ways to recover its database server."""

    def __init__(self, cloud: Devcloud, nova: OpenStack, name: str) -> None:
        self.cloud, self.nova, self.name = cloud, nova, name
        self.heat = heatclient.Client('1', session=cloud.demo.session, region_name='RegionOne')

    def create(self) -> None:
        self.heat.stacks.create(stack_name=self.name, template=TEMPLATE)
        self.idle('CREATE_COMPLETE')
        folder = Guest(self.cloud, self.ids()[VICTIM], self.name).folder()
        wait(lambda: len(list((folder / 'volumes').iterdir())) == 2, 'both volumes are there')
        for place in (folder / 'root', *(folder / 'volumes').iterdir()):
            (place / 'marker').write_text(MARKER)

    def idle(self, status: str = 'UPDATE_COMPLETE') -> None:
        shown = wait(
            lambda: (s := self.status()).endswith('IN_PROGRESS') is False and s,
            f'Heat is done with {self.name}',
            300,
        )
        assert shown == status, self.heat.stacks.get(self.name).stack_status_reason

    def status(self) -> str:
        return str(self.heat.stacks.get(self.name, resolve_outputs=False).stack_status)

    def ids(self, what: str = 'physical_resource_id') -> dict[str, str]:
        listed = self.heat.resources.list(self.name)
        return {r.resource_name: str(getattr(r, what)) for r in listed}

    def seen(self) -> Seen:
        ids = self.ids()
        guest = Guest(self.cloud, ids[VICTIM], self.name)
        ports = list(self.cloud.demo.network.ports(device_id=guest.id))
        (mine,) = [p for p in ports if p.id == ids['port']]
        (unnamed,) = [p for p in ports if p.id != ids['port']]
        floating = self.cloud.demo.network.get_ip(ids['floating'])
        volumes = self.cloud.state / 'data' / 'volumes'

        def kept(volume: str) -> bool:
            attached = {v.volume_id for v in self.cloud.demo.compute.volume_attachments(guest.id)}
            return volume in attached and (volumes / volume / 'marker').exists()

        return Seen(
            ids,
            self.ids('creation_time'),
            mine.fixed_ips[0]['ip_address'],
            unnamed.fixed_ips[0]['ip_address'],
            floating.floating_ip_address if floating.port_id == mine.id else '-',
            (guest.folder() / 'root' / 'marker').exists(),
            kept(ids['data']),
            kept(ids['beside']),
        )

    # ---- the ways

    def restarter(self) -> None:
        """2014: the server and all that depends on it are deleted, and created again."""
        without = copy.deepcopy(TEMPLATE)
        for name in (VICTIM, *DEPENDENTS):
            del without['resources'][name]
        for template in (without, TEMPLATE):
            self.heat.stacks.update(self.name, template=template)
            self.idle()

    def unhealthy(self) -> None:
        """Today: the server is marked unhealthy, and the stack updated with what it has."""
        self.heat.resources.mark_unhealthy(self.name, VICTIM, True, 'benchmark')
        self.heat.stacks.update(self.name, existing=True)
        self.idle()

    def rebuild(self) -> None:
        """Ours, Nova first: the same server, made anew of its image."""
        server = self.nova.server(self.ids()[VICTIM])
        assert server.image_id
        self.nova.rebuild(server.id, server.image_id)
        self.up(server.id)

    def replace(self) -> None:
        """Ours, when no reboot and no rebuild has helped."""
        member = self.nova.member(self.nova.server(self.ids()[VICTIM]))
        assert member
        self.nova.replace(member, [VICTIM], 'benchmark')
        self.idle()

    def reboot(self) -> None:
        """Ours, first of all."""
        server_id = self.ids()[VICTIM]
        self.nova.reboot(server_id, 'hard')
        self.up(server_id)

    def up(self, server_id: str) -> None:
        def settled() -> bool:
            found = self.nova.server(server_id)
            return found.status == 'ACTIVE' and found.task_state is None

        wait(settled, f'the server of {self.name} is up', 120)


WAYS: dict[str, tuple[str, Callable[[Stack], None]]] = {
    'harestarter': ('HARestarter (2014)', Stack.restarter),
    'unhealthy': ('mark + update', Stack.unhealthy),
    'reboot': ('server.reboot', Stack.reboot),
    'rebuild': ('server.rebuild', Stack.rebuild),
    'replace': ('server.replace', Stack.replace),
}


@pytest.fixture(scope='module')
def stacks(cloud: Devcloud) -> Iterator[dict[str, Stack]]:
    """A stack for each way, with something written on each disk of its database."""
    conf = opts.load([f'--config-file={cloud.state / "etc" / "aodh-ha" / "aodh-ha.conf"}'])
    made = {name: Stack(cloud, OpenStack(conf, service_session(conf)), name) for name in WAYS}
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(Stack.create, made.values()))
        yield made
    finally:
        for stack in made.values():
            stack.heat.stacks.delete(stack.name)


def lost(before: Seen, after: Seen) -> list[str]:
    """A cell for each row of the table."""

    def told(same: bool) -> str:
        return 'kept' if same else 'LOST'

    gone = [n for n in DEPENDENTS if after.made.get(n) != before.made[n]]
    return [
        told(after.ids[VICTIM] == before.ids[VICTIM]),
        told(after.fixed == before.fixed),
        told(after.unnamed == before.unnamed),
        told(after.floating == before.floating != '-'),
        told(after.root),
        told(after.data and after.ids['data'] == before.ids['data']),
        told(after.beside and after.ids['beside'] == before.ids['beside']),
        ', '.join(n for n in gone if n != 'beside') or 'none',
    ]


ROWS = (
    *('server id', 'fixed IP, port of its own', 'fixed IP, NIC by network', 'floating IP'),
    *('root disk', 'data volume', 'volume that depends on it', 'dependents made anew', 'seconds'),
)


def test_heat_ways(stacks: dict[str, Stack], report: Callable[[str], None]) -> None:
    columns = {}

    def take(name: str) -> None:
        stack = stacks[name]
        before = stack.seen()
        assert all([before.root, before.data, before.beside, before.floating != '-'])
        began = time.monotonic()
        WAYS[name][1](stack)
        took = time.monotonic() - began
        columns[name] = [*lost(before, stack.seen()), f'{took:.0f}']

    for name in WAYS:  # one after the other: else each would wait for the others
        take(name)
    heads = [WAYS[name][0] for name in columns]
    width = max(map(len, ROWS))
    widths = [max(len(h), *map(len, columns[n])) for n, h in zip(columns, heads, strict=True)]
    lines = ['  '.join([' ' * width, *(h.ljust(w) for h, w in zip(heads, widths, strict=True))])]
    for row, cells in zip(ROWS, zip(*columns.values(), strict=True), strict=True):
        shown = (c.ljust(w) for c, w in zip(cells, widths, strict=True))
        lines.append('  '.join([row.ljust(width), *shown]).rstrip())
    report('\n'.join(lines))
    kept = {name: dict(zip(ROWS, cells, strict=True)) for name, cells in columns.items()}
    for row in ('fixed IP, port of its own', 'floating IP', 'data volume'):
        assert {kept[n][row] for n in ('reboot', 'rebuild', 'replace')} == {'kept'}, row
    assert kept['replace']['dependents made anew'] == 'none'
    assert kept['replace']['volume that depends on it'] == 'kept'
