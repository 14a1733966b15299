"""The service's own Keystone session."""

import copy
from collections.abc import Mapping
from typing import Any

from keystoneauth1 import exceptions, loading
from keystoneauth1.plugin import BaseAuthPlugin
from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.exceptions import ConfigurationError
from aodh_ha.opts import SERVICE_GROUP

TIMEOUT = 20
"""Seconds for one answer of a cloud API, unless [service_credentials] timeout says so."""

CONNECT = 5
"""Seconds for a connection; one that takes longer is not to be had."""

REQUESTS = 2
"""That one action may need: a token and itself. What Keystone and the catalog are asked before
that, once a process, was asked by the reads of the evidence."""


class ServiceSession(Session):
    """A session that makes no change twice, so that how long it may take has a bound.

    keystoneauth repeats a request that was answered 401, with a new token. Reads may; for a
    change the 401 comes out, and the next call fetches the new token.
    """

    def request(  # type: ignore[override]
        self, url: str, method: str, **kwargs: Any
    ) -> Any:
        """See Session."""
        change = method.upper() not in ('GET', 'HEAD')
        if change:
            kwargs['allow_reauth'] = False
        try:
            answer = super().request(url, method, **kwargs)
        except exceptions.Unauthorized:
            if change:
                self.invalidate(kwargs.get('auth'))
            raise
        if change and answer.status_code == 401:
            self.invalidate(kwargs.get('auth'))
        return answer


class _Loader(loading.session.Session):
    @property
    def plugin_class(self) -> type[Session]:
        return ServiceSession


def service_session(conf: cfg.ConfigOpts, project_id: str | None = None) -> Session:
    """A session from [service_credentials]; raises ConfigurationError. Nothing is sent yet.

    ``project_id``: of another project than the configured one; the service user needs a role
    there. Not every auth_type can do that.
    """
    scope = {'project_id': project_id} if project_id else {}
    return session_of(conf, _auth(conf, scope))


def _auth(conf: cfg.ConfigOpts, scope: Mapping[str, str]) -> BaseAuthPlugin:
    """The configured credentials, of another scope where one is given."""
    try:
        auth = loading.load_auth_from_conf_options(
            conf, SERVICE_GROUP, **(_other_scope(conf, scope) if scope else {})
        )
    except (exceptions.AuthPluginException, cfg.Error) as e:
        raise ConfigurationError(f'[{SERVICE_GROUP}]: {e}') from None
    if auth is None:
        raise ConfigurationError(
            f'[{SERVICE_GROUP}] auth_type is missing; set auth_type = password, auth_url, '
            'username, password, project_name, user_domain_name, project_domain_name'
        )
    return auth


def session_of(conf: cfg.ConfigOpts, auth: BaseAuthPlugin) -> Session:
    """A session with these credentials, and [service_credentials]' TLS and time limit."""
    session = _Loader().load_from_conf_options(conf, SERVICE_GROUP, auth=auth)
    return with_timeout(session, session.timeout or TIMEOUT)


def trusted(conf: cfg.ConfigOpts, trust_id: str) -> BaseAuthPlugin:
    """[service_credentials] as the trustee of a trust; raises ConfigurationError."""
    return _auth(conf, {'trust_id': trust_id})


SCOPES = frozenset(
    {
        *('project_id', 'project_name', 'project_domain_id', 'project_domain_name'),
        *('domain_id', 'domain_name', 'system_scope', 'trust_id'),
    }
)


def _other_scope(conf: cfg.ConfigOpts, scope: Mapping[str, str]) -> dict[str, str | None]:
    """What of the configured credentials has to be otherwise for a token of this scope."""
    group = conf[SERVICE_GROUP].auth_section or SERVICE_GROUP
    loader: Any = loading.get_plugin_loader(conf[group].auth_type)
    known = {option.dest for option in loader.get_options()}
    if not known.issuperset(scope):
        raise ConfigurationError(
            f'[{group}] auth_type {conf[group].auth_type} is of one project; take one with a '
            'password'
        )
    return dict.fromkeys(known & SCOPES) | dict(scope)


def with_timeout(session: Session, seconds: float) -> Session:
    """The same session, with the same token, whose answers come within so many seconds."""
    other = copy.copy(session)
    # requests takes (connect, read) as well; keystoneauth hands on what stands here.
    timeout: Any = (min(CONNECT, seconds), seconds)
    other.timeout = timeout
    return other


def call_limit(session: Session) -> float:
    """Seconds from the beginning of an action's call to its end, at the most.

    What had not reached the cloud by then never will. An answer that comes in drops has no such
    limit, but the action was taken long before its last drop.
    """
    timeout: Any = session.timeout
    each = sum(timeout) if isinstance(timeout, tuple) else 2 * (timeout or TIMEOUT)
    return float(REQUESTS * each)
