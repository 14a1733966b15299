"""What Heat's resources ask of the API: keys again, servers that succeed others, alarms changed."""

import pytest

from aodh_ha.db import alarms, definitions, guests, models, queue
from aodh_ha.rules.guest import REFUSED
from tests.functional.http.service import notification, refused
from tests.samples import OTHER_ID, OTHER_PROJECT, SERVER_ID

ATTEMPT = {
    'id': '5b1f2a60-0d3c-4a7e-8f19-2c6d4e8b0a73',
    'step': 0,
    'number': 1,
    'action': 'stack.recreate',
    'status': 'sent',
    'intended_at': 0.0,
    'detail': '',
    'evidence': '{}',
    'dry_run': False,
    'proof': '{}',
}


@pytest.fixture
def stranger(service):
    return service.keystone.token(OTHER_PROJECT, 'member', 'reader')


def of_guest(service, server_id):
    with service.database.read() as c:
        return alarms.find(c, server_id=server_id)


# ---- credentials


def test_the_credentials_are_shown_again_as_they_are_now(service):
    key = service.enrolled()
    path = f'/v1/guests/{SERVER_ID}/credentials'
    assert service.call('GET', path).get_json() == {'credentials': service.credentials}
    service.call('POST', f'/v1/guests/{SERVER_ID}/rotate')
    rotated = service.call('GET', path).get_json()['credentials']
    assert rotated['generation'] == service.credentials['generation'] + 1
    assert rotated['key'] != key


def test_nobody_else_sees_them(service, stranger):
    service.enrolled()
    path = f'/v1/guests/{SERVER_ID}/credentials'
    reader = service.keystone.token(service.guest().project_id, 'reader')
    assert service.call('GET', path, token=reader).status_code == 403
    assert service.call('GET', path, token=stranger).status_code == 404


def test_a_guest_that_was_refused_has_none(service):
    service.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    with service.database.write() as c:
        guests.confirm(c, guests.get(c, SERVER_ID), service.clock(), '', 'not of this project')
    assert service.guest().status == REFUSED
    answer = service.call('GET', f'/v1/guests/{SERVER_ID}/credentials')
    assert answer.status_code == 409
    assert 'not of this project' in answer.get_data(as_text=True)


# ---- successors


def succeed(service, old=SERVER_ID, new=OTHER_ID, token=None):
    return service.call('POST', f'/v1/guests/{old}/successor', {'server_id': new}, token)


def test_alarms_and_a_recovery_under_way_go_on_under_the_successor(service):
    service.silent()
    alarm, _ = service.alarm()
    (ours,) = of_guest(service, SERVER_ID)
    assert service.post(alarm, notification()).status_code == 202
    service.enrolled(OTHER_ID)
    answer = succeed(service)
    assert answer.get_json()['guest']['id'] == OTHER_ID
    assert [a.id for a in of_guest(service, OTHER_ID)] == [ours.id]
    (recovery,) = service.recoveries()
    assert recovery.server_id == OTHER_ID
    assert recovery.status == 'queued', 'it is not ended'
    assert service.call('GET', f'/v1/guests/{SERVER_ID}').status_code == 404
    assert 'replaced' in service.trail(OTHER_ID)


def test_only_a_guest_that_nova_vouched_for_succeeds_another(service):
    service.enrolled()
    assert succeed(service).status_code == 404, 'it was never enrolled'
    service.call('POST', '/v1/guests', {'server_id': OTHER_ID})
    answer = succeed(service)
    assert answer.status_code == 409
    assert 'pending' in answer.get_data(as_text=True)
    assert service.guest().server_id == SERVER_ID


def test_nobody_gets_anothers_guest_by_succeeding_it(service, stranger):
    service.enrolled()
    service.enrolled(OTHER_ID, stranger)
    assert succeed(service).status_code == 404
    assert succeed(service, token=stranger).status_code == 404
    assert succeed(service, OTHER_ID, SERVER_ID, stranger).status_code == 404
    assert service.guest().server_id == SERVER_ID


def test_a_guest_that_succeeds_itself_stays(service):
    service.enrolled()
    assert succeed(service, new=SERVER_ID).status_code == 200
    assert service.guest().server_id == SERVER_ID


# ---- alarms


def test_an_alarm_gets_another_threshold_and_aodh_is_to_be_told(service):
    service.enrolled()
    service.alarm(threshold=3)
    (ours,) = of_guest(service, SERVER_ID)
    body = {'threshold': 5, 'name': 'HeartbeatFailureAlarm'}
    answer = service.call('PUT', f'/v1/alarms/{ours.id}', body).get_json()
    assert (answer['alarm']['threshold'], answer['alarm']['name']) == tuple(body.values())
    rule = answer['definition']['gnocchi_resources_threshold_rule']
    assert rule['threshold'] == 5.0
    (changed,) = of_guest(service, SERVER_ID)
    assert (changed.threshold, changed.name) == (5, 'HeartbeatFailureAlarm')


def test_an_alarm_that_is_carried_anew_has_no_problem_any_more(service):
    service.enrolled()
    service.alarm()
    (ours,) = of_guest(service, SERVER_ID)
    with service.database.write() as c:
        alarms.set_problem(c, ours.id, 'its Aodh alarm no longer exists')
    path = f'/v1/alarms/{ours.id}'
    linked = service.call('PUT', path, {'aodh_alarm_id': OTHER_ID}).get_json()
    assert linked == {'alarm': linked['alarm']}, 'nothing that Aodh had to be told'
    assert (linked['alarm']['aodh_alarm_id'], linked['alarm']['problem']) == (OTHER_ID, '')


@pytest.mark.parametrize(
    'body', [{'threshold': 0}, {'threshold': 1.5}, {'name': 'a\nb'}, {'trigger': 'service'}]
)
def test_a_wrong_change_of_an_alarm_changes_nothing(service, body):
    service.enrolled()
    service.alarm(threshold=3)
    (ours,) = of_guest(service, SERVER_ID)
    answer = service.call('PUT', f'/v1/alarms/{ours.id}', body)
    error = refused(answer, 400, 'bad_request')
    assert next(iter(body)) in error['detail']
    assert of_guest(service, SERVER_ID) == [ours]


def test_who_enrols_a_guest_may_leave_its_alarms_to_the_service(service):
    service.enrolled(alarms=True)
    assert service.guest().to_watch == 'heartbeat,service'
    service.enrolled(OTHER_ID)
    assert service.guest(OTHER_ID).to_watch == ''
    answer = service.call('POST', '/v1/guests', {'server_id': OTHER_ID, 'alarms': 'yes'})
    assert 'alarms' in refused(answer, 400, 'bad_request')['detail']


# ---- a stack that is deleted and created again


def test_a_guest_whose_stack_is_being_recreated_is_not_forgotten_with_it(service):
    """Heat deletes what has it enrolled; its recovery alone will create the stack again."""
    service.silent()
    alarm, _ = service.alarm()
    service.post(alarm, notification())
    with service.database.write() as c:
        claimed = queue.claim(c, 'worker', service.clock(), 30)
        c.execute(models.attempts.insert().values(ATTEMPT | {'recovery_id': claimed.id}))
        definitions.keep(c, ATTEMPT['id'], 'sealed', service.clock())
    path = f'/v1/guests/{SERVER_ID}'
    assert service.call('DELETE', path).status_code == 204
    assert service.recoveries()[0].status == 'running'
    assert service.guest()
    with service.database.write() as c:
        definitions.forget(c, ATTEMPT['id'])
    assert service.call('DELETE', path).status_code == 204
    assert service.recoveries()[0].status == 'left_alone'
    assert service.call('GET', path).status_code == 404
