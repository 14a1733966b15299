"""aodh-ha recovery."""

import json
import re

import pytest

from tests.unit.osc.conftest import API, SERVER, guest

ID = 'aa240d16-55d4-47a6-b899-0869ffebc78b'


def recovery(**changes):
    return {
        'id': ID,
        'server_id': SERVER,
        'guest_name': 'web',
        'project_id': 'p1',
        'trigger': 'heartbeat',
        'status': 'recovered',
        'reason': 'by server.reboot hard',
        'policy': 'quick',
        'policy_version': 1,
        'created_at': '2026-11-22T14:59:34.110Z',
        'updated_at': '2026-11-22T14:59:59.590Z',
        'finished_at': '2026-11-22T14:59:59.590Z',
        'callbacks': 4,
        'alarm_id': 'a1',
        'guard': '',
        'priority': 50,
        'admitted_at': None,
        'approved_step': None,
        'incident_id': None,
        'group': '',
        'host': '',
        'dry_run': False,
    } | changes


ATTEMPT = {
    'step': 0,
    'number': 1,
    'action': 'server.reboot soft',
    'status': 'unverified',
    'intended_at': '2026-11-22T14:59:36.000Z',
    'sent_at': '2026-11-22T14:59:36.200Z',
    'verify_until': None,
    'finished_at': '2026-11-22T14:59:56.250Z',
    'request_id': 'req-soft',
    'detail': 'no newer heartbeat in time',
    'heard_at': None,
    'dry_run': False,
    'proof': {},
    'evidence': {'heartbeats_missed': 28},
}
EVENTS = [
    {'at': '2026-11-22T14:59:34.110Z', 'kind': 'opened', 'message': 'the alarm fired', 'data': {}},
    {'at': '2026-11-22T14:59:59.590Z', 'kind': 'recovered', 'message': 'by hard', 'data': {}},
]


def test_the_list_says_what_happened_and_how_long_it_took(cloud, run):
    lasting = recovery(id='r2', status='running', finished_at=None, guest_name='', guard='silence')
    cloud.api('GET', 'recoveries', {'recoveries': [lasting, recovery()]})
    rows = [r.split('|') for r in run('recovery', 'list').out.splitlines()[3:-1]]
    assert [tuple(r[n].strip() for n in (2, 4, 5, 7)) for r in rows] == [
        (SERVER, 'running', 'silence', '-'),
        ('web', 'recovered', '-', '25.5 s'),
    ]


@pytest.mark.parametrize(
    ('options', 'query'),
    [
        ([], {}),
        (['--active', '--all-projects'], {'active': ['1'], 'all_projects': ['1']}),
        (['--guest', SERVER.upper()], {'guest': [SERVER]}),
        (['--guest', 'web'], {'guest': [SERVER]}),
    ],
)
def test_the_list_is_narrowed_by_the_service(options, query, cloud, run):
    cloud.api('GET', 'guests', {'guests': [guest()], 'next': None})
    listing = cloud.api('GET', 'recoveries', {'recoveries': []})
    assert run('recovery', 'list', *options).code == 0
    assert listing.last_request.qs == query


def test_a_recovery_is_shown_with_seconds_since_its_start(cloud, run):
    answer = {'recovery': recovery(), 'attempts': [ATTEMPT], 'events': EVENTS}
    cloud.api('GET', f'recoveries/{ID}', answer)
    out = run('recovery', 'show', ID).out
    assert '+0.00 s  opened: the alarm fired' in out
    assert '+25.48 s  recovered: by hard' in out
    assert (
        'step 1 try 1  server.reboot soft  unverified after 20.2 s, req-soft: '
        'no newer heartbeat in time'
    ) in out


def test_an_attempt_tells_whether_what_was_to_be_kept_was_kept(cloud, run):
    def shown(**proof):
        attempt = ATTEMPT | {'proof': proof, 'dry_run': bool(proof.get('dry'))}
        answer = {'recovery': recovery(), 'attempts': [attempt], 'events': EVENTS}
        cloud.api('GET', f'recoveries/{ID}', answer)
        return run('recovery', 'show', ID).out

    assert 'kept' not in shown()
    assert 'nothing that was to be kept is gone' in shown(after={'root_disk': 'image'})
    lost = shown(after={'root_disk': 'image'}, differences=['fixed IP 10.0.0.5 is gone'])
    assert 'NOT KEPT: fixed IP 10.0.0.5 is gone' in lost
    assert 'server.reboot soft (dry run)' in shown(dry=True)


def test_programs_get_attempts_with_their_evidence(cloud, run):
    answer = {'recovery': recovery(), 'attempts': [ATTEMPT], 'events': EVENTS}
    cloud.api('GET', f'recoveries/{ID}', answer)
    shown = json.loads(run('recovery', 'show', ID, '-f', 'json').out)
    assert shown['attempts'] == [ATTEMPT]
    assert [e['seconds'] for e in shown['timeline']] == [0.0, 25.48]
    assert shown['took'] == 25.48


def test_one_that_has_only_begun_is_shown_too(cloud, run):
    begun = recovery(status='queued', finished_at=None, alarm_id=None)
    attempt = ATTEMPT | {'status': 'intended', 'finished_at': None, 'request_id': None}
    cloud.api('GET', f'recoveries/{ID}', {'recovery': begun, 'attempts': [attempt], 'events': []})
    result = run('recovery', 'show', ID)
    assert result.code == 0
    assert 'server.reboot soft  intended: no newer' in result.out


def test_the_list_stops_at_what_was_asked_for_and_goes_on_over_pages(cloud, run):
    pages = [{'recoveries': [recovery()] * 2, 'next': 'm'}, {'recoveries': [recovery()] * 2}]
    listing = cloud.mock.get(f'{API}/v1/recoveries', [{'json': page} for page in pages])
    assert run('recovery', 'list', '--limit', '3', '-f', 'value', '-c', 'ID').out == f'{ID}\n' * 3
    queries = [r.qs for r in listing.request_history]
    assert queries == [{'limit': ['3']}, {'limit': ['3'], 'marker': ['m']}]


@pytest.mark.parametrize(
    ('command', 'body'),
    [
        (['approve', ID], {}),
        (['approve', ID, '--step', '3'], {'step': 2}),
        (['cancel', ID], {'reason': ''}),
        (['cancel', ID, '--reason', 'wrong guest'], {'reason': 'wrong guest'}),
    ],
)
def test_what_a_person_orders_is_sent_with_steps_as_the_api_counts(command, body, cloud, run):
    answer = {'recovery': recovery(approved_step=2)}
    order = cloud.api('POST', f'recoveries/{ID}/{command[0]}', answer)
    result = run('recovery', *command, '-f', 'value', '-c', 'approved_step')
    assert (result.code, result.out) == (0, '2\n'), result.err
    assert order.last_request.json() == body
    assert re.search(r'approved_step +[|] 3 ', run('recovery', *command).out)


@pytest.mark.parametrize('step', ['0', '-1', 'x', '1.5', '9' * 5000])
def test_a_step_that_is_none_is_not_sent(step, cloud, run):
    assert run('recovery', 'approve', ID, '--step', step).code == 2
    assert cloud.calls() == []


HELD = {
    'guard': 'approval',
    'meaning': 'a person has to approve the step',
    'reason': 'server.rebuild waits for "recovery approve"',
    'looks_again_at': '2026-11-22T15:00:10.000Z',
}
RUNGS = [
    {
        'step': 0,
        'name': 'server.reboot soft',
        'status': 'tried',
        'tries': 1,
        'attempts': 2,
        'why': 'unverified: no newer heartbeat in time',
    },
    {
        'step': 1,
        'name': 'server.rebuild',
        'status': 'waiting',
        'tries': 0,
        'attempts': 1,
        'why': HELD['reason'],
    },
]


def test_an_explanation_is_the_ladder_in_words(cloud, run):
    explanation = {
        'summary': 'Opened by an alarm.',
        'held': HELD,
        'steps': RUNGS,
        'decisions': ['14:59:36 server.reboot soft: it did not help'],
    }
    answer = {'recovery': recovery(status='queued'), 'explanation': explanation}
    cloud.api('GET', f'recoveries/{ID}/explain', answer)
    out = run('recovery', 'explain', ID).out
    assert '1. server.reboot soft  tried (1 of 2): unverified: no newer heartbeat' in out
    assert '2. server.rebuild  waiting: server.rebuild waits for' in out
    assert 'approval: a person has to approve the step; looks again at 2026-' in out
    assert '14:59:36 server.reboot soft: it did not help' in out
    shown = json.loads(run('recovery', 'explain', ID, '-f', 'json').out)
    assert shown['ladder'] == RUNGS
    answer['explanation'] = explanation | {'held': None}
    cloud.api('GET', f'recoveries/{ID}/explain', answer)
    assert re.search(r'held_by +[|] nothing', run('recovery', 'explain', ID).out)
