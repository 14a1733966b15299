"""The worker is killed with -9 at each boundary of the engine, in each recovery, once.

Every recovery takes its worker down six times, and with it whatever else that worker held.
Counted from Nova's and Heat's own logs: nothing is lost, nothing is done twice. A table is printed.
"""

import contextlib
import os
import pathlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance import stacks
from tests.acceptance.devcloud import Devcloud, Guest
from tests.acceptance.instance import Instance, instance
from tests.functional import databases

pytestmark = pytest.mark.disruptive

BOUNDARIES = (
    'before-intent',
    'after-intent',
    'after-send',
    'after-answer',
    'verifying',
    'before-finish',
)


@dataclass(frozen=True)
class Case:
    """A step, what it heals, and Nova's log of it."""

    step: str
    fault: tuple[str, ...]
    logged: list[str]
    trigger: str = 'heartbeat'


CASES = {
    'service-restart': Case('action: service.restart', ('service-dies',), [], 'service'),
    'soft': Case('action: server.reboot, type: soft', ('panic', '--healed-by', 'soft'), ['reboot']),
    'hard': Case('action: server.reboot, type: hard', ('freeze',), ['reboot']),
    'start': Case('action: server.start', ('crashes',), ['stop', 'start']),
    'rebuild': Case('action: server.rebuild', ('panic', '--healed-by', 'rebuild'), ['rebuild']),
    'migrate': Case(
        'action: server.migrate', ('panic', '--healed-by', 'hard'), ['migrate', 'confirmResize']
    ),
}
WORKERS = {'sqlite': 1, 'mariadb': 2, 'postgresql': 4}
DATABASES = os.environ.get('CAMPAIGN_DATABASES', 'postgresql').split(',')
"""Each takes some minutes; `make campaign` has all of them."""


def document(name: str) -> str:
    """A policy with the case's step only."""
    return f"""
name: {name}
heartbeat: {{interval: 2s, missed: 3, boot_grace: 20s}}
preserve: [volumes, fixed_ips]
steps:
  - {{{CASES[name].step}, verify: 120s}}
"""


@pytest.fixture(params=DATABASES)
def service(
    request: pytest.FixtureRequest, cloud: Devcloud, tmp_path: pathlib.Path
) -> Iterator[Instance]:
    """An aodh-ha on each database, with as many workers, that die at each boundary once."""
    with contextlib.ExitStack() as stack:
        url = f'sqlite:///{tmp_path}/aodh-ha.sqlite'
        if request.param != 'sqlite':
            server = stack.enter_context(databases.SERVERS[request.param]())
            url = stack.enter_context(server.database())
        made = stack.enter_context(instance(cloud, tmp_path, url, 24990))
        died = tmp_path / 'died'
        died.mkdir()
        made.start(
            WORKERS[request.param],
            AODH_HA_DIE_AT=','.join(BOUNDARIES),
            AODH_HA_DIE_ONCE=str(died),
        )
        yield made


@dataclass(frozen=True)
class Row:
    """A recovery that came to its end, what the cloud's own log has of it, and who died for it."""

    name: str
    ended: dict[str, Any]
    log: str
    deaths: list[str]

    @property
    def made(self) -> list[dict[str, Any]]:
        """Attempts that were made: not those that the cloud never got."""
        return [a for a in self.ended['attempts'] if a['status'] != 'abandoned']


def crashed(service: Instance, ended: dict[str, Any]) -> list[str]:
    """At which boundaries a worker died in this recovery."""
    found = {p.name for p in (service.folder / 'died').iterdir()}
    return [b for b in BOUNDARIES if f'{b}@{ended["recovery"]["id"]}' in found]


@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_is_done_twice(service: Instance) -> None:
    cloud = service.cloud
    for name in CASES:
        cloud.operator.save_policy(name, document(name), operator=True)
    guests: dict[str, Guest] = {}
    for trigger in ('heartbeat', 'service'):
        names = [n for n, c in CASES.items() if c.trigger == trigger]
        guests |= cloud.watched(
            names, policy={n: n for n in names}, triggers=dict.fromkeys(names, trigger)
        )
    broken = stacks.create(cloud, 'campaign-')
    try:
        for name, guest in guests.items():
            guest.fault(*CASES[name].fault)
        stacks.panic(broken)
        rows = []
        replaced: dict[str, Guest] = {}
        for name, guest in guests.items():
            ended = guest.ended(600)
            log = ', '.join(guest.actions())
            rows.append(
                Row(name, ended, f"Nova's log: {log or 'nothing'}", crashed(service, ended))
            )
        for name, one in broken.items():
            ended, guest = stacks.healed(cloud, one, 900)
            replaced[name] = guest
            log = f"Heat's log: {stacks.updates(cloud, one.guest.name)} update(s)"
            rows.append(Row(name, ended, log, crashed(service, ended)))
        _print(rows, service.deaths)
        for row in rows:
            assert row.ended['recovery']['status'] == 'recovered', row.ended
            assert len(row.made) == 1, 'one attempt was enough'
            assert set(BOUNDARIES) - set(row.deaths) <= {'after-send'}, 'killed at every boundary'
        # A worker that another recovery takes down in the middle of a call never comes by there.
        assert any('after-send' in row.deaths for row in rows)
        for name, guest in guests.items():
            assert guest.actions() == CASES[name].logged, 'neither lost nor repeated'
        for name, one in broken.items():
            stacks.prove(cloud, stacks.CASES[name], one, replaced[name])
    finally:
        cloud.remove(guests.values())
        stacks.remove(cloud, 'campaign-')


def _print(rows: list[Row], deaths: int) -> None:
    out = sys.__stdout__ or sys.stdout
    out.write(f'\n  {deaths} workers were killed\n')
    for row in rows:
        out.write(
            f'  {row.name:16} killed at {len(row.deaths)} of {len(BOUNDARIES)} boundaries · '
            f'{row.ended["recovery"]["status"]:10} · {len(row.made)} attempt(s) · {row.log}\n'
        )
