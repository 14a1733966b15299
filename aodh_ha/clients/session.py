"""The service's own Keystone session."""

from keystoneauth1 import exceptions, loading
from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.exceptions import ConfigurationError
from aodh_ha.opts import SERVICE_GROUP

TIMEOUT = 20
"""Seconds for one request to a cloud API, unless [service_credentials] timeout says so."""


def service_session(conf: cfg.ConfigOpts) -> Session:
    """A session from [service_credentials]; raises ConfigurationError. Nothing is sent yet."""
    try:
        auth = loading.load_auth_from_conf_options(conf, SERVICE_GROUP)
    except (exceptions.AuthPluginException, cfg.Error) as e:
        raise ConfigurationError(f'[{SERVICE_GROUP}]: {e}') from None
    if auth is None:
        raise ConfigurationError(
            f'[{SERVICE_GROUP}] auth_type is missing; set auth_type = password, auth_url, '
            'username, password, project_name, user_domain_name, project_domain_name'
        )
    session = loading.load_session_from_conf_options(conf, SERVICE_GROUP, auth=auth)
    session.timeout = session.timeout or TIMEOUT
    return session
