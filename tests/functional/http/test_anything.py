"""Whatever is sent to whatever path: never an error of ours, always the one error shape."""

import json
import re

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from aodh_ha.db import incidents
from tests.functional.http.service import authorization, notification
from tests.samples import DOCUMENT, OTHER_ID, SERVER_ID

SETTINGS = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)
REQUEST_ID = re.compile('req-[0-9a-f-]{36}')

ANY_TEXT = st.text(st.characters(codec='utf-8') | st.sampled_from('\x00\n\r%/.\\\'"é'), max_size=30)
IDS = st.sampled_from([SERVER_ID, OTHER_ID, 'stateful', 'ladder', '%00', '..', '']) | ANY_TEXT
METHODS = st.sampled_from(['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS', 'TRACE'])
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | ANY_TEXT
    | st.sampled_from(['\ud800', '\x00', SERVER_ID, OTHER_ID, DOCUMENT, 'alarm', 10**300])
    | st.sampled_from(['guest', 'project', 'all', '9999-12-31T23:59:59-23:59', '0001-01-01T00+23']),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    *('server_id', 'policy', 'interval', 'missed', 'boot_grace', 'trigger', 'threshold'),
    *('aodh_alarm_id', 'document', 'alarm_id', 'current', 'reason', 'boot_id', 'services'),
    *('group', 'scope', 'value', 'starts_at', 'ends_at', 'duration', 'step', 'since', 'guest'),
    *('name', 'namespace', 'metric', 'statistic', 'comparison', 'dimensions', 'alarm_actions'),
]
BODIES = (
    st.none()
    | st.binary(max_size=200)
    | JSON.map(lambda v: json.dumps(v).encode())
    | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5).map(
        lambda v: json.dumps(v).encode()
    )
)
QUERIES = st.dictionaries(
    st.sampled_from(
        ['limit', 'marker', 'guest', 'active', 'all_projects', 'ended', 'open', 'scope', 'x']
    )
    | ANY_TEXT,
    ANY_TEXT | st.sampled_from([SERVER_ID, '1', '0', 'operator', '\u0663', '9' * 5000]),
    max_size=3,
)


def check(service, answer, lines):
    """What holds for every answer."""
    assert answer.status_code < 500, answer.get_data()[:500]
    assert REQUEST_ID.fullmatch(answer.headers['X-Openstack-Request-Id'])
    found = lines()
    if answer.status_code < 400 or answer.request.method == 'HEAD':
        return
    (error,) = answer.get_json()['errors']
    assert {'title', 'detail', 'code', 'request_id'} <= set(error)
    assert all(isinstance(error[k], str) for k in ('title', 'detail', 'code', 'request_id'))
    assert len(error['detail']) < 2000
    (line,) = found
    assert error['request_id'] in line
    assert line.isprintable()
    for secret in (service.member, service.credentials['key'], *service.tokens):
        assert secret not in line


def prepare(service):
    service.silent()
    service.paths = service.alarm()
    service.tokens = [p.rsplit('/')[-1] for p in service.paths]
    recovery = service.post(service.paths[0], notification()).get_json()['recovery']
    window = {'scope': 'guest', 'value': SERVER_ID, 'duration': 600}
    silence = service.call('POST', '/v1/silences', window).get_json()['silence']['id']
    incident, _ = service.database.run(
        lambda c: incidents.open_(c, 'storm', 'all', 'many', service.clock())
    )
    service.ids = [recovery, silence, incident.id]


def test_operators_may_send_anything_anywhere(quick, lines):
    prepare(quick)
    paths = [str(rule) for rule in quick.app.url_map.iter_rules()]
    assert '/v1/guests/<server_id>' in paths

    ids = IDS | st.sampled_from(quick.ids)

    taken = [(str(r), m) for r in quick.app.url_map.iter_rules() for m in sorted(r.methods)]
    doors = st.sampled_from(taken) | st.tuples(st.sampled_from(paths), METHODS)

    @SETTINGS
    @given(doors, ids, BODIES, QUERIES, st.sampled_from(['member', 'admin']))
    def send(door, id, body, query, role):
        path, method = door
        path = re.sub('<.*>', lambda _: id.replace('?', '').replace('#', ''), path)
        token = quick.member if role == 'member' else admin
        lines()
        headers = {'X-Auth-Token': token, 'Authorization': 'Bearer x'}
        answer = quick.client.open(
            path or '/', method=method, data=body, query_string=query, headers=headers
        )
        check(quick, answer, lines)

    admin = quick.keystone.token('c' * 32, 'admin')
    send()


def test_orders_may_be_anything(quick, lines):
    prepare(quick)
    recovery, _, incident = quick.ids
    admin = quick.keystone.token('c' * 32, 'admin')
    orders = {
        '/v1/silences': ['scope', 'value', 'starts_at', 'ends_at', 'duration', 'reason'],
        f'/v1/recoveries/{recovery}/approve': ['step'],
        f'/v1/recoveries/{recovery}/cancel': ['reason'],
        f'/v1/incidents/{incident}/close': ['reason'],
        '/v1/policies/replay': ['document', 'since', 'guest'],
        '/v1/guests': ['server_id', 'policy', 'group', 'interval', 'missed', 'boot_grace'],
        f'/v1/guests/{SERVER_ID}/rotate': ['overlap'],
        '/v1/enrolment-rules': ['name', 'match', 'policy', 'group'],
    }

    @SETTINGS
    @given(st.sampled_from(list(orders)), st.data(), st.sampled_from([quick.member, admin]))
    def send(path, data, token):
        body = data.draw(st.dictionaries(st.sampled_from(orders[path]), JSON))
        lines()
        check(quick, quick.call('POST', path, body, token), lines)

    send()
    assert quick.call('GET', '/v1/silences').status_code == 200


def test_nova_may_send_anything(quick, lines):
    prepare(quick)
    token = quick.keystone.token('services', 'service')
    opt_in = st.just({'aodh_ha:enroll': 'true'})
    texts = st.dictionaries(ANY_TEXT | st.just('aodh_ha:policy'), ANY_TEXT, max_size=3)
    fields = {
        'project-id': JSON | ANY_TEXT,
        'instance-id': JSON | st.sampled_from([SERVER_ID, OTHER_ID]),
        'hostname': JSON | ANY_TEXT,
        'metadata': JSON | texts | opt_in,
        'user-data': JSON,
    }
    likely = {'instance-id': OTHER_ID, 'project-id': 'p', 'hostname': 'h', 'metadata': {}}

    @SETTINGS
    @given(st.fixed_dictionaries({}, optional=fields).map(lambda v: likely | v) | BODIES)
    def send(body):
        lines()
        answer = quick.call('POST', '/v1/vendordata', body, token)
        if answer.status_code == 200:
            assert answer.get_json() == {} or answer.get_json()['aodh_ha_key']
        else:
            check(quick, answer, lines)

    send()
    assert quick.call('GET', '/v1/guests?all_projects=1', token=token).status_code < 500


def test_aodhs_doors_take_anything(quick, lines):
    prepare(quick)

    @SETTINGS
    @given(st.sampled_from([0, 1]), BODIES | JSON.map(lambda v: notification(reason=v)), ANY_TEXT)
    def send(door, body, spoiled):
        lines()
        check(quick, quick.post(quick.paths[door], body or b''), lines)
        check(quick, quick.post('/v1/alarms/' + quick.tokens[0] + spoiled, body or b''), lines)

    send()
    assert len(quick.recoveries()) <= 1


def test_a_signed_guest_may_send_anything_and_the_next_beat_is_well(quick, lines):
    prepare(quick)
    key = quick.credentials['key']

    @SETTINGS
    @given(
        BODIES, st.integers(-(10**18), 10**18) | st.none(), st.integers(-5, 10**6 - 1) | st.none()
    )
    def send(body, time, sequence):
        claims = {'time': time, 'sequence': sequence}
        claims = {k: v for k, v in claims.items() if v is not None}
        lines()
        check(quick, quick.beat(key, body or b'', **claims), lines)
        quick.flush()

    send()
    quick.sequence = 10**7
    assert quick.beat(key).status_code == 202
    quick.flush()
    assert quick.guest().sequence == 10**7 + 1


def test_any_authorization_is_answered(quick, lines):
    prepare(quick)
    good = authorization('k' * 43, b'', time=1, sequence=1)

    @SETTINGS
    @given(st.text(st.characters(codec='latin-1', exclude_characters='\r\n\x00')), st.integers(0))
    def send(text, where):
        lines()
        where %= len(good)
        header = good[:where] + text + good[where + len(text) // 2 :]
        answer = quick.client.post('/v1/heartbeats', headers={'Authorization': header})
        assert answer.status_code == 401
        check(quick, answer, lines)

    send()
