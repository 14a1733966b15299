"""The worker is killed with -9 at each boundary of the engine, in each recovery, once.

Every recovery takes its worker down six times, and with it whatever else that worker held.
Counted from Nova's and Heat's own logs, and from what the operator's pager got: nothing is lost,
nothing is done twice. A table is printed.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.acceptance import stacks
from tests.acceptance.devcloud import PORT, Devcloud, Guest, wait
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
    host: str = 'host1'
    missed: int = 3
    more: str = ''
    """Further keys of the policy."""


CASES = {
    'service-restart': Case('action: service.restart', ('service-dies',), [], 'service'),
    'soft': Case('action: server.reboot, type: soft', ('panic', '--healed-by', 'soft'), ['reboot']),
    'hard': Case('action: server.reboot, type: hard', ('freeze',), ['reboot']),
    'start': Case('action: server.start', ('crashes',), ['stop', 'start']),
    'rebuild': Case('action: server.rebuild', ('panic', '--healed-by', 'rebuild'), ['rebuild']),
    'migrate': Case(
        'action: server.migrate',
        ('panic', '--healed-by', 'hard'),
        ['migrate', 'confirmResize'],
        host='host2',
    ),
    # Its host dies once the other guest has left it, and Nova knows that before it is missed.
    'evacuate': Case(
        'action: server.evacuate', (), ['evacuate'], host='host2', missed=10, more='fencing: fence'
    ),
    # These two heal nothing: who is told of it does.
    'notify': Case('action: notify', ('freeze',), []),
    'hook': Case('action: hook, name: page, attempts: 9', ('freeze',), []),
}
TOLD = ('notify', 'hook')
WORKERS = {'sqlite': 1, 'mariadb': 2, 'postgresql': 4}
DATABASES = os.environ.get('CAMPAIGN_DATABASES', 'postgresql').split(',')
"""Each takes some minutes; `make campaign` has all of them."""


def document(name: str) -> str:
    """A policy with the case's step only."""
    case = CASES[name]
    return f"""
name: {name}
heartbeat: {{interval: 2s, missed: {case.missed}, boot_grace: 20s}}
preserve: [volumes, fixed_ips]
steps:
  - {{{case.step}, verify: 300s}}
{case.more}
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
        made = stack.enter_context(instance(cloud, tmp_path, url, PORT + 990))
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


@pytest.fixture
def guests(service: Instance) -> Iterator[dict[str, Guest]]:
    """One for each case; none but those whose host matters are on host2, or will be."""
    cloud = service.cloud
    made: dict[str, Guest] = {}
    for name in CASES:
        cloud.operator.save_policy(name, document(name), operator=True)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: cloud.remove(made.values()))
        for host in ('host2', 'host1'):
            names = [n for n, c in CASES.items() if c.host == host]
            triggers = {n: CASES[n].trigger for n in names}
            policies = {n: n for n in names}
            made |= cloud.watched(names, policy=policies, triggers=triggers, host=host)
            if host == 'host2':
                stack.enter_context(cloud.unscheduled(host))
        yield made


def told(cloud: Devcloud, guest: Guest) -> list[dict[str, Any]]:
    """What the pager got by the steps of its recovery; a notification may come twice."""
    mine = [p for p in cloud.pages() if p.get('recovery_id') == guest.recoveries()[0]['id']]
    unique = {p['id']: p for p in mine if 'id' in p}
    return [*unique.values(), *(p for p in mine if 'id' not in p)]


def heal_when_told(guest: Guest) -> None:
    """A person who was told sees to it."""

    def sent() -> bool:
        found = guest.recoveries()
        attempts = guest.cloud.api.recovery(found[0]['id'])['attempts'] if found else []
        return any(a['status'] == 'sent' for a in attempts)

    wait(sent, f'the step of {guest.name} is taken', 300)
    guest.fault('heal')


@pytest.mark.timeout(3600)
def test_nothing_is_lost_and_nothing_is_done_twice(
    service: Instance, guests: dict[str, Guest], capfd: pytest.CaptureFixture[str]
) -> None:
    cloud = service.cloud
    broken = stacks.create(cloud, 'campaign-')
    try:
        for name, guest in guests.items():
            if CASES[name].fault:
                guest.fault(*CASES[name].fault)
        stacks.panic(broken)
        # Heat waits for its port until somebody deletes it, whoever is alive by then.
        cloud.admin.compute.reset_server_state(broken['heal'].guest.id, 'error')
        for name in TOLD:
            heal_when_told(guests[name])
        guests['migrate'].ended(600)
        cloud.run('fault', 'host-dies', 'host2')
        rows = []
        replaced: dict[str, Guest] = {}
        for name, guest in guests.items():
            ended = guest.ended(600)
            log = f"Nova's log: {', '.join(guest.actions()) or 'nothing'}"
            if name in TOLD:
                log = f'told {len(told(cloud, guest))} time(s)'
            rows.append(Row(name, ended, log, crashed(service, ended)))
        for name, one in broken.items():
            ended, guest = stacks.healed(cloud, one, 900)
            replaced[name] = guest
            log = f"Heat's log: {stacks.updates(cloud, one.guest.name)} update(s)"
            rows.append(Row(name, ended, log, crashed(service, ended)))
        with capfd.disabled():
            print(table(rows, service.deaths))
        for row in rows:
            assert row.ended['recovery']['status'] == 'recovered', row.ended
            assert set(BOUNDARIES) - set(row.deaths) <= {'after-send'}, 'killed at every boundary'
            if row.name != 'hook':
                assert len(row.made) == 1, 'one attempt was enough'
        # A worker that another recovery takes down in the middle of a call never comes by there.
        assert any('after-send' in row.deaths for row in rows)
        for name, guest in guests.items():
            assert guest.actions() == CASES[name].logged, 'neither lost nor repeated'
        assert len(told(cloud, guests['notify'])) == 1, 'neither lost nor repeated'
        prove_hook(told(cloud, guests['hook']), next(r for r in rows if r.name == 'hook'))
        for name, one in broken.items():
            stacks.prove(cloud, stacks.CASES[name], one, replaced[name])
    finally:
        cloud.host_back('host2')
        stacks.remove(cloud, 'campaign-')


def prove_hook(pages: list[dict[str, Any]], row: Row) -> None:
    """No attempt ran it twice, and the one that succeeded did run it.

    What a hook does is not known: an attempt whose worker died meanwhile is not repeated, and the
    next one is another attempt.
    """
    runs = [int(p['attempt']) for p in pages]
    *lost, last = row.made
    assert last['status'] == 'succeeded'
    assert {a['status'] for a in lost} == {'unverified'}
    assert len(runs) == len(set(runs)), 'not repeated'
    assert last['number'] in runs, 'not lost'
    assert set(runs) <= {a['number'] for a in row.made}


def table(rows: list[Row], deaths: int) -> str:
    """What became of each recovery, a line each."""
    lines = [f'\n  {deaths} workers were killed']
    for row in rows:
        lines.append(
            f'  {row.name:16} killed at {len(row.deaths)} of {len(BOUNDARIES)} boundaries · '
            f'{row.ended["recovery"]["status"]:10} · {len(row.made)} attempt(s) · {row.log}'
        )
    return '\n'.join(lines)
