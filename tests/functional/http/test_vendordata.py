"""Nova's dynamic vendordata, and the rules that enrol servers."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from aodh_ha.db import audit, guests
from aodh_ha.rules.guest import ENROLLED, PENDING
from tests.functional.http.service import PUBLIC_URL, refused
from tests.samples import DOCUMENT, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID
from webhook.pace import Pace


def body(**changes):
    """As nova/api/metadata/vendordata_dynamic.py sends it."""
    values = {
        'project-id': PROJECT,
        'instance-id': SERVER_ID,
        'image-id': '11111111-1111-4111-8111-111111111111',
        'user-data': None,
        'hostname': 'web-1',
        'metadata': {},
        'boot-roles': 'member,reader',
    }
    return values | {k.replace('_', '-'): v for k, v in changes.items()}


@pytest.fixture
def ask(service):
    return asking(service)


@pytest.fixture
def quickly(quick):
    return asking(quick)


def asking(service):
    token = service.keystone.token('service-project', 'service')

    def ask(**changes):
        answer = service.call('POST', '/v1/vendordata', body(**changes), token)
        assert answer.status_code == 200, answer.get_data()
        return answer.get_json()

    return ask


OPT_IN = {'aodh_ha:enroll': 'true'}


def rule(service, name='all', token=None, query='', **more):
    answer = service.call('POST', f'/v1/enrolment-rules{query}', {'name': name, **more}, token)
    assert answer.status_code == 201, answer.get_data()
    return answer.get_json()['enrolment_rule']


def test_a_server_that_opts_in_is_enrolled_at_once_and_gets_its_key(service, ask):
    answer = ask(metadata=OPT_IN)
    guest = service.guest()
    assert answer == {
        'aodh_ha_gateways': PUBLIC_URL,
        'aodh_ha_key': service.key_of(SERVER_ID, guest.generation),
        'aodh_ha_generation': str(guest.generation),
    }
    assert (guest.status, guest.project_id, guest.name) == (ENROLLED, PROJECT, 'web-1')
    assert (guest.enrolled_by, guest.enrolled_at) == ('metadata', service.clock())
    assert (guest.interval, guest.missed_limit, guest.boot_grace) == (10.0, 3, 120.0)
    service.credentials = {'generation': guest.generation}
    assert service.beat(answer['aodh_ha_key']).status_code == 202


def test_a_guest_that_asks_in_a_loop_is_slowed_and_no_other_is(quick):
    extensions = quick.app.extensions
    extensions['aodh_ha'] = replace(extensions['aodh_ha'], pace=Pace(5))
    token = quick.keystone.token('service-project', 'service')
    answers = [quick.call('POST', '/v1/vendordata', body(), token) for _ in range(40)]
    codes = {a.status_code for a in answers}
    assert codes == {200, 429}
    late = next(a for a in answers if a.status_code == 429)
    assert 'one server' in refused(late, 429, 'too_many')['detail']
    other = quick.call('POST', '/v1/vendordata', body(instance_id=OTHER_ID), token)
    assert other.status_code == 200


def test_asked_again_it_answers_the_same_and_changes_nothing(service, ask):
    first = ask(metadata=OPT_IN)
    before = service.guest()
    service.clock.advance(60)
    assert ask(metadata=OPT_IN) == first
    assert ask() == first  # also when the metadata is gone: it is enrolled
    assert service.guest() == before
    assert service.trail() == ['enrolled']


def test_after_a_rotation_it_answers_the_new_key(quick, quickly):
    quickly(metadata=OPT_IN)
    made = quick.call('POST', f'/v1/guests/{SERVER_ID}/rotate').get_json()['credentials']
    answer = quickly()
    assert answer['aodh_ha_key'] == made['key']
    assert answer['aodh_ha_generation'] == str(made['generation'])


def test_every_gateway_is_told(quick, quickly):
    quick.state.conf.set_override('gateways', ['http://a:1/', 'http://b:2'], group='webhook')
    assert quickly(metadata=OPT_IN)['aodh_ha_gateways'] == 'http://a:1,http://b:2'


@pytest.mark.parametrize(
    'metadata', [{}, {'other': 'x'}, OPT_IN | {'aodh_ha:opt_out': 'true'}, {'aodh_ha:policy': ''}]
)
def test_a_server_that_did_not_opt_in_is_told_nothing(quick, quickly, metadata):
    assert quickly(metadata=metadata) == {}
    assert quick.call('GET', '/v1/guests').get_json()['guests'] == []


def test_the_policy_of_the_metadata_gives_the_times(service, ask):
    document = DOCUMENT.replace('interval: 10s', 'interval: 3s').replace('ladder', 'gold')
    service.call('PUT', '/v1/policies/gold', {'document': document})
    assert ask(metadata={'aodh_ha:policy': 'gold'})['aodh_ha_key']
    guest = service.guest()
    assert (guest.metadata_policy, guest.policy, guest.interval) == ('gold', '', 3.0)


def test_many_questions_at_once_enrol_once(service, ask):
    barrier = threading.Barrier(6)

    def work(_):
        barrier.wait(30)
        return ask(metadata=OPT_IN)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(work, range(6)))
    assert answers[1:] == answers[:-1]
    assert service.trail() == ['enrolled']


# ---- whose server it is


def test_novas_word_confirms_a_guest_that_waits_for_a_worker(service, ask):
    made = service.call('POST', '/v1/guests', {'server_id': SERVER_ID, 'missed': 7}).get_json()
    assert service.guest().status == PENDING
    assert ask()['aodh_ha_key'] == made['credentials']['key']
    assert (service.guest().status, service.guest().missed_limit) == (ENROLLED, 7)


def test_what_a_stranger_has_left_pending_gives_way(service, ask):
    stranger = service.keystone.token(OTHER_PROJECT, 'member', 'reader')
    made = service.call('POST', '/v1/guests', {'server_id': SERVER_ID}, stranger).get_json()
    assert ask() == {}
    answer = ask(metadata=OPT_IN)
    assert answer['aodh_ha_key'] != made['credentials']['key']
    assert (service.guest().status, service.guest().project_id) == (ENROLLED, PROJECT)
    service.credentials = made['credentials']
    refused(service.beat(made['credentials']['key']), 401, 'bad_signature')


def test_a_guest_that_is_another_projects_is_given_to_nobody(quick, quickly, lines):
    quick.enrolled()
    lines()
    assert quickly(project_id=OTHER_PROJECT, metadata=OPT_IN) == {}
    assert any('another project' in line for line in lines())
    assert quick.guest().project_id == PROJECT


@pytest.mark.parametrize('roles', [('member', 'reader'), ('reader',), ()])
def test_only_novas_service_user_is_believed(quick, roles):
    token = quick.keystone.token(PROJECT, *roles)
    answer = quick.call('POST', '/v1/vendordata', body(metadata=OPT_IN), token)
    refused(answer, 403, 'forbidden')
    assert quick.call('GET', '/v1/guests').get_json()['guests'] == []


# ---- what is not Nova's request


@pytest.mark.parametrize(
    'data',
    [
        b'',
        b'[]',
        b'{',
        b'\xff',
        b'{"instance-id": 7}',
        b'[' * 5000,
        b'{"a": 1e999999}',
        *(
            json.dumps(body(**changes)).encode()
            for changes in (
                {'instance_id': None},
                {'instance_id': '../x'},
                {'project_id': None},
                {'project_id': ''},
                {'project_id': 'x' * 65},
                {'project_id': 'a\x00b'},
                {'project_id': ['x']},
                {'hostname': 7},
                {'hostname': '\ud800'},
                {'hostname': 'a\x00'},
                {'metadata': ['x']},
                {'metadata': 'x'},
            )
        ),
    ],
)
def test_what_is_malformed_is_refused_and_enrols_nobody(quick, data):
    token = quick.keystone.token('p', 'service')
    refused(quick.call('POST', '/v1/vendordata', data, token), 400, 'bad_request')


@pytest.mark.parametrize(
    'changes',
    [
        {'hostname': None},
        {'metadata': None},
        {'metadata': OPT_IN | {'x': None, 'y': {'z': 1}}},
        {'hostname': 'ü' * 300},
        {'user_data': 'x' * 65535, 'unknown': [1, {'a': None}]},
        {'metadata': OPT_IN | {f'{n}': '測' * 255 for n in range(128)}},
        {'metadata': {'aodh_ha:policy': '\ud800\x00' * 10}},
    ],
)
def test_whatever_nova_may_send_is_answered(service, ask, changes):
    answer = ask(**changes)
    assert answer == {} or answer['aodh_ha_key']


def test_a_body_without_end_is_cut_off(quick):
    token = quick.keystone.token('p', 'service')
    big = json.dumps(body(user_data='x' * 2**20)).encode()
    refused(quick.call('POST', '/v1/vendordata', big, token), 413, 'too_large')


def test_a_guest_that_boots_again_costs_no_write(quick, quickly):
    quickly(metadata=OPT_IN)
    with quick.database.write() as c:
        c.exec_driver_sql('SELECT 1')  # holds SQLite's write lock
        assert quickly()['aodh_ha_key']


# ---- rules


def test_a_rule_enrols_every_server_of_its_project_under_policy_and_group(service, ask):
    service.call('PUT', '/v1/policies/ladder', {'document': DOCUMENT})
    made = rule(service, policy='ladder', group='web')
    assert made == {
        'id': made['id'],
        'name': 'all',
        'scope': 'project',
        'project_id': PROJECT,
        'match': {'tag': None, 'metadata': None, 'server_name': None, 'stack': None},
        'policy': 'ladder',
        'group': 'web',
        'author': made['author'],
        'created_at': '2027-01-15T08:00:00.000Z',
    }
    assert ask(project_id=OTHER_PROJECT) == {}
    assert ask()['aodh_ha_key']
    guest = service.guest()
    assert (guest.enrolled_by, guest.policy, guest.group_name) == ('rule all', 'ladder', 'web')


@pytest.mark.parametrize(
    ('match', 'enrolled'),
    [
        ({'server_name': 'web-*'}, True),
        ({'server_name': 'db-*'}, False),
        ({'metadata': {'tier': ''}}, True),
        ({'metadata': {'tier': 'front'}}, True),
        ({'metadata': {'tier': 'back'}}, False),
        ({'tag': 'ha'}, False),  # Nova does not tell tags here: the reconciler's business
    ],
)
def test_a_rule_is_for_the_servers_that_meet_its_conditions(quick, quickly, match, enrolled):
    rule(quick, match=match)
    assert bool(quickly(metadata={'tier': 'front'})) == enrolled


def test_an_operators_rule_is_for_every_project(service, ask):
    admin = service.keystone.token('operators', 'admin')
    made = rule(service, token=admin, query='?scope=operator', match={'server_name': 'web-*'})
    assert (made['scope'], made['project_id']) == ('operator', None)
    assert ask(project_id=OTHER_PROJECT)['aodh_ha_key']
    assert service.guest().project_id == OTHER_PROJECT
    path = f'/v1/enrolment-rules/{made["id"]}'
    assert service.call('GET', path).status_code == 200
    refused(service.call('DELETE', path), 403, 'forbidden')
    assert service.call('DELETE', path, token=admin).status_code == 204


def test_only_administrators_make_rules_for_everybody(quick):
    answer = quick.call('POST', '/v1/enrolment-rules?scope=operator', {'name': 'all'})
    refused(answer, 403, 'forbidden')


def test_a_project_neither_sees_nor_deletes_the_rules_of_another(quick):
    made = rule(quick)
    other = quick.keystone.token(OTHER_PROJECT, 'member', 'reader')
    listed = quick.call('GET', '/v1/enrolment-rules', token=other).get_json()
    assert listed == {'enrolment_rules': []}
    for method in ('GET', 'DELETE'):
        path = f'/v1/enrolment-rules/{made["id"]}'
        refused(quick.call(method, path, token=other), 404, 'not_found')
    assert quick.call('GET', '/v1/enrolment-rules').get_json() == {'enrolment_rules': [made]}


def test_a_deleted_rule_enrols_nobody_more_and_forgets_nobody(service, ask):
    made = rule(service)
    assert ask()
    assert service.call('DELETE', f'/v1/enrolment-rules/{made["id"]}').status_code == 204
    assert ask()
    assert ask(instance_id=OTHER_ID) == {}
    with service.database.read() as c:
        kinds = [e.kind for e in audit._select(c, audit.events.c.project_id == PROJECT)]
    assert kinds == ['enrolment_rule_created', 'enrolled', 'enrolment_rule_deleted']


def test_a_name_is_used_once_and_there_are_not_too_many(quick, monkeypatch):
    rule(quick)
    refused(quick.call('POST', '/v1/enrolment-rules', {'name': 'all'}), 409, 'conflict')
    monkeypatch.setattr('aodh_ha.db.enrolment.MOST', 1)
    refused(quick.call('POST', '/v1/enrolment-rules', {'name': 'more'}), 409, 'conflict')


@pytest.mark.parametrize(
    'changes',
    [
        {'name': ''},
        {'name': 7},
        {'policy': 7},
        {'group': 'a b'},
        {'match': []},
        {'match': {'what': 'x'}},
        {'match': {'tag': 'a,b'}},
        {'match': {'tag': 'x' * 61}},
        {'match': {'metadata': 'x'}},
        {'match': {'metadata': {}}},
        {'match': {'metadata': {'a': 'x', 'b': 'y'}}},
        {'match': {'metadata': {'': 'x'}}},
        {'match': {'metadata': {'a': 7}}},
        {'match': {'server_name': 'x' * 256}},
        {'match': {'stack': 'not-an-id'}},
        {'more': 1},
    ],
)
def test_a_rule_that_cannot_be_is_refused(quick, changes):
    answer = quick.call('POST', '/v1/enrolment-rules', {'name': 'all'} | changes)
    refused(answer, 400, 'bad_request')


def test_the_policy_of_a_rule_must_exist(quick):
    answer = quick.call('POST', '/v1/enrolment-rules', {'name': 'all', 'policy': 'gone'})
    refused(answer, 404, 'not_found')


def test_a_guest_whose_key_nova_has_brought_is_forgotten_like_any_other(service, ask):
    ask(metadata=OPT_IN)
    assert service.call('DELETE', f'/v1/guests/{SERVER_ID}').status_code == 204
    assert ask() == {}
    with service.database.read() as c:
        assert guests.find(c) == []
