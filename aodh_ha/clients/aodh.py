"""Aodh, as alarms need it: create, look, delete.

Its quotas are never asked for: one GET of /v2/quotas stores a limit of -1 in Aodh 23, after
which every creation of an alarm is refused.
"""

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from aodhclient import exceptions as aodh
from aodhclient.v2 import client as aodhclient
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, OutcomeUnknown

T = TypeVar('T')
Alarms = list[dict[str, Any]]

TYPE = 'gnocchi_resources_threshold'
"""Of the alarms that this project creates; see rules.alarm.definition."""

PAGE = 500

# No request is logged, not even for debugging: an alarm's actions are signed URLs.
_QUIET = logging.getLogger(f'{__name__}.requests')
_QUIET.setLevel(logging.WARNING)


class Aodh:
    """One Aodh endpoint, spoken to with the session's token. Alarms are dicts as in its API.

    Reads raise CloudAway or NotFound. Changes raise NotFound, ActionRefused when Aodh said no,
    CloudAway when it was never reached, and OutcomeUnknown when the answer was lost.
    """

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str | None = None
    ) -> None:
        self._client: Any = aodhclient.Client(
            session=session, region_name=region_name, interface=interface, logger=_QUIET
        )

    def create(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Create an alarm; see rules.alarm.definition."""
        # A copy, because aodhclient takes keys out of what it is given.
        return dict(_change(lambda: self._client.alarm.create(dict(definition))))

    def get(self, alarm_id: str) -> dict[str, Any]:
        """An alarm."""
        return dict(_read(lambda: self._client.alarm.get(alarm_id)))

    def list(self) -> list[dict[str, Any]]:
        """The project's alarms of the type that this project creates; Aodh sends them all."""
        return list(_read(lambda: self._client.alarm.list(filters={'type': TYPE})))

    def list_all(self) -> Alarms:
        """The alarms of this type of every project; needs the admin role."""
        found: Alarms = []
        filters = {'type': TYPE, 'all_projects': 'true'}
        while True:
            marker = found[-1]['alarm_id'] if found else None
            page = _read(
                lambda m=marker: self._client.alarm.list(  # type: ignore[misc]
                    filters=filters, limit=PAGE, marker=m, sorts=['alarm_id:asc']
                )
            )
            found += page
            if len(page) < PAGE:
                return found

    def watch(self, alarm_id: str, resource_id: str, description: str) -> None:
        """Let an alarm watch another resource; all else stays as it is."""
        rule = {'resource_id': resource_id}
        changes = {f'{TYPE}_rule': rule, 'description': description}
        _change(lambda: self._client.alarm.update(alarm_id, changes))

    def update(self, alarm_id: str, definition: dict[str, Any]) -> None:
        """Make an alarm as this definition says; what it leaves out stays."""
        _change(lambda: self._client.alarm.update(alarm_id, dict(definition)))

    def delete(self, alarm_id: str) -> None:
        """Delete an alarm."""
        _change(lambda: self._client.alarm.delete(alarm_id))


def _read(call: Callable[[], T]) -> T:
    try:
        return call()
    except aodh.NotFound as e:
        raise NotFound(f'Aodh: {first_line(e)}') from None
    except (aodh.ClientException, ksa.ClientException) as e:
        raise CloudAway(f'Aodh: {first_line(e)}') from None


def _change(call: Callable[[], T]) -> T:
    try:
        return call()
    except aodh.NotFound as e:
        raise NotFound(f'Aodh: {first_line(e)}') from None
    except aodh.ClientException as e:
        if str(e.http_status).startswith('4'):
            raise ActionRefused(f'Aodh: {first_line(e)}') from None
        raise OutcomeUnknown(f'Aodh: {first_line(e)}') from None
    except (ksa.CatalogException, ksa.HttpError) as e:
        # Aodh's own answers are aodhclient's exceptions: this is Keystone, before Aodh was asked.
        raise CloudAway(f'Aodh: {first_line(e)}') from None
    except ksa.ClientException as e:
        if 'Connection refused' in str(e):
            raise CloudAway(f'Aodh: {first_line(e)}') from None
        raise OutcomeUnknown(f'Aodh: {first_line(e)}') from None
