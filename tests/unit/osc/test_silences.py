"""aodh-ha silence and aodh-ha incident."""

import json

import pytest

from tests.unit.osc.conftest import ALARM, OTHER, SERVER, guest

WINDOW = {
    'id': ALARM,
    'project_id': 'p1',
    'scope': 'guest',
    'value': SERVER,
    'status': 'active',
    'starts_at': '2026-11-22T14:00:00.000Z',
    'ends_at': '2026-11-22T18:00:00.000Z',
    'author': 'u1',
    'reason': 'kernel',
    'created_at': '2026-11-22T14:00:00.000Z',
}
INCIDENT = {
    'id': ALARM,
    'kind': 'host',
    'name': 'compute-7',
    'status': 'open',
    'reason': 'Nova says that it is down',
    'opened_at': '2026-11-22T14:00:00.000Z',
    'closed_at': None,
    'fenced_at': None,
    'fenced_by': '',
}


@pytest.mark.parametrize(
    ('options', 'body'),
    [
        (['--guest', 'web', '--for', '4h'], {'scope': 'guest', 'value': SERVER, 'duration': 14400}),
        (['--guest', OTHER, '--for', '1d'], {'scope': 'guest', 'value': OTHER, 'duration': 86400}),
        (['--group', 'db', '--for', '60s'], {'scope': 'group', 'value': 'db', 'duration': 60}),
        (['--project', '--for', '5m'], {'scope': 'project', 'value': '', 'duration': 300}),
        (['--project', 'p9', '--for', '5m'], {'scope': 'project', 'value': 'p9', 'duration': 300}),
        (
            ['--host', 'c7', '--until', '2026-12-01T10:00+02:00', '--reason', 'disks'],
            {
                'scope': 'host',
                'value': 'c7',
                'ends_at': '2026-12-01T08:00:00+00:00',
                'reason': 'disks',
            },
        ),
        (
            ['--all', '--from', '2026-12-01T10:00Z', '--for', '1h'],
            {'scope': 'all', 'starts_at': '2026-12-01T10:00:00+00:00', 'duration': 3600},
        ),
    ],
)
def test_a_window_is_sent_as_it_is_meant(options, body, cloud, run):
    cloud.api('GET', 'guests', {'guests': [guest()], 'next': None})
    creation = cloud.api('POST', 'silences', {'silence': WINDOW}, 201)
    result = run('silence', 'create', *options)
    assert result.code == 0, result.err
    assert creation.last_request.json() == body
    assert '4 h 0 m' in result.out


@pytest.mark.parametrize(
    'options',
    [
        ['--for', '1h'],
        ['--all'],
        ['--all', '--group', 'db', '--for', '1h'],
        ['--all', '--for', '1h', '--until', '2026-12-01T10:00Z'],
        ['--all', '--for', '1'],
        ['--all', '--until', 'tomorrow'],
    ],
)
def test_a_window_without_whom_or_an_end_is_not_sent(options, cloud, run):
    assert run('silence', 'create', *options).code == 2
    assert cloud.calls() == []


def test_windows_are_listed_and_ended(cloud, run):
    listing = cloud.api('GET', 'silences', {'silences': [WINDOW]})
    out = run('silence', 'list', '--ended', '--all-projects').out
    assert 'kernel' in out
    assert listing.last_request.qs == {'ended': ['1'], 'all_projects': ['1']}
    ending = cloud.api('DELETE', f'silences/{ALARM}', status=204)
    assert run('silence', 'end', ALARM).code == 0
    assert ending.called


def test_an_incident_is_shown_with_its_recoveries(cloud, run):
    part = {'id': 'r1', 'guest_name': 'web', 'server_id': SERVER, 'status': 'queued', 'reason': 'x'}
    cloud.api('GET', f'incidents/{ALARM}', {'incident': INCIDENT, 'recoveries': [part]})
    out = run('incident', 'show', ALARM).out
    assert 'r1  web  queued: x' in out
    shown = json.loads(run('incident', 'show', ALARM, '-f', 'json').out)
    assert (shown['recoveries'], shown['lasted']) == ([part], None)


def test_incidents_are_listed_and_closed_with_a_reason(cloud, run):
    listing = cloud.api('GET', 'incidents', {'incidents': [INCIDENT]})
    assert 'compute-7' in run('incident', 'list', '--open').out
    assert listing.last_request.qs == {'open': ['1']}
    closed = INCIDENT | {'status': 'closed', 'closed_at': '2026-11-22T14:01:00.000Z'}
    closing = cloud.api('POST', f'incidents/{ALARM}/close', {'incident': closed})
    out = run('incident', 'close', ALARM, '--reason', 'it was the switch').out
    assert '60 s' in out
    assert closing.last_request.json() == {'reason': 'it was the switch'}
