"""Keystone, as a user's commands need it: application credentials of that user's own."""

from collections.abc import Iterable
from typing import Any

from keystoneauth1 import exceptions as ksa
from keystoneauth1 import plugin
from keystoneauth1.session import Session

from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import ActionRefused, OutcomeUnknown


class ApplicationCredentials:
    """Those of the session's user, in the project of its token.

    Raises ActionRefused when Keystone said no, OutcomeUnknown when its answer was lost.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def create(self, name: str, roles: Iterable[str]) -> tuple[str, str]:
        """Make one with these roles; returns its id and its secret."""
        wanted = {
            'name': name,
            'description': 'aodh-ha recovers guests of this project with it',
            'roles': [{'name': role} for role in roles],
        }
        answer = self._call('POST', '', {'application_credential': wanted})
        made = answer.json()['application_credential']
        return str(made['id']), str(made['secret'])

    def delete(self, credential_id: str) -> None:
        """Delete one; it ends at once, for everybody who has its secret."""
        self._call('DELETE', f'/{credential_id}')

    def _call(self, method: str, path: str, body: object = None) -> Any:
        endpoint = str(self._session.get_endpoint(interface=plugin.AUTH_INTERFACE) or '')
        base = endpoint.rstrip('/')
        base = base if base.endswith('/v3') else f'{base}/v3'
        url = f'{base}/users/{self._session.get_user_id()}/application_credentials{path}'
        try:
            # The answer has the secret: it must not get into a debug log.
            return self._session.request(url, method, json=body, log=False)
        except ksa.HttpError as e:
            raise ActionRefused(f'Keystone answered {e.http_status}: {first_line(e)}') from None
        except ksa.ClientException as e:
            raise OutcomeUnknown(f'Keystone: {first_line(e)}') from None
