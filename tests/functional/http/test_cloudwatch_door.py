"""The bridge's door as a process has it, and whatever is sent there."""

import contextlib
import threading
import time

import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aodh_ha.db import Database, gateways
from aodh_ha.rules.gateway import CLOUDWATCH
from tests.functional.http.cloudwatch import FORM, Caller, put, well_formed
from tests.functional.http.processes import free_port, gunicorn
from tests.functional.http.service import configuration
from tests.functional.http.test_cloudwatch import CONFIGURATION, stack_project
from tests.functional.http.test_cloudwatch import service as service_fixture
from tests.functional.http.test_cloudwatch import stack as stack_fixture
from tests.samples import OTHER_ID, SERVER_ID
from tests.waiting import wait_for

service, stack = service_fixture, stack_fixture

TEXT = st.text(st.characters(codec='utf-8') | st.sampled_from('\x00\r\n%&=+<>]"\'é'), max_size=20)
NAMES = st.sampled_from(
    [
        *('Action', 'Version', 'AlarmName', 'StateValue', 'StateReason', 'MaxRecords', 'NextToken'),
        *('AWSAccessKeyId', 'Signature', 'SignatureVersion', 'SignatureMethod', 'Timestamp'),
        *('X-Amz-Algorithm', 'X-Amz-Signature', 'AlarmNames.member.1', 'Namespace'),
        *(f'MetricData.member.1.{n}' for n in ('MetricName', 'Value', 'Unit', 'Timestamp')),
        'MetricData.member.1.StatisticValues.Sum',
        'MetricData.member.1.StatisticValues.SampleCount',
        'MetricData.member.1.Values.member.1',
        'MetricData.member.1.Counts.member.1',
        'MetricData.member.1.Dimensions.member.1.Name',
        'MetricData.member.1.Dimensions.member.1.Value',
        'MetricData.member.9999.Value',
    ]
)
ACTIONS = ['PutMetricData', 'DescribeAlarms', 'ListMetrics', 'SetAlarmState']
VALUES = TEXT | st.sampled_from(
    [
        *(*ACTIONS, 'Heartbeat', 'ServiceFailure', 'InstanceId', 'AlarmName', 'ALARM', 'OK'),
        *(SERVER_ID, OTHER_ID, '1', '0', '-1', '1e999', 'nan', '9' * 400, '2', '\u0663'),
        *('HmacSHA256', 'A' * 43 + '=', 'x' * 5000),
        *('2027-01-15T08:00:00Z', '9999-12-31T23:59:59-23:59', '0001-01-01'),
    ]
)
PARAMS = st.dictionaries(NAMES | TEXT, VALUES, max_size=8)
HEADERS = st.dictionaries(
    st.sampled_from(['Authorization', 'X-Amz-Date', 'Content-Type', 'Content-Encoding', 'Host']),
    st.sampled_from(
        [
            *(
                '',
                'x',
                FORM,
                'gzip',
                '20270115T080000Z',
                'Basic eDp5',
                'application/x-amz-json-1.0',
            ),
            'AWS4-HMAC-SHA256 Credential=a/20270115/r/s/aws4_request, SignedHeaders=host, '
            'Signature=' + '0' * 64,
            'AWS4-HMAC-SHA256 Credential=////, SignedHeaders=;;, Signature=',
        ]
    ),
    max_size=4,
)
METHODS = st.sampled_from(['GET', 'POST', 'HEAD', 'PUT', 'OPTIONS', 'TRACE', 'BREW'])
PATHS = st.sampled_from(['/v1/', '/v1', '/', '/v1/heartbeats', '/v1//', '/%00', '/é'])
QUICK = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)


def check(answer, logged):
    assert answer.status_code < 500, answer.get_data()
    if answer.request.method != 'HEAD':
        well_formed(answer)
    assert b'Traceback' not in answer.get_data()
    assert not any('failed' in line for line in logged)


@QUICK
@given(METHODS, PATHS, PARAMS, HEADERS, st.binary(max_size=100) | PARAMS)
def test_whatever_is_sent_unsigned(service, lines, method, path, query, headers, body):
    lines()
    answer = service.client.open(
        path,
        method=method,
        query_string=query,
        headers=headers,
        data=body,
        base_url='http://ha.example.org:8003',
    )
    check(answer, lines())


@QUICK
@given(st.sampled_from(ACTIONS), PARAMS, st.sampled_from(['GET', 'POST']))
def test_whatever_is_signed(service, stack, lines, action, params, method):
    lines()
    signed = stack.signed(params | {'Action': action}, method=method)
    check(service.client.open(**signed), lines())
    assert service.guest().failures < 1000


def listening(database):
    with database.read() as c:
        return gateways.listening_since(c, time.time(), CLOUDWATCH)


def test_two_ports_of_one_process(keystone, sqlite_url, tmp_path):
    database = Database(sqlite_url)
    port, other = free_port(), free_port()
    more = CONFIGURATION.format(keystone=keystone.url) + f'port = {other}\n'
    file = configuration(tmp_path, sqlite_url, keystone.url, port=port, webhook=more)
    with gunicorn(file, port):
        here, bridge = f'http://127.0.0.1:{port}', f'http://127.0.0.1:{other}'
        # The Host header says the other door each time.
        lie = {'Host': f'127.0.0.1:{other}'}
        answer = requests.post(f'{here}/v1/', data='Action=x', headers=lie, timeout=10)
        assert answer.json()['errors'][0]['code'] == 'not_found'
        lie = {'Host': f'127.0.0.1:{port}'}
        for path in ('/healthz', '/v1/heartbeats', '/v1/guests'):
            answer = requests.get(f'{bridge}{path}', headers=lie, timeout=10)
            assert (answer.status_code, answer.headers['Content-Type'].split(';')[0]) == (
                404,
                'text/xml',
            )
        chunks = (b'x' * 8192 for _ in range(64))
        with contextlib.suppress(requests.ConnectionError):  # cut off in the middle
            answer = requests.post(
                f'{bridge}/v1/', data=chunks, headers={'Content-Type': FORM}, timeout=10
            )
            assert answer.status_code == 413
            assert b'<Code>RequestLimitExceeded</Code>' in answer.content
        assert requests.get(f'{here}/healthz', timeout=10).status_code == 200
        wait_for(lambda: listening(database), 10)
    database.close()


def test_slow_senders_leave_threads_for_others(service, stack, keystone, monkeypatch):
    bridge = service.app.wsgi_app._bridge
    assert bridge.well()
    gate = threading.Event()
    monkeypatch.setattr(bridge, '_carried_out', lambda *_: gate.wait(10) and 1 / 0)
    most = service.state.conf.webhook.threads // 2
    request = stack.signed(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    threads = [
        threading.Thread(target=service.app.test_client().open, kwargs=request) for _ in range(most)
    ]
    try:
        for thread in threads:
            thread.start()
        wait_for(lambda: bridge._at_once._value == 0)
        assert stack.send(request).status_code == 503
        assert not bridge.well()
        assert service.beat(service.credentials['key']).status_code == 202
    finally:
        gate.set()
        for thread in threads:
            thread.join(10)


def test_a_stack_of_a_project_with_a_long_id(service, keystone):
    # 64 characters of a project leave none of the stack's id: nobody can tell which it is.
    long = 'c' * 64
    key = keystone.access_key('AKLONG', stack_project(project=long), 'heat_stack_user')
    answer = Caller(service, *key).call(put(('Heartbeat', 1), InstanceId=SERVER_ID))
    assert answer.status_code == 403
