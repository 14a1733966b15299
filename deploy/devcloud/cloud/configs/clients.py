"""What people and scripts need to log in."""

from cloud.settings import PASSWORD, REGION, Settings

CLOUDS = {'devcloud-admin': 'admin', 'devcloud': 'demo', 'devcloud-other': 'other'}
"""Entries of clouds.yaml: the user, whose project has the same name."""


def files(s: Settings) -> dict[str, str]:
    entries = ''.join(
        f"""  {name}:
    auth:
      auth_url: {s.auth_url}
      username: {user}
      password: {PASSWORD}
      project_name: {user}
      user_domain_name: Default
      project_domain_name: Default
    region_name: {REGION}
    identity_api_version: 3
"""
        for name, user in CLOUDS.items()
    )
    return {'clouds.yaml': 'clouds:\n' + entries}


def openrc(s: Settings, user: str) -> str:
    """Shell lines that log a user in, for `eval`."""
    return f"""export OS_AUTH_TYPE=password OS_AUTH_URL={s.auth_url}
export OS_USERNAME={user} OS_PASSWORD={PASSWORD} OS_PROJECT_NAME={user}
export OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
export OS_IDENTITY_API_VERSION=3 OS_REGION_NAME={REGION}
export OS_CLIENT_CONFIG_FILE={s.etc}/clouds.yaml
export AODH_HA_CONFIG_FILE={s.etc}/aodh-ha/aodh-ha.conf
export DEVCLOUD_STATE={s.state}
export PATH="$PATH:{s.bin}"
"""
