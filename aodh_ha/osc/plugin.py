"""What a shell needs to offer these commands: ours, and OpenStackClient's ("openstack ha …")."""

import argparse
import os
from typing import Any

DEFAULT_API_VERSION = '1'
API_NAME = 'aodh_ha'
API_VERSION_OPTION = 'os_aodh_ha_api_version'
API_VERSIONS = {'1': 'aodh_ha.osc.client.Client'}


def build_option_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Add the options that all commands of this API share."""
    parser.add_argument(
        '--aodh-ha-endpoint',
        metavar='<url>',
        default=os.environ.get('AODH_HA_ENDPOINT'),
        help="aodh-ha's address, without /v1, in place of the one in the service catalog"
        ' (Env: AODH_HA_ENDPOINT)',
    )
    return parser


def make_client(instance: Any) -> Any:
    """The API's client, from a client manager: it has session, region_name, interface, options."""
    # Imported here: OpenStackClient imports every plugin at each start.
    from aodh_ha.osc.client import Client

    options = instance.get_configuration()
    return Client(
        instance.session,
        region_name=instance.region_name or None,
        interface=instance.interface or 'public',
        endpoint=options.get('aodh_ha_endpoint') or options.get('aodh_ha_endpoint_override'),
    )
