"""Reading from an OpenStack API for which no client library is needed."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from keystoneauth1 import exceptions as ksa
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import CloudAway, NotFound


class NotInCatalog(NotFound):
    """The cloud has no such service"""


class Reader:
    """GETs of one version of a service."""

    def __init__(
        self,
        session: Session,
        name: str,
        service_type: str,
        version: str,
        region_name: str | None,
        interface: str,
    ) -> None:
        self._name = name
        self._adapter = Adapter(
            session,
            service_type=service_type,
            region_name=region_name,
            interface=interface,
            min_version=version,
            max_version=f'{version}.latest',
        )

    def get(self, path: str, query: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
        """An answer's body. Raises NotInCatalog, NotFound, CloudAway."""
        url = f'{path}?{urlencode(list(query))}' if query else path
        try:
            answer = self._adapter.get(url)
            body: dict[str, Any] = answer.json()
        except ksa.EndpointNotFound:
            raise NotInCatalog(f'{self._name} is not in the catalog') from None
        except ksa.NotFound as e:
            raise NotFound(f'{self._name}: {first_line(e)}') from None
        except ksa.ClientException as e:
            # No answer, a 5xx, Keystone away, even a 401: nothing can be known now; try later.
            raise CloudAway(f'{self._name}: {first_line(e)}') from None
        except ValueError:
            raise CloudAway(f'{self._name} answered with something that is no JSON') from None
        return body
