"""Sessions with the rights that a project handed over, in the place of the service user's."""

import threading
from collections import OrderedDict
from typing import Any

from keystoneauth1 import access, plugin
from keystoneauth1 import exceptions as ksa
from keystoneauth1.identity import access as identity
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.clients.errors import first_line
from aodh_ha.clients.session import session_of, trusted
from aodh_ha.exceptions import ConfigurationError, CredentialRefused, NotNow
from aodh_ha.rules.rights import APPLICATION_CREDENTIAL, TOKEN, TRUST, Rights

MOST = 1000
"""Sessions that are kept, each with its token."""

REFUSALS = (ksa.Unauthorized, ksa.Forbidden, ksa.NotFound, ksa.BadRequest)
"""Keystone's answers that no repetition makes better."""


class Tenants:
    """Opens sessions, and keeps them while their rights are used."""

    def __init__(self, conf: cfg.ConfigOpts, session: Session) -> None:
        """``session``: the service user's, by which a callback's token is looked at."""
        self._conf = conf
        self._session = session
        self._kept: OrderedDict[Rights, Session] = OrderedDict()
        self._lock = threading.Lock()

    def session(self, rights: Rights) -> Session:
        """A session that has a token by these rights, and of their project.

        Raises CredentialRefused; NotNow while Keystone does not answer.
        """
        if rights.problem:
            raise CredentialRefused(rights.problem)
        with self._lock:
            # Whether a callback's token is still good is asked anew: it is not renewed.
            session = None if rights.kind == TOKEN else self._kept.get(rights)
        try:
            session = session or self._opened(rights)
            found: Any = session.auth.get_access(session)  # type: ignore[union-attr]
        except REFUSALS as e:
            self._forget(rights)
            raise CredentialRefused(
                f'Keystone refuses {rights.name}: {first_line(e)}{_remedy(rights)}'
            ) from None
        except ConfigurationError as e:
            raise CredentialRefused(f'{rights.name} cannot be used: {e.detail}') from None
        except ksa.ClientException as e:
            raise NotNow(f'Keystone: {first_line(e)}') from None
        if found.project_id != rights.project_id:
            raise CredentialRefused(
                f'{rights.name} is of project {found.project_id or "none"}, not of the '
                f"server's, {rights.project_id}"
            )
        with self._lock:
            self._kept[rights] = session
            self._kept.move_to_end(rights)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return session

    def _forget(self, rights: Rights) -> None:
        with self._lock:
            self._kept.pop(rights, None)

    def _opened(self, rights: Rights) -> Session:
        if rights.kind == APPLICATION_CREDENTIAL:
            return session_of(
                self._conf,
                v3.ApplicationCredential(
                    self._auth_url(),
                    application_credential_id=rights.reference,
                    application_credential_secret=rights.secret,
                ),
            )
        if rights.kind == TRUST:
            return session_of(self._conf, trusted(self._conf, rights.reference))
        if rights.kind == TOKEN:
            return session_of(self._conf, self._of_token(rights.secret))
        raise CredentialRefused(f'{rights.kind} is nothing that a project hands over')

    def _of_token(self, token: str) -> identity.AccessInfoPlugin:
        """The token as it is: of a trust, it cannot be exchanged for another one."""
        url = self._auth_url().rstrip('/')
        answer = self._session.get(
            f'{url if url.endswith("/v3") else f"{url}/v3"}/auth/tokens',
            headers={'X-Subject-Token': token},
            log=False,
        )
        return identity.AccessInfoPlugin(access.create(resp=answer, auth_token=token), url)

    def _auth_url(self) -> str:
        return str(self._session.get_endpoint(interface=plugin.AUTH_INTERFACE) or '')


def _remedy(rights: Rights) -> str:
    if rights.kind == TOKEN:
        return (
            '; a token is good for an hour or so: let the Aodh alarm repeat its actions, or hand '
            'a credential over'
        )
    return '; hand another one over ("aodh-ha credential create --replace"), or delete it'
