"""aodh-ha alarm: ours, Aodh's, and that neither is left without the other."""

import json

import pytest
import requests

from tests.unit.osc.conftest import ALARM, AODH, API, CARRIER, SERVER, alarm, guest, refusal

SIGNED = 'http://aodh-ha.test:8787/v1/alarms/signed-token'
CREATED = {
    'alarm_id': CARRIER,
    'name': 'aodh-ha heartbeat web',
    'state': 'ok',
    'state_reason': 'Not evaluated yet',
    'severity': 'critical',
}


@pytest.fixture
def creating(cloud):
    """Everything that creating an alarm asks for, and what takes it back."""
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    definition = {
        'name': 'aodh-ha heartbeat web',
        'type': 'gnocchi_resources_threshold',
        'severity': 'critical',
        'alarm_actions': [SIGNED],
        'gnocchi_resources_threshold_rule': {'threshold': 3.0},
    }
    cloud.create = cloud.api(
        'POST', 'alarms', {'alarm': alarm(aodh_alarm_id=None), 'definition': definition}, 201
    )
    cloud.carrier = cloud.aodh('POST', 'alarms', CREATED, 201)
    cloud.link = cloud.api('PUT', f'alarms/{ALARM}', {'alarm': alarm()})
    cloud.aodh('DELETE', f'alarms/{CARRIER}', status=204)
    cloud.api('DELETE', f'alarms/{ALARM}', status=204)
    return cloud


def test_an_alarm_is_created_here_then_in_aodh_then_linked(creating, run):
    result = run(
        'alarm',
        'create',
        SERVER,
        '--on',
        'service',
        '--threshold',
        '5',
        '--name',
        'ServiceFailureAlarm',
        '--severity',
        'low',
        '-f',
        'json',
    )
    assert result.code == 0
    assert creating.create.last_request.json() == {
        'server_id': SERVER, 'trigger': 'service', 'threshold': 5,
        'name': 'ServiceFailureAlarm',
    }  # fmt: skip
    assert creating.carrier.last_request.json() == {
        'name': 'aodh-ha heartbeat web',
        'type': 'gnocchi_resources_threshold',
        'severity': 'low',
        'alarm_actions': [SIGNED],
        'gnocchi_resources_threshold_rule': {'threshold': 3.0},
    }
    assert creating.link.last_request.json() == {'aodh_alarm_id': CARRIER}
    shown = json.loads(result.out)
    assert (shown['id'], shown['aodh_alarm_id'], shown['aodh_state']) == (ALARM, CARRIER, 'ok')


def test_aodh_is_asked_as_the_user_and_never_for_quotas(creating, run):
    run('alarm', 'create', SERVER)
    tokens = {r.headers.get('X-Auth-Token') for r in creating.mock.request_history[2:]}
    assert len(tokens) == 1
    assert tokens != {None}
    assert [c for c in creating.calls() if AODH in c] == [f'POST {AODH}/v2/alarms']


def test_debugging_logs_no_signed_url(creating, run, caplog):
    assert run('--debug', 'alarm', 'create', SERVER).code == 0
    assert f'PUT {API}/v1/alarms/{ALARM}' in caplog.text  # it does log requests
    assert 'signed-token' not in caplog.text


@pytest.mark.parametrize(
    ('answer', 'status', 'words'),
    [
        ({'error_message': {'faultstring': 'Alarm quota exceeded'}}, 403, 'Alarm quota exceeded'),
        ({'error_message': {'faultstring': 'ouch'}}, 500, 'if Aodh has an alarm called'),
        (requests.ConnectionError('[Errno 111] Connection refused'), 0, 'Connection refused'),
        (requests.Timeout(), 0, 'if Aodh has an alarm called'),
    ],
)
def test_when_aodh_fails_our_row_is_deleted_and_that_is_said(answer, status, words, creating, run):
    creating.aodh('POST', 'alarms', answer, status)
    result = run('alarm', 'create', SERVER)
    assert (result.code, result.out) == (1, '')
    assert result.err.startswith('The alarm was not created: Aodh: ')
    assert words in result.err
    assert 'what was made of it has been deleted again' in result.err
    assert creating.calls()[-1] == f'DELETE {API}/v1/alarms/{ALARM}'
    assert not creating.link.called


def test_when_the_link_fails_both_are_deleted(creating, run):
    creating.api('PUT', f'alarms/{ALARM}', refusal('The database does not answer', 'wait'), 503)
    result = run('alarm', 'create', SERVER)
    assert result.code == 1
    assert result.err.startswith('The alarm was not created: wait (req-1); what was made of it')
    assert creating.calls()[-2:] == [
        f'DELETE {AODH}/v2/alarms/{CARRIER}',
        f'DELETE {API}/v1/alarms/{ALARM}',
    ]


def test_when_even_that_fails_the_command_for_later_is_told(creating, run):
    creating.aodh('POST', 'alarms', {'error_message': {'faultstring': 'no'}}, 403)
    creating.api('DELETE', f'alarms/{ALARM}', requests.ConnectionError('Connection refused'))
    result = run('alarm', 'create', SERVER)
    assert result.code == 1
    assert f'so run: alarm delete {ALARM}' in result.err


def test_a_guest_that_is_not_enrolled_gets_no_alarm_in_aodh(creating, run):
    pending = refusal('This is not possible in the present state', 'the guest is pending')
    creating.api('POST', 'alarms', pending, 409)
    result = run('alarm', 'create', SERVER)
    assert result.code == 1
    assert result.err == (
        'This is not possible in the present state: the guest is pending (req-1)\n'
    )
    assert not creating.carrier.called


def test_the_list_shows_both_states(cloud, run):
    unlinked = alarm(id='a2', aodh_alarm_id=None)
    restarter = alarm(id='a3', aodh_alarm_id=None, trigger='restarter')
    shown = {'alarms': [alarm(), unlinked, restarter], 'next': None}
    listing = cloud.api('GET', 'alarms', shown)
    cloud.aodh('GET', 'alarms', [CREATED | {'state': 'alarm'}])
    result = run('alarm', 'list', '--guest', SERVER, '-f', 'json')
    states = {a['ID']: (a['State'], a['Aodh State']) for a in json.loads(result.out)}
    assert states == {ALARM: ('ok', 'alarm'), 'a2': ('ok', 'missing'), 'a3': ('ok', None)}
    assert listing.last_request.qs == {'guest': [SERVER]}


def test_the_list_says_that_aodh_is_away_and_shows_the_rest(cloud, run):
    wrong = alarm(problem='Aodh has no such alarm')
    cloud.api('GET', 'alarms', {'alarms': [wrong], 'next': None})
    cloud.aodh('GET', 'alarms', requests.ConnectionError('Connection refused'))
    result = run('alarm', 'list', '-f', 'value', '-c', 'State', '-c', 'Aodh State')
    assert (result.code, result.out) == (0, 'ok unknown\n')
    assert 'Aodh has no such alarm' in run('alarm', 'list').out
    assert result.err.startswith("Warning: Aodh's states are not known: ")


@pytest.mark.parametrize(('status', 'state'), [(404, 'missing'), (503, 'unknown')])
def test_an_alarm_is_shown_although_aodh_does_not_have_it_or_tell(status, state, cloud, run):
    cloud.api('GET', f'alarms/{ALARM}', {'alarm': alarm()})
    cloud.aodh('GET', f'alarms/{CARRIER}', {'error_message': {'faultstring': 'x'}}, status)
    result = run('alarm', 'show', ALARM, '-f', 'value', '-c', 'aodh_state')
    assert (result.code, result.out) == (0, f'{state}\n')


@pytest.mark.parametrize('status', [204, 404])
def test_deleting_deletes_aodhs_first_and_minds_not_if_it_is_gone(status, cloud, run):
    cloud.api('GET', f'alarms/{ALARM}', {'alarm': alarm()})
    cloud.aodh('DELETE', f'alarms/{CARRIER}', status=status)
    cloud.api('DELETE', f'alarms/{ALARM}', status=204)
    assert run('alarm', 'delete', ALARM).code == 0
    assert cloud.calls()[1:] == [
        f'DELETE {AODH}/v2/alarms/{CARRIER}',
        f'DELETE {API}/v1/alarms/{ALARM}',
    ]


def test_ours_stays_while_aodh_keeps_its_own(cloud, run):
    cloud.api('GET', f'alarms/{ALARM}', {'alarm': alarm()})
    cloud.aodh('DELETE', f'alarms/{CARRIER}', requests.ConnectionError('Connection refused'))
    ours = cloud.api('DELETE', f'alarms/{ALARM}', status=204)
    assert run('alarm', 'delete', ALARM).code == 1
    assert not ours.called
