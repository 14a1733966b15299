"""Make flavors, an image and networks. May run again: what exists is left alone."""

import login
import openstack


def main():
    cloud = openstack.connection.Connection(session=login.admin(), region_name='RegionOne')
    for name, ram in (('m1.nano', 64), ('m1.micro', 128)):
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(name=name, ram=ram, vcpus=1, disk=1)
    # Guests of the second one ask Nova's metadata service, as an image of cloud-init's does.
    for name, more in (('tiny', {}), ('tiny-metadata', {'devcloud_datasource': 'service'})):
        if not cloud.image.find_image(name):
            cloud.image.create_image(
                name=name,
                container_format='bare',
                disk_format='raw',
                visibility='public',
                data=b'\0' * 1024,
                allow_duplicates=True,
                **more,
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
    main()
