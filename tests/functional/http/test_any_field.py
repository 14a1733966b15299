"""A body that is good but for one field or two, at each door: each field has its turn.

On every database: what one of them takes another may refuse, such as NUL and too long a text.
"""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.functional.http.test_anything import JSON, SETTINGS, check, prepare
from tests.functional.http.test_cloudwatch import STACK
from tests.functional.http.test_credentials import BODY as CREDENTIAL
from tests.functional.http.test_watches import BODY as WATCH
from tests.samples import DOCUMENT, OTHER_ID, SERVER_ID

ADDRESS = 'https://ha.example.org/x'
ACTIONS = ('alarm_actions', 'ok_actions', 'insufficient_data_actions')
WHOLE_WATCH = (
    WATCH
    | {'dimensions': {'InstanceId': SERVER_ID}, 'evaluation_periods': 1}
    | {name: [ADDRESS] for name in ACTIONS}
)
DOORS = {
    'POST /v1/alarms': {
        'server_id': SERVER_ID, 'trigger': 'service', 'threshold': 2, 'name': 'a',
    },
    'PUT /v1/alarms/<alarm_id>': {'aodh_alarm_id': OTHER_ID, 'threshold': 2, 'name': 'a'},
    'POST /v1/credentials': CREDENTIAL,
    'POST /v1/watches': WHOLE_WATCH,
    'PUT /v1/watches/<watch_id>': WHOLE_WATCH | {'aodh_alarm_id': OTHER_ID},
    'POST /v1/guests': {
        'server_id': SERVER_ID, 'policy': 'stateful', 'group': 'db', 'interval': 10, 'missed': 3,
        'boot_grace': 60, 'alarms': True,
    },
    'POST /v1/guests/<server_id>/successor': {'server_id': SERVER_ID},  # who stays then
    'POST /v1/guests/<server_id>/rotate': {'overlap': 60},
    'POST /v1/guests/<server_id>/revoke': {},
    'PUT /v1/policies/<name>': {'document': DOCUMENT},
    'POST /v1/policies/replay': {'document': DOCUMENT, 'since': 3600, 'guest': SERVER_ID},
    'POST /v1/recoveries/<recovery_id>/approve': {'step': 0},
    'POST /v1/recoveries/<recovery_id>/cancel': {'reason': 'r'},
    'POST /v1/incidents/<incident_id>/close': {'reason': 'r'},
    'POST /v1/silences': {
        'scope': 'guest', 'value': SERVER_ID, 'starts_at': '2027-01-15T08:00:00Z',
        'ends_at': '2027-01-15T09:00:00Z', 'duration': 600, 'reason': 'r',
    },
    'POST /v1/enrolment-rules': {
        'name': 'rule', 'policy': 'stateful', 'group': 'db',
        'match': {'tag': 't', 'metadata': {'k': 'v'}, 'server_name': 'n*', 'stack': OTHER_ID},
    },
}  # fmt: skip
OTHERS = {'/v1/heartbeats', '/v1/vendordata', '/v1/alarms/<token>', '/v1/telemetry/<token>'}
"""Doors that are no operator's: below, and in test_anything.py."""

REPORT = {
    'boot_id': 'boot-1',
    'agent': '0.1.0',
    'services': [{'name': 'web', 'state': 'ok', 'failures': 0}],
    'results': [{'id': OTHER_ID, 'ok': True, 'refused': False, 'detail': 'd'}],
    'metrics': [{'name': 'm', 'value': 1.5, 'unit': 'Percent', 'age': 1}],
    'events': [{'id': 'e1', 'service': 'web', 'state': 'failed', 'ago': 1, 'detail': 'd'}],
}

STRANGE = JSON | st.sampled_from(
    [
        *(0, -1, 1, 2**31, 2**63, 10**18, 10**400, 0.5, 1e308, -1e308, 5e-324),
        *(float('nan'), float('inf'), True, None, [], {}, [None], {'': None}),
        *('a' * 64, 'a' * 65, 'é' * 255, 'x' * 256, 'x' * 20_000, '\U0001f600' * 255, '\u2028'),
        *(SERVER_ID.upper(), f'{{{SERVER_ID}}}', STACK, 'ladder', 'no-such-policy', "';--"),
        *('9999-12-31T23:59:59+00:00', '1970-01-01T00:00:00Z', '2027-01-15', '1e3'),
        *([ADDRESS] * 11, [ADDRESS, 1], {'InstanceId': OTHER_ID}, {'a': 'x' * 5000}),
        *({str(n): 'v' for n in range(40)}, DOCUMENT.replace('ladder', 'a' * 64)),
        *(DOCUMENT.replace('90s', '9' * 30 + 's'), DOCUMENT + '\x00', '&a [*a, *a]'),
    ]
)


def known(answer):
    """The fields that a door says it knows."""
    found = re.search('unknown field .*; known are (.*)', answer.get_json()['errors'][0]['detail'])
    assert found, answer.get_data()
    return {n for n in found.group(1).split(', ') if n}


@st.composite
def spoiled(draw, value):
    """The value with something else in one place of it, or in two."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(0, 2))):
        place = value
        while True:
            keys = list(place) if isinstance(place, dict) else range(len(place))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if isinstance(inner, (dict, list)) and inner and draw(st.booleans()):
                place = inner
                continue
            if isinstance(place, dict) and draw(st.integers(0, 5)) == 0:
                del place[key]
            else:
                place[key] = json.loads(json.dumps(draw(STRANGE)))  # one of its own
            break
    return value


@pytest.fixture
def paths(service):
    """A path to something that exists, for each door of an operator's."""
    prepare(service)
    recovery, _, incident = service.ids
    (alarm,) = service.call('GET', '/v1/alarms').get_json()['alarms']
    answer = service.call('POST', '/v1/watches', WATCH)
    assert answer.status_code == 201, answer.get_data()
    ids = {
        '<alarm_id>': alarm['id'],
        '<watch_id>': answer.get_json()['watch']['id'],
        '<server_id>': SERVER_ID,
        '<name>': 'ladder',
        '<recovery_id>': recovery,
        '<incident_id>': incident,
    }
    return {d: re.sub('<.*>', lambda m: ids[m.group()], d.partition(' ')[2]) for d in DOORS}


def test_no_field_of_any_door_is_left_out(quick):
    admin = quick.keystone.token('c' * 32, 'admin')
    rules = [r for r in quick.app.url_map.iter_rules() if str(r) not in OTHERS]
    doors = {f'{m} {r}' for r in rules for m in r.methods & {'POST', 'PUT', 'PATCH'}}
    assert doors == set(DOORS)
    for door, body in DOORS.items():
        method, _, path = door.partition(' ')
        path = re.sub('<.*>', SERVER_ID, path)
        answer = quick.call(method, path, {'no-such-field': 1}, admin)
        assert known(answer) == set(body), door


def test_each_field_may_be_anything(service, paths, lines):
    tokens = [service.keystone.token('c' * 32, 'admin'), service.member]
    seen = set()

    @SETTINGS
    @given(st.data(), st.sampled_from(tokens), st.sampled_from(['', '?scope=operator&replace=1']))
    def send(data, token, query):
        door = data.draw(st.sampled_from(list(DOORS)))
        body = dict(DOORS[door])
        if door == 'PUT /v1/watches/<watch_id>' and data.draw(st.booleans()):
            body.pop('aodh_alarm_id')  # which must stand alone
        body = data.draw(spoiled(body))
        lines()
        answer = service.call(door.partition(' ')[0], paths[door] + query, body, token)
        check(service, answer, lines)
        seen.add(answer.status_code // 100)

    send()
    assert seen >= {2, 4}
    for resource in ('alarms', 'watches', 'guests', 'policies', 'silences', 'enrolment-rules'):
        assert service.call('GET', f'/v1/{resource}').status_code == 200, resource
    assert service.call('GET', '/v1/credentials').status_code == 200


def test_each_field_of_a_heartbeat_may_be_anything(service, lines):
    key = service.enrolled()
    service.tokens = []
    taken = []

    @SETTINGS
    @given(spoiled(REPORT))
    def send(report):
        lines()
        answer = service.beat(key, json.dumps(report).encode())
        check(service, answer, lines)
        taken.append(answer.status_code)
        service.flush()

    send()
    assert 202 in taken
    assert service.beat(key, json.dumps(REPORT).encode()).status_code == 202
    service.flush()
    assert service.call('GET', f'/v1/guests/{SERVER_ID}').status_code == 200
