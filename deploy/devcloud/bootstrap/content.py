"""`hosts` waits for the compute hosts; `content` makes flavors, an image and networks."""

import sys
import time

import login

LIMIT = 120.0
"""Seconds until all compute hosts have to be there."""


def hosts(cloud):
    end = time.monotonic() + LIMIT
    missing = set(login.HOSTS)
    while time.monotonic() < end:
        up = {s.host for s in cloud.compute.services(binary='nova-compute') if s.state == 'up'}
        # A host can be scheduled to once its hypervisor is mapped to the cell.
        mapped = {h.name for h in cloud.compute.hypervisors()}
        missing = set(login.HOSTS) - (up & mapped)
        if not missing:
            return
        time.sleep(0.5)
    sys.exit(f'these compute hosts did not come up within {LIMIT:.0f} s: {sorted(missing)}')


def content(cloud):
    for name, ram in (('m1.nano', 64), ('m1.micro', 128)):
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, ram=ram, vcpus=1, disk=1)
    if not cloud.image.find_image('tiny'):
        cloud.image.create_image(
            name='tiny',
            container_format='bare',
            disk_format='raw',
            visibility='public',
            data=b'\0' * 1024,
            allow_duplicates=True,
        )
    if not cloud.network.find_network('net'):
        net = cloud.network.create_network(name='net', is_shared=True)
        cloud.network.create_subnet(
            name='subnet',
            network_id=net.id,
            ip_version=4,
            cidr='10.20.0.0/24',
            is_dhcp_enabled=False,
        )
    if not cloud.network.find_network('public'):
        public = cloud.network.create_network(
            name='public',
            is_router_external=True,
            provider_network_type='flat',
            provider_physical_network='public',
        )
        cloud.network.create_subnet(
            name='public-subnet',
            network_id=public.id,
            ip_version=4,
            cidr='10.30.0.0/24',
            is_dhcp_enabled=False,
        )
        router = cloud.network.create_router(
            name='router', external_gateway_info={'network_id': public.id}
        )
        cloud.network.add_interface_to_router(
            router, subnet_id=cloud.network.find_subnet('subnet').id
        )


if __name__ == '__main__':
    globals()[sys.argv[1]](login.cloud())
