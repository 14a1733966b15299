"""Whether a signature is good: Keystone's word, through ``POST /v3/ec2tokens``."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import loading, plugin
from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.exceptions import ConfigurationError
from aodh_ha.opts import SERVICE_GROUP
from aodh_ha.rules import sigv4
from aodh_ha.rules.cloudwatch import Identity, Refusal
from aodh_ha.rules.sigv4 import Claim, Request

LOG = logging.getLogger(__name__)

TIMEOUT = (2.0, 5.0)
"""Seconds for a connection, and for an answer: the thread that waits is missing elsewhere."""

AT_ONCE = 4
"""Questions at once. When Keystone hangs, it holds no more of our threads than these."""

UNKNOWN_FOR = 10.0
"""Seconds for which an access key that Keystone does not know is refused without asking."""

RENEW = 60.0
"""Seconds between two new tokens of ours because Keystone answered 401. It says so of a wrong
signature as well, and anybody can send those."""

MOST = 10_000
"""Access keys that are remembered."""


_NOTHING = Request('POST', 'localhost', '/v1/', {}, {}, '')


class Away(Exception):
    """Keystone did not say whether the signature is good"""


@dataclass(frozen=True)
class _Known:
    """An access key that Keystone has vouched for."""

    identity: Identity
    secret: str
    until: float

    def __repr__(self) -> str:
        return f'_Known({self.identity!r})'


class Keystone:
    """Checks signatures, and remembers access keys for a while.

    Every request of a guest is signed anew, so answers to earlier ones help nothing. Instead the
    secret of an access key that Keystone has vouched for is asked for once, kept in memory for
    ``remember`` seconds, and the next signatures are checked here: by the same HMAC, so that a
    wrong one never passes. Where Keystone does not tell us the secret, it is asked every time.
    """

    def __init__(self, conf: cfg.ConfigOpts, clock: Callable[[], float] = time.monotonic) -> None:
        self._conf = conf
        self._clock = clock
        self._remember: float = conf.cloudwatch.remember
        self._session: Session | None = None
        self._lock = threading.Lock()
        self._asking = threading.BoundedSemaphore(AT_ONCE)
        self._known: OrderedDict[tuple[str, str, str], _Known] = OrderedDict()
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._renewed_at = -RENEW
        self._away = False

    def well(self) -> bool:
        """Whether signatures can be checked; asks Keystone if it could not be asked lately."""
        if not self._away:
            return True
        try:
            self._ask(_NOTHING, sigv4.Claim(sigv4.V4, 'aodh-ha-asks-whether-it-answers', '0', 0.0))
        except Refusal:
            self._away = False
        except Away:
            return False
        return True

    def identity(self, request: Request, claim: Claim) -> Identity:
        """Whose access key it is. Raises Refusal, Away."""
        now = self._clock()
        # What one form of request agreed about says nothing of another form.
        key = (claim.access, claim.version, request.verb)
        with self._lock:
            known = self._known.get(key)
            unknown_until = self._unknown.get(claim.access, 0.0)
        if known and now < known.until:
            if sigv4.agrees(request, claim, known.secret):
                return known.identity
            raise _mismatch()
        if now < unknown_until:
            raise _no_such_key()
        if not self._asking.acquire(timeout=1.0):
            self._away = True
            raise Away('it is asked for others already')
        try:
            identity = self._ask(request, claim)
            # A secret never changes: one that still agrees need not be asked for again.
            secret = known.secret if known and sigv4.agrees(request, claim, known.secret) else ''
            if self._remember and not secret:
                secret = self._secret(identity, claim.access)
        except Away:
            self._away = True
            raise
        except Refusal:
            with self._lock:
                self._known.pop(key, None)
            raise
        finally:
            self._asking.release()
        # Only where our way to compute it is Keystone's way too.
        if secret and sigv4.agrees(request, claim, secret):
            self._keep(key, _Known(identity, secret, now + self._remember))
        return identity

    def _keep(self, key: tuple[str, str, str], known: _Known) -> None:
        with self._lock:
            self._known.pop(key, None)
            self._known[key] = known
            # The oldest stand first. What was not used for so long is a secret too many.
            since = known.until - 2 * self._remember
            while len(self._known) > MOST or next(iter(self._known.values())).until < since:
                self._known.popitem(last=False)

    def _ask(self, request: Request, claim: Claim) -> Identity:
        """Raises Refusal, Away."""
        # Of a POST that is signed by its header, Keystone reads the parameters only to find
        # another kind of signature in them.
        by_header = claim.version == sigv4.V4
        params = {} if by_header and request.verb == 'POST' else dict(request.params)
        params.pop('Signature', None)
        asked = {
            'access': claim.access,
            'signature': claim.signature,
            'host': request.host,
            'verb': request.verb,
            'path': request.path,
            'params': params,
            'headers': dict(request.headers),
            'body_hash': request.body_hash,
        }
        answer = self._call('POST', '/ec2tokens', {'ec2Credentials': asked})
        if answer.status_code == 401 and self._renew():
            answer = self._call('POST', '/ec2tokens', {'ec2Credentials': asked})
        if answer.status_code == 404:
            self._not_known(claim.access)
            raise _no_such_key()
        if answer.status_code == 401:
            raise _mismatch()
        if answer.status_code == 403:
            LOG.error(
                'Keystone does not let us check signatures: give the user of [%s] the role service',
                SERVICE_GROUP,
            )
        if answer.status_code != 200:
            raise Away(f'it answered {answer.status_code}')
        return _identity(answer)

    def _secret(self, identity: Identity, access: str) -> str:
        """The access key's secret; empty where Keystone keeps it to itself."""
        try:
            path = f'/users/{identity.user_id}/credentials/OS-EC2/{access}'
            answer = self._call('GET', path)
            return str(answer.json()['credential']['secret']) if answer.status_code == 200 else ''
        except (Away, ValueError, KeyError, TypeError):
            return ''

    def _call(self, method: str, path: str, body: object = None) -> Any:
        """Raises Away."""
        try:
            session = self._opened()
            endpoint = str(session.get_endpoint(interface=plugin.AUTH_INTERFACE) or '').rstrip('/')
            url = endpoint if endpoint.endswith('/v3') else f'{endpoint}/v3'
            return session.request(
                f'{url}{path}',
                method,
                json=body,
                raise_exc=False,
                allow_reauth=False,
                log=False,  # the answer may have a secret in it
                timeout=TIMEOUT,
                redirect=False,
            )
        except ksa.ClientException as e:
            raise Away(type(e).__name__) from None

    def _opened(self) -> Session:
        with self._lock:
            if self._session is None:
                self._session = open_session(self._conf)
            return self._session

    def _renew(self) -> bool:
        """Fetch a new token of ours with the next call, if that was not done lately."""
        now = self._clock()
        with self._lock:
            if now - self._renewed_at < RENEW:
                return False
            self._renewed_at = now
        return bool(self._opened().invalidate())

    def _not_known(self, access: str) -> None:
        with self._lock:
            self._unknown[access] = self._clock() + UNKNOWN_FOR
            while len(self._unknown) > MOST:
                self._unknown.popitem(last=False)


def open_session(conf: cfg.ConfigOpts) -> Session:
    """A session from [service_credentials]; raises ConfigurationError. Nothing is sent yet."""
    try:
        auth = loading.load_auth_from_conf_options(conf, SERVICE_GROUP)
    except (ksa.AuthPluginException, cfg.Error) as e:
        raise ConfigurationError(f'[{SERVICE_GROUP}]: {e}') from None
    if auth is None:
        raise ConfigurationError(
            f'[{SERVICE_GROUP}] auth_type is missing: [cloudwatch] enabled needs credentials with '
            'which Keystone lets us check signatures'
        )
    return loading.load_session_from_conf_options(conf, SERVICE_GROUP, auth=auth)


def _identity(answer: Any) -> Identity:
    try:
        token = answer.json()['token']
        project = token['project']
        return Identity(
            user_id=str(token['user']['id']),
            project_id=str(project['id']),
            project_name=str(project['name']),
            domain_id=str(project['domain']['id']),
            domain_name=str(project['domain']['name']),
            roles=tuple(str(r['name']) for r in token.get('roles', ())),
        )
    except (ValueError, KeyError, TypeError):
        raise Away('it answered with something that is no token of a project') from None


def _mismatch() -> Refusal:
    return Refusal(
        'SignatureDoesNotMatch', 'the signature does not fit the request and the access key'
    )


def _no_such_key() -> Refusal:
    return Refusal('InvalidClientTokenId', 'there is no such access key (any more)')
