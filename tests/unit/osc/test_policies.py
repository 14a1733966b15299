"""aodh-ha policy."""

import json

import pytest

from tests.unit.osc.conftest import refusal

POLICY = {
    'name': 'database',
    'version': 2,
    'scope': 'project',
    'heartbeat': {'interval': 10.0, 'missed': 3, 'boot_grace': 120.0},
    'preserve': ['volumes'],
    'steps': [
        {'action': 'server.reboot', 'type': 'soft', 'attempts': 2, 'verify': 30.0},
        {'action': 'server.rebuild', 'type': None, 'attempts': 1, 'verify': 300.0},
    ],
    'document': 'name: database\n',
}


def test_the_list_shows_the_ladder(cloud, run):
    cloud.api('GET', 'policies', {'policies': [POLICY]})
    out = run('policy', 'list').out
    assert 'server.reboot soft x2, verify 30s' in out
    assert 'server.rebuild, verify 300s' in out


def test_the_document_can_be_had_as_it_was_written(cloud, run):
    cloud.api('GET', 'policies/database', {'policy': POLICY})
    assert run('policy', 'show', 'database', '-f', 'value', '-c', 'document').out == (
        'name: database\n\n'
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
