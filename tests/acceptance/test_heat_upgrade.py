"""Stacks that were made by an older plugin go on under this one: seen, changed, healed, deleted."""

import contextlib
import os
import pathlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from aodh_ha.exceptions import NotFound
from tests.acceptance.devcloud import Devcloud, Guest, wait
from tests.acceptance.orchestration import Stacks
from tests.acceptance.stacks import resources

pytestmark = pytest.mark.disruptive

OLDER = pathlib.Path(__file__).resolve().parent / 'data' / 'heat-plugin-first.zip'
NAME = 'upgraded'

# Each type that the older plugin had.
TEMPLATE = """
heat_template_version: 2021-04-16
parameters:
  missed: {type: number, default: 4}
  threshold: {type: number, default: 4}
  severity: {type: string, default: moderate}
resources:
  policy:
    type: OS::AodhHA::RecoveryPolicy
    properties:
      heartbeat: {interval: 2s, missed: {get_param: missed}, boot_grace: 20s}
      preserve: [volumes]
      steps: [{action: server.reboot, type: hard, verify: 120s}]
  server:
    type: OS::Nova::Server
    properties:
      image: tiny
      flavor: m1.nano
      networks: [{network: net}]
      user_data: {get_attr: [policy, user_data]}
  heartbeat:
    type: OS::AodhHA::GuestHeartbeat
    properties:
      server: {get_resource: server}
      policy: {get_resource: policy}
      wait: 240s
  silent:
    type: OS::AodhHA::HeartbeatAlarm
    properties: {guest: {get_resource: heartbeat}, threshold: {get_param: threshold}}
  failing:
    type: OS::AodhHA::ServiceAlarm
    properties: {guest: {get_resource: heartbeat}, severity: {get_param: severity}}
  handle:
    type: OS::AodhHA::WaitConditionHandle
  user:
    type: AWS::IAM::User
  key:
    type: OS::AodhHA::AccessKey
    properties: {UserName: {get_resource: user}}
  instance:
    type: OS::AodhHA::EC2Instance
    properties:
      ImageId: tiny
      InstanceType: m1.nano
      UserData: {get_resource: handle}
  group:
    type: OS::AodhHA::Group
    properties: {policy: stateless, servers: [{get_resource: instance}]}
  restarter:
    type: OS::Heat::HARestarter
    properties: {InstanceId: {get_resource: instance}}
  watch:
    type: OS::AodhHA::CloudWatchAlarm
    properties:
      MetricName: ServiceFailure
      Statistic: SampleCount
      Period: 60
      EvaluationPeriods: 1
      ComparisonOperator: GreaterThanThreshold
      Threshold: {get_param: threshold}
      AlarmActions: [{get_attr: [restarter, AlarmUrl]}]
outputs:
  credentials: {value: {get_attr: [heartbeat, credentials]}}
  members: {value: {get_attr: [group, members]}}
  url: {value: {get_attr: [restarter, AlarmUrl]}}
  handle: {value: {get_resource: handle}}
  secret: {value: {get_attr: [key, SecretAccessKey]}}
"""


@contextlib.contextmanager
def older_engine(cloud: Devcloud, log: pathlib.Path) -> Iterator[None]:
    """Heat's engine with the older plugin, in place of devcloud's."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith('OS_')}
    environment['PYTHONPATH'] = str(OLDER)
    configuration = cloud.state / 'etc' / 'heat' / 'heat.conf'
    programs = pathlib.Path(cloud.environment['DEVCLOUD_VENV']) / 'bin'
    which = [programs / 'python', '-c', 'import aodh_ha; print(aodh_ha.__file__)']
    found = subprocess.run(
        which, env=environment, cwd=OLDER.parent, stdout=subprocess.PIPE, check=True
    )
    assert str(OLDER) in found.stdout.decode(), 'it is the older one'
    with cloud.stopped('heat-engine'), log.open('wb') as output:
        process = subprocess.Popen(
            [programs / 'heat-engine', '--config-file', configuration],
            env=environment,
            cwd=OLDER.parent,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


def types(cloud: Devcloud) -> dict[str, dict[str, Any]]:
    """Properties and attributes of each type of ours, by its name."""
    heat = cloud.demo.orchestration
    listed = heat.get('/resource_types').json()['resource_types']
    ours = [t for t in listed if t.startswith('OS::AodhHA::') or t == 'OS::Heat::HARestarter']
    return {name: heat.get(f'/resource_types/{name}').json() for name in ours}


@pytest.fixture(scope='module')
def before(
    cloud: Devcloud, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """What the older plugin said, and what it made: types, resources and outputs."""
    stacks = Stacks(cloud)
    with older_engine(cloud, tmp_path_factory.mktemp('older') / 'heat-engine.log'):
        found = types(cloud)
        stacks.create(NAME, TEMPLATE)
        stacks.created(NAME)
        made = {
            'types': found,
            'resources': resources(cloud, NAME),
            'outputs': stacks.outputs(NAME),
        }
    yield made
    left = stacks.heat.find_stack(NAME)
    if left:
        stacks.delete(left.id)


def test_what_templates_use_is_there_as_it_was(
    cloud: Devcloud, before: dict[str, dict[str, Any]]
) -> None:
    now = types(cloud)
    for name, old in before['types'].items():
        assert old['attributes'].keys() <= now[name]['attributes'].keys(), name
        for key, schema in old['properties'].items():
            new = now[name]['properties'][key]
            assert new['type'] == schema['type'], (name, key)
            assert new['update_allowed'] or not schema['update_allowed'], (name, key)
            assert not new['required'] or schema['required'], (name, key)
        for key, schema in now[name]['properties'].items():
            assert key in old['properties'] or not schema['required'], (name, key)


def test_the_stack_is_well_and_shows_what_it_showed(
    cloud: Devcloud, before: dict[str, dict[str, Any]]
) -> None:
    stacks = Stacks(cloud)
    assert stacks.outputs(NAME) == before['outputs']
    assert stacks.check(NAME).status == 'CHECK_COMPLETE'


def test_an_update_changes_it_and_replaces_nothing(
    cloud: Devcloud, before: dict[str, dict[str, Any]]
) -> None:
    stacks = Stacks(cloud)
    stacks.update(NAME, TEMPLATE, missed=5, threshold=6, severity='low')
    assert resources(cloud, NAME) == before['resources']
    assert stacks.outputs(NAME) == before['outputs']
    silent = cloud.api.alarm(before['resources']['silent'])
    assert silent['threshold'] == 6
    assert cloud.api.policy(before['resources']['policy'])['heartbeat']['missed'] == 5


def test_its_guest_is_recovered(cloud: Devcloud, before: dict[str, dict[str, Any]]) -> None:
    guest = Guest(cloud, before['resources']['server'], NAME)
    wait(lambda: guest.measures()[-1:] == [0.0], 'it is healthy', 120)
    guest.fault('freeze')
    assert guest.ended(240)['recovery']['status'] == 'recovered'


def test_it_can_be_deleted_and_leaves_nothing(
    cloud: Devcloud, before: dict[str, dict[str, Any]]
) -> None:
    stacks = Stacks(cloud)
    had = before['resources']
    carriers = [cloud.api.alarm(had[name])['aodh_alarm_id'] for name in ('silent', 'failing')]
    carriers.append(cloud.api.watch(had['watch'])['aodh_alarm_id'])
    assert stacks.delete(stacks.heat.find_stack(NAME).id) == 'DELETE_COMPLETE'
    servers = {had['server'], had['instance']}
    assert not {g['id'] for g in cloud.api.guests()} & servers
    assert not {a['server_id'] for a in cloud.api.alarms()} & servers
    assert had['policy'] not in [p['name'] for p in cloud.api.policies()]
    for carrier in carriers:
        with pytest.raises(NotFound):
            cloud.aodh.get(carrier)
