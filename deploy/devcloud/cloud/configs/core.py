"""Keystone, Placement, Glance, Neutron and Cinder; RabbitMQ."""

from cloud.configs.ini import auth, authtoken, locks, messaging, render
from cloud.settings import Settings


def files(s: Settings) -> dict[str, str]:
    return {
        'keystone/keystone.conf': render(_keystone(s)),
        'placement/placement.conf': render(_placement(s)),
        'glance/glance-api.conf': render(_glance(s)),
        'neutron/neutron.conf': render(_neutron(s)),
        'neutron/ml2_conf.ini': render(_ml2()),
        'cinder/cinder.conf': render(_cinder(s)),
        'rabbitmq/rabbitmq.conf': _rabbitmq(s),
    }


def _keystone(s: Settings) -> dict:
    return {
        'database': {'connection': s.mariadb_url('keystone')},
        # Services log in all the time; the default of 12 rounds costs a quarter of a second each.
        'identity': {'password_hash_rounds': 4},
        'token': {'provider': 'fernet', 'expiration': 86400},
        'fernet_tokens': {'key_repository': s.data / 'fernet'},
        'fernet_receipts': {'key_repository': s.data / 'fernet'},
        'credential': {'key_repository': s.data / 'credential'},
    }


def _placement(s: Settings) -> dict:
    return {
        'api': {'auth_strategy': 'keystone'},
        'placement_database': {'connection': s.mariadb_url('placement')},
        **authtoken(s, 'placement'),
    }


def _glance(s: Settings) -> dict:
    return {
        'DEFAULT': {
            'enabled_backends': 'fs:file',
            'worker_self_reference_url': s.url('glance-api'),
        },
        'database': {'connection': s.mariadb_url('glance')},
        'glance_store': {'default_backend': 'fs'},
        'fs': {'filesystem_store_datadir': s.data / 'images'},
        'os_glance_tasks_store': {'filesystem_store_datadir': s.data / 'glance-tasks'},
        'os_glance_staging_store': {'filesystem_store_datadir': s.data / 'glance-staging'},
        'paste_deploy': {'flavor': 'keystone'},
        **locks(s),
        **authtoken(s, 'glance'),
    }


def _neutron(s: Settings) -> dict:
    return {
        'DEFAULT': {
            'core_plugin': 'ml2',
            'service_plugins': 'router',
            'transport_url': s.rabbit_url,
            'auth_strategy': 'keystone',
            'state_path': s.data / 'neutron',
            'api_paste_config': s.etc / 'neutron/api-paste.ini',
            'dhcp_agent_notification': False,
            'notify_nova_on_port_status_changes': True,
            'notify_nova_on_port_data_changes': True,
            'api_workers': 1,
            'rpc_workers': 0,
        },
        'database': {'connection': s.mariadb_url('neutron')},
        'nova': auth(s, 'nova'),
        'placement': auth(s, 'placement'),
        **locks(s),
        **authtoken(s, 'neutron'),
        **messaging(),
    }


def _ml2() -> dict:
    return {
        'ml2': {
            'type_drivers': 'local,flat,vlan',
            'tenant_network_types': 'local',
            'mechanism_drivers': 'devcloud',
        },
        'ml2_type_flat': {'flat_networks': 'public'},
    }


def _cinder(s: Settings) -> dict:
    return {
        'DEFAULT': {
            'transport_url': s.rabbit_url,
            'auth_strategy': 'keystone',
            'my_ip': '127.0.0.1',
            'host': 'control',
            'state_path': s.data / 'cinder',
            'api_paste_config': s.etc / 'cinder/api-paste.ini',
            'resource_query_filters_file': s.venv / 'etc/cinder/resource_filters.json',
            'enabled_backends': 'devcloud',
            'glance_api_servers': s.url('glance-api'),
            'quota_volumes': -1,
            'quota_gigabytes': -1,
            'report_interval': 2,
            'service_down_time': 10,
        },
        'devcloud': {
            'volume_driver': 'cinder.volume.drivers.devcloud.DevcloudVolumeDriver',
            'volume_backend_name': 'devcloud',
        },
        'database': {'connection': s.mariadb_url('cinder')},
        'service_user': {'send_service_user_token': True, **auth(s, 'cinder')},
        'nova': auth(s, 'nova'),
        'coordination': {'backend_url': f'file://{s.data}/cinder-coord'},
        **locks(s),
        **authtoken(s, 'cinder'),
        **messaging(),
    }


def _rabbitmq(s: Settings) -> str:
    return f"""listeners.tcp.1 = 127.0.0.1:{s.port_of('rabbitmq')}
log.console = true
log.console.level = info
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
"""
