"""aodh-ha guest."""

import itertools
import json

import pytest

from aodh_ha.exceptions import Conflict
from aodh_ha.osc.guest import settled
from tests.unit.osc.conftest import (
    ALARM,
    AODH,
    API,
    CARRIER,
    KEY,
    NOVA,
    OTHER,
    SERVER,
    alarm,
    guest,
    refusal,
)

CREDENTIALS = {'gateways': ['http://gw1', 'http://gw2'], 'guest': SERVER, 'generation': 2}


@pytest.fixture
def enrolling(cloud):
    """A server called web; its enrolment is confirmed at the second look."""
    cloud.servers(**{SERVER: 'web'})
    cloud.nova('GET', f'servers/{SERVER}', {'server': {'id': SERVER, 'name': 'web', 'links': []}})
    cloud.enroll = cloud.api(
        'POST',
        'guests',
        {'guest': guest(status='pending', name=''), 'credentials': CREDENTIALS | {'key': KEY}},
        201,
    )
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    cloud.metadata = cloud.nova('POST', f'servers/{SERVER}/metadata', {'metadata': {}})
    return cloud


def test_enrolling_by_name_prints_what_the_agent_needs(enrolling, run):
    result = run(
        'guest',
        'enroll',
        'web',
        '--policy',
        'database',
        '--interval',
        '5s',
        '--missed',
        '4',
        '--boot-grace',
        '2m',
        '-f',
        'json',
    )
    shown = json.loads(result.out)
    assert (result.code, shown['status'], shown['name']) == (0, 'enrolled', 'web')
    assert shown['agent_config'].splitlines() == [
        '[agent]', 'gateways = http://gw1, http://gw2', f'guest = {SERVER}', f'key = {KEY}',
        'generation = 2', 'interval = 10s',
    ]  # fmt: skip
    assert enrolling.enroll.last_request.json() == {
        'server_id': SERVER, 'policy': 'database', 'interval': 5.0, 'missed': 4,
        'boot_grace': 120.0,
    }  # fmt: skip
    assert not enrolling.metadata.called


def test_a_guest_may_belong_to_a_group_and_find_its_policy_by_match(enrolling, run):
    enrolling.api('GET', f'guests/{SERVER}', {'guest': guest(policy='', group='db'), 'events': []})
    result = run('guest', 'enroll', SERVER, '--group', 'db', '--policy', '')
    assert enrolling.enroll.last_request.json() == {
        'server_id': SERVER,
        'policy': '',
        'group': 'db',
    }
    assert '(by match)' in result.out


def test_settings_that_are_not_given_are_left_to_the_policy(enrolling, run):
    assert run('guest', 'enroll', SERVER).code == 0
    assert enrolling.enroll.last_request.json() == {'server_id': SERVER}


def test_enrolling_with_metadata_writes_the_key_there_and_prints_none(enrolling, run):
    result = run('guest', 'enroll', 'web', '--metadata')
    assert result.code == 0
    assert enrolling.metadata.last_request.json() == {
        'metadata': {
            'aodh_ha_gateways': 'http://gw1,http://gw2',
            'aodh_ha_key': KEY,
            'aodh_ha_generation': '2',
        }
    }
    assert KEY not in result.out + result.err


def test_debugging_an_enrolment_logs_no_key(enrolling, run, caplog):
    result = run('--debug', 'guest', 'enroll', 'web', '--metadata')
    assert result.code == 0
    assert f'GET {API}/v1/guests/{SERVER}' in caplog.text  # it does log requests
    assert KEY not in caplog.text + result.out + result.err
    assert 'secret-password' not in caplog.text + result.err


def test_a_refused_guest_is_an_error_with_the_reason_and_gets_no_key(enrolling, run):
    refused = guest(status='refused', status_reason='the server is of another project')
    enrolling.api('GET', f'guests/{SERVER}', {'guest': refused, 'events': []})
    result = run('guest', 'enroll', 'web', '--metadata')
    assert (result.code, result.out) == (1, '')
    assert result.err == ('The guest was not enrolled: web: the server is of another project\n')
    assert not enrolling.metadata.called


def test_enrolling_without_waiting_asks_no_more(enrolling, run):
    result = run('guest', 'enroll', 'web', '--no-wait', '-f', 'value', '-c', 'status')
    assert (result.code, result.out) == (0, 'pending\n')
    assert f'GET {API}/v1/guests/{SERVER}' not in enrolling.calls()


def test_waiting_ends_with_the_first_answer_that_is_not_pending():
    looks = iter([guest(status='pending'), guest(status='pending'), guest()])
    naps = []
    found = settled(lambda: next(looks), clock=lambda: 0.0, sleep=naps.append)
    assert found['status'] == 'enrolled'
    assert len(naps) == 2


def test_waiting_is_bounded_and_says_what_to_check():
    time = itertools.count(step=10.0)
    with pytest.raises(Conflict, match=r'still pending after 30 s: .*aodh-ha-worker'):
        settled(lambda: guest(status='pending'), clock=lambda: next(time), sleep=lambda _: None)


def test_servers_of_the_same_name_are_listed_not_guessed(enrolling, run):
    enrolling.servers(**{SERVER: 'web', OTHER: 'web'})
    result = run('guest', 'enroll', 'web')
    assert result.code == 1
    assert result.err.startswith('The name is not unique: 2 servers are called')
    assert SERVER in result.err
    assert OTHER in result.err
    assert not enrolling.enroll.called


def test_a_server_whose_name_only_contains_the_name_is_not_meant(enrolling, run):
    enrolling.servers(**{OTHER: 'webmail'})
    result = run('guest', 'enroll', 'web')
    assert result.code == 1
    assert "no server is called 'web'" in result.err


def test_a_name_with_marks_of_regular_expressions_is_looked_for_without_nova_reading_it(
    enrolling, run
):
    listing = enrolling.servers(**{SERVER: 'web (1)'})
    assert run('guest', 'enroll', 'web (1)').code == 0
    assert 'name=' not in listing.last_request.url


@pytest.mark.parametrize('interval', ['10', 'soon', '5 s', '-1s'])
def test_a_duration_without_its_unit_is_refused(interval, enrolling, run, capsys):
    assert run('guest', 'enroll', 'web', f'--interval={interval}').code == 2
    assert 'no duration with its unit, such as 10s' in capsys.readouterr().err
    assert not enrolling.enroll.called


def test_the_list_shows_who_is_silent_since_when(cloud, run):
    cloud.api('GET', 'guests', {'guests': [
        guest(), guest(id=OTHER, name='db', silent_for=None, missed=None, services=[]),
    ], 'next': None})  # fmt: skip
    result = run('guest', 'list')
    rows = [[c.strip() for c in r.split('|')[1:-1]] for r in result.out.splitlines()[3:-1]]
    assert rows == [
        [
            SERVER,
            'web',
            'enrolled',
            '4.2 s',
            '0',
            '3',
            'nginx failed (2 failures)',
            'stateful',
            '-',
        ],
        [OTHER, 'db', 'enrolled', '-', '-', '3', '', 'stateful', '-'],
    ]


def test_programs_get_numbers_and_nulls(cloud, run):
    cloud.api('GET', 'guests', {'guests': [guest(missed=None)], 'next': None})
    (shown,) = json.loads(run('guest', 'list', '-f', 'json').out)
    assert (shown['Silent For'], shown['Missed']) == (4.25, None)
    assert shown['Services'] == [{'name': 'nginx', 'state': 'failed', 'failures': 2}]


def test_the_list_goes_on_over_all_pages(cloud, run):
    cloud.mock.get(f'{API}/v1/guests', [
        {'json': {'guests': [guest()], 'next': SERVER}},
        {'json': {'guests': [guest(id=OTHER)], 'next': None}},
    ])  # fmt: skip
    result = run('guest', 'list', '--all-projects', '-f', 'value', '-c', 'ID', '-c', 'Project ID')
    assert result.out.splitlines() == [f'{SERVER} p1', f'{OTHER} p1']
    assert [r.qs for r in cloud.mock.request_history if '/guests' in r.url] == [
        {'all_projects': ['1']}, {'all_projects': ['1'], 'marker': [SERVER]},
    ]  # fmt: skip


def test_a_guest_is_shown_by_name_with_its_newest_events(cloud, run):
    events = [
        {'at': f'2026-11-22T14:00:0{n}.000Z', 'kind': 'beat', 'message': f'number {n}', 'data': {}}
        for n in range(5)
    ]
    cloud.api('GET', 'guests', {'guests': [guest(), guest(id=OTHER, name='db')], 'next': None})
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': events})
    result = run('guest', 'show', 'web', '--events', '2', '-f', 'json')
    shown = json.loads(result.out)
    assert [e['message'] for e in shown['events']] == ['number 3', 'number 4']
    assert not [field for field in shown if 'key' in field]


def test_a_guest_is_shown_with_what_it_measured(cloud, run):
    at = '2026-11-22T14:00:00.000Z'
    metrics = [
        {'name': 'CPUUtilization', 'value': 12.345, 'unit': 'Percent', 'at': at},
        {'name': 'LoadAverage', 'value': 2.0, 'unit': '', 'at': at},
    ]
    cloud.api('GET', 'guests', {'guests': [guest()], 'next': None})
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(metrics=metrics), 'events': []})
    shown = run('guest', 'show', 'web', '-f', 'table', '-c', 'metrics').out
    lines = [f'CPUUtilization 12.345 Percent ({at})', f'LoadAverage 2 ({at})']
    assert [cell for line in shown.splitlines() for cell in lines if f' {cell} ' in line] == lines
    assert json.loads(run('guest', 'show', 'web', '-f', 'json').out)['metrics'] == metrics


@pytest.mark.parametrize('command', ['show', 'forget'])
def test_guests_of_the_same_name_are_listed_not_guessed(command, cloud, run):
    cloud.api('GET', 'guests', {'guests': [guest(), guest(id=OTHER)], 'next': None})
    result = run('guest', command, 'web')
    assert result.code == 1
    assert result.err == (
        "The name is not unique: 2 guests are called 'web'; give the id instead: "
        f'{SERVER} enrolled, {OTHER} enrolled\n'
    )


@pytest.fixture
def forgetting(cloud):
    """An enrolled guest with an alarm in Aodh and its metadata in Nova."""
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    cloud.api('GET', 'alarms', {'alarms': [alarm()], 'next': None})
    cloud.aodh('DELETE', f'alarms/{CARRIER}', status=204)
    cloud.api('DELETE', f'alarms/{ALARM}', status=204)
    cloud.forget = cloud.api('DELETE', f'guests/{SERVER}', status=204)
    cloud.nova('GET', f'servers/{SERVER}/metadata', {'metadata': {'aodh_ha_key': KEY, 'mine': '1'}})
    cloud.nova('DELETE', f'servers/{SERVER}/metadata/aodh_ha_key', status=204)
    return cloud


def test_forgetting_takes_the_alarms_in_aodh_and_the_metadata_along(forgetting, run):
    result = run('guest', 'forget', SERVER)
    assert (result.code, result.out, result.err) == (0, '', '')
    assert forgetting.calls()[2:] == [
        f'DELETE {AODH}/v2/alarms/{CARRIER}',
        f'DELETE {API}/v1/alarms/{ALARM}',
        f'DELETE {API}/v1/guests/{SERVER}',
        f'GET {NOVA}/servers/{SERVER}/metadata',
        f'DELETE {NOVA}/servers/{SERVER}/metadata/aodh_ha_key',
    ]


def test_a_guest_whose_server_is_gone_is_forgotten(forgetting, run):
    forgetting.nova('GET', f'servers/{SERVER}/metadata', {'itemNotFound': {'message': 'no'}}, 404)
    assert run('guest', 'forget', SERVER).code == 0
    assert forgetting.forget.called


def test_metadata_that_nova_keeps_is_told(forgetting, run):
    forgetting.nova('GET', f'servers/{SERVER}/metadata', {'conflict': {'message': 'locked'}}, 409)
    result = run('guest', 'forget', SERVER)
    assert result.code == 0
    assert 'aodh_ha_key' in result.err
    assert 'locked' in result.err


def test_a_guest_is_not_forgotten_while_aodh_keeps_its_alarm(forgetting, run):
    forgetting.aodh('DELETE', f'alarms/{CARRIER}', {'error_message': {'faultstring': 'ouch'}}, 503)
    result = run('guest', 'forget', SERVER)
    assert result.code == 1
    assert 'ouch' in result.err
    assert not forgetting.forget.called


def test_one_that_cannot_be_forgotten_does_not_keep_the_others(forgetting, run):
    missing = refusal('There is no such thing', 'no guest 77fe')
    forgetting.api('GET', f'guests/{OTHER}', missing, 404)
    result = run('guest', 'forget', OTHER, SERVER)
    assert result.code == 1
    assert forgetting.forget.called
    assert result.err.splitlines() == [
        f'{OTHER}: There is no such thing: no guest 77fe (req-1)',
        '1 of 2 failed',
    ]
