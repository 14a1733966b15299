"""The application: how one logs in, and what an error looks like."""

import importlib.metadata
import json

import pytest
import requests
from keystoneauth1.loading import base as loading

from aodh_ha.cmd.main import NAMESPACE, Shell, main
from aodh_ha.osc import plugin
from tests.unit.osc.conftest import API, KEYSTONE, guest, refusal


def test_help_names_every_command_with_its_purpose(run):
    result = run('--help')
    assert result.code == 0
    commands = result.out.partition('Commands:')[2].splitlines()
    lines = dict(line.strip().split('  ', 1) for line in commands if line.strip())
    entries = importlib.metadata.entry_points(group=NAMESPACE)
    assert {e.name.replace('_', ' ') for e in entries} <= set(lines)
    assert all(text.strip() for text in lines.values())


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit) as stopped:
        main([])
    assert stopped.value.code == 0
    assert 'guest enroll' in capsys.readouterr().out


@pytest.mark.parametrize('entry', importlib.metadata.entry_points(group=NAMESPACE), ids=str)
def test_every_command_can_be_loaded_and_parses_its_options(entry):
    command = entry.load()(Shell(), None, cmd_name=entry.name.replace('_', ' '))
    assert command.get_parser('aodh-ha').format_help()


def test_openstackclient_has_every_command_that_needs_a_login_under_a_word_of_its_own():
    def named(group):
        entries = importlib.metadata.entry_points(group=group)
        return {e.name: e.value for e in entries if e.module.startswith('aodh_ha.osc')}

    (extension,) = named('openstack.cli.extension').items()
    assert extension == (plugin.API_NAME, plugin.__name__)
    version = plugin.DEFAULT_API_VERSION
    assert version in plugin.API_VERSIONS
    assert f'os_{plugin.API_NAME}_api_version' == plugin.API_VERSION_OPTION
    ours = {f'ha_{name}': value for name, value in named(NAMESPACE).items()}
    assert named(f'openstack.{plugin.API_NAME}.v{version}') == ours


def test_every_login_that_keystoneauth1_knows_has_its_options():
    parser = Shell().parser
    known = {option for action in parser._actions for option in action.option_strings}
    # aodhclient's and gnocchiclient's logins without Keystone are of no use with other services.
    logins = [p for p in loading.get_available_plugin_names() if not p.startswith(('aodh-', 'gno'))]
    assert len(logins) > 10
    for login in logins:
        for option in loading.get_plugin_options(login):
            assert f'--os-{option.name.lower().replace("_", "-")}' in known, login


def sent(cloud):
    return cloud.login.last_request.json()['auth']


def test_login_by_variables(cloud, run):
    cloud.api('GET', 'guests', {'guests': [], 'next': None})
    assert run('guest', 'list').code == 0
    assert sent(cloud)['identity']['password']['user']['name'] == 'operator'
    assert sent(cloud)['scope']['project']['name'] == 'demo'


def test_login_by_clouds_yaml_wins_over_no_variables(cloud, run, monkeypatch, tmp_path):
    for name in ('USERNAME', 'PASSWORD', 'PROJECT_NAME', 'AUTH_URL'):
        monkeypatch.delenv(f'OS_{name}')
    auth = {'auth_url': KEYSTONE, 'username': 'filed', 'password': 'p', 'project_name': 'prod'}
    clouds = {'clouds': {'mine': {'auth': auth, 'region_name': 'here'}}}
    (tmp_path / 'clouds.yaml').write_text(json.dumps(clouds))
    cloud.api('GET', 'guests', {'guests': [], 'next': None})
    assert run('--os-cloud', 'mine', 'guest', 'list').code == 0
    assert sent(cloud)['identity']['password']['user']['name'] == 'filed'


def test_an_option_wins_over_the_file_and_may_stand_after_the_command(cloud, run):
    cloud.api('GET', 'guests', {'guests': [], 'next': None})
    assert run('guest', 'list', '--os-username', 'typed').code == 0
    assert sent(cloud)['identity']['password']['user']['name'] == 'typed'


def test_login_by_application_credential(cloud, run, monkeypatch):
    for name in ('USERNAME', 'PASSWORD', 'PROJECT_NAME'):
        monkeypatch.delenv(f'OS_{name}')
    monkeypatch.setenv('OS_AUTH_TYPE', 'v3applicationcredential')
    monkeypatch.setenv('OS_APPLICATION_CREDENTIAL_ID', 'c1')
    monkeypatch.setenv('OS_APPLICATION_CREDENTIAL_SECRET', 's1')
    cloud.api('GET', 'guests', {'guests': [], 'next': None})
    assert run('guest', 'list').code == 0
    assert sent(cloud)['identity']['application_credential'] == {'id': 'c1', 'secret': 's1'}


def test_insecure_reaches_every_request(cloud, run):
    cloud.api('GET', 'guests', {'guests': [], 'next': None})
    run('guest', 'list')
    # True, or the file that REQUESTS_CA_BUNDLE names where this runs.
    assert all(r.verify for r in cloud.mock.request_history)
    secure = len(cloud.mock.request_history)
    run('--insecure', 'guest', 'list')
    assert {r.verify for r in cloud.mock.request_history[secure:]} == {False}


@pytest.mark.parametrize('way', ['option', 'variable'])
def test_the_address_can_be_given_in_place_of_the_catalogs(way, cloud, run, monkeypatch):
    cloud.mock.get('http://elsewhere.test/ha/v1/guests', json={'guests': [guest()], 'next': None})
    options = []
    if way == 'option':
        options = ['--aodh-ha-endpoint', 'http://elsewhere.test/ha/']
    else:
        monkeypatch.setenv('AODH_HA_ENDPOINT', 'http://elsewhere.test/ha')
    assert run(*options, 'guest', 'list', '-f', 'value', '-c', 'Name').out == 'web\n'


def failing(cloud, run, answer, status=200, *options):
    cloud.api('GET', 'guests', answer, status)
    result = run(*options, 'guest', 'list')
    assert (result.code, result.out) == (1, '')
    assert result.err.count('\n') == 1, result.err
    return result.err


def test_an_error_of_the_api_is_its_title_detail_and_request_id(cloud, run):
    wrong = refusal('Your roles do not allow this', 'ask for reader')
    assert failing(cloud, run, wrong, 403) == (
        'Your roles do not allow this: ask for reader (req-1)\n'
    )


@pytest.mark.parametrize('answer', [None, {'unexpected': 1}, {'errors': []}, ['list']])
def test_an_error_in_another_shape_names_the_address(answer, cloud, run):
    err = failing(cloud, run, answer, 502)
    assert err.startswith(f'HTTP 502 from {API}/v1/guests: ')


def test_a_page_that_is_no_json_is_not_taken_for_an_answer(cloud, run):
    cloud.mock.get(f'{API}/v1/guests', text='<html>Welcome</html>')
    result = run('guest', 'list')
    assert result.code == 1
    assert 'check the address' in result.err


def test_an_unreachable_service_is_named_with_what_to_check(cloud, run):
    refused = requests.ConnectionError('Max retries: [Errno 111] Connection refused')
    assert failing(cloud, run, refused) == (
        f'aodh-ha does not answer: nothing at {API} (connection refused); check that '
        '`aodh-ha serve` runs there, and the address: openstack catalog show aodh-ha, '
        'or --aodh-ha-endpoint\n'
    )


def test_a_catalog_without_the_service_is_told(cloud, run):
    err = failing(cloud, run, {}, 200, '--os-interface', 'admin')
    assert 'no endpoint of type aodh-ha' in err
    assert 'interface admin' in err


def test_an_unreachable_keystone_is_named(cloud, run):
    cloud.mock.get(KEYSTONE, exc=requests.ConnectionError('Connection refused'))
    cloud.mock.post(f'{KEYSTONE}/auth/tokens', exc=requests.ConnectionError('Connection refused'))
    err = failing(cloud, run, {})
    assert err.startswith('Keystone does not answer: ')
    assert KEYSTONE in err


def test_a_refused_login_is_told(cloud, run):
    cloud.mock.post(
        f'{KEYSTONE}/auth/tokens',
        status_code=401,
        json={'error': {'message': 'wrong password'}},
        headers={'Content-Type': 'application/json'},
    )
    err = failing(cloud, run, {})
    assert err.startswith('Keystone refused the login: wrong password')
    assert 'secret-password' not in err


def test_without_anything_to_log_in_with_the_ways_are_told(cloud, run, monkeypatch):
    for name in ('USERNAME', 'PASSWORD', 'PROJECT_NAME', 'AUTH_URL'):
        monkeypatch.delenv(f'OS_{name}')
    assert '--os-cloud' in failing(cloud, run, {})


def test_a_cloud_that_is_in_no_file_is_named(cloud, run):
    assert 'Cloud nowhere was not found' in failing(cloud, run, {}, 200, '--os-cloud', 'nowhere')


def test_a_defect_keeps_its_traceback_with_debug(cloud, run, monkeypatch, caplog):
    monkeypatch.setattr('aodh_ha.osc.client.Client.guests', lambda *a, **k: 1 / 0)
    result = run('--debug', 'guest', 'list')
    assert result.code == 1
    assert 'ZeroDivisionError' in caplog.text
    assert 'Traceback' in caplog.text


def test_a_misspelt_command_is_answered_with_its_neighbours(run):
    result = run('guset', 'list')
    assert result.code == 2
    assert 'guest list' in result.out
