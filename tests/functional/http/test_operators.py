"""The operators' API: by Keystone's word only, each in his own project."""

import json

import pytest
from flask import request

from aodh_ha import __version__
from tests import samples
from tests.functional.http.service import notification, refused
from tests.samples import DOCUMENT, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID
from webhook import auth
from webhook.errors import Unauthorized

READS = [
    ('GET', '/v1/guests'),
    ('GET', f'/v1/guests/{SERVER_ID}'),
    ('GET', '/v1/alarms'),
    ('GET', f'/v1/alarms/{SERVER_ID}'),
    ('GET', '/v1/policies'),
    ('GET', '/v1/policies/stateful'),
    ('GET', '/v1/recoveries'),
    ('GET', f'/v1/recoveries/{SERVER_ID}'),
    ('GET', '/v1/silences'),
    ('GET', '/v1/refusals'),
    ('GET', '/v1/enrolment-rules'),
    ('GET', f'/v1/enrolment-rules/{SERVER_ID}'),
]
WRITES = [
    ('POST', '/v1/guests'),
    ('DELETE', f'/v1/guests/{SERVER_ID}'),
    ('GET', f'/v1/guests/{SERVER_ID}/credentials'),
    ('POST', f'/v1/guests/{SERVER_ID}/successor'),
    ('POST', f'/v1/guests/{SERVER_ID}/rotate'),
    ('POST', f'/v1/guests/{SERVER_ID}/revoke'),
    ('POST', '/v1/alarms'),
    ('PUT', f'/v1/alarms/{SERVER_ID}'),
    ('DELETE', f'/v1/alarms/{SERVER_ID}'),
    ('PUT', '/v1/policies/ladder'),
    ('DELETE', '/v1/policies/ladder'),
    ('POST', f'/v1/recoveries/{SERVER_ID}/approve'),
    ('POST', f'/v1/recoveries/{SERVER_ID}/cancel'),
    ('POST', '/v1/silences'),
    ('DELETE', f'/v1/silences/{SERVER_ID}'),
    ('POST', '/v1/enrolment-rules'),
    ('DELETE', f'/v1/enrolment-rules/{SERVER_ID}'),
]
ADMINISTRATORS = [
    ('GET', '/v1/incidents'),
    ('GET', f'/v1/incidents/{SERVER_ID}'),
    ('POST', f'/v1/incidents/{SERVER_ID}/close'),
    ('PUT', '/v1/policies/ladder?scope=operator'),
    ('DELETE', '/v1/policies/ladder?scope=operator'),
    ('POST', '/v1/vendordata'),
]


# ---- who is calling


@pytest.mark.parametrize(('method', 'path'), READS + WRITES + ADMINISTRATORS)
def test_without_a_good_token_nothing_is_answered(quick, method, path):
    quick.enrolled()
    for token in ('', 'no-such-token', 'x' * 5000, '\xe9'):
        refused(quick.call(method, path, b'{}', token), 401, 'unauthorized')
    refused(quick.client.open(path, method=method), 401, 'unauthorized')


SPOOFED = {
    'X-Identity-Status': 'Confirmed',
    'X-Service-Identity-Status': 'Confirmed',
    'X-Project-Id': PROJECT,
    'X-Tenant-Id': PROJECT,
    'X-User-Id': 'me',
    'X-Roles': 'admin,member,reader',
    'X-Role': 'admin',
    'X-Is-Admin-Project': 'True',
}


@pytest.mark.parametrize(('method', 'path'), READS + WRITES)
def test_identity_headers_that_a_caller_sends_are_not_believed(quick, method, path):
    quick.enrolled()
    answer = quick.client.open(path, method=method, headers=SPOOFED, data=b'{}')
    refused(answer, 401, 'unauthorized')


def test_they_do_not_change_who_a_real_token_says_one_is(quick):
    quick.enrolled()
    other = quick.keystone.token(OTHER_PROJECT, 'reader')
    answer = quick.call('GET', '/v1/guests', token=other, headers=SPOOFED)
    assert answer.get_json() == {'guests': [], 'next': None}
    answer = quick.call('GET', '/v1/guests?all_projects=1', token=other, headers=SPOOFED)
    refused(answer, 403, 'forbidden')
    answer = quick.call('POST', '/v1/guests', {'server_id': OTHER_ID}, other, headers=SPOOFED)
    refused(answer, 403, 'forbidden')


@pytest.mark.parametrize(
    'path', ['/v1/heartbeats', '/v1/alarms/token', '/v1/telemetry/token', '/healthz']
)
def test_they_are_worth_nothing_where_keystone_is_not_asked(quick, path):
    answer = quick.client.post(path, headers=SPOOFED, data=b'{}')
    assert answer.status_code in (401, 405)


def test_nobody_is_a_caller_who_did_not_come_through_keystones_door(quick):
    with quick.app.test_request_context('/v1/guests', headers=SPOOFED):
        with pytest.raises(Unauthorized):
            auth.caller('aodh_ha:guest:get')
        request.environ[auth.OPERATORS] = True  # as only that door sets it
        assert auth.caller('aodh_ha:guest:get').project_id == PROJECT


@pytest.mark.parametrize(
    'path',
    [
        f'/v1/alarms/../guests/{SERVER_ID}',
        f'/v1/alarms/..%2Fguests/{SERVER_ID}',
        f'/v1/alarms//guests/{SERVER_ID}',
        f'/v1/telemetry/../../v1/guests/{SERVER_ID}',
    ],
)
def test_no_detour_leads_past_keystone(quick, path):
    quick.enrolled()
    for method in ('POST', 'GET', 'DELETE'):
        answer = quick.client.open(path, method=method, headers=SPOOFED, data=b'{}')
        assert answer.status_code in (308, 401, 404, 405)
    assert quick.guest()


@pytest.mark.parametrize(('method', 'path'), WRITES)
def test_a_reader_may_not_write(quick, method, path):
    quick.enrolled()
    reader = quick.keystone.token(PROJECT, 'reader')
    refused(quick.call(method, path, b'{}', reader), 403, 'forbidden')
    assert quick.guest()


@pytest.mark.parametrize(('method', 'path'), ADMINISTRATORS)
def test_what_reaches_beyond_a_project_is_for_administrators(quick, method, path):
    refused(quick.call(method, path, b'{}'), 403, 'forbidden')
    admin = quick.keystone.token(PROJECT, 'admin')
    assert quick.call(method, path, b'{}', admin).status_code in (200, 400, 404)


@pytest.mark.parametrize(('method', 'path'), READS + WRITES)
def test_who_has_no_role_of_ours_may_nothing(quick, method, path):
    quick.enrolled()
    for roles in ((), ('auditor',)):
        token = quick.keystone.token(PROJECT, *roles)
        refused(quick.call(method, path, b'{}', token), 403, 'forbidden')


def test_a_token_without_a_project_is_told_to_have_one(quick):
    token = quick.keystone.token(None, 'admin')
    error = refused(quick.call('GET', '/v1/guests', token=token), 401, 'unauthorized')
    assert 'OS_PROJECT_NAME' in error['detail']


def test_a_token_that_was_revoked_counts_no_more(quick):
    assert quick.call('GET', '/v1/guests').status_code == 200
    del quick.keystone.tokens[quick.member]
    refused(quick.call('GET', '/v1/guests'), 401, 'unauthorized')


@pytest.mark.parametrize(('method', 'path'), [READS[0], WRITES[0]])
def test_while_keystone_is_away_operators_are_told_so(quick, method, path, lines):
    quick.keystone.away = True
    lines()
    error = refused(quick.call(method, path, b'{}'), 503, 'unavailable')
    (line,) = lines()
    assert error['request_id'] in line
    assert quick.member not in line


# ---- whose it is


@pytest.fixture
def mine(quick):
    """A guest with an alarm and a recovery, of PROJECT; returns paths and the member of another."""
    quick.silent()
    path, _ = quick.alarm()
    recovery = quick.post(path, notification()).get_json()['recovery']
    (alarm,) = quick.call('GET', '/v1/alarms').get_json()['alarms']
    quick.call('PUT', '/v1/policies/ladder', {'document': DOCUMENT})
    return {
        'guest': f'/v1/guests/{SERVER_ID}',
        'alarm': f'/v1/alarms/{alarm["id"]}',
        'recovery': f'/v1/recoveries/{recovery}',
        'policy': '/v1/policies/ladder',
    }


@pytest.mark.parametrize('what', ['guest', 'alarm', 'recovery', 'policy'])
def test_what_is_anothers_is_not_there(quick, mine, what):
    assert quick.call('GET', mine[what]).status_code == 200
    for role in ('reader', 'member', 'admin'):
        other = quick.keystone.token(OTHER_PROJECT, role)
        refused(quick.call('GET', mine[what], token=other), 404, 'not_found')


def test_nothing_of_anothers_can_be_changed(quick, mine):
    other = quick.keystone.token(OTHER_PROJECT, 'member')
    for method, what, body in (
        ('DELETE', 'guest', None),
        ('DELETE', 'alarm', None),
        ('PUT', 'alarm', {'aodh_alarm_id': OTHER_ID}),
        ('DELETE', 'policy', None),
    ):
        refused(quick.call(method, mine[what], body, other), 404, 'not_found')
    refused(quick.call('POST', '/v1/alarms', {'server_id': SERVER_ID}, other), 404, 'not_found')
    refused(quick.call('POST', '/v1/guests', {'server_id': SERVER_ID}, other), 409, 'conflict')
    for what in mine.values():
        assert quick.call('GET', what).status_code == 200


@pytest.mark.parametrize('what', ['guests', 'alarms', 'recoveries'])
def test_listings_show_ones_own_project_and_all_to_admins_who_ask(quick, mine, what):
    def found(role, query=''):
        token = quick.keystone.token(OTHER_PROJECT, role)
        answer = quick.call('GET', f'/v1/{what}{query}', token=token)
        return answer.status_code, len(answer.get_json().get(what, []))

    assert found('member') == (200, 0)
    assert found('admin') == (200, 0)
    assert found('admin', '?all_projects=1') == (200, 1)
    assert found('admin', '?all_projects=0') == (200, 0)
    for role in ('reader', 'member'):
        assert found(role, '?all_projects=1')[0] == 403


def test_an_admin_sees_and_forgets_of_every_project_when_he_asks_for_it(quick, mine):
    admin = quick.keystone.token(OTHER_PROJECT, 'admin')
    for path in (mine['guest'], mine['alarm'], mine['recovery']):
        assert quick.call('GET', f'{path}?all_projects=1', token=admin).status_code == 200
    assert quick.call('DELETE', f'{mine["guest"]}?all_projects=1', token=admin).status_code == 204


def test_no_answer_but_enrolments_has_a_key(quick, mine):
    key = quick.credentials['key']
    for path in ('/v1/guests', '/v1/alarms', '/v1/recoveries', *mine.values()):
        assert key not in quick.call('GET', path).get_data(as_text=True)


# ---- bodies, ids, queries


@pytest.mark.parametrize(
    ('method', 'path', 'good'),
    [
        ('POST', '/v1/guests', {'server_id': OTHER_ID}),
        ('POST', '/v1/alarms', {'server_id': SERVER_ID}),
        ('PUT', '/v1/policies/ladder', {'document': DOCUMENT}),
        ('POST', '/v1/silences', {'scope': 'project', 'duration': 60}),
    ],
)
def test_a_body_is_an_object_of_known_fields(quick, method, path, good):
    quick.enrolled()
    for body in (b'', b'[]', b'null', b'"x"', b'{', b'\xff', b'[' * 50_000, b'9' * 5000):
        refused(quick.call(method, path, body), 400, 'bad_request')
    for name in ('project_id', 'x\ny', '\ud800', 'k' * 5000):
        error = refused(quick.call(method, path, good | {name: 1}), 400, 'bad_request')
        assert 'unknown field' in error['detail']
        assert len(error['detail']) < 300
    assert quick.call(method, path, good).status_code in (200, 201)


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        *(
            ('server_id', v)
            for v in (None, 5, '', 'x', SERVER_ID + '\n', SERVER_ID[:-1], [], '%00')
        ),
        *(
            (name, v)
            for name in ('policy', 'group')
            for v in (5, None, 'a/b', '../x', 'a\x00', 'n' * 64, [], '\ud800')
        ),
        *(('interval', v) for v in ('10', 0, -1, 0.5, 3601, True, [], 10**400)),
        *(('missed', v) for v in ('3', 0, -1, 2.5, 1001, False, {})),
        *(('boot_grace', v) for v in ('1', -1, 86401, True)),
    ],
)
def test_a_wrong_setting_of_a_guest_is_refused_by_its_name(quick, field, value):
    answer = quick.call('POST', '/v1/guests', {'server_id': OTHER_ID, field: value})
    assert field in refused(answer, 400, 'bad_request')['detail']


@pytest.mark.parametrize('text', ['NaN', 'Infinity', '-Infinity', '1e999'])
def test_a_number_that_is_none_is_refused(quick, text):
    body = f'{{"server_id": "{OTHER_ID}", "interval": {text}}}'.encode()
    refused(quick.call('POST', '/v1/guests', body), 400, 'bad_request')


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        *(('trigger', v) for v in (5, '', 'cpu', [], {}, None)),
        *(('threshold', v) for v in ('3', 0, 1001, 1.5, True)),
    ],
)
def test_a_wrong_setting_of_an_alarm_is_refused_by_its_name(quick, field, value):
    quick.enrolled()
    answer = quick.call('POST', '/v1/alarms', {'server_id': SERVER_ID, field: value})
    assert field in refused(answer, 400, 'bad_request')['detail']


BAD_IDS = ['x', '%00', SERVER_ID + '%00', SERVER_ID + '%0a', '%ff', "'--", 'é', '..', 'a' * 5000]


@pytest.mark.parametrize('what', ['guests', 'alarms', 'recoveries', 'policies'])
def test_an_id_that_can_name_nothing_is_not_found(service, what):
    for bad in BAD_IDS:
        refused(service.call('GET', f'/v1/{what}/{bad}'), 404, 'not_found')
        if what != 'recoveries':
            refused(service.call('DELETE', f'/v1/{what}/{bad}'), 404, 'not_found')


def test_an_id_is_found_in_upper_case_too(quick, mine):
    for path in (mine['guest'], mine['alarm'], mine['recovery']):
        head, _, last = path.rpartition('/')
        assert quick.call('GET', f'{head}/{last.upper()}').status_code == 200


@pytest.mark.parametrize('what', ['guests', 'alarms', 'recoveries'])
@pytest.mark.parametrize(
    'query',
    [
        *(f'limit={v}' for v in ('0', '-1', '1001', 'x', '', '1e2', '%00', '\u0663', '1.0', '+1')),
        'limit=0000000019999',
        'limit=000000001' + '9' * 5000,
    ],
)
def test_a_bad_limit_is_refused(quick, what, query):
    refused(quick.call('GET', f'/v1/{what}?{query}'), 400, 'bad_request')


BAD_QUERIES = [
    *(f'guests?marker={v}' for v in ('x', '%00', SERVER_ID + '%00', SERVER_ID.upper())),
    *(f'{w}?guest={v}' for w in ('alarms', 'recoveries') for v in ('x', '%00', '%ff', "'")),
    *(f'recoveries?active={v}' for v in ('', 'x', '2', 'true', '%00')),
    *(f'recoveries?marker={v}' for v in ('x', '%00', OTHER_ID)),
    'silences?ended=x',
]


def test_a_bad_query_is_refused(service):
    for query in BAD_QUERIES:
        refused(service.call('GET', f'/v1/{query}'), 400, 'bad_request')


def test_a_listing_goes_page_by_page(quick):
    ids = sorted(f'{n:08x}{SERVER_ID[8:]}' for n in range(5))
    for server_id in ids:
        quick.call('POST', '/v1/guests', {'server_id': server_id})
    found, marker = [], ''
    for _ in range(3):
        query = f'?limit=2{f"&marker={marker}" if marker else ""}'
        page = quick.call('GET', f'/v1/guests{query}').get_json()
        found += [g['id'] for g in page['guests']]
        marker = page['next']
    assert found == ids
    assert marker is None


# ---- what is shown


def test_a_guest_is_shown_as_the_contract_says(quick):
    key = quick.silent(25, group='web')
    quick.beat(key, json.dumps({'services': [{'name': 'w', 'state': 'failed'}]}).encode())
    quick.clock.advance(25)
    quick.listens()
    found = quick.call('GET', f'/v1/guests/{SERVER_ID}').get_json()
    guest = found['guest']
    generation = guest.pop('generation')
    assert generation == quick.credentials['generation']
    assert guest == {
        'id': SERVER_ID,
        'name': 'db1',
        'project_id': PROJECT,
        'status': 'enrolled',
        'status_reason': '',
        'policy': '',
        'policy_in_force': 'stateful',
        'group': 'web',
        'interval': 10.0,
        'missed_limit': 3,
        'boot_grace': 120.0,
        'enrolled_at': '2027-01-15T08:00:00.000Z',
        'last_seen': '2027-01-15T08:00:25.000Z',
        'silent_for': 25.0,
        'missed': 2,
        'beats': 2,
        'boot_id': None,
        'seen_by': 'agent',
        'services': [{'name': 'w', 'state': 'failed', 'failures': 0}],
        'failures': 1,
        'zone': '',
        'stack_id': '',
        'stack_name': '',
        'opted_out': False,
        'resource_id': samples.guest().resource_id,
        'enrolled_by': 'user',
        'previous_until': None,
        'refusals': [],
        'metrics': [],
    }
    assert [e['kind'] for e in found['events']] == ['enrolled']
    quick.clock.advance(100)  # nobody listens
    assert quick.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['guest']['missed'] is None


def test_a_recovery_is_shown_with_its_attempts_and_its_trail(quick, mine):
    found = quick.call('GET', mine['recovery']).get_json()
    assert set(found) == {'recovery', 'attempts', 'events'}
    recovery = found['recovery']
    assert (recovery['guest_name'], recovery['status']) == ('db1', 'queued')
    assert (recovery['policy'], recovery['policy_version']) == ('stateful', 0)
    assert recovery['finished_at'] is None
    assert {k: recovery[k] for k in ('guard', 'priority', 'admitted_at', 'incident_id')} == {
        'guard': '',
        'priority': 50,
        'admitted_at': None,
        'incident_id': None,
    }
    assert [e['kind'] for e in found['events']] == ['opened']
    for query, count in (('?active=1', 1), ('?active=0', 0), (f'?guest={OTHER_ID}', 0)):
        listed = quick.call('GET', f'/v1/recoveries{query}').get_json()['recoveries']
        assert len(listed) == count
        assert listed in ([], [recovery])


def test_policies_have_scopes_versions_and_their_documents(service):
    assert {(p['name'], p['scope'], p['version']) for p in policies(service)} >= {
        ('stateful', 'built-in', 0),
        ('stateless', 'built-in', 0),
    }
    for version in (1, 2):
        saved = service.call('PUT', '/v1/policies/ladder', {'document': DOCUMENT}).get_json()
        assert (saved['policy']['version'], saved['policy']['scope']) == (version, 'project')
    shown = service.call('GET', '/v1/policies/ladder').get_json()['policy']
    assert shown['document'] == DOCUMENT
    assert shown['steps'][0] == {
        'action': 'server.reboot',
        'type': 'soft',
        'name': None,
        'when': 'host_up',
        'attempts': 1,
        'verify': 90.0,
        'delay': 0.0,
        'backoff': 0.0,
        'hold': 0.0,
        'healthy': False,
        'approval': False,
        'snapshot': False,
        'intensity': None,
    }
    assert shown['budget']['per_guest'] == {'times': 5, 'seconds': 3600.0}
    assert service.call('DELETE', '/v1/policies/ladder').status_code == 204
    refused(service.call('GET', '/v1/policies/ladder'), 404, 'not_found')
    refused(service.call('DELETE', '/v1/policies/ladder'), 404, 'not_found')
    refused(service.call('DELETE', '/v1/policies/stateful'), 404, 'not_found')


def policies(service):
    return service.call('GET', '/v1/policies').get_json()['policies']


def test_a_faulty_policy_is_refused_with_its_line(quick):
    faulty = DOCUMENT.replace('type: hard', 'type: harder')
    answer = quick.call('PUT', '/v1/policies/ladder', {'document': faulty})
    assert 'line 6: steps.1.type' in refused(answer, 400, 'bad_request')['detail']
    for document in (5, None, '', 'name: !!bool x', '\x00', '\ud800', '[' * 50_000):
        answer = quick.call('PUT', '/v1/policies/ladder', {'document': document})
        refused(answer, 400, 'bad_request')
    answer = quick.call('PUT', '/v1/policies/another', {'document': DOCUMENT})
    refused(answer, 400, 'bad_request')
    refused(quick.call('PUT', '/v1/policies/ladder', b'{' + b' ' * 140_000), 413, 'too_large')


def test_the_longest_policy_is_kept(service):
    document = DOCUMENT + '#' * (60_000 - len(DOCUMENT))
    answer = service.call('PUT', '/v1/policies/ladder', {'document': document})
    assert answer.status_code == 200
    answer = service.call('PUT', '/v1/policies/ladder', {'document': document + 'ö'})
    refused(answer, 400, 'bad_request')


def test_one_aodh_alarm_cannot_carry_two_of_ours(service):
    service.silent()
    service.alarm()
    service.alarm(trigger='service')
    one, two = service.call('GET', '/v1/alarms').get_json()['alarms']
    for _ in range(2):
        answer = service.call('PUT', f'/v1/alarms/{one["id"]}', {'aodh_alarm_id': OTHER_ID})
        assert answer.status_code == 200
    answer = service.call('PUT', f'/v1/alarms/{two["id"]}', {'aodh_alarm_id': OTHER_ID})
    refused(answer, 409, 'conflict')


def test_a_policy_that_does_not_exist_cannot_be_a_guests(quick):
    answer = quick.call('POST', '/v1/guests', {'server_id': OTHER_ID, 'policy': 'nope'})
    refused(answer, 404, 'not_found')


# ---- health, and paths that are none


def test_health_tells_the_version(quick):
    answer = quick.client.get('/healthz')
    assert answer.status_code == 200
    assert answer.get_json() == {'status': 'ok', 'version': __version__}


@pytest.mark.parametrize('path', ['/', '/v1', '/v1/', '/v2/guests', '/v1/nothing', '/favicon.ico'])
def test_a_path_that_is_none_is_not_found_in_the_one_shape(quick, path):
    refused(quick.client.get(path), 404, 'not_found')


def test_a_refused_request_is_one_line_without_the_token(quick, lines):
    bad = quick.keystone.token(PROJECT, 'reader')
    lines()
    quick.call('POST', '/v1/guests', b'{}', bad)
    quick.call('GET', '/v1/guests', token='no-such-token')
    quick.call('GET', f'/v1/guests/{OTHER_ID}')
    quick.call('POST', '/v1/guests', b'[]')
    quick.call('PUT', '/v1/policies/p', {'document': '? "a\\nb"\n: 1'})
    quick.call('GET', '/v1/no%0Asuch%1b[31mpath')
    found = lines()
    assert len(found) == 6
    for line in found:
        assert line.isprintable()
        assert 'token-' not in line
        assert 'no-such-token' not in line
