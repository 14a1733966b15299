"""aodh-ha enrolment rule."""

import json

import pytest

from tests.unit.osc.conftest import OTHER, SERVER, guest, refusal

RULE = {
    'id': SERVER,
    'name': 'web',
    'scope': 'project',
    'project_id': 'p1',
    'match': {'tag': 'ha', 'metadata': {'tier': ''}, 'server_name': 'web-*'},
    'policy': 'ladder',
    'group': '',
    'author': 'u1',
    'created_at': '2026-11-22T14:00:00.000Z',
}
OPERATORS = RULE | {
    'id': OTHER,
    'scope': 'operator',
    'project_id': None,
    'match': {'tag': None, 'metadata': None, 'server_name': None},
}


def test_a_rule_is_made_of_its_conditions(cloud, run):
    made = cloud.api('POST', 'enrolment-rules', {'enrolment_rule': RULE}, 201)
    options = ['--tag', 'ha', '--metadata', 'tier=a=b', '--server-name', 'web-*']
    result = run('enrolment', 'rule', 'create', 'web', *options, '--group', 'g', '-f', 'json')
    assert result.code == 0
    assert made.last_request.json() == {
        'name': 'web',
        'match': {'tag': 'ha', 'metadata': {'tier': 'a=b'}, 'server_name': 'web-*'},
        'group': 'g',
    }
    assert json.loads(result.out)['match'] == RULE['match']


def test_a_rule_for_a_stack_says_so(cloud, run):
    rule = RULE | {'match': {'stack': OTHER}}
    made = cloud.api('POST', 'enrolment-rules', {'enrolment_rule': rule}, 201)
    result = run('enrolment', 'rule', 'create', 'web', '--stack', OTHER)
    assert made.last_request.json() == {'name': 'web', 'match': {'stack': OTHER}}
    assert f'stack: {OTHER}' in result.out


def test_a_rule_without_conditions_is_for_every_server(cloud, run):
    made = cloud.api('POST', 'enrolment-rules?scope=operator', {'enrolment_rule': OPERATORS}, 201)
    result = run('enrolment', 'rule', 'create', 'web', '--operator', '--policy', 'p')
    assert made.last_request.json() == {'name': 'web', 'match': {}, 'policy': 'p'}
    assert '(every server)' in result.out


def test_metadata_need_a_key(run):
    assert run('enrolment', 'rule', 'create', 'web', '--metadata', '=x').code == 2


def test_rules_are_listed_with_their_conditions(cloud, run):
    cloud.api('GET', 'enrolment-rules', {'enrolment_rules': [RULE, OPERATORS]})
    out = run('enrolment', 'rule', 'list', '--max-width', '250').out
    assert 'tag: ha; metadata: tier; name: web-*' in out
    assert '(every server)' in out


@pytest.mark.parametrize(('wanted', 'deleted'), [('web', SERVER), (OTHER, OTHER)])
def test_a_rule_is_deleted_by_name_or_id_the_projects_own_first(cloud, run, wanted, deleted):
    cloud.api('GET', 'enrolment-rules', {'enrolment_rules': [RULE, OPERATORS]})
    gone = cloud.api('DELETE', f'enrolment-rules/{deleted}', status=204)
    assert run('enrolment', 'rule', 'delete', wanted).code == 0
    assert gone.called


def test_a_rule_that_does_not_exist_is_an_error(cloud, run):
    cloud.api('GET', 'enrolment-rules', {'enrolment_rules': [RULE]})
    result = run('enrolment', 'rule', 'show', 'db')
    assert result.code == 1
    assert "no enrolment rule 'db'" in result.err


def test_a_rule_that_the_service_refuses_says_why(cloud, run):
    cloud.api('POST', 'enrolment-rules', refusal('Conflict', "there is a rule 'web'"), 409)
    result = run('enrolment', 'rule', 'create', 'web')
    assert result.code == 1
    assert "there is a rule 'web'" in result.err


def test_forgetting_who_asks_for_enrolment_says_that_it_comes_back(cloud, run):
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    cloud.api('GET', f'alarms?guest={SERVER}', {'alarms': [], 'next': None})
    cloud.api('DELETE', f'guests/{SERVER}', status=204)
    metadata = {'aodh_ha:policy': 'gold', 'other': 'x'}
    cloud.nova('GET', f'servers/{SERVER}/metadata', {'metadata': metadata})
    result = run('guest', 'forget', SERVER)
    assert result.code == 0
    assert 'aodh_ha:policy' in result.err
    assert 'aodh_ha:opt_out' in result.err
