"""What a server has, put together from Nova, Cinder, Neutron and Heat."""

import pytest
import requests

from aodh_ha.clients.neutron import made_by
from aodh_ha.exceptions import CloudAway
from aodh_ha.rules.holdings import HEAT, NOVA, USER, Holdings, Port, Volume
from tests import samples
from tests.unit.clients import conftest
from tests.unit.clients.test_nova import SERVER, URL, shown

CREATED = 1795373465.0  # 2026-11-22T18:51:05Z
VOLUME = '00000000-0000-4000-8000-0000000000b1'


def port(**changes):
    """A port as Neutron shows it."""
    raw = {
        'id': 'p1',
        'name': '',
        'mac_address': 'fa:16:3e:00:00:01',
        'device_owner': 'compute:nova',
        'fixed_ips': [{'ip_address': '10.0.0.7', 'subnet_id': 's'}],
        'security_groups': ['sg2', 'sg1'],
        'created_at': '2026-11-22T18:51:06Z',
    }
    return raw | changes


@pytest.fixture
def holds(wire, cloud):
    """A server with a volume and a port; the test says how they are."""

    def holds(ports=(), attached=(), floating=(), volume=None, server=None):
        wire.mock.get(URL, json={'server': server or shown()})
        wire.mock.get(f'{URL}/os-volume_attachments', json={'volumeAttachments': list(attached)})
        wire.mock.get(f'{conftest.NEUTRON}/v2.0/ports', json={'ports': list(ports)})
        wire.mock.get(f'{conftest.NEUTRON}/v2.0/floatingips', json={'floatingips': list(floating)})
        wire.mock.get(f'{conftest.CINDER}/volumes/{VOLUME}', json={'volume': volume or {}})
        return cloud.holdings(cloud.server(SERVER), None)

    return holds


def test_a_server_with_nothing_but_itself(holds):
    assert holds() == Holdings(
        'image', ephemeral_gb=2, swap_mb=512, config_drive=True, server_groups=('g1',)
    )


def test_ports_have_their_addresses(wire, holds):
    address = {'port_id': 'p1', 'floating_ip_address': '192.0.2.9'}
    found = holds(ports=[port()], floating=[address])
    assert found.ports == (
        Port('p1', 'fa:16:3e:00:00:01', ('10.0.0.7',), ('192.0.2.9',), ('sg1', 'sg2'), NOVA),
    )
    (asked,) = wire.sent('GET', '/v2.0/ports')
    assert asked.qs == {'device_id': [SERVER]}


def test_a_neutron_without_routers_has_no_floating_addresses(wire, holds, cloud):
    holds(ports=[port()])
    wire.mock.get(f'{conftest.NEUTRON}/v2.0/floatingips', status_code=404)
    (found,) = cloud.holdings(cloud.server(SERVER), None).ports
    assert found.floating_ips == ()


def test_volumes_tell_whether_they_go_with_the_server(holds):
    attached = {'volumeId': VOLUME, 'device': '/dev/vdb', 'delete_on_termination': True}
    (found,) = holds(attached=[attached], volume={'multiattach': True, 'attachments': []}).volumes
    assert found == Volume(VOLUME, '/dev/vdb', False, True, True, USER)


def test_a_volume_that_two_servers_have_is_shared_whatever_its_type_says(holds):
    attached = {'volumeId': VOLUME, 'device': '/dev/vdb'}
    volume = {'multiattach': False, 'attachments': [{}, {}]}
    assert holds(attached=[attached], volume=volume).volumes[0].multiattach


def test_the_root_disk_may_be_a_volume(holds):
    attached = {'volumeId': VOLUME, 'device': '/dev/vda'}
    found = holds(attached=[attached], server=shown(image=''))
    assert (found.root_disk, found.volumes[0].root) == ('volume', True)
    found = holds(attached=[attached])
    assert (found.root_disk, found.volumes[0].root) == ('image', False)


def test_what_cannot_be_known_is_not_made_up(wire, holds, cloud):
    holds()
    wire.mock.get(f'{conftest.NEUTRON}/v2.0/ports', exc=requests.ConnectTimeout)
    with pytest.raises(CloudAway, match='Neutron'):
        cloud.holdings(cloud.server(SERVER), None)
    wire.mock.get(f'{conftest.NEUTRON}/v2.0/ports', text='<html>')
    with pytest.raises(CloudAway, match='no JSON'):
        cloud.holdings(cloud.server(SERVER), None)


@pytest.mark.parametrize(
    ('found', 'of_stack', 'maker'),
    [
        (port(), (), NOVA),
        (port(created_at='2026-11-22T18:50:00Z'), (), USER),
        (port(created_at='2026-11-22T18:51:03Z'), (), NOVA),  # the clocks may differ
        (port(created_at='2026-11-22T18:51:03Z', name='mine'), (), USER),
        (port(created_at=None), (), NOVA),
        (port(name='mine'), (), NOVA),  # attached later, or a port of Nova's that got a name
        (port(), ('p1', 'x'), HEAT),
        (port(created_at='2026-11-22T18:50:00Z'), ('x',), USER),
        # Heat's own, within the server: made before it, and deleted with it.
        (port(created_at='2026-11-22T18:50:00Z', name='stack-web-abc-port-0'), ('x',), NOVA),
    ],
)
def test_a_port_is_kept_only_where_it_is_certain_that_somebody_else_made_it(found, of_stack, maker):
    assert made_by(found, samples.server(id=SERVER, created_at=CREATED), of_stack) == maker
