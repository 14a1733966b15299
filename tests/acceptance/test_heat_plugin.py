"""Our resource types in a tenant's stacks: made, changed, checked, replaced, broken, deleted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openstack
import pytest
from gnocchiclient import exceptions as gnocchi

from aodh_ha.exceptions import NotFound
from aodh_ha.rules.alarm import RESOURCE_TYPE
from tests.acceptance.devcloud import Devcloud, Guest, wait
from tests.acceptance.orchestration import Stacks
from tests.acceptance.stacks import resources

KEPT, BROKEN, GROUP, RESTARTED = 'heat-kept', 'heat-broken', 'heat-group', 'heat-restarted'
TYPES = {'RecoveryPolicy', 'GuestHeartbeat', 'HeartbeatAlarm', 'ServiceAlarm', 'Group'}

TEMPLATE = """
heat_template_version: 2021-04-16
parameters:
  step: {type: json, default: {action: server.rebuild, verify: 60s}}
  missed: {type: number, default: 4}
  threshold: {type: number, default: 4}
  severity: {type: string, default: moderate}
resources:
  policy:
    type: OS::AodhHA::RecoveryPolicy
    properties:
      heartbeat: {interval: 2s, missed: {get_param: missed}, boot_grace: 20s}
      preserve: [volumes]
      steps:
        - get_param: step
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
    properties:
      guest: {get_resource: heartbeat}
      threshold: {get_param: threshold}
  failing:
    type: OS::AodhHA::ServiceAlarm
    properties:
      guest: {get_resource: heartbeat}
      severity: {get_param: severity}
outputs:
  credentials: {value: {get_attr: [heartbeat, credentials]}}
  user_data: {value: {get_attr: [heartbeat, user_data]}}
  beats: {value: {get_attr: [heartbeat, beats]}}
"""
REPLACE = {'step': {'action': 'server.replace', 'verify': '180s'}}

GROUP_TEMPLATE = """
heat_template_version: 2021-04-16
parameters:
  size: {type: number, default: 1}
resources:
  single:
    type: OS::Nova::Server
    properties: {image: tiny, flavor: m1.nano, networks: [{network: net}]}
  scaled:
    type: OS::Heat::AutoScalingGroup
    properties:
      min_size: 1
      max_size: 3
      desired_capacity: {get_param: size}
      resource:
        type: OS::Nova::Server
        properties: {image: tiny, flavor: m1.nano, networks: [{network: net}]}
  group:
    type: OS::AodhHA::Group
    properties:
      policy: stateless
      servers: [{get_resource: single}]
      stacks: [{get_resource: scaled}]
outputs:
  refs: {value: {get_attr: [scaled, refs]}}
  members: {value: {get_attr: [group, members]}}
"""

RESTARTED_TEMPLATE = """
heat_template_version: 2021-04-16
parameters:
  count: {type: number, default: 1}
resources:
  handle:
    type: OS::AodhHA::WaitConditionHandle
  instance:
    type: OS::AodhHA::EC2Instance
    properties: {ImageId: tiny, InstanceType: m1.nano, UserData: {get_resource: handle}}
  restarter:
    type: OS::Heat::HARestarter
    properties: {InstanceId: {get_resource: instance}}
  counted:
    type: OS::Heat::Value
    properties: {value: {get_param: count}}
outputs:
  url: {value: {get_attr: [restarter, AlarmUrl]}}
"""

POLICY_ONLY = """
heat_template_version: 2021-04-16
resources:
  policy:
    type: OS::AodhHA::RecoveryPolicy
    properties: {steps: [{action: server.reboot, type: hard}]}
"""


def refusal(stacks: Stacks, template: str) -> str:
    """Why Heat takes no such stack."""
    with pytest.raises(openstack.exceptions.BadRequestException) as refused:
        stacks.create('heat-invalid', template)
    return str(refused.value)


def members(cloud: Devcloud, name: str) -> dict[str, dict[str, Any]]:
    """The guests of a group."""
    return {g['id']: g for g in cloud.api.guests() if g['group'] == name}


@pytest.fixture(scope='module')
def stacks(cloud: Devcloud) -> Iterator[Stacks]:
    """Stacks, made at the same time; the server of one is beyond every boot then, and the group
    of another grows by one."""
    found = Stacks(cloud)
    found.create(KEPT, TEMPLATE)
    found.create(BROKEN, TEMPLATE, **REPLACE)
    found.create(GROUP, GROUP_TEMPLATE)
    for name in (KEPT, BROKEN, GROUP):
        found.created(name)
    broken = Guest(cloud, resources(cloud, BROKEN)['server'], BROKEN)
    wait(lambda: broken.measures()[-1:] == [0.0], 'a measure of the guest to be broken', 120)
    broken.fault('panic', '--healed-by', 'nothing')
    group = resources(cloud, GROUP)['group']
    wait(lambda: len(members(cloud, group)) == 2, 'one that scales is a member', 120)
    found.begin_update(GROUP, GROUP_TEMPLATE, size=2)
    yield found
    for name in (KEPT, BROKEN, GROUP):
        left = found.heat.find_stack(name)
        if left:
            found.delete(left.id)


@pytest.mark.parametrize(
    ('old', 'new', 'where'),
    [
        ('interval: 2s', 'interval: 2', 'policy.properties.heartbeat.interval'),
        ('preserve: [volumes]', 'preserve: [root_disk]', 'policy.properties.steps[0].action'),
        ('steps:', 'rungs:', 'policy.properties'),
        ('policy: {get_resource: policy}', 'policy: nobody', 'heartbeat.properties.policy'),
        ('server: {get_resource: server}', 'server: nobody', 'heartbeat.properties.server'),
        ('wait: 240s', 'wait: for ever', 'heartbeat.properties.wait'),
        ('default: moderate', 'default: mild', 'failing.properties.severity'),
        ('guest: {get_resource: heartbeat}', 'guest: nobody', 'silent.properties.guest'),
        (
            'threshold: {type: number, default: 4}',
            'threshold: {type: number, default: 0}',
            'silent.properties.threshold',
        ),
    ],
)
def test_a_wrong_property_is_refused_by_its_name(
    stacks: Stacks, old: str, new: str, where: str
) -> None:
    assert old in TEMPLATE
    assert f'resources.{where}' in refusal(stacks, TEMPLATE.replace(old, new, 1)), where


def test_what_heat_says_of_the_types_is_written_for_people(cloud: Devcloud) -> None:
    # Heat 27 describes a type in its list only: of one type it tells properties and attributes.
    listed = cloud.demo.orchestration.get(
        '/resource_types?with_description=true&name=OS::AodhHA::'
    ).json()['resource_types']
    assert {t['resource_type'].removeprefix('OS::AodhHA::') for t in listed} >= TYPES
    for listed_type in listed:
        assert len(listed_type['description']) > 50, listed_type
        name = listed_type['resource_type']
        shown = cloud.demo.orchestration.get(f'/resource_types/{name}').json()
        for described in (*shown['properties'].values(), *shown['attributes'].values()):
            assert described.get('description'), (name, described)


def test_a_guest_is_complete_when_it_was_heard_and_its_credentials_are_attributes(
    cloud: Devcloud, stacks: Stacks
) -> None:
    server_id = resources(cloud, KEPT)['heartbeat']
    assert server_id == resources(cloud, KEPT)['server'], 'a reference to it is the server'
    found = stacks.outputs(KEPT)
    assert found['beats'] >= 1
    assert found['credentials']['guest'] == server_id
    assert found['credentials']['key'] in found['user_data']
    key = cloud.demo.compute.get_server_metadata(server_id).metadata['aodh_ha_key']
    assert key == found['credentials']['key']


def test_an_update_changes_all_of_it_and_replaces_nothing(cloud: Devcloud, stacks: Stacks) -> None:
    before = resources(cloud, KEPT)
    stacks.update(KEPT, TEMPLATE, missed=5, threshold=6, severity='low')
    assert resources(cloud, KEPT) == before
    policy = cloud.api.policy(before['policy'])
    assert (policy['version'], policy['heartbeat']['missed']) == (2, 5)
    alarms = {a['id']: a for a in cloud.api.alarms(before['server'])}
    assert alarms.keys() == {before['silent'], before['failing']}
    silent = cloud.aodh.get(alarms[before['silent']]['aodh_alarm_id'])
    failing = cloud.aodh.get(alarms[before['failing']]['aodh_alarm_id'])
    assert silent['gnocchi_resources_threshold_rule']['threshold'] == 6.0
    assert (silent['severity'], failing['severity']) == ('critical', 'low')


def test_a_check_finds_what_is_gone_and_the_next_update_mends_it_in_place(
    cloud: Devcloud, stacks: Stacks
) -> None:
    parameters = {'missed': 5, 'threshold': 6, 'severity': 'low'}
    assert stacks.check(KEPT).status == 'CHECK_COMPLETE'
    before = resources(cloud, KEPT)
    cloud.aodh.delete(cloud.api.alarm(before['silent'])['aodh_alarm_id'])
    cloud.api.delete_alarm(before['failing'])
    assert stacks.check(KEPT).status == 'CHECK_FAILED'
    failed = {
        r.name for r in cloud.demo.orchestration.resources(KEPT) if r.status == 'CHECK_FAILED'
    }
    assert failed == {'silent', 'failing'}
    stacks.update(KEPT, TEMPLATE, **parameters)
    now = resources(cloud, KEPT)
    assert {k for k in now if now[k] != before[k]} == {'failing'}, 'it had to be made again'
    for name in ('silent', 'failing'):
        assert cloud.aodh.get(cloud.api.alarm(now[name])['aodh_alarm_id'])
    assert stacks.check(KEPT).status == 'CHECK_COMPLETE'


def test_a_guest_and_its_alarms_go_on_in_the_server_that_heat_puts_in_the_place_of_another(
    cloud: Devcloud, stacks: Stacks
) -> None:
    before = resources(cloud, KEPT)
    stacks.unhealthy(KEPT, 'server')
    stacks.update(KEPT, TEMPLATE, missed=5, threshold=6, severity='low')
    now = resources(cloud, KEPT)
    assert now['server'] == now['heartbeat'] != before['server']
    assert {k: now[k] for k in ('policy', 'silent', 'failing')} == {
        k: before[k] for k in ('policy', 'silent', 'failing')
    }
    assert {a['id'] for a in cloud.api.alarms(now['server'])} == {now['silent'], now['failing']}
    assert cloud.api.guest(now['server'])['guest']['beats'] >= 1, 'the update waited for it'
    assert before['server'] not in [g['id'] for g in cloud.api.guests()]


def test_a_silent_guest_is_recovered_by_a_step_through_the_very_stack_that_watches_it(
    cloud: Devcloud, stacks: Stacks
) -> None:
    name = resources(cloud, BROKEN)['policy']

    def ended() -> dict[str, Any] | None:
        found = [r for r in cloud.api.recoveries() if r['policy'] == name]
        return found[0] if found and found[0]['finished_at'] else None

    recovery = wait(ended, 'the recovery ends', 300)
    assert recovery
    shown = cloud.api.recovery(recovery['id'])
    assert recovery['status'] == 'recovered', shown
    assert {a['action'] for a in shown['attempts']} == {'server.replace'}, shown
    now = resources(cloud, BROKEN)
    assert recovery['server_id'] == now['server'] == now['heartbeat']
    assert {a['id'] for a in cloud.api.alarms(now['server'])} == {now['silent'], now['failing']}
    assert stacks.settled(BROKEN).status == 'UPDATE_COMPLETE'


def test_a_group_has_its_servers_and_those_of_an_autoscaling_group_that_grows(
    cloud: Devcloud, stacks: Stacks
) -> None:
    group = resources(cloud, GROUP)['group']
    single = resources(cloud, GROUP)['single']
    stacks.updated(GROUP)
    wait(lambda: len(members(cloud, group)) == 3, 'another member', 120)
    found = members(cloud, group)
    assert found.keys() == {single, *stacks.outputs(GROUP)['refs']}
    assert {g['policy'] for g in found.values()} == {'stateless'}
    assert set(stacks.outputs(GROUP)['members']) == found.keys()

    def watched() -> bool:
        alarms = [a for g in found for a in cloud.api.alarms(g) if a['aodh_alarm_id']]
        return len({(a['server_id'], a['trigger']) for a in alarms}) == len(alarms) == 6

    wait(watched, 'each member is heard and has both alarms', 120)
    assert stacks.check(GROUP).status == 'CHECK_COMPLETE'


@pytest.fixture(scope='module')
def restarted(cloud: Devcloud) -> Iterator[Stacks]:
    """A stack as of 2014, which others look at with all that it has while it is made."""
    found = Stacks(cloud)
    stack_id = found.create(RESTARTED, RESTARTED_TEMPLATE)
    with ThreadPoolExecutor(2) as threads:

        def look(_: int) -> None:
            while found.heat.get_stack(RESTARTED).status == 'CREATE_IN_PROGRESS':
                pass

        list(threads.map(look, range(2)))
    found.created(RESTARTED)
    yield found
    assert found.delete(stack_id) == 'DELETE_COMPLETE'


def test_who_looks_at_a_stack_that_is_made_makes_nothing(
    cloud: Devcloud, restarted: Stacks
) -> None:
    """Else an update puts another server in the place of one whose user data have the URL."""
    before = resources(cloud, RESTARTED)
    restarted.update(RESTARTED, RESTARTED_TEMPLATE, count=2)
    assert resources(cloud, RESTARTED) == before


def test_a_restarter_goes_on_with_the_server_that_heat_puts_in_the_place_of_another(
    cloud: Devcloud, restarted: Stacks
) -> None:
    before, url = resources(cloud, RESTARTED), restarted.outputs(RESTARTED)['url']
    cloud.api.enroll(before['instance'], policy='stateless')
    restarted.unhealthy(RESTARTED, 'instance')
    restarted.update(RESTARTED, RESTARTED_TEMPLATE, count=2)
    now = resources(cloud, RESTARTED)
    assert now['instance'] != before['instance']
    assert now['restarter'] == before['restarter']
    assert restarted.outputs(RESTARTED)['url'] == url
    assert cloud.api.alarm(now['restarter'])['server_id'] == now['instance']
    assert cloud.api.guest(now['instance'])['guest']['policy'] == 'stateless'
    assert before['instance'] not in [g['id'] for g in cloud.api.guests()]


@pytest.fixture(scope='module')
def deleted(cloud: Devcloud, stacks: Stacks) -> dict[str, list[str]]:
    """What the stacks had, which are deleted by now."""
    had: dict[str, list[str]] = {'guests': [], 'alarms': [], 'policies': [], 'measures': []}
    for name in (KEPT, BROKEN):
        of = resources(cloud, name)
        shown = cloud.api.guest(of['heartbeat'])['guest']
        had['guests'].append(shown['id'])
        had['measures'].append(shown['resource_id'])
        had['policies'].append(of['policy'])
    for guest in members(cloud, resources(cloud, GROUP)['group']).values():
        had['guests'].append(guest['id'])
        had['measures'].append(guest['resource_id'])
    for guest_id in had['guests']:
        had['alarms'] += [a['aodh_alarm_id'] for a in cloud.api.alarms(guest_id)]
    assert len(had['alarms']) == 10
    with ThreadPoolExecutor() as threads:
        ids = [stacks.heat.find_stack(n).id for n in (KEPT, BROKEN, GROUP)]
        assert list(threads.map(stacks.delete, ids)) == ['DELETE_COMPLETE'] * 3
    return had


def test_a_deleted_stack_leaves_nothing_with_us_and_in_aodh(
    cloud: Devcloud, deleted: dict[str, list[str]]
) -> None:
    assert not {g['id'] for g in cloud.api.guests()} & set(deleted['guests'])
    assert not {a['server_id'] for a in cloud.api.alarms()} & set(deleted['guests'])
    assert not {p['name'] for p in cloud.api.policies()} & set(deleted['policies'])
    assert not [r for r in cloud.api.enrolment_rules() if GROUP in r['name']]
    for alarm_id in deleted['alarms']:
        with pytest.raises(NotFound):
            cloud.aodh.get(alarm_id)


@pytest.mark.disruptive
def test_while_aodh_ha_is_away_a_stack_waits_then_fails_with_the_reason_and_can_be_deleted(
    cloud: Devcloud,
) -> None:
    stacks = Stacks(cloud)
    with cloud.stopped('aodh-ha-webhook'):
        stack_id = stacks.create('heat-failed', POLICY_ONLY)
        failed = stacks.settled('heat-failed')
        assert failed.status == 'CREATE_FAILED'
        assert cloud.url in failed.status_reason, failed.status_reason
        assert 'tried for' in failed.status_reason, failed.status_reason
        assert stacks.delete(stack_id) == 'DELETE_COMPLETE'
        stack_id = stacks.create('heat-patient', POLICY_ONLY)
    assert stacks.settled('heat-patient').status == 'CREATE_COMPLETE'
    assert stacks.delete(stack_id) == 'DELETE_COMPLETE'


def test_a_deleted_stack_leaves_nothing_in_gnocchi_after_a_while(
    cloud: Devcloud, deleted: dict[str, list[str]]
) -> None:
    def there() -> list[str]:
        left = []
        for resource_id in deleted['measures']:
            try:
                cloud.gnocchi.resource.get(RESOURCE_TYPE, resource_id)
                left.append(resource_id)
            except gnocchi.ResourceNotFound:
                pass
        return left

    wait(lambda: not there(), 'Gnocchi has nothing of the guests any more', 180, every=1)
