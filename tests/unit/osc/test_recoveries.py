"""aodh-ha recovery."""

import json

import pytest

from tests.unit.osc.conftest import SERVER, guest

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
    'evidence': {'heartbeats_missed': 28},
}
EVENTS = [
    {'at': '2026-11-22T14:59:34.110Z', 'kind': 'opened', 'message': 'the alarm fired', 'data': {}},
    {'at': '2026-11-22T14:59:59.590Z', 'kind': 'recovered', 'message': 'by hard', 'data': {}},
]


def test_the_list_says_what_happened_and_how_long_it_took(cloud, run):
    lasting = recovery(id='r2', status='running', finished_at=None, guest_name='')
    cloud.api('GET', 'recoveries', {'recoveries': [lasting, recovery()]})
    rows = [r.split('|') for r in run('recovery', 'list').out.splitlines()[3:-1]]
    assert [(r[2].strip(), r[4].strip(), r[6].strip()) for r in rows] == [
        (SERVER, 'running', '-'),
        ('web', 'recovered', '25.5 s'),
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
