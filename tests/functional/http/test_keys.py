"""Keys of guests: rotated without a gap, revoked at once; what is refused is counted."""

import pytest

import webhook.refusals
from aodh_ha.db import guests
from tests.functional.http.service import refused
from tests.samples import OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID


def rotate(service, **body):
    answer = service.call('POST', f'/v1/guests/{SERVER_ID}/rotate', body or None)
    assert answer.status_code == 200, answer.get_data()
    return answer.get_json()


def revoke(service):
    answer = service.call('POST', f'/v1/guests/{SERVER_ID}/revoke')
    assert answer.status_code == 200, answer.get_data()
    return answer.get_json()['credentials']


def shown(service, token=None):
    service.state.refusals.flush()
    return service.call('GET', f'/v1/guests/{SERVER_ID}', token=token).get_json()['guest']


def test_both_keys_are_good_until_the_overlap_ends(service):
    old = service.enrolled()
    first = service.credentials['generation']
    answer = rotate(service, overlap=60)
    new = answer['credentials']
    assert new['generation'] == answer['guest']['generation'] == first + 1
    assert new['key'] != old
    assert service.beat(old).get_json()['generation'] == first + 1
    assert service.beat(new['key'], generation=first + 1).status_code == 202
    assert service.beat(old).status_code == 202  # one sequence for both keys
    service.clock.advance(59.9)
    assert service.beat(old).status_code == 202
    service.clock.advance(0.2)
    refused(service.beat(old), 401, 'bad_signature')
    assert service.beat(new['key'], generation=first + 1).status_code == 202


def test_the_sequence_is_one_for_all_generations(quick):
    old = quick.enrolled()
    new = rotate(quick)['credentials']
    assert quick.beat(old, sequence=50).status_code == 202
    answer = quick.beat(new['key'], generation=new['generation'], sequence=50)
    assert refused(answer, 409, 'replayed_sequence')['last_sequence'] == 50


def test_the_overlap_is_the_operators_unless_it_is_given(make, sqlite_url):
    service = make(sqlite_url)
    service.state.conf.set_override('rotation_overlap', 7.0, group='secrets')
    service.enrolled()
    assert rotate(service)['guest']['previous_until'] == '2027-01-15T08:00:07.000Z'
    assert rotate(service, overlap=9)['guest']['previous_until'] == '2027-01-15T08:00:09.000Z'


@pytest.mark.parametrize('overlap', [-1, 'x', 604801, True, [1]])
def test_an_overlap_that_cannot_be_is_refused(quick, overlap):
    quick.enrolled()
    answer = quick.call('POST', f'/v1/guests/{SERVER_ID}/rotate', {'overlap': overlap})
    refused(answer, 400, 'bad_request')
    assert quick.guest().generation == quick.credentials['generation']


def test_two_rotations_in_a_row_leave_no_gap_for_who_has_read_neither(quick):
    old = quick.enrolled()
    rotate(quick, overlap=60)
    quick.clock.advance(30)
    rotate(quick, overlap=60)
    quick.clock.advance(59)
    assert quick.beat(old).status_code == 202
    quick.clock.advance(2)
    refused(quick.beat(old), 401, 'bad_signature')


def test_a_key_that_has_ended_does_not_come_back_with_the_next_rotation(quick):
    oldest = quick.enrolled()
    second = rotate(quick, overlap=10)['credentials']
    quick.clock.advance(11)
    rotate(quick, overlap=60)
    refused(quick.beat(oldest), 401, 'bad_signature')
    assert quick.beat(second['key'], generation=second['generation']).status_code == 202


def test_revocation_ends_every_key_at_once(service):
    oldest = service.enrolled()
    second = rotate(service, overlap=60)['credentials']
    newest = revoke(service)
    refused(service.beat(oldest), 401, 'bad_signature')
    refused(service.beat(second['key'], generation=second['generation']), 401, 'bad_signature')
    assert service.beat(newest['key'], generation=newest['generation']).status_code == 202
    assert service.trail() == ['enrolled', 'rotated', 'revoked']


def test_a_generation_that_was_never_given_out_is_refused(quick):
    quick.enrolled()
    rotate(quick, overlap=60)
    first = quick.credentials['generation']
    for generation in (first - 1, first + 2, 0, -1):
        key = quick.key_of(SERVER_ID, generation)
        refused(quick.beat(key, generation=generation), 401, 'bad_signature')


@pytest.mark.parametrize('verb', ['rotate', 'revoke'])
def test_only_its_project_gives_a_guest_a_new_key(quick, verb):
    quick.enrolled()
    other = quick.keystone.token(OTHER_PROJECT, 'member', 'reader')
    path = f'/v1/guests/{SERVER_ID}/{verb}'
    refused(quick.call('POST', path, token=other), 404, 'not_found')
    assert quick.guest().generation == quick.credentials['generation']


def test_a_refused_guest_gets_no_new_key(quick):
    quick.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    with quick.database.write() as c:
        guests.confirm(c, quick.guest(), quick.clock(), '', 'not yours')
    refused(quick.call('POST', f'/v1/guests/{SERVER_ID}/rotate'), 409, 'conflict')


def test_a_guest_that_is_forgotten_leaves_no_counters(service):
    service.enrolled()
    service.beat('k' * 43)
    assert [r['reason'] for r in shown(service)['refusals']] == ['bad_signature']
    service.call('DELETE', f'/v1/guests/{SERVER_ID}')
    service.enrolled()
    assert shown(service)['refusals'] == []


# ---- what is refused is counted


def test_every_reason_to_refuse_has_a_counter(service):
    key = service.enrolled()
    first = service.credentials['generation']
    service.beat(key)
    service.beat(key, sequence=service.sequence)
    service.beat(key, time=1)
    service.beat('k' * 43)
    service.clock.advance(5)
    service.beat('k' * 43)
    new = revoke(service)
    service.beat(key)
    service.beat(new['key'], generation=first + 1)
    found = {r['reason']: r for r in shown(service)['refusals']}
    assert {k: r['count'] for k, r in found.items()} == {
        'replayed_sequence': 1,
        'clock_skew': 1,
        'bad_signature': 2,
        'old_generation': 1,
    }
    assert found['bad_signature'] == {
        'reason': 'bad_signature',
        'count': 2,
        'first_at': '2027-01-15T08:00:00.000Z',
        'last_at': '2027-01-15T08:00:05.000Z',
        'address': '127.0.0.1',
    }


def test_a_guest_that_speaks_for_another_is_counted_against_the_name_it_used(quick):
    key = quick.enrolled()
    quick.enrolled(server_id=OTHER_ID)
    quick.beat(key, guest=OTHER_ID)
    quick.state.refusals.flush()
    other = quick.call('GET', f'/v1/guests/{OTHER_ID}').get_json()['guest']
    assert [(r['reason'], r['count']) for r in other['refusals']] == [('bad_signature', 1)]
    assert shown(quick)['refusals'] == []


def test_the_guest_of_a_project_that_does_not_own_the_server_is_counted(quick):
    answer = quick.call('POST', '/v1/guests', {'server_id': SERVER_ID})
    quick.credentials = answer.get_json()['credentials']
    with quick.database.write() as c:
        guests.confirm(c, quick.guest(), quick.clock(), '', 'not yours')
    refused(quick.beat(quick.credentials['key']), 401, 'bad_signature')
    assert [r['reason'] for r in shown(quick)['refusals']] == ['wrong_project']


def test_a_flood_is_one_row_and_one_event_an_hour(service):
    service.enrolled()
    for _ in range(3):
        for _ in range(20):
            service.beat('k' * 43)
        service.state.refusals.flush()
        service.clock.advance(600)
    assert [r['count'] for r in shown(service)['refusals']] == [60]
    assert service.trail() == ['enrolled', 'heartbeat_refused']
    service.clock.advance(3600)
    service.beat('k' * 43)
    service.state.refusals.flush()
    assert service.trail() == ['enrolled', 'heartbeat_refused', 'heartbeat_refused']


def test_made_up_guests_fill_neither_memory_nor_database(service, monkeypatch):
    monkeypatch.setattr(webhook.refusals, 'MAX_PENDING', 5)
    service.enrolled()
    for n in range(20):
        service.beat('k' * 43, guest=f'{n:08d}{OTHER_ID[8:]}')
    assert len(service.state.refusals._pending) <= 6
    service.client.post('/v1/heartbeats', data=b'{}')
    answer = service.call('GET', '/v1/refusals', token=service.keystone.token(PROJECT, 'admin'))
    assert answer.get_json() == {'refusals': []}
    service.state.refusals.flush()
    path = '/v1/refusals?all_projects=1'
    answer = service.call('GET', path, token=service.keystone.token(PROJECT, 'admin'))
    found = {(r['guest'], r['reason']): r['count'] for r in answer.get_json()['refusals']}
    assert found == {(None, 'bad_signature'): 20, (None, 'malformed'): 1}


def test_a_project_sees_the_refusals_of_its_own_guests_only(quick):
    quick.enrolled()
    quick.beat('k' * 43)
    quick.state.refusals.flush()
    mine = quick.call('GET', '/v1/refusals').get_json()['refusals']
    assert [(r['guest'], r['count']) for r in mine] == [(SERVER_ID, 1)]
    other = quick.keystone.token(OTHER_PROJECT, 'reader')
    assert quick.call('GET', '/v1/refusals', token=other).get_json() == {'refusals': []}
    refused(quick.call('GET', '/v1/refusals?all_projects=1'), 403, 'forbidden')


def test_a_database_that_is_away_loses_counts_and_nothing_else(quick, lines):
    quick.enrolled()
    quick.beat('k' * 43)
    lines()
    with quick.database.write() as c:
        c.exec_driver_sql('ALTER TABLE refusals RENAME TO away')
    quick.state.refusals.flush()
    assert any('1 refused heartbeats are not counted' in line for line in lines())
    with quick.database.write() as c:
        c.exec_driver_sql('ALTER TABLE away RENAME TO refusals')
    quick.beat('k' * 43)
    assert [r['count'] for r in shown(quick)['refusals']] == [1]
