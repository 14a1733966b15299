"""The requests that Gnocchi gets; its answers are those of Gnocchi 4.7.1."""

import json
import re
from dataclasses import replace

import pytest
import requests
from keystoneauth1 import noauth, session

from aodh_ha.clients import gnocchi
from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.db.metrics import record
from aodh_ha.exceptions import ActionRefused, CloudAway, ConfigurationError
from aodh_ha.publishers.direct import DirectPublisher
from aodh_ha.publishers.samples import Sample
from aodh_ha.rules.alarm import HEARTBEAT, MISSED
from aodh_ha.rules.heartbeat import Metric, resource_id

NOW = 1_764_000_000.25
URL = 'http://gnocchi.test'
BATCH = f'{URL}/v1/batch/resources/metrics/measures?create_metrics=True'
RESOURCES = f'{URL}/v1/resource/aodh_ha_guest'
POLICIES, TYPES = f'{URL}/v1/archive_policy/', f'{URL}/v1/resource_type/'

PLAIN = {'Content-Type': 'text/plain'}

POLICY = {
    'name': 'aodh-ha-heartbeat',
    'back_window': 0,
    'aggregation_methods': ['last', 'count', 'max'],
    'definition': [
        {'granularity': '0:00:10', 'points': 360, 'timespan': '1:00:00'},
        {'granularity': '0:01:00', 'points': 1440, 'timespan': '1 day, 0:00:00'},
    ],
}
METRICS = {
    'name': 'aodh-ha-metric',
    'back_window': 0,
    'aggregation_methods': ['rate:mean', 'mean', 'min', 'max', 'last'],
    'definition': [
        {'granularity': '0:01:00', 'points': 1440, 'timespan': '1 day, 0:00:00'},
        {'granularity': '0:05:00', 'points': 8640, 'timespan': '30 days, 0:00:00'},
    ],
}
TEXT = {'type': 'string', 'min_length': 0, 'max_length': 255, 'required': False}
TYPE = {
    'name': 'aodh_ha_guest',
    'state': 'active',
    'attributes': {'server_id': {'type': 'uuid', 'required': False}, 'display_name': TEXT},
}


class Plugin(noauth.NoAuth):
    def get_endpoint(self, session, **kwargs):
        return URL


@pytest.fixture
def client():
    return Gnocchi(session.Session(auth=Plugin()))


def sample(n, meter=MISSED, volume=0):
    server_id = f'00000000-0000-4000-8000-{n:012d}'
    return Sample(meter, volume, resource_id(server_id), server_id, 'p', f'guest {n}', NOW)


def refusal(status, description):
    return {
        'status_code': status,
        'json': {'code': status, 'description': description},
        'headers': {'Content-Type': 'application/json'},
    }


def unknown(*samples):
    ids = [{'resource_id': s.resource_id, 'original_resource_id': s.resource_id} for s in samples]
    return refusal(400, {'cause': 'Unknown resources', 'detail': ids})


def sent(requests_mock, method, url):
    return [
        json.loads(r.body)
        for r in requests_mock.request_history
        if r.method == method and r.url == url
    ]


def test_a_batch_names_the_archive_policy_of_each_metric(client, requests_mock):
    requests_mock.post(BATCH, status_code=202)
    one = sample(1, volume=3)
    assert client.write([one, sample(1, HEARTBEAT, 7)]) == 2
    (body,) = sent(requests_mock, 'POST', BATCH)
    policy = {'archive_policy_name': 'aodh-ha-heartbeat', 'unit': 'heartbeat'}
    at = '2025-11-24T16:00:00.250000'
    assert body == {
        one.resource_id: {
            MISSED: {**policy, 'measures': [{'timestamp': at, 'value': 3.0}]},
            HEARTBEAT: {**policy, 'measures': [{'timestamp': at, 'value': 7.0}]},
        }
    }


def test_a_metric_of_a_guest_has_an_archive_policy_and_unit_of_its_own(client, requests_mock):
    requests_mock.post(BATCH, status_code=202)
    measured = replace(sample(1, 'guest.metric.CPUUtilization', 12.5), own_unit='Percent')
    assert client.write([measured]) == 1
    (body,) = sent(requests_mock, 'POST', BATCH)
    (found,) = body[measured.resource_id].values()
    assert (found['archive_policy_name'], found['unit']) == ('aodh-ha-metric', 'Percent')
    assert found['measures'][0]['value'] == 12.5


def test_guests_with_many_metrics_go_in_more_requests(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'SAMPLES', 5)
    requests_mock.post(BATCH, status_code=202)
    samples = [sample(n, f'guest.metric.m{m}') for n in range(3) for m in range(2)]
    samples += [sample(9, f'guest.metric.m{m}') for m in range(7)]
    assert client.write(samples) == 13
    bodies = sent(requests_mock, 'POST', BATCH)
    assert [len(b) for b in bodies] == [2, 1, 1]


def test_nothing_to_write_sends_nothing(client, requests_mock):
    assert client.write([]) == 0
    assert requests_mock.call_count == 0


def test_many_guests_go_in_few_requests(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'BATCH', 4)
    requests_mock.post(BATCH, status_code=202)
    samples = [sample(n, meter) for meter in (MISSED, HEARTBEAT) for n in range(10)]
    assert client.write(samples) == 20
    bodies = sent(requests_mock, 'POST', BATCH)
    assert [len(b) for b in bodies] == [4, 4, 2]
    assert all(len(metrics) == 2 for b in bodies for metrics in b.values())


def test_a_guest_that_gnocchi_does_not_know_is_created_and_written(client, requests_mock):
    known, new = sample(1), sample(2)
    requests_mock.post(BATCH, [unknown(new), {'status_code': 202}, {'status_code': 202}])
    requests_mock.post(RESOURCES, status_code=201, json={})
    assert client.write([known, new]) == 2
    assert sent(requests_mock, 'POST', RESOURCES) == [
        {
            'id': new.resource_id,
            'project_id': 'p',
            'server_id': new.server_id,
            'display_name': 'guest 2',
        }
    ]
    assert [set(b) for b in sent(requests_mock, 'POST', BATCH)] == [
        {known.resource_id, new.resource_id},
        {known.resource_id},
        {new.resource_id},
    ]


def test_a_guest_that_another_publisher_has_just_created_is_written(client, requests_mock):
    new = sample(1)
    requests_mock.post(BATCH, [unknown(new), {'status_code': 202}])
    requests_mock.post(RESOURCES, **refusal(409, f'Resource {new.resource_id} already exists'))
    assert client.write([new]) == 1


def test_many_new_guests_do_not_hold_up_the_others(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'NEW', 2)
    known, new = sample(1), [sample(n) for n in range(2, 7)]
    requests_mock.post(BATCH, [unknown(*new), {'status_code': 202}, {'status_code': 202}])
    requests_mock.post(RESOURCES, status_code=201, json={})
    assert client.write([known, *new]) == 3
    assert len(sent(requests_mock, 'POST', RESOURCES)) == 2
    bodies = sent(requests_mock, 'POST', BATCH)
    assert set(bodies[1]) == {known.resource_id}
    assert len(bodies[2]) == 2


def test_new_guests_are_limited_over_all_batches_of_a_call(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'BATCH', 2)
    monkeypatch.setattr(gnocchi, 'NEW', 2)
    new = [sample(n) for n in range(4)]
    accepted = {'status_code': 202}
    requests_mock.post(BATCH, [unknown(*new[:2]), accepted, unknown(*new[2:]), accepted])
    requests_mock.post(RESOURCES, status_code=201, json={})
    assert client.write(new) == 2
    assert len(sent(requests_mock, 'POST', RESOURCES)) == 2


def test_a_resource_that_stays_unknown_ends_the_call(client, requests_mock):
    new = sample(1)
    requests_mock.post(BATCH, [unknown(new), unknown(new)])
    requests_mock.post(RESOURCES, status_code=201, json={})
    with pytest.raises(ActionRefused, match=new.resource_id):
        client.write([new])


@pytest.mark.parametrize(
    'answer',
    [
        {'exc': requests.exceptions.ConnectionError},
        {'exc': requests.exceptions.ConnectTimeout},
        {'exc': requests.exceptions.ReadTimeout},
        {'status_code': 500, 'text': 'Internal Server Error', 'headers': PLAIN},
        {'status_code': 503, 'text': 'Service Unavailable', 'headers': PLAIN},
        {'status_code': 401, 'text': 'Unauthorized', 'headers': PLAIN},
        {'status_code': 502},
    ],
)
def test_gnocchi_away_is_said_as_such(client, requests_mock, answer):
    requests_mock.post(BATCH, **answer)
    with pytest.raises(CloudAway, match='Gnocchi'):
        client.write([sample(1)])


def test_a_refusal_carries_gnocchis_reason(client, requests_mock):
    requests_mock.post(BATCH, **refusal(403, 'Forbidden by policy'))
    with pytest.raises(ActionRefused, match='403: Forbidden by policy'):
        client.write([sample(1)])


def test_a_refused_batch_keeps_no_other_one_out(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'BATCH', 1)
    no = refusal(400, 'Invalid input')
    requests_mock.post(BATCH, [no, {'status_code': 202}, no, {'status_code': 202}])
    samples = [sample(n) for n in range(4)]
    with pytest.raises(ActionRefused, match=r'Invalid input .*and 1 more .*2 samples'):
        client.write(samples)
    bodies = sent(requests_mock, 'POST', BATCH)
    assert [set(b) for b in bodies] == [{s.resource_id} for s in samples]


def test_after_gnocchi_went_away_no_further_batch_is_tried(client, requests_mock, monkeypatch):
    monkeypatch.setattr(gnocchi, 'BATCH', 1)
    requests_mock.post(BATCH, exc=requests.exceptions.ConnectTimeout)
    with pytest.raises(CloudAway):
        client.write([sample(1), sample(2)])
    assert requests_mock.call_count == 1


def test_a_missing_archive_policy_tells_what_to_run(client, requests_mock):
    reason = 'Archive policy aodh-ha-heartbeat does not exist'
    requests_mock.post(BATCH, **refusal(400, reason))
    with pytest.raises(ConfigurationError, match='aodh-ha telemetry prepare'):
        client.write([sample(1)])


def test_a_missing_resource_type_tells_what_to_run(client, requests_mock):
    new = sample(1)
    requests_mock.post(BATCH, **unknown(new))
    requests_mock.post(RESOURCES, **refusal(404, 'Resource type aodh_ha_guest does not exist'))
    with pytest.raises(ConfigurationError, match='aodh-ha telemetry prepare'):
        client.write([new])


def missing(kind, name):
    return refusal(404, f'{kind} {name} does not exist')


def test_prepare_creates_what_is_missing(client, requests_mock):
    no_policy, no_type = (
        missing('Archive policy', POLICY['name']),
        missing('Resource type', TYPE['name']),
    )
    requests_mock.get(POLICIES + POLICY['name'], [no_policy, {'json': POLICY}])
    requests_mock.get(POLICIES + METRICS['name'], [no_policy, {'json': METRICS}])
    requests_mock.get(TYPES + TYPE['name'], [no_type, {'json': TYPE}])
    requests_mock.post(POLICIES, status_code=201, json=POLICY)
    requests_mock.post(TYPES, status_code=201, json=TYPE)
    assert [(p.name, p.created) for p in client.prepare()] == [
        ('aodh-ha-heartbeat', True),
        ('aodh-ha-metric', True),
        ('aodh_ha_guest', True),
    ]
    policy, metrics = sent(requests_mock, 'POST', POLICIES)
    assert metrics['definition'][1] == {'granularity': '300s', 'timespan': '30d'}
    assert policy['back_window'] == 0
    assert policy['definition'] == [
        {'granularity': '10s', 'timespan': '1h'},
        {'granularity': '60s', 'timespan': '1d'},
    ]
    (resource_type,) = sent(requests_mock, 'POST', TYPES)
    assert set(resource_type['attributes']) == {'server_id', 'display_name'}


def test_prepare_finds_what_is_there_and_changes_nothing(client, requests_mock):
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY)
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(TYPES + TYPE['name'], json=TYPE)
    assert [p.created for p in client.prepare()] == [False, False, False]
    assert {r.method for r in requests_mock.request_history} == {'GET'}


def test_prepare_beside_another_one_that_was_faster(client, requests_mock):
    no_policy = missing('Archive policy', POLICY['name'])
    requests_mock.get(POLICIES + POLICY['name'], [no_policy, {'json': POLICY}])
    requests_mock.post(POLICIES, **refusal(409, f'Archive policy {POLICY["name"]} already exists'))
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(TYPES + TYPE['name'], json=TYPE)
    assert [p.created for p in client.prepare()] == [False, False, False]


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'back_window': 2}, 'back_window 2 instead of 0'),
        ({'aggregation_methods': ['mean']}, 'methods mean instead of count, last, max'),
        ({'definition': POLICY['definition'][1:]}, '60 s for 86400 s instead of 10 s for 3600 s'),
    ],
)
def test_prepare_says_how_an_archive_policy_differs(client, requests_mock, change, words):
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY | change)
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        client.prepare()


@pytest.mark.parametrize(
    ('attributes', 'words'),
    [
        ({'server_id': None}, 'the attribute server_id is missing'),
        ({'server_id': TEXT}, 'attribute server_id has type string instead of uuid'),
        ({'rack': TEXT | {'required': True}}, 'the attribute rack is required'),
    ],
)
def test_prepare_says_how_a_resource_type_differs(client, requests_mock, attributes, words):
    merged = {k: v for k, v in (TYPE['attributes'] | attributes).items() if v}
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY)
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(TYPES + TYPE['name'], json=TYPE | {'attributes': merged})
    with pytest.raises(ConfigurationError, match=words):
        client.prepare()


def test_an_attribute_that_an_operator_added_is_no_difference(client, requests_mock):
    attributes = TYPE['attributes'] | {'rack': TEXT}
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY)
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(TYPES + TYPE['name'], json=TYPE | {'attributes': attributes})
    assert [p.created for p in client.prepare()] == [False, False, False]


def test_one_round_of_the_direct_publisher(client, database, enroll, listen, requests_mock):
    requests_mock.post(BATCH, status_code=202)
    guests = [enroll(n) for n in range(1, 4)]
    listen()
    publisher = DirectPublisher(database, client, 15)
    assert publisher.publish_once(1_764_000_000.0) == 6
    assert publisher.publish_once(1_764_000_001.0) == 9
    assert set(sent(requests_mock, 'POST', BATCH)[1]) == {g.resource_id for g in guests}


def measure(database, guest, *metrics, at=1_764_000_000.0):
    with database.write() as connection:
        record(connection, guest.server_id, metrics, at)


def measures(requests_mock):
    """Time and value of what guests measured, in each request that has some."""
    found = []
    for body in sent(requests_mock, 'POST', BATCH):
        values = [
            (meter.removeprefix('guest.metric.'), m['timestamp'][11:], m['value'])
            for entry in body.values()
            for meter, told in entry.items()
            for m in told['measures']
            if meter.startswith('guest.metric.')
        ]
        found += [sorted(values)] if values else []
    return found


def test_what_a_guest_measured_is_written_once_with_its_time(
    client, database, enroll, listen, requests_mock
):
    requests_mock.post(BATCH, status_code=202)
    one = enroll(1)
    listen()
    publisher = DirectPublisher(database, client, 15)
    now = 1_764_000_000.0
    measure(database, one, Metric('a', 1.0), Metric('late', 2.0, age=1800.0))
    assert publisher.publish_once(now + 1) == 4
    assert publisher.publish_once(now + 4) == 3
    measure(database, one, Metric('a', 1.0), at=now + 8)
    for later in (11, 16, 21, 400):
        publisher.publish_once(now + later)
    assert measures(requests_mock) == [
        [('a', '16:00:00', 1.0), ('late', '15:30:00', 2.0)],
        [('a', '16:00:08', 1.0)],
    ]


def test_what_another_gateway_wrote_late_is_published_as_well(
    client, database, enroll, listen, requests_mock
):
    requests_mock.post(BATCH, status_code=202)
    one = enroll(1)
    publisher = DirectPublisher(database, client, 15)
    now = 1_764_000_000.0
    measure(database, one, Metric('a', 1.0), at=now)
    publisher.publish_once(now)
    measure(database, one, Metric('b', 1.0), at=now - 8)  # its clock is behind
    publisher.publish_once(now + 1)
    assert [[m[0] for m in r] for r in measures(requests_mock)] == [['a'], ['b']]


def test_while_gnocchi_is_away_the_newest_values_are_kept_for_it(
    client, database, enroll, listen, requests_mock
):
    one = enroll(1)
    publisher = DirectPublisher(database, client, 15)
    now = 1_764_000_000.0
    requests_mock.post(BATCH, status_code=503)
    for n in range(0, 90, 30):
        measure(database, one, Metric('a', n), at=now + n)
        with pytest.raises(CloudAway):
            publisher.publish_once(now + n + 1)
    requests_mock.post(BATCH, status_code=202)
    publisher.publish_once(now + 100)
    publisher.publish_once(now + 105)
    assert measures(requests_mock)[-1] == [('a', '16:01:00', 60.0)]
    assert len(measures(requests_mock)) == 4


def test_metrics_that_are_refused_keep_no_heartbeat_out_and_are_not_sent_for_ever(
    client, database, enroll, listen, requests_mock
):
    one = enroll(1)
    listen()
    publisher = DirectPublisher(database, client, 15)
    now = 1_764_000_000.0
    measure(database, one, Metric('a', 1.0), at=now)
    requests_mock.post(BATCH, [{'status_code': 202}, refusal(400, 'no'), {'status_code': 202}])
    with pytest.raises(ActionRefused):
        publisher.publish_once(now + 1)
    assert MISSED in sent(requests_mock, 'POST', BATCH)[0][one.resource_id]
    publisher.publish_once(now + 6)
    assert len(measures(requests_mock)) == 1


def test_a_unit_that_is_too_long_for_gnocchi_is_cut(
    client, database, enroll, listen, requests_mock
):
    requests_mock.post(BATCH, status_code=202)
    measure(database, enroll(1), Metric('a', 1.0, 'x' * 32))
    DirectPublisher(database, client, 15).publish_once(1_764_000_001.0)
    (entry,) = sent(requests_mock, 'POST', BATCH)[0].values()
    assert entry['guest.metric.a']['unit'] == 'x' * 31


def test_the_direct_publisher_sends_nothing_while_no_gateway_listens(
    client, database, enroll, requests_mock
):
    enroll(1)
    assert DirectPublisher(database, client, 15).publish_once(1_764_000_000.0) == 0
    assert requests_mock.call_count == 0


# ---- what is forgotten


def test_a_resource_is_deleted_whether_it_is_there_or_not(client, requests_mock):
    url = f'{URL}/v1/resource/generic/{sample(1).resource_id}'
    deleted = requests_mock.delete(url, [{'status_code': 204}, refusal(404, 'not there')])
    client.forget(sample(1).resource_id)
    client.forget(sample(1).resource_id)
    assert deleted.call_count == 2


@pytest.mark.parametrize(('status', 'error'), [(403, ActionRefused), (503, CloudAway)])
def test_one_that_cannot_be_deleted_says_why(client, requests_mock, status, error):
    url = f'{URL}/v1/resource/generic/{sample(1).resource_id}'
    requests_mock.delete(url, **refusal(status, 'no'))
    with pytest.raises(error, match='Gnocchi'):
        client.forget(sample(1).resource_id)
