"""Nova, as an operator's commands need it: which server is meant, and its metadata."""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session
from novaclient import client as novaclient
from novaclient import exceptions as nova

from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import ActionRefused, Ambiguous, CloudAway, NotFound
from aodh_ha.rules.heartbeat import is_uuid

T = TypeVar('T')

MICROVERSION = '2.1'
"""Names and metadata have not changed since, so every Nova will do."""

# No request is logged, not even for debugging: metadata has the guest's key.
_QUIET = logging.getLogger(f'{__name__}.requests')
_QUIET.setLevel(logging.WARNING)


@dataclass(frozen=True)
class Found:
    """A server that an operator named."""

    id: str
    name: str


class Servers:
    """One Nova endpoint, spoken to with the user's token.

    Raises NotFound, ActionRefused when Nova said no, CloudAway when it does not answer.
    """

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str | None = None
    ) -> None:
        self._servers: Any = novaclient.Client(
            MICROVERSION,
            session=session,
            region_name=region_name,
            endpoint_type=interface or 'public',
            logger=_QUIET,
        ).servers

    def find(self, name_or_id: str) -> Found:
        """The server with this id, or of exactly this name; Ambiguous lists the candidates."""
        if is_uuid(name_or_id.lower()):
            raw = _ask(lambda: self._servers.get(name_or_id.lower()))
            return Found(raw.id, raw.name)
        # Nova reads the name as a regular expression of its database: plain ones only.
        plain = re.fullmatch(r'[\w.-]+', name_or_id)
        options = {'name': name_or_id} if plain else {}
        listed = _ask(lambda: self._servers.list(detailed=False, search_opts=options, limit=-1))
        found = [Found(s.id, s.name) for s in listed if s.name == name_or_id]
        if not found:
            raise NotFound(f'no server is called {name_or_id!r} in this project')
        if len(found) > 1:
            ids = ', '.join(sorted(f.id for f in found))
            raise Ambiguous(
                f'{len(found)} servers are called {name_or_id!r}; give the id instead: {ids}'
            )
        return found[0]

    def metadata_keys(self, server_id: str) -> set[str]:
        """The names of a server's metadata."""
        return set(_ask(lambda: self._servers.list_meta(server_id))['metadata'])

    def set_metadata(self, server_id: str, values: dict[str, str]) -> None:
        """Write these values into a server's metadata; others stay."""
        _ask(lambda: self._servers.set_meta(server_id, values))

    def delete_metadata(self, server_id: str, keys: Iterable[str]) -> None:
        """Delete these keys of a server's metadata."""
        _ask(lambda: self._servers.delete_meta(server_id, sorted(keys)))


def _ask(call: Callable[[], T]) -> T:
    try:
        return call()
    except nova.NotFound as e:
        raise NotFound(f'Nova: {first_line(e)}') from None
    except nova.ClientException as e:
        if 400 <= int(e.code or 0) < 500:
            raise ActionRefused(f'Nova: {first_line(e)}') from None
        raise CloudAway(f'Nova: {first_line(e)}') from None
    except ksa.ClientException as e:
        raise CloudAway(f'Nova: {first_line(e)}') from None
