"""The real Nova keeps the contract that the unit tests' fake keeps."""

import pytest

from aodh_ha import opts
from aodh_ha.clients.nova import Nova
from aodh_ha.clients.session import service_session
from tests.acceptance.devcloud import wait
from tests.unit.recovery.cloud_contract import *  # noqa: F403


@pytest.fixture(scope='module')
def nova(cloud):
    """The service's own client, by devcloud's configuration of aodh-ha."""
    file = cloud.state / 'etc' / 'aodh-ha' / 'aodh-ha.conf'
    conf = opts.load([f'--config-file={file}'])
    return Nova(service_session(conf), conf.nova.region_name, conf.nova.interface)


@pytest.fixture(scope='module')
def guest(cloud):
    """A server of a tenant's; nobody watches it."""
    guest = cloud.guest('contract')
    yield guest
    cloud.demo.compute.delete_server(guest.id)


@pytest.fixture
def server(nova, guest):
    return nova.server(guest.id)


@pytest.fixture
def settle(nova, guest):
    def settled():
        found = nova.server(guest.id)
        return found if found.task_state is None and found.status == 'ACTIVE' else None

    return lambda: wait(settled, 'the server has no task')


@pytest.fixture
def stop(cloud, nova, guest, settle):
    def stop():
        cloud.demo.compute.stop_server(guest.id)
        wait(lambda: nova.server(guest.id).vm_state == 'stopped', 'the server is stopped')

    yield stop
    cloud.demo.compute.start_server(guest.id)
    settle()
