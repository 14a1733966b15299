"""Logging in as every OpenStack tool does: clouds.yaml, OS_* variables, --os-* options.

The options are written down here although keystoneauth1 can list them: loading its plugins and
openstacksdk takes a second, and --help, --version and ``serve`` have no use for them. A test
holds the list against keystoneauth1's.
"""

import argparse
import getpass
import os
import sys
from functools import cached_property
from typing import Any

from osc_lib.exceptions import CommandError

USUAL = {
    'auth-url': "Keystone's address",
    'username': 'User',
    'user-id': "User's id",
    'password': "User's password",
    'user-domain-name': "User's domain",
    'user-domain-id': "Id of the user's domain",
    'project-name': 'Project',
    'project-id': "Project's id",
    'project-domain-name': "Project's domain",
    'project-domain-id': "Id of the project's domain",
    'application-credential-id': "Application credential's id",
    'application-credential-name': 'Application credential',
    'application-credential-secret': "Application credential's secret",
    'token': 'Token to use as it is',
    'system-scope': 'Scope of a system administrator: all',
}
UNUSUAL = (
    *('access-token', 'access-token-endpoint', 'access-token-type', 'auth-methods', 'client-id'),
    *('client-secret', 'code', 'code-challenge-method', 'default-domain-id'),
    *('default-domain-name', 'device-authorization-endpoint', 'discovery-endpoint', 'domain-id'),
    *('domain-name', 'endpoint', 'identity-provider', 'identity-provider-url', 'idp-otp-key'),
    *('login-timeout', 'oauth2-client-id', 'oauth2-client-secret', 'oauth2-endpoint'),
    *('openid-scope', 'passcode', 'protocol', 'redirect-host', 'redirect-port', 'redirect-uri'),
    *('service-provider-endpoint', 'service-provider-entity-id', 'trust-id', 'tenant-id'),
    *('tenant-name', 'identity-api-version', 'default-domain'),
)
"""Accepted like the usual ones, but not in --help."""

DEFAULTS = {'default-domain': 'default'}
FALLBACKS = {'project-name': 'OS_TENANT_NAME', 'project-id': 'OS_TENANT_ID'}
"""Names from before Keystone v3 that are still in use."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the standard options; as with OpenStackClient they win over OS_*, those over files."""
    group = parser.add_argument_group(
        'login',
        'As with OpenStackClient; the options of every other kind of login of keystoneauth1 '
        '(tokens of an OpenID provider, one-time passwords, …) are known too',
    )

    def add(name: str, text: str, dest: str | None = None, **more: Any) -> None:
        variable = f'OS_{name.upper().replace("-", "_")}'
        fallback = os.environ.get(FALLBACKS.get(name, ''), DEFAULTS.get(name))
        group.add_argument(
            f'--os-{name}',
            dest=dest or name.replace('-', '_'),
            metavar=f'<{name}>',
            default=os.environ.get(variable) or fallback,
            help=text if text is argparse.SUPPRESS else f'{text} (Env: {variable})',
            **more,
        )

    add('cloud', 'Cloud in clouds.yaml')
    add('region-name', 'Region')
    add('interface', 'Which endpoints: public (default), internal or admin')
    add('auth-type', 'How to log in: password, token, v3applicationcredential, …')
    for name, text in USUAL.items():
        add(name, text)
    add('cacert', 'File with the certificates to trust')
    add('cert', "File with the client's certificate")
    add('key', "File with the key of the client's certificate")
    for name in UNUSUAL:
        add(name, argparse.SUPPRESS)
    checks = group.add_mutually_exclusive_group()
    checks.add_argument('--verify', action='store_true', default=None, help='Check certificates')
    checks.add_argument(
        '--insecure', action='store_true', default=None, help='Do not check certificates'
    )


class ClientManager:
    """What osc_lib's has of the same name and our commands use; nothing happens until then."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    @cached_property
    def _cloud(self) -> Any:
        from osc_lib.api import auth
        from osc_lib.cli.client_config import OSC_Config

        config = OSC_Config(
            pw_func=_ask, override_defaults={'interface': 'public', 'auth_type': None}
        )
        cloud = config.get_one(cloud=self._options.cloud, argparse=self._options, validate=False)
        if not cloud.auth and cloud.config['auth_type'] != 'none':
            # Said first, because what keystoneauth1 then misses is only one way of many.
            given = [o for o in USUAL if getattr(self._options, o.replace('-', '_'))]
            if not given:
                raise CommandError(
                    'Not enough to log in with: give --os-cloud with a clouds.yaml, '
                    'or OS_* variables, or --os-* options'
                )
        cloud = config.get_one(cloud=self._options.cloud, argparse=self._options)
        auth.check_valid_authentication_options(cloud, cloud.config['auth_type'])
        return cloud

    @cached_property
    def session(self) -> Any:
        """keystoneauth1's; it logs in when it is first used."""
        return self._cloud.get_session()

    @property
    def region_name(self) -> str | None:
        """The region, where one was named."""
        return self._cloud.region_name or None

    @property
    def interface(self) -> str:
        """Which of a service's endpoints."""
        return str(self._cloud.config.get('interface') or 'public')

    def get_configuration(self) -> dict[str, Any]:
        """All options, wherever they came from."""
        return dict(self._cloud.config)

    @cached_property
    def aodh_ha(self) -> Any:
        """Our API's client."""
        from aodh_ha.osc import plugin

        return plugin.make_client(self)


def _ask(prompt: str | None = None) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(prompt or 'Password: ')
    raise CommandError('no password: give --os-password, OS_PASSWORD, or one in clouds.yaml')
