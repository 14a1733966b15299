"""Nova: one file for the control services and one for each compute host."""

from cloud.configs.ini import auth, authtoken, locks, messaging, render
from cloud.settings import PASSWORD, Settings


def files(s: Settings) -> dict[str, str]:
    hosts = {f'nova/nova-{h}.conf': render(_nova(s, h)) for h in s.hosts}
    return {'nova/nova.conf': render(_nova(s, 'control')), **hosts}


def _nova(s: Settings, host: str) -> dict:
    return {
        'DEFAULT': {
            'transport_url': s.rabbit_url,
            'my_ip': '127.0.0.1',
            'host': host,
            'state_path': s.data / f'nova-{host}',
            # Nova loads a driver only from nova.virt: the installer puts it there.
            'compute_driver': 'devcloud.DevcloudDriver',
            'report_interval': 2,
            'service_down_time': 10,
            # 600 by default: a guest that died with its host would count as running for so long.
            'sync_power_state_interval': 10,
            'osapi_compute_workers': 1,
            'vif_plugging_is_fatal': False,
            'vif_plugging_timeout': 0,
            'use_cow_images': False,
            'force_raw_images': False,
        },
        'api': _api(s),
        'vendordata_dynamic_auth': auth(s, 'nova'),
        'api_database': {'connection': s.mariadb_url('nova_api')},
        'database': {'connection': s.mariadb_url('nova')},
        'service_user': {'send_service_user_token': True, **auth(s, 'nova')},
        'placement': auth(s, 'placement'),
        'glance': {'api_servers': s.url('glance-api')},
        'neutron': {
            'service_metadata_proxy': True,
            'metadata_proxy_shared_secret': PASSWORD,
            **auth(s, 'neutron'),
        },
        'cinder': auth(s, 'nova'),
        'conductor': {'workers': 1},
        'scheduler': {'workers': 1, 'discover_hosts_in_cells_interval': 5},
        'filter_scheduler': {'track_instance_changes': False},
        # A test or a demo may have more guests than a tenant's ten.
        'quota': {'instances': -1, 'cores': -1, 'ram': -1},
        'vnc': {'enabled': False},
        'notifications': {
            'notification_format': 'unversioned',
            'notify_on_state_change': 'vm_and_task_state',
        },
        **locks(s, f'lock-{host}'),
        **authtoken(s, 'nova'),
        **messaging(),
    }


def _api(s: Settings) -> dict:
    """aodh-ha answers what a guest that boots should know; see docs/enrolment.rst."""
    common = {'local_metadata_per_cell': False}
    if s.ha == 'none':
        return common
    return common | {
        'vendordata_providers': 'StaticJSON,DynamicJSON',
        'vendordata_dynamic_targets': f'aodh-ha@{s.url("aodh-ha")}/v1/vendordata',
        'vendordata_dynamic_connect_timeout': 5,
        'vendordata_dynamic_read_timeout': 5,
    }
