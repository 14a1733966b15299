"""The stack level where it is not simple: groups, nested stacks, updates that hang, all guests.

All stacks are created, and then broken, at once.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from heatclient import client as heatclient

from aodh_ha.clients.stacks import Resource, Tree
from tests.acceptance.devcloud import Devcloud, Guest, wait
from tests.acceptance.stacks import TEMPLATE, Recoveries

SERVER = {
    'type': 'OS::Nova::Server',
    'properties': {'image': 'tiny', 'flavor': 'm1.nano', 'networks': [{'network': 'net'}]},
}
POLICY = """
name: {name}
heartbeat: {{interval: 2s, missed: 3, boot_grace: 30s}}
preserve: [volumes]
steps:
  - {steps}
"""
HANGS = 900
"""Seconds that Heat would be at an update, if it were let."""


@dataclass(frozen=True)
class Case:
    """A stack, what is done about it, and which of its servers break."""

    resources: dict[str, Any]
    steps: str
    breaks: tuple[str, ...]
    """Paths of servers; ``group/*`` the first of a group."""


CASES = {
    'groups': Case(
        {
            'nested': {
                'type': 'OS::Heat::ResourceGroup',
                'properties': {'count': 1, 'resource_def': {'type': 'inner.yaml'}},
            },
            'scaling': {
                'type': 'OS::Heat::AutoScalingGroup',
                'properties': {'min_size': 2, 'max_size': 2, 'resource': SERVER},
            },
        },
        '{action: stack.heal, verify: 240s}',
        ('nested/0/server', 'scaling/*'),
    ),
    'everyone': Case(
        {'web': SERVER, 'db': SERVER},
        '{action: stack.rebuild, verify: 240s}',
        ('db',),
    ),
    'hangs': Case(
        {
            'server': SERVER,
            # Heat is at this for as long as it is told, once the server is another one.
            'slow': {
                'type': 'OS::Heat::TestResource',
                'properties': {
                    'value': {'get_resource': 'server'},
                    'action_wait_secs': {'create': 0, 'update': HANGS, 'delete': 0},
                },
            },
        },
        '{action: server.replace, verify: 30s}',
        ('server',),
    ),
}


@dataclass
class Stack:
    """One of the cases, created and watched."""

    cloud: Devcloud
    heat: Any
    name: str
    guests: dict[str, Guest] = field(default_factory=dict)
    """By the path of the server, under the id that it had when it broke."""
    before: dict[str, Resource] = field(default_factory=dict)
    broken: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.recoveries = Recoveries(self.cloud)

    def tree(self) -> dict[str, Resource]:
        """All resources, by path."""
        listed = self.heat.resources.list(self.name, nested_depth=5)
        return {r.path: r for r in Tree.read(r.to_dict() for r in listed).resources}

    def status(self) -> str:
        """Heat's."""
        return str(self.heat.stacks.get(self.name, resolve_outputs=False).stack_status)

    def watch(self) -> None:
        """Wait for the stack; enrol each server's guest, and wait until it is measured."""
        wait(lambda: self.status() == 'CREATE_COMPLETE', f'the stack {self.name} is there', 300)
        self.before = self.tree()
        servers = Tree(tuple(self.before.values())).servers()
        self.guests = {p: Guest(self.cloud, r.physical_id, self.name) for p, r in servers.items()}
        for guest in self.guests.values():
            guest.enroll(self.name)
            guest.alarm()

    def hit(self) -> None:
        """Let the case's servers panic, so that only another server helps."""
        wanted = CASES[self.name].breaks
        self.broken = tuple(
            next(p for p in sorted(self.guests) if p == w or p.startswith(w.rstrip('*')))
            for w in wanted
        )
        for path in self.broken:
            self.guests[path].fault('panic', '--healed-by', 'nothing')

    def opened(self) -> bool:
        """Whether each of them has its recovery."""
        return self.recoveries.opened({p: self.before[p].physical_id for p in self.broken})

    def remove(self) -> None:
        """Forget the guests, under whichever ids they go on, and delete the stack."""
        ids = {r.physical_id for r in self.tree().values()} | {g.id for g in self.guests.values()}
        for shown in self.cloud.api.guests():
            if shown['id'] in ids:
                Guest(self.cloud, shown['id'], self.name).forget()
        self.heat.stacks.delete(self.name)


@pytest.fixture(scope='module')
def broken(cloud: Devcloud) -> Iterator[dict[str, Stack]]:
    """All cases, with their recoveries begun."""
    heat = heatclient.Client('1', session=cloud.demo.session, region_name='RegionOne')
    stacks = {name: Stack(cloud, heat, name) for name in CASES}
    for name, case in CASES.items():
        cloud.operator.save_policy(name, POLICY.format(name=name, steps=case.steps), operator=True)
        template = {'heat_template_version': '2021-04-16', 'resources': case.resources}
        files = {'inner.yaml': TEMPLATE} if name == 'groups' else {}
        heat.stacks.create(stack_name=name, template=template, files=files)
    with ThreadPoolExecutor(len(stacks)) as pool:
        list(pool.map(Stack.watch, stacks.values()))
    for stack in stacks.values():
        stack.hit()
    wait(
        lambda: sum(s.opened() for s in stacks.values()) == len(stacks),
        'all recoveries are opened',
        120,
    )
    yield stacks
    for stack in stacks.values():
        stack.remove()


def events(ended: dict[str, Any], kind: str) -> list[str]:
    """Of the audit trail."""
    return [e['message'] for e in ended['events'] if e['kind'] == kind]


def test_failed_members_of_groups_and_nested_stacks_are_replaced_and_the_others_stay(
    broken: dict[str, Stack],
) -> None:
    stack = broken['groups']
    for path in stack.broken:
        ended = stack.recoveries.ended(path)
        assert ended['recovery']['status'] == 'recovered', ended
        assert ended['recovery']['server_id'] == stack.tree()[path].physical_id
    now = stack.tree()
    assert now.keys() == stack.before.keys(), 'members keep their names'
    replaced = {p for p in now if now[p].physical_id != stack.before[p].physical_id}
    assert replaced == set(stack.broken), 'no port, no volume, no other member'
    assert {'nested/0/port', 'nested/0/volume'} < now.keys()
    updates = [e for p in stack.broken for e in events(stack.recoveries.ended(p), 'sent')]
    assert len(updates) == 1, 'one update heals all'


def test_what_heat_does_is_told_in_the_audit_trail(broken: dict[str, Stack]) -> None:
    stack = broken['groups']
    noted = [m for p in stack.broken for m in events(stack.recoveries.ended(p), 'stack_event')]
    assert 'groups UPDATE_IN_PROGRESS: Stack UPDATE started' in noted
    assert 'groups UPDATE_COMPLETE: Stack UPDATE completed successfully' in noted
    nested = [m for m in noted if m.startswith('groups-nested-') and '/server CREATE_' in m]
    assert len(nested) == 2, 'the nested server is created: begun and done'


def test_a_rebuilt_stack_counts_once_every_guest_is_heard(broken: dict[str, Stack]) -> None:
    stack = broken['everyone']
    ended = stack.recoveries.ended('db')
    assert ended['recovery']['reason'] == 'by stack.rebuild', ended
    now = stack.tree()
    for path in ('db', 'web'):
        new = now[path].physical_id
        assert new != stack.before[path].physical_id
        assert stack.cloud.api.guest(new)['guest']['beats'] > 0, f'{path} is heard'


def test_an_update_that_hangs_is_cut_off_and_the_new_server_used(broken: dict[str, Stack]) -> None:
    stack = broken['hangs']
    ended = stack.recoveries.ended('server')
    (attempt,) = ended['attempts']
    assert attempt['status'] == 'unverified'
    assert attempt['detail'].endswith('was not done after 30s and was cancelled'), attempt
    assert len(events(ended, 'cancelled')) == 1
    assert stack.status() == 'UPDATE_FAILED'
    assert ended['recovery']['status'] == 'recovered', ended
    assert ended['recovery']['server_id'] == stack.tree()['server'].physical_id
