"""Heat: API, CloudFormation API and engine."""

from cloud.configs.ini import authtoken, locks, messaging, render
from cloud.settings import PASSWORD, REGION, Settings


def files(s: Settings) -> dict[str, str]:
    return {'heat/heat.conf': render(_heat(s))}


def _heat(s: Settings) -> dict:
    return {
        'DEFAULT': {
            'transport_url': s.rabbit_url,
            'num_engine_workers': 1,
            'region_name_for_services': REGION,
            'heat_metadata_server_url': s.url('heat-api-cfn'),
            'heat_waitcondition_server_url': s.url('heat-api-cfn') + '/v1/waitcondition',
            'stack_user_domain_name': 'heat',
            'stack_domain_admin': 'heat_domain_admin',
            'stack_domain_admin_password': PASSWORD,
            'auth_encryption_key': 'devclouddevclouddevcloud12345678',  # must have 32 characters
            'deferred_auth_method': 'trusts',
            'environment_dir': s.venv / 'etc/heat/environment.d',
            'template_dir': s.venv / 'etc/heat/templates',
            'server_keystone_endpoint_type': 'public',
        },
        'paste_deploy': {'api_paste_config': s.etc / 'heat/api-paste.ini'},
        'database': {'connection': s.mariadb_url('heat')},
        'trustee': {
            'auth_type': 'password',
            'auth_url': s.auth_url,
            'username': 'heat',
            'password': PASSWORD,
            'user_domain_name': 'Default',
        },
        'clients_keystone': {'auth_uri': s.url('keystone')},
        'ec2authtoken': {'auth_uri': s.auth_url},
        'heat_api': {'workers': 1, 'bind_port': s.port_of('heat-api')},
        **locks(s),
        **authtoken(s, 'heat'),
        **messaging(),
    }
