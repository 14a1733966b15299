"""Who is calling: a guest by its signature, Aodh by the signed URL, an operator by Keystone."""

import json
import logging
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import current_app, request
from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer
from keystoneauth1 import exceptions as ksa
from keystonemiddleware.auth_token import AuthProtocol
from keystonemiddleware.auth_token._exceptions import InvalidToken, ServiceError
from oslo_config import cfg
from oslo_policy import policy as oslo_policy

from aodh_ha import keys
from aodh_ha.exceptions import BadSignature
from aodh_ha.opts import SERVICE_GROUP
from webhook import policies
from webhook.errors import RETRY_AFTER, Forbidden, Gone, Unauthorized

LOG = logging.getLogger(__name__)

OPERATORS = 'aodh_ha.operators'
"""WSGI environ key set on requests that went through Keystone's middleware. Only there are
the identity headers what Keystone said; elsewhere a caller could have sent them."""

ALARM, TELEMETRY = 'alarm', 'telemetry'


class _Signer(TimestampSigner):
    """Itsdangerous' signer by our clock."""

    def __init__(self, *args: Any, clock: Callable[[], float], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class CallbackURLs:
    """Signs and reads the tokens in the URLs that are given to Aodh.

    Aodh signs nothing, so the URL itself carries the identity. The kind is part of what is
    signed: a telemetry URL can never be used to start a recovery.
    """

    def __init__(
        self,
        master_key: bytes,
        public_url: str,
        lifetime: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._secret = keys.signing_secret(master_key)
        self._base = public_url.rstrip('/')
        self._lifetime = lifetime or None
        self._clock = clock

    def _serializer(self, kind: str) -> URLSafeTimedSerializer:
        return URLSafeTimedSerializer(
            self._secret,
            salt=f'aodh-ha-{kind}',
            signer=_Signer,
            signer_kwargs={'clock': self._clock},
        )

    def url(self, kind: str, alarm_id: str) -> str:
        """The URL for an alarm's actions (``alarm`` or ``telemetry``)."""
        path = 'alarms' if kind == ALARM else 'telemetry'
        return f'{self._base}/v1/{path}/{self._serializer(kind).dumps(alarm_id)}'

    def read(self, kind: str, token: str) -> str:
        """The alarm's id; raises BadSignature for a forged token, Gone for an expired one."""
        try:
            max_age = int(self._lifetime) if self._lifetime else None
            alarm_id = self._serializer(kind).loads(token[:1024], max_age=max_age)
        except SignatureExpired:
            raise Gone('the callback URL has expired; create the alarm anew') from None
        except BadData:
            raise BadSignature(
                'the callback URL is not one that this service signed; use the URL that '
                '"aodh-ha alarm create" put into the Aodh alarm'
            ) from None
        return str(alarm_id)


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
