"""The real cloud keeps the contract that the unit tests' fake keeps."""

import contextlib

import pytest
from heatclient import client as heatclient

from aodh_ha import opts
from aodh_ha.clients.cloud import OpenStack
from aodh_ha.clients.session import service_session
from aodh_ha.exceptions import NotFound
from tests.acceptance.devcloud import wait
from tests.unit.recovery.cloud_contract import *  # noqa: F403

NAME = 'contract'

# A port, a volume and what attaches it are what must survive a replacement.
TEMPLATE = {
    'heat_template_version': '2018-08-31',
    'resources': {
        'port': {'type': 'OS::Neutron::Port', 'properties': {'network': 'net'}},
        'volume': {'type': 'OS::Cinder::Volume', 'properties': {'size': 1}},
        'web': {
            'type': 'OS::Nova::Server',
            'properties': {
                'image': 'tiny',
                'flavor': 'm1.nano',
                'networks': [{'port': {'get_resource': 'port'}}],
            },
        },
        'attachment': {
            'type': 'OS::Cinder::VolumeAttachment',
            'properties': {
                'volume_id': {'get_resource': 'volume'},
                'instance_uuid': {'get_resource': 'web'},
            },
        },
        'db': {
            'type': 'OS::Nova::Server',
            'properties': {'image': 'tiny', 'flavor': 'm1.nano', 'networks': [{'network': 'net'}]},
        },
    },
}


@pytest.fixture(scope='module')
def nova(cloud):
    """The service's own clients, by devcloud's configuration of aodh-ha."""
    file = cloud.state / 'etc' / 'aodh-ha' / 'aodh-ha.conf'
    conf = opts.load([f'--config-file={file}'])
    # Heat looks at a whole stack before it answers, which takes a busy machine long.
    conf.set_override('timeout', 120, 'service_credentials')
    return OpenStack(conf, service_session(conf))


@pytest.fixture(scope='module')
def guest(cloud):
    """A server of a tenant's; nobody watches it."""
    guest = cloud.guest(NAME)
    yield guest
    cloud.demo.compute.delete_server(guest.id)
    for image in cloud.demo.image.images(name=NAME):
        cloud.demo.image.delete_image(image)


@pytest.fixture
def server(nova, guest):
    return nova.server(guest.id)


@pytest.fixture
def settle(nova, guest):
    def settled():
        found = nova.server(guest.id)
        done = found.status in ('ACTIVE', 'VERIFY_RESIZE') and found.task_state is None
        return found if done else None

    return lambda: wait(settled, 'the server has no task')


@pytest.fixture
def stop(cloud, nova, guest, settle):
    def stop():
        cloud.demo.compute.stop_server(guest.id)
        wait(lambda: nova.server(guest.id).vm_state == 'stopped', 'the server is stopped')

    yield stop
    if nova.server(guest.id).vm_state == 'stopped':
        cloud.demo.compute.start_server(guest.id)
    settle()


@pytest.fixture
def busy(nova, guest):
    """Its hard reboot takes Nova longer than to be asked for something else."""
    return lambda: nova.reboot(guest.id, 'hard')


@pytest.fixture(scope='module')
def heat(cloud):
    """A tenant's Heat; the stack of the tests is in it as long as they run."""
    heat = heatclient.Client('1', session=cloud.demo.session, region_name='RegionOne')
    made = heat.stacks.create(stack_name=NAME, template=TEMPLATE, timeout_mins=5)
    wait(lambda: _status(heat) == 'CREATE_COMPLETE', 'the stack is there', 120)
    yield heat
    assert made
    with contextlib.suppress(Exception):
        heat.stacks.delete(NAME)
    wait(lambda: NAME not in [s.stack_name for s in heat.stacks.list()], 'no stack is left', 120)


def _status(heat):
    return heat.stacks.get(NAME, resolve_outputs=False).stack_status


@pytest.fixture
def member(nova, heat):
    """Of the stack as the test before has left it."""
    resource = next(r for r in heat.resources.list(NAME) if r.resource_name == 'web')
    return nova.member(nova.server(resource.physical_resource_id))


@pytest.fixture
def ended(nova):
    def ended(member):
        def idle():
            found = nova.stack_member_again(member)
            return found if found and not found.busy else None

        return wait(idle, 'Heat is not at work on it', 180)

    return ended


@pytest.fixture
def replaced(nova):
    """Puts another server in the place of one in ERROR; as it is after that."""

    def replaced(member, name):
        nova.replace(member, [name], 'contract')

        def over():
            found = nova.stack_member_again(member)
            if found.busy:
                nova.delete_replaced(member, [name])
            return None if found.busy else found

        return wait(over, 'Heat is not at work on it', 180, every=2)

    return replaced


@pytest.fixture
def mark(heat):
    def mark(member, name, reason):
        heat.resources.mark_unhealthy(NAME, name, True, reason)

    return mark


@pytest.fixture
def update(heat):
    """What ``openstack stack update --existing`` asks for."""
    return lambda member: heat.stacks.update(f'{NAME}/{member.root_id}', existing=True)


@pytest.fixture
def at_work(nova):
    def at_work(member):
        nova.replace(member, ['db'], 'contract')
        wait(lambda: nova.stack_member_again(member).busy, 'Heat is at work', 20, 0.1)

    return at_work


def test_a_server_in_error_is_replaced_and_its_port_and_volume_go_to_the_new_one(
    cloud, nova, member, replaced
):
    old = member.siblings
    server_id = next(i for i, name in old if name == 'web')
    held = nova.holdings(nova.server(server_id), member)
    assert held.volumes
    assert held.ports
    cloud.admin.compute.reset_server_state(server_id, 'error')
    after = replaced(member, 'web')
    assert after.status == 'UPDATE_COMPLETE'
    new_id = next(i for i, name in after.siblings if name == 'web')
    assert new_id != server_id
    assert nova.holdings(nova.server(new_id), after) == held


@pytest.mark.disruptive
def test_a_server_of_a_dead_host_is_replaced_and_its_neighbour_evacuated(
    cloud, nova, member, replaced, guest, settle
):
    server_id = next(i for i, name in member.siblings if name == 'web')
    for moves in (server_id, guest.id):
        if nova.server(moves).host != 'host2':
            nova.migrate(moves)
            wait(lambda i=moves: nova.server(i).vm_state == 'resized', 'it is migrated')
            nova.confirm_resize(moves)
    held = nova.holdings(nova.server(server_id), member)
    try:
        cloud.run('fault', 'host-dies', 'host2')
        service = next(iter(cloud.admin.compute.services(binary='nova-compute', host='host2')))
        cloud.admin.compute.update_service_forced_down(service, forced=True)
        assert (nova.host('host2').up, nova.host('host2').forced_down) == (False, True)
        assert nova.server(server_id).host_status == 'DOWN'
        assert (nova.console(server_id), nova.diagnostics(server_id)) == ('', {})
        after = replaced(member, 'web')
        assert after.status == 'UPDATE_COMPLETE'
        new = nova.server(next(i for i, name in after.siblings if name == 'web'))
        assert (new.host, new.vm_state) == ('host1', 'active')
        assert nova.holdings(new, after) == held
        request_id = nova.evacuate(guest.id)
        newest = nova.instance_actions(guest.id)[0]
        assert (newest.action, newest.request_id) == ('evacuate', request_id)
        wait(lambda: nova.server(guest.id).host == 'host1', 'it is evacuated')
        settle()
    finally:
        cloud.host_back('host2')


def test_what_heat_makes_it_makes_in_the_stacks_project(cloud, nova, member, ended):
    nova.rebuild_stack(member)
    for server_id, _ in ended(member).siblings:
        assert nova.server(server_id).project_id == cloud.demo.current_project_id


def test_a_stack_that_its_owner_deletes_is_gone(nova, heat, member):
    heat.stacks.delete(NAME)

    def gone():
        return nova.stack_member_again(member) is None

    wait(gone, 'the stack is gone', 120)
    with pytest.raises(NotFound):
        nova.stack_definition(member)
