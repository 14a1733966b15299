"""Who is calling: an operator, by Keystone."""

import json
import logging
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import current_app, request
from keystoneauth1 import exceptions as ksa
from keystonemiddleware.auth_token import AuthProtocol
from keystonemiddleware.auth_token._exceptions import InvalidToken, ServiceError
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from aodh_ha.opts import SERVICE_GROUP
from webhook import policies
from webhook.errors import RETRY_AFTER, Forbidden, Unauthorized

LOG = logging.getLogger(__name__)

OPERATORS = 'aodh_ha.operators'
"""WSGI environ key set on requests that went through Keystone's middleware. Only there are
the identity headers what Keystone said; elsewhere a caller could have sent them."""


@dataclass(frozen=True)
class Caller:
    """An operator, as Keystone's token says."""

    project_id: str
    user_id: str
    roles: tuple[str, ...]


def caller(rule: str) -> Caller:
    """The caller, if the policy allows the rule to it; raises Unauthorized or Forbidden."""
    environ = request.environ
    if not environ.get(OPERATORS) or environ.get('HTTP_X_IDENTITY_STATUS') != 'Confirmed':
        raise Unauthorized('send X-Auth-Token with a token scoped to a project')
    found = Caller(
        project_id=environ.get('HTTP_X_PROJECT_ID', ''),
        user_id=environ.get('HTTP_X_USER_ID', ''),
        roles=tuple(r for r in environ.get('HTTP_X_ROLES', '').split(',') if r),
    )
    if not found.project_id:
        raise Unauthorized('the token is not scoped to a project; set OS_PROJECT_NAME')
    require(rule, found)
    return found


def scope(found: Caller) -> str | None:
    """The project to look in; None for all, where asked for and allowed."""
    if request.args.get('all_projects', '').lower() not in ('1', 'true', 'yes'):
        return found.project_id
    if not allowed(policies.ALL_PROJECTS, found):
        raise Forbidden('all_projects is for administrators')
    return None


def require(rule: str, found: Caller) -> None:
    """Refuse what the policy does not allow to this caller; raises Forbidden."""
    if not allowed(rule, found):
        raise Forbidden(f'the policy rule {rule} asks for another role than {found.roles}')


def allowed(rule: str, found: Caller) -> bool:
    """Whether the policy allows the rule to this caller."""
    enforcer: oslo_policy.Enforcer = current_app.extensions['aodh_ha_policy']
    creds = {'project_id': found.project_id, 'user_id': found.user_id, 'roles': list(found.roles)}
    return bool(enforcer.enforce(rule, {'project_id': found.project_id}, creds))


def policy_enforcer(conf: cfg.ConfigOpts) -> oslo_policy.Enforcer:
    """oslo.policy with our defaults; an operator's file overrides them."""
    enforcer = oslo_policy.Enforcer(conf)
    enforcer.register_defaults(policies.list_rules())
    enforcer.load_rules()
    return enforcer


_NO_ANSWER = (ksa.ConnectFailure, ksa.DiscoveryFailure, ksa.RequestTimeout, ServiceError)


class _KeystoneAway(Exception):
    """Keystone did not say whether the token is good."""


class _Middleware(AuthProtocol):  # type: ignore[misc]
    """Keystone's middleware, which takes a token for bad when Keystone does not answer.

    Newer ones do so with delay_auth_decision; an operator would be told to log in anew.
    """

    def fetch_token(self, token: str, **kwargs: Any) -> Any:
        try:
            return super().fetch_token(token, **kwargs)
        except InvalidToken as e:
            if isinstance(e.__context__, _NO_ANSWER):
                raise _KeystoneAway(type(e.__context__).__name__) from None
            raise


class OperatorsDoor:
    """Sends what operators call through Keystone's middleware, and nothing else.

    Guests and Aodh have their own credentials; they must not depend on Keystone, nor make it
    look up whatever token they bring (``trust+http`` sends one).
    """

    def __init__(self, app: WSGIApplication, conf: cfg.ConfigOpts) -> None:
        self._app = app
        settings: dict[str, Any] = {'oslo_config_config': conf, 'delay_auth_decision': True}
        if not _configured(conf):
            settings['auth_section'] = SERVICE_GROUP
        self._keystone = _Middleware(self._operators, settings)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A WSGI application."""
        if _has_own_credential(environ):
            return self._app(environ, start_response)
        status, headers = '', []

        def remember(line: str, fields: list[tuple[str, str]], exc_info: Any = None) -> Any:
            nonlocal status, headers
            status, headers = line, fields

        try:
            body: Iterable[bytes] = self._keystone(environ, remember)
        except (ksa.ClientException, _KeystoneAway) as e:
            return _keystone_away(start_response, type(e).__name__)
        # The middleware answers for itself when Keystone is away, in words of its own.
        if not environ.get(OPERATORS) and status.startswith('5'):
            return _keystone_away(start_response, f'its middleware says {status[:3]}')
        start_response(status, headers)
        return body

    def _operators(
        self, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        environ[OPERATORS] = True
        return self._app(environ, start_response)


def _has_own_credential(environ: WSGIEnvironment) -> bool:
    path = environ.get('PATH_INFO', '')
    callback = path.startswith(('/v1/alarms/', '/v1/telemetry/'))
    if environ.get('REQUEST_METHOD') == 'POST' and callback:
        return True
    return path in ('/v1/heartbeats', '/healthz')


def _configured(conf: cfg.ConfigOpts) -> bool:
    from keystonemiddleware.auth_token import _opts

    group = 'keystone_authtoken'
    for name, options in _opts.list_opts():
        if name == group:
            conf.register_opts([o for o in options if isinstance(o, cfg.Opt)], group=group)
    section = conf[group]
    return bool(section.auth_type or section.auth_section)


def _keystone_away(start_response: StartResponse, why: str) -> Iterable[bytes]:
    # Before Flask: nothing of it is there to answer, name the request or write the log line.
    request_id = f'req-{uuid.uuid4()}'
    LOG.warning('%s 503 unavailable Keystone does not answer: %s', request_id, why)
    error = {
        'title': 'Keystone does not answer',
        'detail': 'the token cannot be checked now; try again in some seconds',
        'code': 'unavailable',
        'request_id': request_id,
    }
    headers = [
        ('Content-Type', 'application/json'),
        ('Retry-After', RETRY_AFTER),
        ('X-Openstack-Request-Id', request_id),
    ]
    start_response('503 Service Unavailable', headers)
    return [json.dumps({'errors': [error]}).encode()]
