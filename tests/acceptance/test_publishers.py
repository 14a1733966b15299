"""The three ways of the meters: pollster, publisher plugin, and straight to Gnocchi."""

import subprocess
import sys
from collections.abc import Iterator

import oslo_messaging
import pytest
from oslo_config import cfg

from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

POOL: dict[str, dict[str, object]] = {'published': {}}


@pytest.fixture(scope='module')
def guest(cloud: Devcloud, pool: Pool) -> Iterator[Guest]:
    """A healthy, enrolled guest with an alarm."""
    (made,) = pool(POOL).values()
    yield made
    cloud.remove([made])


def test_the_pollster_tells_of_healthy_guests_too(guest: Guest) -> None:
    wait(lambda: guest.measures()[-1:] == [0.0], 'missed is 0 in Gnocchi', 60)
    wait(lambda: sum(guest.measures('guest.heartbeat')) > 0, 'heartbeats in Gnocchi', 60)


def test_a_guest_that_was_never_heard_is_counted_too(cloud: Devcloud) -> None:
    never = cloud.guest('never-heard')
    # Its agent gets no credentials, and little time to boot.
    cloud.api.enroll(never.id, policy='ladder', boot_grace=3)
    try:
        wait(lambda: never.shown()['status'] == 'enrolled', 'it is enrolled')
        wait(lambda: never.measures()[-1:] > [2.0], 'missed is counted in Gnocchi', 120)
        assert never.shown()['last_seen'] is None
    finally:
        never.forget()
        cloud.demo.compute.delete_server(never.id)


def test_what_a_guest_pushes_is_a_meter_on_which_an_alarm_fires(
    cloud: Devcloud, guest: Guest
) -> None:
    """The alarm of docs/metrics.rst; it is the user's, and recovers nothing."""
    meter = 'guest.metric.DiskSpaceUtilization'
    words = ['--metric', 'DiskSpaceUtilization', '--value', '93.5', '--unit', 'Percent']
    state = guest.folder() / 'root' / 'var/lib/aodh-ha-agent'
    done = subprocess.run(
        [sys.executable, '-m', 'aodh_ha.agent', 'push', *words, '--state-dir', str(state)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wait(lambda: guest.measures(meter, granularity=60)[-1:] == [93.5], 'it is in Gnocchi', 60)
    resource = cloud.gnocchi.resource.get('aodh_ha_guest', guest.shown()['resource_id'])
    assert cloud.gnocchi.metric.get(resource['metrics'][meter])['unit'] == 'Percent'
    alarm = cloud.aodh.create(
        {
            'name': f'{guest.name}-disk',
            'type': 'gnocchi_resources_threshold',
            'gnocchi_resources_threshold_rule': {
                'resource_type': 'aodh_ha_guest',
                'resource_id': guest.shown()['resource_id'],
                'metric': meter,
                'aggregation_method': 'last',
                'granularity': 300,
                'comparison_operator': 'ge',
                'threshold': 90,
                'evaluation_periods': 1,
            },
        }
    )['alarm_id']
    try:
        wait(lambda: cloud.aodh.get(alarm)['state'] == 'alarm', 'it fires', 60)
    finally:
        cloud.aodh.delete(alarm)
    assert guest.told() == []


def test_samples_of_a_pipeline_are_signs_of_life(cloud: Devcloud, guest: Guest) -> None:
    """A guest that another tool hears, told by a notification, is not silent."""
    guest.fault('agent-dies')
    conf = cfg.ConfigOpts()
    conf([])
    port = int(cloud.environment['DEVCLOUD_PORT']) + 72
    transport = oslo_messaging.get_notification_transport(
        conf, url=f'rabbit://guest:guest@127.0.0.1:{port}/'
    )
    notifier = oslo_messaging.Notifier(
        transport, driver='messagingv2', publisher_id='test', topics=['notifications']
    )
    server = guest.server()

    def notify() -> bool:
        payload = {
            'instance_id': guest.id,
            'project_id': server.project_id,
            'user_id': server.user_id,
            'instance_host': server.compute_host,
            'value': 1,
        }
        notifier.info({}, 'guest.heartbeat', payload)
        return str(guest.shown()['seen_by']) == 'ceilometer:guest.heartbeat.notified'

    wait(notify, 'the notification is a sign of life', 60, every=1)
    beats = guest.shown()['beats']
    wait(lambda: notify() and guest.shown()['beats'] >= beats + 5, 'several of them', 60, every=1)
    assert guest.shown()['missed'] == 0
    assert guest.told() == []
    # From here on nobody speaks for it any more: it is silent after all.
    assert guest.ended(120)['recovery']['status'] == 'recovered'
    assert guest.actions() == ['reboot']


def test_the_direct_publisher_serves_clouds_without_ceilometer(
    cloud: Devcloud, guest: Guest
) -> None:
    try:
        cloud.run('up', DEVCLOUD_PUBLISHER='gnocchi')  # without the central agent
        wait(lambda: guest.shown()['missed'] == 0, 'it is heard')
        guest.fault('agent-dies')
        wait(lambda: len(guest.recoveries()) == 2, 'its silence came through', 90)
        assert guest.ended(120)['recovery']['status'] == 'recovered'
    finally:
        cloud.run('up', DEVCLOUD_PUBLISHER='ceilometer')
