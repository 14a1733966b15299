"""aodh-ha guest rotate and revoke, refusal list."""

import json

import pytest

from tests.unit.osc.conftest import KEY, OTHER, SERVER, guest

CREDENTIALS = {'gateways': ['http://gw1'], 'guest': SERVER, 'generation': 3, 'key': KEY}
UNTIL = '2026-11-22T14:10:30.000Z'


@pytest.fixture
def keys(cloud):
    """A guest whose server's metadata has its key."""
    cloud.api('GET', f'guests/{SERVER}', {'guest': guest(), 'events': []})
    answer = {'guest': guest(previous_until=UNTIL), 'credentials': CREDENTIALS}
    cloud.rotate = cloud.api('POST', f'guests/{SERVER}/rotate', answer)
    cloud.revoke = cloud.api('POST', f'guests/{SERVER}/revoke', answer)
    cloud.present = cloud.nova(
        'GET', f'servers/{SERVER}/metadata', {'metadata': {'aodh_ha_key': 'old', 'mine': 'x'}}
    )
    cloud.metadata = cloud.nova('POST', f'servers/{SERVER}/metadata', {'metadata': {}})
    return cloud


def test_a_new_key_goes_where_the_old_one_is_and_is_not_printed(keys, run):
    result = run('--debug', 'guest', 'rotate', SERVER, '--overlap', '2m', '-f', 'json')
    assert result.code == 0
    assert keys.rotate.last_request.json() == {'overlap': 120.0}
    assert keys.metadata.last_request.json()['metadata'] == {
        'aodh_ha_gateways': 'http://gw1',
        'aodh_ha_key': KEY,
        'aodh_ha_generation': '3',
    }
    shown = json.loads(result.out)
    assert (shown['generation'], shown['previous_until']) == (3, UNTIL)
    assert shown['delivery'] == "written into the server's metadata"
    assert KEY not in result.out + result.err


def test_the_overlap_is_the_services_unless_it_is_given(keys, run):
    assert run('guest', 'rotate', SERVER).code == 0
    assert keys.rotate.last_request.json() == {}


@pytest.mark.parametrize('options', [['--no-metadata'], []])
def test_a_key_that_is_in_no_metadata_is_printed(keys, run, options):
    if not options:
        keys.nova('GET', f'servers/{SERVER}/metadata', {'metadata': {'mine': 'x'}})
    result = run('guest', 'rotate', SERVER, *options, '-f', 'json')
    shown = json.loads(result.out)
    assert f'key = {KEY}' in shown['agent_config'].splitlines()
    assert not keys.metadata.called


def test_who_was_enrolled_by_vendordata_reads_it_there(keys, run):
    keys.nova('GET', f'servers/{SERVER}/metadata', {'metadata': {}})
    answer = {'guest': guest(enrolled_by='metadata'), 'credentials': CREDENTIALS}
    keys.api('POST', f'guests/{SERVER}/rotate', answer)
    result = run('guest', 'rotate', SERVER, '-f', 'json')
    assert 'vendordata' in json.loads(result.out)['delivery']
    assert KEY not in result.out
    assert not keys.metadata.called
    assert run('guest', 'rotate', SERVER, '--metadata').code == 0
    assert keys.metadata.called


def test_a_key_that_nova_did_not_take_can_be_written_again(keys, run):
    keys.nova('POST', f'servers/{SERVER}/metadata', {'forbidden': {'message': 'full'}}, 403)
    result = run('guest', 'revoke', SERVER)
    assert result.code == 1
    assert f'guest enroll --metadata {SERVER}' in result.err
    assert KEY not in result.out + result.err


def test_revoking_has_no_overlap(keys, run):
    assert run('guest', 'revoke', SERVER).code == 0
    assert keys.revoke.called
    assert keys.metadata.called
    assert not keys.rotate.called


def test_refusals_are_listed_with_where_the_last_came_from(cloud, run):
    found = {
        'guest': SERVER,
        'reason': 'bad_signature',
        'count': 12,
        'first_at': UNTIL,
        'last_at': UNTIL,
        'address': '10.0.0.7',
    }
    listing = cloud.api(
        'GET', 'refusals', {'refusals': [found, found | {'guest': None, 'count': 3}]}
    )
    result = run('refusal', 'list', '--all-projects', '-f', 'value')
    lines = result.out.splitlines()
    assert lines[0] == f'{SERVER} bad_signature 12 {UNTIL} {UNTIL} 10.0.0.7'
    assert lines[1].split()[:3] == ['None', 'bad_signature', '3']
    assert listing.last_request.qs == {'all_projects': ['1']}


def test_a_guest_is_shown_with_what_was_refused_of_it(cloud, run):
    refused = {'reason': 'old_generation', 'count': 2, 'last_at': UNTIL, 'address': '10.0.0.7'}
    found = guest(id=OTHER, refusals=[refused])
    cloud.api('GET', f'guests/{OTHER}', {'guest': found, 'events': []})
    result = run('guest', 'show', OTHER, '--max-width', '200')
    assert f'old_generation 2 (last {UNTIL} from 10.0.0.7)' in result.out
