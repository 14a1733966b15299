"""Heat: API, CloudFormation API and engine."""

from cloud.configs.ini import auth, authtoken, locks, messaging, render
from cloud.settings import PASSWORD, REGION, REPO, Settings

# heat-api-cfn tells its policy no project (Heat 27), so that the defaults, which compare it, refuse
# everybody. The engine lets a stack's user see what it may, and nothing else.
POLICY = '"cloudformation:DescribeStackResource": "role:reader or role:heat_stack_user"\n'


def files(s: Settings) -> dict[str, str]:
    return {'heat/heat.conf': render(_heat(s)), 'heat/policy.yaml': POLICY}


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
            'plugin_dirs': REPO / 'deploy/heat/plugins',
        },
        'oslo_policy': {'policy_file': s.etc / 'heat/policy.yaml'},
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
        'clients_aodh_ha': {
            'retry_for': 15,  # nobody waits a minute for a failure here
            # An address of its own: the port of the bridge is built into cfn-push-stats.
            'cloudwatch_address': f'127.{s.port // 256}.{s.port % 256}.84',
        },
        # Since Keystone 2025.2 only service users may have signatures checked. Heat appends /v3
        # itself, whatever the catalog says.
        'ec2authtoken': {**auth(s, 'heat'), 'endpoint_override': s.url('keystone')},
        'heat_api': {'workers': 1, 'bind_port': s.port_of('heat-api')},
        **locks(s),
        **authtoken(s, 'heat'),
        **messaging(),
    }
