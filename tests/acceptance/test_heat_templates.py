"""The templates to start from, each created as it is shipped, broken, and recovered.

Only times are other than an operator's. All stacks are created, and then broken, at once.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from heatclient import client as heatclient
from heatclient.common import template_utils

from aodh_ha.clients.stacks import Tree
from tests.acceptance.devcloud import REPOSITORY, Devcloud, wait
from tests.acceptance.stacks import Recoveries

FOLDER = REPOSITORY / 'deploy' / 'heat-templates'
QUICK = {'interval': '2s', 'boot_grace': '20s'}
PANIC = ('panic', '--healed-by', 'nothing')


def header(template: pathlib.Path) -> str:
    """The commands of a file's header: what is indented below its numbered steps."""
    lines = template.read_text().partition('heat_template_version')[0].splitlines()
    found, continued = [], False
    for line in lines:
        text = line.removeprefix('#   ').removeprefix('1. ').strip()
        command = text.startswith(('openstack ', 'SERVER=', 'TOKEN=', 'curl ', 'aodh-ha '))
        if command or continued:
            found.append(text)
            continued = text.endswith('\\')
    return '\n'.join(found)


@dataclass(frozen=True)
class Case:
    """A template, what breaks, and what then has to be done about it."""

    parameters: dict[str, str]
    faults: dict[str, tuple[str, ...]]
    """By the path of a server; ``group/*`` the first of a group."""
    actions: dict[str, list[str]]
    """The steps that a broken server takes, by the same path; the last one helps."""
    kept: tuple[str, ...] = ()
    """Resources that are the same afterwards."""


CASES = {
    'plain-aodh': Case(
        {'policy': 'ladder'},
        {'server': ('panic', '--healed-by', 'soft')},
        {'server': ['server.reboot soft']},
        ('server',),
    ),
    'three-levels': Case(
        QUICK | {'restart_verify': '10s', 'reboot_verify': '12s', 'rebuild_verify': '40s'},
        {'db': PANIC, 'web': ('service-breaks',)},
        {
            'db': ['server.reboot hard', 'server.rebuild', 'server.replace'],
            'web': ['service.restart', 'server.reboot hard', 'server.rebuild'],
        },
        ('web', 'db_port', 'db_data'),
    ),
    'stateful-database': Case(
        QUICK,
        {'server': ('panic', '--healed-by', 'soft')},
        {'server': ['server.reboot soft']},
        ('server', 'port', 'data'),
    ),
    'autoscaling-group': Case(
        QUICK | {'reboot_verify': '12s'},
        {'farm/*': PANIC},
        {'farm/*': ['server.reboot hard', 'server.replace']},
    ),
    'nested-application': Case(
        QUICK | {'rebuild_verify': '20s'},
        {'db/server': PANIC},
        {'db/server': ['server.rebuild', 'stack.rebuild']},
        ('db/port', 'web/port'),
    ),
}


@dataclass
class Stack:
    """One template's stack."""

    cloud: Devcloud
    heat: Any
    name: str
    before: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recoveries = Recoveries(self.cloud)

    def ids(self) -> dict[str, str]:
        """Physical ids by path."""
        listed = self.heat.resources.list(self.name, nested_depth=5)
        return {r.path: r.physical_id for r in Tree.read(r.to_dict() for r in listed).resources}

    def servers(self) -> dict[str, str]:
        """Those of them that are servers."""
        listed = self.heat.resources.list(self.name, nested_depth=5)
        found = Tree.read(r.to_dict() for r in listed).servers()
        return {path: r.physical_id for path, r in found.items()}

    def path(self, wanted: str) -> str:
        """Of a server, by what a case calls it."""
        paths = sorted(self.servers())
        return next(p for p in paths if p == wanted or p.startswith(wanted.rstrip('*') or wanted))

    def settled(self, status: str) -> None:
        """Wait until Heat is done with it, and that well."""

        def look() -> Any:
            found = self.heat.stacks.get(self.name)
            return None if found.stack_status.endswith('IN_PROGRESS') else found

        found = wait(look, f'Heat is done with {self.name}', 400)
        assert found.stack_status == status, found.stack_status_reason

    def create(self) -> None:
        """Create it from the shipped file, until its guests are heard and have alarms."""
        if self.name == 'plain-aodh':
            self.type_header()
        else:
            self.ask()
        self.before = self.ids()
        for server_id in self.servers().values():
            wait(lambda i=server_id: self.heard(i), f'a guest of {self.name} is heard', 200)  # type: ignore[misc]
        for server_id in self.servers().values():
            wait(lambda i=server_id: self.alarmed(i), f'{self.name} has its alarms', 200)  # type: ignore[misc]

    def ask(self) -> None:
        """Create it, until Heat is done with it."""
        case = CASES[self.name]
        files, template = template_utils.get_template_contents(str(FOLDER / f'{self.name}.yaml'))
        self.heat.stacks.create(
            stack_name=self.name, template=template, files=files, parameters=case.parameters
        )
        self.settled('CREATE_COMPLETE')

    def type_header(self) -> None:
        """Type what the header of the file tells to, as it stands there.

        With our gateway's address, a policy that does not take minutes, and the patience to look
        until the guest is heard.
        """
        script = header(FOLDER / f'{self.name}.yaml')
        for text, put in {
            'http://ha.example.org:8787': self.cloud.url,
            f'-t {self.name}.yaml': f'-t {self.name}.yaml --parameter policy=ladder',
            'aodh-ha guest show $SERVER ': (
                'until aodh-ha guest show $SERVER -f value -c last_seen | grep -q T; do sleep 1; '
                'done '
            ),
        }.items():
            assert script.count(text) == 1, text
            script = script.replace(text, put)
        assert script.count('curl ') == 2
        venvs = (pathlib.Path(sys.executable).parents[1], self.cloud.environment['DEVCLOUD_VENV'])
        environment = os.environ | {
            'PATH': ':'.join([*(f'{v}/bin' for v in venvs), os.environ['PATH']]),
            'OS_CLOUD': 'devcloud',
        }
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(FOLDER / f'{self.name}.yaml', folder)
            done = subprocess.run(
                ['bash', '-euo', 'pipefail', '-c', script],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        assert done.returncode == 0, done.stdout + done.stderr

    def heard(self, server_id: str) -> bool:
        """Whether its guest is enrolled and beats."""
        beats = {g['id']: g['beats'] for g in self.cloud.api.guests()}
        return bool(beats.get(server_id, 0) >= 2)

    def alarmed(self, server_id: str) -> bool:
        """Whether an alarm in Aodh watches it."""
        return any(a['aodh_alarm_id'] for a in self.cloud.api.alarms(server_id))

    def hit(self) -> None:
        """Break it."""
        for wanted, fault in CASES[self.name].faults.items():
            self.cloud.run('fault', fault[0], self.servers()[self.path(wanted)], *fault[1:])

    def opened(self) -> bool:
        """Whether each broken server has its recovery."""
        faults = CASES[self.name].faults
        return self.recoveries.opened({wanted: self.before[self.path(wanted)] for wanted in faults})

    def remove(self) -> None:
        """Delete it, and what the plain one has enrolled without a resource."""
        kept = self.ids()
        self.heat.stacks.delete(self.name)
        if self.name == 'plain-aodh':
            # While the server runs, its agent enrols it again.
            gone = 'the server is gone'
            wait(lambda: not self.cloud.demo.compute.find_server(kept['server']), gone, 120)
            self.cloud.api.forget_guest(kept['server'])
        if self.name == 'stateful-database':
            volumes = self.cloud.demo.block_storage
            free = 'the volume that the stack leaves is free'
            wait(lambda: volumes.get_volume(kept['data']).status == 'available', free, 120)
            volumes.delete_volume(kept['data'])


@pytest.fixture(scope='module')
def stacks(cloud: Devcloud) -> Iterator[dict[str, Stack]]:
    """Every template's stack, broken, with its recoveries begun."""
    heat = heatclient.Client('1', session=cloud.demo.session, region_name='RegionOne')
    made = {name: Stack(cloud, heat, name) for name in CASES}
    try:
        with ThreadPoolExecutor(len(made)) as pool:
            list(pool.map(Stack.create, made.values()))
        for stack in made.values():
            stack.hit()
        for stack in made.values():
            wait(stack.opened, f'the recoveries of {stack.name} are opened', 150)
        yield made
    finally:
        for stack in made.values():
            stack.remove()


def test_every_template_is_tried() -> None:
    nested = {'application'}
    assert {f.stem for f in FOLDER.glob('*.yaml')} - nested == set(CASES)


def test_every_template_says_what_it_shows_and_how_to_try_it() -> None:
    for name in CASES:
        text = (FOLDER / f'{name}.yaml').read_text()
        assert text.startswith('# Shows: '), name
        assert '# Try it:' in text, name
        assert '# Needs: ' in text, name


@pytest.mark.parametrize('name', CASES)
def test_what_a_template_shows_happens(stacks: dict[str, Stack], name: str) -> None:
    stack, case = stacks[name], CASES[name]
    for wanted, actions in case.actions.items():
        ended = stack.recoveries.ended(wanted)
        assert ended['recovery']['status'] == 'recovered', ended
        made = [a['action'] for a in ended['attempts'] if a['status'] != 'abandoned']
        assert made == actions, ended
    after = stack.ids()
    assert [after[r] for r in case.kept] == [stack.before[r] for r in case.kept]
    servers = stack.servers().values()
    wait(lambda: all(map(stack.heard, servers)), f'every guest of {name} is heard', 60)
