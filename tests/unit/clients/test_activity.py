"""What Ceilometer's measures in Gnocchi say of a silent server."""

import datetime
import uuid

import pytest
import requests

from aodh_ha.clients import activity
from aodh_ha.clients.gnocchi import _seconds
from aodh_ha.rules.evidence import Activity
from tests.unit.clients.conftest import GNOCCHI
from tests.unit.clients.test_nova import SERVER

NOW = 1795373465.0
HIGH = {
    'aggregation_methods': ['mean', 'rate:mean'],
    'definition': [
        {'granularity': '0:00:01', 'timespan': '1:00:00'},
        {'granularity': '0:01:00', 'timespan': '1 day, 0:00:00'},
    ],
}
LOW = {
    'aggregation_methods': ['mean', 'rate:mean'],
    'definition': [{'granularity': '0:05:00', 'timespan': '30 days, 0:00:00'}],
}


@pytest.mark.parametrize(
    ('policy', 'way'),
    [
        (HIGH, ('mean', 1)),
        (LOW, None),
        (HIGH | {'aggregation_methods': ['rate:mean']}, ('rate:mean', 1)),
        (HIGH | {'aggregation_methods': ['max', 'count', 'last']}, ('last', 1)),
        (HIGH | {'aggregation_methods': ['count']}, None),
        ({}, None),
    ],
)
def test_a_metric_is_read_by_the_finest_way_its_policy_offers(policy, way):
    assert activity.way(policy, _seconds) == way


@pytest.mark.parametrize(
    ('points', 'aggregation', 'rate'),
    [
        ([(NOW - 20, 1000.0), (NOW - 10, 3000.0)], 'mean', 200.0),
        ([(NOW - 90, 0.0), (NOW - 20, 1000.0), (NOW - 10, 1000.0)], 'mean', 0.0),
        ([(NOW - 20, 9.0), (NOW - 10, 3000.0)], 'rate:mean', 300.0),
        ([(NOW - 300, 0.0), (NOW - 10, 1000.0)], 'mean', None),  # only one is new enough
        ([(NOW - 20, 5000.0), (NOW - 10, 10.0)], 'mean', None),  # it booted in between
        ([], 'mean', None),
    ],
)
def test_only_the_newest_change_counts(points, aggregation, rate):
    assert activity.rate(points, aggregation, NOW) == rate


def metric(meter):
    return str(uuid.uuid5(uuid.NAMESPACE_OID, meter))


def stamp(at):
    return datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat()


@pytest.fixture
def measured(wire):
    """Gnocchi, with a server's metrics: a counter's growth a second by meter."""

    def measured(policy=HIGH, **growth):
        kinds = {
            'cpu': 'instance',
            'disk.device.read.bytes': 'instance_disk',
            'disk.device.write.bytes': 'instance_disk',
            'network.incoming.bytes': 'instance_network_interface',
            'network.outgoing.bytes': 'instance_network_interface',
        }
        for kind in set(kinds.values()):
            metrics = {m: metric(m) for m, k in kinds.items() if k == kind and m in growth}
            found = [{'id': 'r', 'metrics': metrics}] if metrics else []
            wire.mock.post(f'{GNOCCHI}/v1/search/resource/{kind}', json=found)
        for meter, grows in growth.items():
            url = f'{GNOCCHI}/v1/metric/{metric(meter)}'
            wire.mock.get(url, json={'id': metric(meter), 'archive_policy': policy})
            points = [[stamp(NOW - 20), 1.0, 50.0], [stamp(NOW - 10), 1.0, 50.0 + 10 * grows]]
            wire.mock.get(f'{url}/measures', json=points)

    return measured


def test_a_servers_devices_are_added_up(measured, cloud):
    meters = {'cpu': 5e8, 'disk.device.read.bytes': 600, 'disk.device.write.bytes': 400}
    measured(**meters)
    assert cloud.activity(SERVER, NOW) == Activity(0.5, 1000.0, None)
    assert cloud.activity(SERVER, NOW).alive


def test_a_hung_server_is_not_alive(measured, cloud):
    measured(**{'cpu': 0, 'network.incoming.bytes': 20, 'network.outgoing.bytes': 0})
    found = cloud.activity(SERVER, NOW)
    assert found == Activity(0.0, None, 20.0)
    assert not found.alive


def test_what_was_not_measured_finely_enough_is_not_known(measured, cloud):
    measured(policy=LOW, **{'disk.device.write.bytes': 99999})
    assert cloud.activity(SERVER, NOW) is None


def test_without_ceilometers_measures_nothing_is_known(wire, measured, cloud):
    measured()
    assert cloud.activity(SERVER, NOW) is None
    for kind in ('instance', 'instance_disk', 'instance_network_interface'):
        wire.mock.post(f'{GNOCCHI}/v1/search/resource/{kind}', status_code=404)
    assert cloud.activity(SERVER, NOW) is None


def test_a_gnocchi_that_is_away_or_absent_keeps_nobody_waiting(wire, cloud, session):
    wire.mock.post(f'{GNOCCHI}/v1/search/resource/instance', exc=requests.Timeout)
    assert cloud.activity(SERVER, NOW) is None
    del wire.catalog['metric']
    session.invalidate()
    assert cloud.activity(SERVER, NOW) is None
