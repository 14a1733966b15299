"""What Nova says, on the wire, and what it means."""

import pytest
import requests

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.rules.evidence import Host
from tests.unit.clients.conftest import NOVA, USER

SERVER = '00000000-0000-4000-8000-000000000001'
IMAGE = '00000000-0000-4000-8000-0000000000aa'
URL = f'{NOVA}/servers/{SERVER}'


def shown(**changes):
    """A server as Nova 34 shows it to an administrator at 2.90, without what nobody reads."""
    raw = {
        'id': SERVER,
        'tenant_id': 'a' * 32,
        'name': 'db1',
        'status': 'ACTIVE',
        'OS-EXT-STS:vm_state': 'active',
        'OS-EXT-STS:task_state': None,
        'OS-EXT-STS:power_state': 1,
        'locked': False,
        'OS-EXT-SRV-ATTR:host': 'host1',
        'OS-EXT-SRV-ATTR:root_device_name': '/dev/vda',
        'image': {'id': IMAGE},
        'host_status': 'UP',
        'OS-EXT-AZ:availability_zone': 'nova',
        'created': '2026-11-22T18:51:05Z',
        'OS-SRV-USG:launched_at': '2026-11-22T18:51:07.000000',
        'metadata': {'aodh_ha:policy': 'stateful'},
        'flavor': {'ephemeral': 2, 'swap': 512, 'vcpus': 1},
        'config_drive': 'True',
        'server_groups': ['g1'],
    }
    return raw | changes


def pages(servers):
    """Nova's lists are read until an empty page comes."""
    return [{'json': {'servers': servers}}, {'json': {'servers': []}}]


@pytest.fixture
def nova(wire, cloud):
    wire.mock.get(URL, json={'server': shown()})
    return cloud


def test_a_server_is_read_with_its_times_and_place(nova):
    server = nova.server(SERVER)
    assert (server.host, server.host_status, server.zone) == ('host1', 'UP', 'nova')
    assert server.created_at == 1795373465.0
    assert server.launched_at == 1795373467.0
    assert server.metadata == {'aodh_ha:policy': 'stateful'}
    assert (server.image_id, server.fault) == (IMAGE, '')


def test_a_server_in_error_tells_its_fault_in_a_line(wire, nova):
    fault = {'code': 500, 'message': 'No valid host was found.\nTraceback'}
    wire.mock.get(URL, json={'server': shown(status='ERROR', fault=fault, image='')})
    server = nova.server(SERVER)
    assert (server.fault, server.image_id) == ('No valid host was found.', None)


def test_a_server_whose_cell_is_down_is_away_not_without_a_name(wire, nova):
    partial = {
        'id': SERVER,
        'status': 'UNKNOWN',
        'tenant_id': 'a' * 32,
        'created': '2026-11-22T18:51:05Z',
        'links': [],
    }
    wire.mock.get(URL, json={'server': partial})
    with pytest.raises(CloudAway, match='cell'):
        nova.server(SERVER)
    wire.mock.get(f'{NOVA}/servers/detail', pages([partial, shown()]))
    assert [s.name for s in nova.servers_on('host1')] == ['db1']


def test_servers_of_a_host_are_asked_for_of_all_projects(wire, nova):
    wire.mock.get(f'{NOVA}/servers/detail', pages([shown()]))
    (server,) = nova.servers_on('host1')
    assert server.id == SERVER
    asked, *_ = wire.sent('GET', '/v2.1/servers/detail')
    assert (asked.qs['all_tenants'], asked.qs['host']) == (['1'], ['host1'])


def test_servers_of_a_project_come_with_their_tags(wire, nova):
    wire.mock.get(f'{NOVA}/servers/detail', pages([shown(tags=['ha', 'x'])]))
    (server,) = nova.servers_of('p' * 32)
    assert server.tags == {'ha', 'x'}
    asked, *_ = wire.sent('GET', '/v2.1/servers/detail')
    assert (asked.qs['all_tenants'], asked.qs['project_id']) == (['1'], ['p' * 32])
    wire.mock.get(f'{NOVA}/servers/detail', pages([shown()]))
    assert [s.id for s in nova.servers_of(None)] == [SERVER]
    assert 'project_id' not in wire.sent('GET', '/v2.1/servers/detail')[-1].qs


def test_nova_remembers_a_server_that_was_deleted(wire, nova):
    wire.mock.get(f'{NOVA}/servers/detail', json={'servers': [shown(status='DELETED')]})
    assert nova.deleted(SERVER)
    asked, *_ = wire.sent('GET', '/v2.1/servers/detail')
    # novaclient sends what is asked for; the mock has it in lower case.
    assert (asked.qs['deleted'], asked.qs['uuid']) == (['true'], [SERVER])
    wire.mock.get(f'{NOVA}/servers/detail', json={'servers': []})
    assert not nova.deleted(SERVER)


def test_the_log_of_a_server_tells_what_failed(wire, nova):
    def entry(action, message):
        times = {'start_time': '2026-11-22T18:51:05.000000', 'updated_at': None}
        who = {'request_id': f'req-{action}', 'user_id': USER, 'instance_uuid': SERVER}
        return {'action': action, 'message': message, **times, **who}

    log = [entry('createImage', 'Error'), entry('reboot', None)]
    wire.mock.get(f'{URL}/os-instance-actions', json={'instanceActions': log})
    image, reboot = nova.instance_actions(SERVER)
    assert (image.action, image.failed, image.request_id) == (
        'createImage',
        True,
        'req-createImage',
    )
    assert (reboot.failed, reboot.at) == (False, 1795373465.0)


def test_a_host_is_known_by_its_nova_compute(wire, nova):
    service = {
        'id': 'x',
        'binary': 'nova-compute',
        'host': 'host1',
        'zone': 'nova',
        'status': 'disabled',
        'state': 'down',
        'forced_down': True,
    }
    wire.mock.get(f'{NOVA}/os-services', json={'services': [service]})
    assert nova.host('host1') == Host('host1', False, True, True, 'nova')
    wire.mock.get(f'{NOVA}/os-services', json={'services': []})
    with pytest.raises(NotFound):
        nova.host('host1')


def test_disks_are_what_nova_attached_and_the_flavor_gives(wire, nova):
    attached = [
        {'volumeId': 'v2', 'device': '/dev/vdb', 'delete_on_termination': True},
        {'volumeId': 'v1', 'device': '/dev/vda', 'delete_on_termination': False},
    ]
    wire.mock.get(f'{URL}/os-volume_attachments', json={'volumeAttachments': attached})
    disks = nova.disks(SERVER)
    assert [(v.volume_id, v.delete_on_termination) for v in disks.volumes] == [
        ('v1', False),
        ('v2', True),
    ]
    assert (disks.ephemeral_gb, disks.swap_mb, disks.config_drive) == (2, 512, True)
    assert disks.server_groups == ('g1',)


def act(nova, name):
    return {
        'reboot': lambda: nova.reboot(SERVER, 'soft'),
        'start': lambda: nova.start(SERVER),
        'rebuild': lambda: nova.rebuild(SERVER, IMAGE),
        'evacuate': lambda: nova.evacuate(SERVER),
        'migrate': lambda: nova.migrate(SERVER),
        'confirm_resize': lambda: nova.confirm_resize(SERVER),
        'snapshot': lambda: nova.snapshot(SERVER, 'before'),
    }[name]()


BODIES = {
    'reboot': {'reboot': {'type': 'SOFT'}},
    'start': {'os-start': None},
    'evacuate': {'evacuate': {}},
    'migrate': {'migrate': {}},
    'confirm_resize': {'confirmResize': None},
    'snapshot': {'createImage': {'name': 'before', 'metadata': {}}},
}


@pytest.mark.parametrize('name', BODIES)
def test_an_action_is_asked_for_once_and_gives_its_request_id(wire, nova, name):
    wire.mock.post(
        f'{URL}/action',
        status_code=202,
        headers={'X-Openstack-Request-Id': 'req-1'},
        json={'image_id': IMAGE},
    )
    assert act(nova, name) == 'req-1'
    (sent,) = wire.sent('POST', f'/v2.1/servers/{SERVER}/action')
    assert sent.json() == BODIES[name]
    assert sent.headers['OpenStack-API-Version'] == 'compute 2.90'


def test_a_rebuild_names_the_image_and_nothing_else(wire, nova):
    answer = {'server': shown()}
    wire.mock.post(f'{URL}/action', json=answer, headers={'X-Openstack-Request-Id': 'req-2'})
    assert nova.rebuild(SERVER, IMAGE) == 'req-2'
    (sent,) = wire.sent('POST', f'/v2.1/servers/{SERVER}/action')
    assert sent.json() == {'rebuild': {'imageRef': IMAGE}}


def no(status, text='no'):
    return {'status_code': status, 'json': {'conflictingRequest': {'message': text}}}


@pytest.mark.parametrize('name', [*BODIES, 'rebuild'])
@pytest.mark.parametrize('status', [400, 403, 404, 409])
def test_a_no_of_nova_refuses_the_action(wire, nova, name, status):
    wire.mock.post(f'{URL}/action', **no(status))
    with pytest.raises(ActionRefused, match=str(status)):
        act(nova, name)


def test_a_server_that_is_in_a_task_is_not_now(wire, nova):
    busy = "Cannot 'rebuild' instance X while it is in task_state image_uploading"
    wire.mock.post(f'{URL}/action', **no(409, busy))
    with pytest.raises(NotNow, match='image_uploading'):
        act(nova, 'rebuild')
    stopped = "Cannot 'reboot' instance X while it is in vm_state stopped"
    wire.mock.post(f'{URL}/action', **no(409, stopped))
    with pytest.raises(ActionRefused, match='stopped'):
        act(nova, 'reboot')


@pytest.mark.parametrize('status', [401, 429])
def test_a_bad_token_and_a_rate_limit_are_no_refusal(wire, nova, status):
    wire.mock.post(f'{URL}/action', **no(status))
    with pytest.raises(NotNow):
        act(nova, 'reboot')


@pytest.mark.parametrize('status', [500, 502, 503])
def test_what_says_nothing_about_the_action_leaves_it_open(wire, nova, status):
    wire.mock.post(f'{URL}/action', **no(status))
    with pytest.raises(OutcomeUnknown):
        act(nova, 'reboot')


@pytest.mark.parametrize('error', [requests.ConnectTimeout, requests.ConnectionError])
def test_a_connection_that_breaks_leaves_an_action_open_and_a_read_undone(wire, nova, error):
    wire.mock.post(f'{URL}/action', exc=error)
    with pytest.raises(OutcomeUnknown):
        act(nova, 'reboot')
    wire.mock.get(URL, exc=error)
    with pytest.raises(CloudAway):
        nova.server(SERVER)


def test_a_change_is_never_repeated_with_a_new_token_but_the_next_one_has_it(wire, nova):
    nova.server(SERVER)
    wire.mock.post(f'{URL}/action', **no(401))
    with pytest.raises(NotNow):
        act(nova, 'reboot')
    assert len(wire.sent('POST', f'/v2.1/servers/{SERVER}/action')) == 1
    wire.mock.post(f'{URL}/action', status_code=202)
    act(nova, 'reboot')
    first, second = wire.sent('POST', f'/v2.1/servers/{SERVER}/action')
    assert first.headers['X-Auth-Token'] != second.headers['X-Auth-Token']


def test_console_and_diagnostics_are_done_without(wire, nova):
    wire.mock.post(f'{URL}/action', json={'output': 'login:\n'})
    assert nova.console(SERVER, 50) == 'login:\n'
    (sent,) = wire.sent('POST', f'/v2.1/servers/{SERVER}/action')
    assert sent.json() == {'os-getConsoleOutput': {'length': 50}}
    assert sent.timeout == (5, 5)
    wire.mock.post(f'{URL}/action', exc=requests.ReadTimeout)
    assert nova.console(SERVER) == ''
    wire.mock.get(f'{URL}/diagnostics', **no(409))
    assert nova.diagnostics(SERVER) == {}
    wire.mock.get(f'{URL}/diagnostics', json={'state': 'running'})
    assert nova.diagnostics(SERVER) == {'state': 'running'}


def test_we_are_who_our_token_says(nova):
    assert nova.user_id() == USER


def test_a_confirmation_is_waited_for_because_nova_shows_nothing_of_it(wire, nova):
    resized = {'json': {'server': shown(**{'OS-EXT-STS:vm_state': 'resized'})}}
    wire.mock.get(URL, [resized, {'json': {'server': shown()}}])
    wire.mock.post(f'{URL}/action', status_code=204, headers={'X-Openstack-Request-Id': 'req-3'})
    assert nova.confirm_resize(SERVER) == 'req-3'
    assert len(wire.sent('GET', f'/v2.1/servers/{SERVER}')) == 2
