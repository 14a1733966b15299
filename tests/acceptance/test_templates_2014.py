"""The templates of 2014, unchanged: two of Heat's own, and the later YAML of the second.

Beside them only parameters, the environment file that we ship, and an image in place of Fedora
17's, which is gone: see cfnimage.py. The guests run heat-cfntools 1.4.2, unmodified.
"""

import configparser
import contextlib
import pathlib
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from aodh_ha.exceptions import AodhHAError
from tests.acceptance import cfnimage
from tests.acceptance.cfntools import NEEDED, forwarded
from tests.acceptance.devcloud import REPOSITORY, Devcloud, Guest, wait
from tests.acceptance.test_cloudwatch import port

DATA = pathlib.Path(__file__).resolve().parent / 'data'
ENVIRONMENT = REPOSITORY / 'deploy' / 'heat' / 'environment-2014.yaml'
TEMPLATES = {
    'iha': 'WordPress_Single_Instance_With_IHA.template',
    'ha': 'WordPress_Single_Instance_With_HA.template',
    'ha-yaml': 'WordPress_Single_Instance_With_HA.yaml',
}
FAILURES = 3
"""Of httpd: more than the templates' threshold of 2."""

pytestmark = NEEDED


@dataclass
class Old:
    """A stack of one of the templates, and its guest."""

    cloud: Devcloud
    name: str
    guest: Guest
    resources: dict[str, str]

    def disk(self, path: str) -> pathlib.Path:
        """A file of the guest."""
        return pathlib.Path(self.guest.folder()) / 'root' / path

    def fail(self) -> None:
        """Stop httpd as often as it takes; cfn-hup starts it again each time."""
        running, log = (
            self.disk('var/lib/units/httpd.running'),
            self.disk('var/lib/units/httpd.log'),
        )
        for _ in range(FAILURES):
            before = log.read_text().count('start\n')
            running.unlink()
            wait(
                lambda n=before: log.read_text().count('start\n') > n,  # type: ignore[misc]
                f'cfn-hup starts httpd of {self.name} again',
                120,
            )

    def recovered(self, number: int) -> dict[str, Any]:
        """The newest of so many recoveries, which has ended."""

        def ended() -> bool:
            try:
                found = self.guest.recoveries()
            except AodhHAError:  # the webhook is being restarted
                return False
            return len(found) == number and bool(found[0]['finished_at'])

        wait(ended, f'recovery {number} of {self.name} ends', 300)
        found: dict[str, Any] = self.guest.recoveries()[0]
        return found


@pytest.fixture(scope='module')
def old(cloud: Devcloud) -> Iterator[dict[str, Old]]:
    """All three stacks, made at once."""
    cfnimage.create(cloud.admin)
    # As it is built in, but for what would be waited after the stack's creation.
    built_in = (REPOSITORY / 'aodh_ha' / 'policies' / 'restarter.yaml').read_text()
    short = built_in.replace('boot_grace: 120s', 'boot_grace: 10s')
    assert short != built_in
    cloud.api.save_policy('restarter', short)
    if not cloud.admin.compute.find_flavor('m1.small'):
        cloud.admin.compute.create_flavor(name='m1.small', ram=64, vcpus=1, disk=1)
    if not cloud.demo.compute.find_keypair('old'):
        cloud.demo.compute.create_keypair(name='old')
    conf = configparser.RawConfigParser(strict=False)
    conf.read(cloud.state / 'etc' / 'heat' / 'heat.conf')
    heat = cloud.demo.orchestration
    with forwarded(conf['clients_aodh_ha']['cloudwatch_address'], port(cloud)):
        try:
            for name in TEMPLATES:
                create(cloud, name)
            made = {}
            for name in TEMPLATES:
                wait(lambda n=name: status(cloud, n) != 'CREATE_IN_PROGRESS', name, 420)  # type: ignore[misc]
                stack = heat.find_stack(name)
                assert stack.status == 'CREATE_COMPLETE', stack.status_reason
                found = {r.name: r.physical_resource_id for r in heat.resources(stack.id)}
                guest = Guest(cloud, found['WikiDatabase'], name)
                made[name] = Old(cloud, name, guest, found)
            yield made
        finally:
            for name in TEMPLATES:
                with contextlib.suppress(Exception):
                    heat.delete_stack(heat.find_stack(name).id)
            cloud.api.delete_policy('restarter')
            for name in TEMPLATES:
                wait(lambda n=name: not heat.find_stack(n), f'{name} is gone', 120)  # type: ignore[misc]


def status(cloud: Devcloud, name: str) -> str:
    """Of the stack."""
    return str(cloud.demo.orchestration.find_stack(name).status)


def create(cloud: Devcloud, name: str) -> None:
    """As the file has it, with our environment."""
    cloud.demo.orchestration.create_stack(
        name=name,
        template=(DATA / TEMPLATES[name]).read_text(),
        environment=yaml.safe_load(ENVIRONMENT.read_text()),
        parameters={'KeyName': 'old'},
    )


def test_silence_and_failures_are_recovered_and_again(old: dict[str, Old]) -> None:
    """All at once: each waits for a minute of its template."""
    iha = old['iha']
    wait(lambda: all(o.guest.shown()['beats'] >= 2 for o in old.values()), 'heartbeats', 120)
    assert {o.guest.shown()['policy_in_force'] for o in old.values()} == {'restarter'}
    assert not any(o.guest.recoveries() for o in old.values())
    iha.guest.fault('panic', '--healed-by', 'soft')
    failing = [threading.Thread(target=old[n].fail) for n in ('ha', 'ha-yaml')]
    for thread in failing:
        thread.start()
    for thread in failing:
        thread.join(400)
    for name, trigger in (('iha', 'heartbeat'), ('ha', 'service'), ('ha-yaml', 'service')):
        recovery = old[name].recovered(1)
        assert (recovery['status'], recovery['trigger']) == ('recovered', trigger), recovery
        assert old[name].guest.actions() == ['reboot']
    beats = iha.guest.shown()['beats']
    wait(lambda: iha.guest.shown()['beats'] >= beats + 2, 'it is well', 120)
    iha.guest.fault('panic', '--healed-by', 'soft')
    recovery = iha.recovered(2)
    assert (recovery['status'], recovery['trigger']) == ('recovered', 'heartbeat'), recovery
    # Who had failed was left alone meanwhile: what came before the reboot counts no more.
    assert [len(old[n].guest.recoveries()) for n in ('ha', 'ha-yaml')] == [1, 1]


def test_a_guest_may_signal_for_as_long_as_its_stack_is_there(old: dict[str, Old]) -> None:
    user_data = old['ha'].guest.folder() / 'config/openstack/latest/user_data'
    url = next(
        line.rpartition("'")[0].rpartition("'")[2]
        for line in user_data.read_text().splitlines()
        if 'cfn-signal -e 0' in line
    )
    assert 'Signature=' in url
    assert 'Timestamp=' not in url
    body = b'{"Status": "SUCCESS", "UniqueId": "again", "Data": "x", "Reason": "rebuilt"}'
    request = urllib.request.Request(url, body, {'Content-Type': ''}, method='PUT')
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200


def test_nothing_is_left_of_a_deleted_stack(cloud: Devcloud, old: dict[str, Old]) -> None:
    ids = {o.guest.id for o in old.values()}
    assert {w['stack_name'] for w in cloud.api.watches()} >= set(TEMPLATES)
    for name in TEMPLATES:
        cloud.demo.orchestration.delete_stack(cloud.demo.orchestration.find_stack(name).id)
    for name in TEMPLATES:
        wait(lambda n=name: not cloud.demo.orchestration.find_stack(n), f'{name} is gone', 180)  # type: ignore[misc]
    assert not {w['stack_name'] for w in cloud.api.watches()} & set(TEMPLATES)
    assert not {g['id'] for g in cloud.api.guests()} & ids
    assert not [a for a in cloud.api.alarms() if a['server_id'] in ids]
    assert not [a for a in cloud.aodh.list() if 'HeartbeatFailureAlarm' in a['name']]
    assert not [a for a in cloud.aodh.list() if 'HttpFailureAlarm' in a['name']]
