"""Guests of old images: unmodified heat-cfntools 1.4.2 with the credentials of a stack's user.

The guest's own agent is silent: nobody has given it a key.
"""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import botocore.config
import botocore.session
import pytest
from botocore.exceptions import ClientError

from tests.acceptance.cfntools import NEEDED, Tools, forwarded, unpack
from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import Devcloud, Guest, wait

ADDRESS = '127.0.0.83'
"""Of the bridge, as the guest knows it; its port is built into cfn-push-stats."""
ALARM = 'HeartbeatFailureAlarm'
STACK = 'cfn'
POLICY = """
name: cfn
heartbeat: {interval: 3s, missed: 3, boot_grace: 40s}
preserve: [volumes, fixed_ips]
steps:
  - {action: server.reboot, type: soft, verify: 30s}
  - {action: server.reboot, type: hard, verify: 30s}
"""
TEMPLATE = """
heat_template_version: 2021-04-16
resources:
  user: {type: AWS::IAM::User}
  key:
    type: AWS::IAM::AccessKey
    properties: {UserName: {get_resource: user}}
  handle: {type: AWS::CloudFormation::WaitConditionHandle}
  server:
    type: OS::Nova::Server
    metadata:
      AWS::CloudFormation::Init:
        config:
          files:
            /var/log/told-by-heat:
              content: CONTENT
              mode: '000600'
              owner: root
              group: root
    properties:
      image: tiny
      flavor: m1.nano
      networks: [{network: net}]
outputs:
  access: {value: {get_resource: key}}
  secret: {value: {get_attr: [key, SecretAccessKey]}}
  handle: {value: {get_resource: handle}}
"""
POOL: dict[str, dict[str, object]] = {'cfn-stranger': {}}

pytestmark = NEEDED


@dataclass
class Old:
    """A guest with the old tools, and a cron that runs cfn-push-stats."""

    guest: Guest
    tools: Tools
    access: str
    secret: str
    handle: str
    stopped: threading.Event = field(default_factory=threading.Event)
    said: list[str] = field(default_factory=list)
    pushing: threading.Lock = field(default_factory=threading.Lock)

    def cron(self) -> None:
        """Push a heartbeat each second, but while the guest is silent."""
        while not self.stopped.wait(1):
            with self.pushing:
                if self.silent:
                    continue
                done = self.tools.run('cfn-push-stats', '--heartbeat', '--watch', ALARM)
            if done.returncode:
                self.said.append(done.stderr[-1000:])

    silent = False


@pytest.fixture(scope='module')
def old(cloud: Devcloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Old]:
    """The stack's server, enrolled and watched; nothing was ever heard of it."""
    packages = unpack(tmp_path_factory.mktemp('packages'))
    cloud.api.save_policy('cfn', POLICY)
    heat = cloud.demo.orchestration
    heat.create_stack(name=STACK, template=TEMPLATE.replace('CONTENT', 'first'))
    stack = heat.wait_for_status(heat.find_stack(STACK), 'CREATE_COMPLETE', wait=300)
    outputs = {o['output_key']: o['output_value'] for o in heat.get_stack(stack.id).outputs}
    (server,) = (r for r in heat.resources(STACK) if r.name == 'server')
    guest = Guest(cloud, server.physical_resource_id, 'cfn')
    cloud.api.enroll(guest.id, policy='cfn')
    wait(lambda: guest.shown()['stack_id'] == stack.id, 'a worker sees the stack')
    tools = Tools(packages, tmp_path_factory.mktemp('guests') / 'cfn')
    tools.give(outputs['access'], outputs['secret'], ADDRESS, f'http://127.0.0.1:{cfn(cloud)}')
    tools.is_server(guest.id)
    made = Old(guest, tools, outputs['access'], outputs['secret'], outputs['handle'])
    thread = threading.Thread(target=made.cron, daemon=True)
    with forwarded(ADDRESS, port(cloud)):
        thread.start()
        try:
            yield made
        finally:
            made.stopped.set()
            thread.join(60)
            heat.delete_stack(stack.id)
            guest.forget()


def port(cloud: Devcloud) -> int:
    """The bridge's."""
    return int(cloud.url.rpartition(':')[2]) + 16


def cfn(cloud: Devcloud) -> int:
    """Of Heat's CloudFormation API."""
    return int(cloud.url.rpartition(':')[2]) - 82


def test_cfn_push_stats_keeps_a_guest_alive_and_its_silence_is_recovered(old: Old) -> None:
    guest = old.guest
    wait(lambda: guest.shown()['beats'] >= 3, 'three heartbeats', 60)
    guest.alarm()
    wait(lambda: guest.measures()[-1:] == [0.0], 'a measure', 120, every=1)
    since = time.time()
    wait(lambda: guest.shown()['beats'] >= 15, 'more heartbeats', 60)
    assert set(guest.measures(since=since)) <= {0.0}
    assert guest.recoveries() == []
    assert (guest.shown()['seen_by'], old.said) == ('cloudwatch', [])

    silent_since = time.time()
    old.silent = True
    wait(guest.actions, 'something is done about the silence', 120)
    print(f'the reboot came {time.time() - silent_since:.1f} s after the last heartbeat')
    old.silent = False  # as cron does after a boot
    recovery = guest.ended()['recovery']
    assert (recovery['status'], recovery['trigger']) == ('recovered', 'heartbeat'), recovery
    assert guest.actions() == ['reboot']


def refused(old: Old) -> bool:
    """Whether the guest may not say what it says."""
    done = old.tools.run('cfn-push-stats', '--service-failure')
    assert done.returncode != 0
    return 'AccessDenied' in done.stderr and '403' in done.stderr


def test_a_forged_instance_id_is_refused(cloud: Devcloud, old: Old, pool: Pool) -> None:
    stranger = pool(['cfn-stranger'])['cfn-stranger']
    # Not while cron runs: that heartbeat would be forged, too.
    with old.pushing:
        old.tools.is_server(stranger.id)
        try:
            # Until a worker has seen which stack a guest is of, nobody can tell.
            wait(lambda: refused(old), 'the stack of the stranger is known')
        finally:
            old.tools.is_server(old.guest.id)
    shown = stranger.shown()
    assert (shown['failures'], shown['seen_by']) == (0, 'agent')
    wait(lambda: stranger.events('heartbeat_refused'), 'the owner is told')
    cloud.remove([stranger])


def test_watch_tells_who_it_is_where_there_is_no_metadata_service(
    cloud: Devcloud, old: Old
) -> None:
    cloud.api.create_alarm(old.guest.id, 'service', 3, 'ServiceFailureAlarm')
    old.tools.write('/var/lib/heat-cfntools/nova_meta.json', 'nothing came')
    try:
        for name in ('ServiceFailureAlarm', f'{STACK}-ServiceFailureAlarm-a1b2c3d4e5f6'):
            command = ('--metric', name, '--value', '1', '--units', 'Count', '--watch', name)
            done = old.tools.run('cfn-push-stats', *command)
            assert done.returncode == 0, done.stderr
    finally:
        old.tools.is_server(old.guest.id)


def test_metrics_and_service_failures(old: Old) -> None:
    done = old.tools.run('cfn-push-stats', '--cpu-util', '--disk-space-util')
    assert done.returncode == 0, done.stderr
    done = old.tools.run(
        'cfn-push-stats', '--metric', 'queue', '--value', '7.5', '--units', 'Count'
    )
    assert done.returncode == 0, done.stderr
    client = cloudwatch(old.access, old.secret)
    listed = {m['MetricName'] for m in client.list_metrics()['Metrics']}
    assert {'Heartbeat', 'CPUUtilization', 'DiskSpaceUtilization', 'queue'} <= listed
    assert old.tools.run('cfn-push-stats', '--service-failure').returncode == 0
    assert old.guest.shown()['failures'] == 1
    wait(
        lambda: old.guest.measures('guest.service.failures')[-1:] == [1.0],
        'a measure of the failure',
        60,
    )


def cloudwatch(access: str, secret: str, address: str = ADDRESS) -> Any:
    """Boto3's client. It speaks JSON by default; the bridge the query protocol, as Heat did."""
    core = botocore.session.Session()
    model = core.get_component('data_loader').load_service_model('cloudwatch', 'service-2')
    model['metadata'] |= {'protocol': 'query', 'protocols': ['query']}
    session = boto3.Session(botocore_session=core)
    return session.client(
        'cloudwatch',
        endpoint_url=f'http://{address}:8003/v1/',
        region_name='RegionOne',
        aws_access_key_id=access,
        aws_secret_access_key=secret,
        # A busy Keystone does not say in time whether a signature is good: then it is a 503.
        config=botocore.config.Config(retries={'mode': 'standard', 'total_max_attempts': 10}),
    )


def heartbeat(server_id: str) -> dict[str, Any]:
    dimensions = [{'Name': 'InstanceId', 'Value': server_id}]
    datum = {'MetricName': 'Heartbeat', 'Value': 1, 'Unit': 'Count', 'Dimensions': dimensions}
    return {'Namespace': 'system/linux', 'MetricData': [datum]}


def test_boto3_speaks_for_the_stack_and_for_the_project(cloud: Devcloud, old: Old) -> None:
    client = cloudwatch(old.access, old.secret)
    before = old.guest.shown()['beats']
    client.put_metric_data(**heartbeat(old.guest.id))
    assert old.guest.shown()['beats'] > before
    alarms = client.describe_alarms()['MetricAlarms']
    assert {a['MetricName'] for a in alarms} == {'Heartbeat', 'ServiceFailure'}
    assert alarms[0]['Dimensions'] == [{'Name': 'InstanceId', 'Value': old.guest.id}]
    with pytest.raises(ClientError, match='SignatureDoesNotMatch'):
        cloudwatch(old.access, 'guessed').put_metric_data(**heartbeat(old.guest.id))
    # A user of the project, and a stranger.
    for who, refused in ((cloud.demo, False), (cloud.other, True)):
        identity = who.session.get_endpoint(service_type='identity').rstrip('/')
        url = identity if identity.endswith('/v3') else f'{identity}/v3'
        made = who.session.post(
            f'{url}/users/{who.current_user_id}/credentials/OS-EC2',
            json={'tenant_id': who.current_project_id},
        ).json()['credential']
        user = cloudwatch(made['access'], made['secret'])
        if refused:
            with pytest.raises(ClientError, match='AccessDenied'):
                user.put_metric_data(**heartbeat(old.guest.id))
        else:
            user.put_metric_data(**heartbeat(old.guest.id))


def test_the_other_tools_go_on_talking_to_heat(cloud: Devcloud, old: Old) -> None:
    tools = old.tools
    arguments = ('-s', STACK, '-r', 'server')
    keys = ('--access-key', old.access, '--secret-key', old.secret)
    shown = tools.run('cfn-get-metadata', *arguments, *keys)
    assert shown.returncode == 0, shown.stderr
    assert 'told-by-heat' in shown.stdout
    done = tools.run('cfn-init', *arguments, *keys)
    told = tools.folder / 'log' / 'told-by-heat'
    assert (done.returncode, told.read_text()) == (0, 'first'), done.stderr
    done = tools.run('cfn-signal', '-d', 'done', old.handle)
    assert done.returncode == 0, done.stderr
    signalled = cloud.demo.orchestration.get(
        f'/stacks/{STACK}/{stack_id(cloud)}/resources/handle/metadata'
    ).json()['metadata']
    assert signalled[old.guest.id]['Data'] == 'done', signalled

    tools.write(
        '/etc/cfn/cfn-hup.conf',
        f'[main]\nstack={STACK}\ncredential-file=/etc/cfn/cfn-credentials\nregion=heat\n',
    )
    tools.write(
        '/etc/cfn/hooks.conf',
        '[update]\ntriggers=post.update\npath=Resources.server.Metadata\n'
        'action=touch /var/log/hook-ran\nrunas=root\n',
    )
    hook = tools.folder / 'log' / 'hook-ran'
    assert hup(tools).returncode == 0, (tools.folder / 'log' / 'cfn-hup.log').read_text()
    assert not hook.exists()
    heat = cloud.demo.orchestration
    changed = TEMPLATE.replace('CONTENT', 'second')
    heat.update_stack(heat.find_stack(STACK), template=changed)
    wait(lambda: hup(tools).returncode == 0 and hook.exists(), 'the hook runs', 120, every=2)
    assert old.guest.shown()['missed'] == 0, 'the heartbeats go on beside it'
    assert old.said == [], json.dumps(old.said)


def hup(tools: Tools) -> subprocess.CompletedProcess[str]:
    return tools.run('cfn-hup', '-f', '-v')


def stack_id(cloud: Devcloud) -> str:
    return str(cloud.demo.orchestration.find_stack(STACK).id)
