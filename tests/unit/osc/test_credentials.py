"""aodh-ha credential: what a project hands over for its recoveries."""

import json

import pytest

from aodh_ha.osc.credential import WAIT, checked
from tests.unit.osc.conftest import ALARM, KEYSTONE, OTHER, SERVER, alarm, guest, refusal

MADE = 'ac' * 16
SECRET = 'the-secret-of-the-credential'
KEYSTONES = f'{KEYSTONE}/users/u1/application_credentials'


def shown(**changes):
    return {
        'id': ALARM,
        'project_id': 'p1',
        'type': 'application_credential',
        'keystone_id': MADE,
        'status': 'usable',
        'status_reason': '',
        'author': 'u1',
        'created_at': '2026-11-22T14:00:00.000Z',
        'checked_at': '2026-11-22T14:00:01.000Z',
        'used_at': None,
    } | changes


@pytest.fixture
def api(cloud):
    """The service takes what is handed over, and Keystone finds it good."""
    cloud.api('GET', f'credentials/{ALARM}', {'credential': shown()})
    pending = shown(status='pending', checked_at=None)
    return cloud.api('POST', 'credentials', {'credential': pending}, 201)


@pytest.fixture
def keystone(cloud):
    """Keystone makes application credentials."""
    made = {'application_credential': {'id': MADE, 'secret': SECRET}}
    return cloud.mock.post(KEYSTONES, json=made, status_code=201)


def test_one_is_made_in_keystone_and_handed_over(api, keystone, run):
    result = run('credential', 'create', '--debug')
    assert result.code == 0, result.err
    asked = keystone.last_request.json()['application_credential']
    assert asked['roles'] == [{'name': 'member'}]
    assert 'unrestricted' not in asked
    assert asked['name'].startswith('aodh-ha ')
    assert api.last_request.json() == {
        'type': 'application_credential',
        'keystone_id': MADE,
        'secret': SECRET,
    }
    assert 'usable' in result.out
    assert SECRET not in result.out + result.err


def test_with_the_roles_that_are_asked_for(api, keystone, run):
    run('credential', 'create', '--role', 'a', '--role', 'b')
    asked = keystone.last_request.json()['application_credential']
    assert asked['roles'] == [{'name': 'a'}, {'name': 'b'}]


def test_what_was_made_for_nothing_is_deleted_in_keystone(cloud, keystone, run):
    detail = 'delete that first'
    cloud.api('POST', 'credentials', refusal('Not possible', detail), 409)
    deleting = cloud.mock.delete(f'{KEYSTONES}/{MADE}', status_code=204)
    result = run('credential', 'create')
    assert result.code == 1
    assert detail in result.err
    assert deleting.called


def test_keystones_refusal_is_told(cloud, run):
    error = {'error': {'code': 403, 'message': 'not allowed with an application credential'}}
    headers = {'Content-Type': 'application/json'}
    cloud.mock.post(KEYSTONES, json=error, status_code=403, headers=headers)
    result = run('credential', 'create')
    assert result.code == 1
    assert 'Keystone answered 403: not allowed' in result.err


@pytest.mark.parametrize('source', ['file', 'stdin', 'prompt'])
def test_a_given_one_with_its_secret_from_a_file_or_standard_input(api, run, tmp_path, source):
    file = tmp_path / 'secret'
    file.write_text(f'{SECRET}\n')
    options = {'file': ['--secret-file', str(file)], 'stdin': ['--secret-file', '-'], 'prompt': []}
    given = ['--application-credential', MADE, *options[source]]
    result = run('credential', 'create', *given, '--replace', stdin=f'{SECRET}\n')
    assert result.code == 0, result.err
    assert api.last_request.json()['secret'] == SECRET
    assert api.last_request.qs == {'replace': ['1']}
    assert ('Secret of the application credential' in result.err) == (source == 'prompt')


def test_a_secret_file_that_is_not_there(api, run):
    given = ['--application-credential', MADE, '--secret-file', '/nowhere/secret']
    result = run('credential', 'create', *given)
    assert (result.code, api.called) == (1, False)
    assert '/nowhere/secret: No such file' in result.err


def test_a_trust(api, run):
    assert run('credential', 'create', '--trust', 'abc').code == 0
    assert api.last_request.json() == {'type': 'trust', 'keystone_id': 'abc'}


def test_one_that_keystone_refuses_fails_with_the_reason(cloud, api, run):
    refused = shown(status='refused', status_reason='Keystone refuses it: not found')
    cloud.api('GET', f'credentials/{ALARM}', {'credential': refused})
    result = run('credential', 'create', '--trust', 'abc')
    assert result.code == 1
    assert 'Keystone refuses it: not found' in result.err
    assert f'credential delete {ALARM}' in result.err


def test_without_waiting_it_is_shown_as_it_is(api, run):
    result = run('credential', 'create', '--trust', 'abc', '--no-wait', '-f', 'json')
    assert json.loads(result.out)['status'] == 'pending'


def test_the_wait_has_an_end():
    now = [0.0]

    def sleep(seconds):
        now[0] += seconds

    found = checked(lambda: shown(status='pending'), lambda: now[0], sleep)
    assert found['status'] == 'pending'
    assert WAIT <= now[0] <= WAIT + 1


@pytest.mark.parametrize(
    'options',
    [
        ['--trust', 'a', '--application-credential', 'b'],
        ['--trust', 'a', '--secret-file', 'b'],
        ['--trust', 'a', '--role', 'b'],
        ['--secret-file', 'b'],
        ['--application-credential', 'b', '--role', 'c'],
    ],
)
def test_options_that_do_not_belong_together(options, cloud, run):
    result = run('credential', 'create', *options)
    assert result.code in (1, 2)
    assert cloud.calls() == []


def test_they_are_listed_shown_and_forgotten(cloud, run):
    listing = cloud.api('GET', 'credentials', {'credentials': [shown(status='refused')]})
    out = run('credential', 'list', '--all-projects').out
    assert MADE in out
    assert 'refused' in out
    assert listing.last_request.qs == {'all_projects': ['1']}
    cloud.api('GET', f'credentials/{ALARM}', {'credential': shown()})
    assert json.loads(run('credential', 'show', ALARM, '-f', 'json').out)['keystone_id'] == MADE
    deleting = [cloud.api('DELETE', f'credentials/{i}', status=204) for i in (ALARM, OTHER)]
    assert run('credential', 'delete', ALARM, OTHER).code == 0
    assert all(d.called for d in deleting)


def test_an_alarm_with_a_trust_brings_its_owners_rights(cloud, run):
    definition = {
        'name': 'n',
        'type': 'gnocchi_resources_threshold',
        'alarm_actions': ['http://ha/v1/alarms/signed'],
        'ok_actions': ['http://ha/v1/alarms/signed'],
        'insufficient_data_actions': ['http://ha/v1/telemetry/signed'],
    }
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    cloud.api('POST', 'alarms', {'alarm': alarm(), 'definition': definition}, 201)
    cloud.api('PUT', f'alarms/{ALARM}', {'alarm': alarm()})
    carrier = {'alarm_id': OTHER, 'state': 'ok', 'name': 'n', 'severity': 'critical'}
    creation = cloud.aodh('POST', 'alarms', carrier, 201)
    result = run('alarm', 'create', SERVER, '--trust')
    assert result.code == 0, result.err
    sent = creation.last_request.json()
    assert sent['alarm_actions'] == ['trust+http://ha/v1/alarms/signed']
    assert sent['ok_actions'] == ['http://ha/v1/alarms/signed']
    assert sent['insufficient_data_actions'] == ['http://ha/v1/telemetry/signed']
