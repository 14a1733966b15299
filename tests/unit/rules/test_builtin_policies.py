"""The policies that are shipped: read, conservative, and each good for what it says."""

from dataclasses import replace
from importlib import resources

import pytest

from aodh_ha.rules import escalation, policy
from aodh_ha.rules.evidence import Host, InstanceAction
from aodh_ha.rules.heartbeat import Service
from aodh_ha.rules.policy import PRESERVABLE
from aodh_ha.rules.recovery import UNVERIFIED, Act, Finish, Refuse
from aodh_ha.testing import START
from tests import samples

FILES = sorted((resources.files('aodh_ha') / 'policies').iterdir(), key=lambda f: f.name)
ALL = {f.name.removesuffix('.yaml'): policy.parse(f.read_text(), 0) for f in FILES}


def test_these_are_shipped_each_under_its_files_name():
    assert set(ALL) == {'stateful', 'stateless', 'service-only', 'notify-only', 'restarter'}
    assert {name: p.name for name, p in ALL.items()} == {name: name for name in ALL}


@pytest.mark.parametrize('name', ALL)
def test_each_says_what_it_is_for(name):
    assert ALL[name].document.startswith('# ')


@pytest.mark.parametrize('name', ALL)
def test_a_project_may_take_each_for_its_own(name):
    policy.bounded(ALL[name], frozenset(policy.ACTIONS), policy.Budget())


@pytest.mark.parametrize('name', ['stateful', 'service-only', 'notify-only'])
def test_none_but_the_one_for_it_loses_anything(name):
    assert ALL[name].preserve == frozenset(PRESERVABLE)


def test_the_one_for_guests_from_an_image_keeps_volumes_and_addresses():
    assert ALL['stateless'].preserve == {'volumes', 'fixed_ips', 'floating_ips'}


def ladder(name, evidence, guest=None, trigger='heartbeat'):
    """The steps that the policy takes, when none of them helps, and how it ends."""
    recovery = samples.recovery(policy=ALL[name], trigger=trigger)
    history, taken, now = [], [], START + 1
    for _ in range(50):
        found = escalation.decide(recovery, history, guest or samples.guest(), evidence, now)
        now += 600
        match found:
            case Act(step, number):
                action = ALL[name].steps[step].name
                values = {'finished_at': now, 'action': action, 'verify_until': now}
                done = samples.attempt(0, UNVERIFIED, now, number, **values)
                history.append(replace(done, step=step, id=f'{step}-{number}'))
                taken.append(action)
            case Finish(status):
                return taken, status
            case Refuse():
                raise AssertionError(found)
    raise AssertionError('it never ends')


SILENT = samples.evidence(holdings=samples.holdings())
FAILING = samples.guest(last_seen=START - 1, failures=3, services=(Service('web', 'failed', 3),))
FAILED = samples.evidence(missed=0, last_seen=START - 1, holdings=samples.holdings())
OFF = samples.evidence(
    samples.server(vm_state='stopped', status='SHUTOFF'),
    actions=(InstanceAction('stop', 'req-1', None, '2020-01-01T00:00:00'),),
    holdings=samples.holdings(),
)
DEAD = samples.evidence(host=Host('host1', up=False, forced_down=True), holdings=samples.holdings())
SOFT, HARD, RESTART = 'server.reboot soft', 'server.reboot hard', 'service.restart'


@pytest.mark.parametrize(
    ('name', 'evidence', 'guest', 'trigger', 'taken', 'status'),
    [
        ('stateful', SILENT, None, 'heartbeat', [SOFT, HARD], 'failed'),
        ('stateful', FAILED, FAILING, 'service', [RESTART, RESTART, SOFT, HARD], 'failed'),
        ('stateful', OFF, None, 'heartbeat', [], 'left_alone'),
        ('stateful', DEAD, None, 'heartbeat', [], 'failed'),
        ('stateless', SILENT, None, 'heartbeat', [SOFT, HARD, 'server.rebuild'], 'failed'),
        ('stateless', OFF, None, 'heartbeat', ['server.start'], 'failed'),
        ('stateless', DEAD, None, 'heartbeat', [], 'failed'),
        ('service-only', SILENT, None, 'heartbeat', ['notify'], 'failed'),
        ('service-only', FAILED, FAILING, 'service', [RESTART] * 3 + ['notify'], 'failed'),
        ('notify-only', SILENT, None, 'heartbeat', ['notify'], 'failed'),
        ('notify-only', FAILED, FAILING, 'service', ['notify'], 'failed'),
    ],
)
def test_what_each_does_when_nothing_helps(name, evidence, guest, trigger, taken, status):
    assert ladder(name, evidence, guest, trigger) == (taken, status)
