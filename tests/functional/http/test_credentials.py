"""What projects hand over for their recoveries: through the API, and at the callbacks' door."""

import json

import pytest
import sqlalchemy as sa

from aodh_ha.db import callback_tokens, credentials
from aodh_ha.db.models import callback_tokens as tokens_table
from aodh_ha.db.models import credentials as table
from aodh_ha.rules.rights import APPLICATION_CREDENTIAL, TOKEN, Rights
from tests.functional.http.service import notification, refused
from tests.samples import OTHER_PROJECT, PROJECT

NOWHERE = '00000000-0000-4000-8000-00000000dead'
KEYSTONE_ID = 'd0c' * 10
SECRET = 'the-secret-of-the-credential'
BODY = {'type': 'application_credential', 'keystone_id': KEYSTONE_ID, 'secret': SECRET}
TRUST = {'type': 'trust', 'keystone_id': KEYSTONE_ID}


def handed_over(service, body=BODY, path='/v1/credentials', token=None):
    answer = service.call('POST', path, body, token)
    assert answer.status_code == 201, answer.get_data()
    return answer.get_json()['credential']


def events(service):
    """Kinds and messages of the whole audit trail."""
    with service.database.read() as c:
        query = sa.text('SELECT kind, message, data FROM events ORDER BY id')
        return [tuple(row) for row in c.execute(query)]


def test_one_is_handed_over_shown_without_its_secret_and_deleted(service):
    made = handed_over(service)
    assert (made['project_id'], made['type'], made['keystone_id']) == (
        PROJECT,
        'application_credential',
        KEYSTONE_ID,
    )
    assert (made['status'], made['checked_at'], made['used_at']) == ('pending', None, None)
    assert made['author'] == f'user-of-{PROJECT}'
    one = service.call('GET', f'/v1/credentials/{made["id"]}')
    assert one.get_json() == {'credential': made}
    listing = service.call('GET', '/v1/credentials')
    assert listing.get_json() == {'credentials': [made]}
    assert SECRET not in json.dumps([made, one.get_json(), listing.get_json()])
    assert service.call('DELETE', f'/v1/credentials/{made["id"]}').status_code == 204
    assert service.call('GET', '/v1/credentials').get_json() == {'credentials': []}
    refused(service.call('DELETE', f'/v1/credentials/{made["id"]}'), 404, 'not_found')
    assert [kind for kind, _, _ in events(service)] == ['credential_created', 'credential_deleted']


def test_the_secret_is_sealed_in_the_database_and_in_no_log(service, lines):
    handed_over(service)
    with service.database.read() as c:
        (row,) = c.execute(sa.select(table)).all()
        assert SECRET not in str(row)
        rights = credentials.rights(c, PROJECT, service.state.master_key)
    assert rights == Rights(APPLICATION_CREDENTIAL, PROJECT, KEYSTONE_ID, SECRET)
    assert SECRET not in '\n'.join(lines())
    assert SECRET not in str(events(service))


def test_a_trust_has_no_secret(service):
    assert handed_over(service, TRUST)['type'] == 'trust'
    error = refused(
        service.call('POST', '/v1/credentials?replace=1', TRUST | {'secret': 'x'}),
        *(400, 'bad_request'),
    )
    assert error['detail'].startswith('secret: a trust has none')


def test_a_project_has_one_which_is_replaced_only_if_that_is_meant(service):
    first = handed_over(service)
    error = refused(service.call('POST', '/v1/credentials', TRUST), 409, 'conflict')
    assert '--replace' in error['detail']
    second = handed_over(service, TRUST, '/v1/credentials?replace=1')
    assert service.call('GET', '/v1/credentials').get_json()['credentials'] == [second]
    refused(service.call('GET', f'/v1/credentials/{first["id"]}'), 404, 'not_found')
    other = service.keystone.token(OTHER_PROJECT, 'member')
    assert handed_over(service, token=other)['project_id'] == OTHER_PROJECT


def test_nobody_sees_or_deletes_another_projects_but_an_administrator(quick):
    made = handed_over(quick)
    path = f'/v1/credentials/{made["id"]}'
    stranger = quick.keystone.token(OTHER_PROJECT, 'member')
    assert quick.call('GET', '/v1/credentials', token=stranger).get_json() == {'credentials': []}
    for method in ('GET', 'DELETE'):
        refused(quick.call(method, path, token=stranger), 404, 'not_found')
        refused(quick.call(method, f'{path}?all_projects=1', token=stranger), *(403, 'forbidden'))
    operator = quick.keystone.token(OTHER_PROJECT, 'admin')
    found = quick.call('GET', '/v1/credentials?all_projects=1', token=operator)
    assert [c['id'] for c in found.get_json()['credentials']] == [made['id']]
    assert quick.call('DELETE', f'{path}?all_projects=1', token=operator).status_code == 204


def test_readers_look_and_nothing_more(quick):
    made = handed_over(quick)
    reader = quick.keystone.token(PROJECT, 'reader')
    assert quick.call('GET', '/v1/credentials', token=reader).status_code == 200
    refused(quick.call('POST', '/v1/credentials', BODY, reader), 403, 'forbidden')
    refused(
        quick.call('DELETE', f'/v1/credentials/{made["id"]}', token=reader), *(403, 'forbidden')
    )
    for token in ('', 'nonsense'):
        refused(quick.call('GET', '/v1/credentials', token=token), 401, 'unauthorized')


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'type': 'password'}, 'type must be one of application_credential, trust'),
        ({'type': None}, 'type must be one of'),
        ({'type': []}, 'type must be one of'),
        ({'keystone_id': ''}, 'keystone_id must match'),
        ({'keystone_id': 'a/b'}, 'keystone_id must match'),
        ({'keystone_id': 'a' * 65}, 'keystone_id must match'),
        ({'keystone_id': 7}, 'keystone_id must match'),
        ({'keystone_id': '\N{SNOWMAN}'}, 'keystone_id must match'),
        ({'secret': ''}, 'secret: the one that Keystone showed'),
        ({'secret': None}, 'secret must be one line'),
        ({'secret': ['x']}, 'secret must be one line'),
        ({'secret': 'a\nb'}, 'secret must be one line'),
        ({'secret': 'a' * 1025}, 'secret must be one line of at most 1024'),
        ({'project_id': PROJECT}, "unknown field 'project_id'"),
    ],
)
def test_bad_input_names_the_field(quick, change, words):
    error = refused(quick.call('POST', '/v1/credentials', BODY | change), 400, 'bad_request')
    assert words in error['detail']
    assert quick.call('GET', '/v1/credentials').get_json() == {'credentials': []}


@pytest.mark.parametrize('body', [b'', b'[]', b'{', b'\xff', b'{"type": "trust"}'])
def test_a_body_that_is_none_is_refused(quick, body):
    refused(quick.call('POST', '/v1/credentials', body), 400, 'bad_request')


def test_ids_and_switches_that_are_none(quick):
    refused(quick.call('GET', f'/v1/credentials/{NOWHERE}'), 404, 'not_found')
    refused(quick.call('DELETE', '/v1/credentials/nonsense'), 404, 'not_found')
    refused(quick.call('POST', '/v1/credentials?replace=yes', BODY), 400, 'bad_request')


# ---- the token of trust+http(s)


def called(service, path, token=None, current='alarm', **more):
    headers = {} if token is None else {'X-Auth-Token': token}
    data = notification(current, **more)
    return service.client.post(path, data=data, headers=headers)


def kept(service, recovery_id):
    with service.database.read() as c:
        return callback_tokens.rights(c, recovery_id, PROJECT, service.state.master_key)


def test_the_token_of_a_callback_is_kept_sealed_for_its_recovery(service, lines):
    service.silent()
    path, _ = service.alarm()
    answer = called(service, path, 'the-first-token')
    assert answer.status_code == 202
    recovery_id = answer.get_json()['recovery']
    assert kept(service, recovery_id) == Rights(TOKEN, PROJECT, secret='the-first-token')
    with service.database.read() as c:
        assert 'the-first-token' not in str(c.execute(sa.select(tokens_table)).all())
    assert service.keystone.asked.count('/v3/auth/tokens') <= 3, 'the callback asked nobody'
    service.clock.advance(5)
    assert called(service, path, 'a-newer-token').get_json()['decision'] == 'joined'
    assert kept(service, recovery_id).secret == 'a-newer-token'
    assert called(service, path).status_code == 202
    assert kept(service, recovery_id).secret == 'a-newer-token', 'none takes nothing away'
    assert 'token' not in '\n'.join(lines()).replace('<token>', '')


def test_a_callback_needs_no_keystone(quick):
    quick.silent()
    path, _ = quick.alarm()
    quick.keystone.away = True
    quick.keystone.asked.clear()
    answer = called(quick, path, 'a-token')
    assert answer.status_code == 202
    assert quick.keystone.asked == []
    assert kept(quick, answer.get_json()['recovery']).secret == 'a-token'


def test_without_a_recovery_no_token_is_kept(quick):
    quick.silent()
    path, telemetry = quick.alarm()
    assert called(quick, path, 'a-token', 'ok').status_code == 202
    assert called(quick, telemetry, 'a-token', 'insufficient data').status_code == 202
    with quick.database.read() as c:
        assert c.execute(sa.select(tokens_table)).all() == []


@pytest.mark.parametrize('token', ['a' * 8193, 'caf\xe9', 'a\tb'])
def test_a_token_that_can_be_none_is_refused_with_the_callback(quick, token):
    quick.silent()
    path, _ = quick.alarm()
    error = refused(called(quick, path, token), 400, 'bad_request')
    assert error['detail'].startswith('X-Auth-Token must be')
    assert quick.recoveries() == []


def test_where_the_operator_wants_none_a_token_is_passed_over(make, sqlite_url):
    service = make(sqlite_url, webhook='[credentials]\ncallback_tokens = false')
    service.silent()
    path, _ = service.alarm()
    answer = called(service, path, 'a' * 9000)
    assert answer.status_code == 202
    assert kept(service, answer.get_json()['recovery']) is None
