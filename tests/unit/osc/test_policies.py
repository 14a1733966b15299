"""aodh-ha policy."""

import json

import pytest

from aodh_ha.rules import policy as rules
from tests.unit.osc.conftest import SERVER, refusal
from webhook.v1.policies import view

DOCUMENT = """\
name: database
match: {groups: [db]}
preserve: [volumes]
budget: {concurrent: 10%, per_guest: 3 in 1h}
steps:
  - {action: server.reboot, type: soft, attempts: 2, verify: 30s}
  - {action: server.rebuild, verify: 300s, approval: true, hold: 60s}
"""
POLICY = view(rules.parse(DOCUMENT, 2), 'project')


def test_the_list_shows_the_ladder(cloud, run):
    cloud.api('GET', 'policies', {'policies': [POLICY]})
    out = run('policy', 'list').out
    assert 'server.reboot soft x2, verify 30s' in out
    assert 'server.rebuild, verify 300s, hold 60s, approval' in out
    assert 'groups: db' in out


def test_a_policy_is_shown_with_all_it_says(cloud, run):
    cloud.api('GET', 'policies/database', {'policy': POLICY})
    out = run('policy', 'show', 'database').out
    for words in ('10%', '3 in 1h', 'forced_down', 'gentle', 'groups: db'):
        assert words in out


def test_the_document_can_be_had_as_it_was_written(cloud, run):
    cloud.api('GET', 'policies/database', {'policy': POLICY})
    assert run('policy', 'show', 'database', '-f', 'value', '-c', 'document').out == (
        f'{DOCUMENT}\n'
    )


@pytest.mark.parametrize('way', ['file', '-'])
def test_a_policy_is_saved_under_the_name_in_its_document(way, cloud, run, tmp_path):
    document = 'name: database\nsteps: [whatever: the service judges]\n'
    (tmp_path / 'file').write_text(document)
    saving = cloud.api('PUT', 'policies/database', {'policy': POLICY})
    result = run('policy', 'create', way, '-f', 'json', stdin=document)
    assert (result.code, json.loads(result.out)['version']) == (0, 2)
    assert saving.last_request.json() == {'document': document}


@pytest.mark.parametrize(
    ('document', 'words'),
    [
        ('steps: []', 'name: missing'),
        ('- a list', 'name: missing'),
        ('', 'name: missing'),
        ('name: [1', 'not YAML'),
        ('name: 2001-99-99', 'not YAML'),
        ('name: !!bool x', 'not YAML'),
    ],
)
def test_a_document_without_a_name_is_not_sent(document, words, cloud, run):
    result = run('policy', 'create', '-', stdin=document)
    assert result.code == 1
    assert result.err.startswith('The recovery policy is not valid: ')
    assert words in result.err
    assert result.err.count('\n') == 1
    assert cloud.calls() == []


def test_a_file_that_is_not_there_or_not_text_is_named(cloud, run, tmp_path):
    assert run('policy', 'create', 'nowhere.yaml').err == (
        'nowhere.yaml: No such file or directory\n'
    )
    (tmp_path / 'image').write_bytes(b'\xff\xd8')
    assert 'image: not text in UTF-8' in run('policy', 'create', 'image').err


def test_what_the_service_says_about_a_policy_is_one_line(cloud, run):
    wrong = refusal('The recovery policy is not valid', 'line 2: step: unknown key')
    cloud.api('PUT', 'policies/database', wrong, 400)
    result = run('policy', 'create', '-', stdin='name: database\nstep:\n')
    assert result.code == 1
    assert result.err == 'The recovery policy is not valid: line 2: step: unknown key (req-1)\n'


def test_policies_are_deleted(cloud, run):
    deleting = cloud.api('DELETE', 'policies/database', status=204)
    assert run('policy', 'delete', 'database').code == 0
    assert deleting.called


@pytest.mark.parametrize('command', [['create', '-'], ['delete', 'database']])
def test_the_operators_policies_are_asked_for_by_name(command, cloud, run):
    method = {'create': 'PUT', 'delete': 'DELETE'}[command[0]]
    call = cloud.api(method, 'policies/database', {'policy': POLICY})
    assert run('policy', *command, '--operator', stdin=DOCUMENT).code == 0
    assert call.last_request.qs == {'scope': ['operator']}
    assert run('policy', *command, stdin=DOCUMENT).code == 0
    assert call.last_request.qs == {}


def test_a_policy_is_checked_without_any_service(cloud, run):
    result = run('policy', 'check', '-', stdin=DOCUMENT)
    assert result.code == 0
    rows = [[c.strip() for c in r.split('|')[1:-1]] for r in result.out.splitlines()[3:-1]]
    assert rows == [
        ['1', 'server.reboot soft', 'host_up', '2', '30 s', '', 'nothing', ''],
        ['2', 'server.rebuild', 'host_up', '1', '5 m 0 s', 'approval', 'root_disk, ephemeral', ''],
    ]
    assert 'database: this is a valid policy' in result.err
    heal = DOCUMENT.replace('server.rebuild', 'stack.heal')
    rows = json.loads(run('policy', 'check', '-', '-f', 'json', stdin=heal).out)
    assert rows[1]['Refused If It Would Lose'] == 'volumes'
    assert 'volumes' not in rows[1]['May Destroy']
    assert rows[1]['Before It'] == 'approval, fencing of a dead host'
    assert cloud.mock.request_history == []


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (('soft', 'softer'), 'line 6: steps.0.type: must be one of soft, hard'),
        (('verify: 300s', 'verify: 300'), 'line 7: steps.1.verify: must be a duration'),
        (('name: database', 'name: 2001-99-99'), 'not YAML'),
    ],
)
def test_a_faulty_policy_is_told_with_line_and_fix(change, words, cloud, run):
    result = run('policy', 'check', '-', stdin=DOCUMENT.replace(*change))
    assert (result.code, result.out) == (1, '')
    assert words in result.err
    assert result.err.count('\n') == 1


def test_a_policy_is_replayed_against_the_past(cloud, run):
    line = {
        'recovery_id': 'r1',
        'server_id': SERVER,
        'guest_name': 'web',
        'created_at': '2026-11-22T14:00:00.000Z',
        'status': 'recovered',
        'did': ['server.reboot soft: succeeded'],
        'would': ['server.rebuild', 'failed: every step was tried'],
        'remark': 'server.reboot soft helped then',
    }
    call = cloud.api('POST', 'policies/replay', {'replay': [line], 'truncated': True})
    result = run('policy', 'replay', '-', '--since', '2d', '--guest', SERVER, stdin=DOCUMENT)
    assert call.last_request.json() == {'document': DOCUMENT, 'since': 172800, 'guest': SERVER}
    rows = [[c.strip() for c in r.split('|')[1:-1]] for r in result.out.splitlines()[3:-1]]
    assert [row[4:6] for row in rows] == [
        ['server.reboot soft: succeeded', 'server.rebuild'],
        ['', 'failed: every step was tried'],
    ]
    assert 'only the newest 1 recoveries' in result.err


def test_a_faulty_policy_is_not_sent_to_be_replayed(cloud, run):
    assert 'line 1: ' in run('policy', 'replay', '-', stdin='nme: x').err
    assert cloud.calls() == []
