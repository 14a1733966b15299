"""Nova, as the recovery needs it: look, reboot, rebuild."""

from collections.abc import Callable
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session
from novaclient import client as novaclient
from novaclient import exceptions as nova

from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, OutcomeUnknown
from aodh_ha.rules.evidence import InstanceAction, Server

T = TypeVar('T')

MICROVERSION = '2.90'
"""Below 2.93 on purpose: from there a rebuild re-images a volume-backed root disk."""


NOT_NOW = (401, 429)
"""Answers that say nothing about the action: our token, or a rate limit. It is made later; as a
refusal they would use up the ladder, down to its harshest step."""


class Nova:
    """One Nova endpoint, spoken to as the service user.

    Reads raise CloudAway or NotFound. Actions raise ActionRefused when Nova said no, and
    OutcomeUnknown when the answer was lost: then only the instance actions tell.
    """

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str = 'internal'
    ) -> None:
        self._session = session
        self._client: Any = novaclient.Client(
            MICROVERSION, session=session, region_name=region_name, endpoint_type=interface
        )

    def user_id(self) -> str:
        """Who we are in Nova's instance actions."""
        return _read(lambda: str(self._session.get_user_id()))

    def server(self, server_id: str) -> Server:
        """A server, of any project."""
        raw = _read(lambda: self._client.servers.get(server_id)).to_dict()
        image = raw.get('image') or {}
        return Server(
            id=raw['id'],
            project_id=raw['tenant_id'],
            name=raw['name'],
            status=raw['status'],
            vm_state=raw.get('OS-EXT-STS:vm_state') or '',
            task_state=raw.get('OS-EXT-STS:task_state'),
            power_state=int(raw.get('OS-EXT-STS:power_state') or 0),
            locked=bool(raw.get('locked')),
            host=raw.get('OS-EXT-SRV-ATTR:host'),
            image_id=image.get('id') if isinstance(image, dict) else None,
            host_status=raw.get('host_status') or 'UNKNOWN',
        )

    def instance_actions(self, server_id: str) -> list[InstanceAction]:
        """What was done to a server, newest first."""
        found = _read(lambda: self._client.instance_action.list(server_id))
        return [
            InstanceAction(
                action=a.action,
                request_id=a.request_id,
                user_id=getattr(a, 'user_id', None),
                started_at=a.start_time,
            )
            for a in found
        ]

    def reboot(self, server_id: str, kind: str) -> str | None:
        """Reboot ``soft`` or ``hard``; returns Nova's request id."""
        return _act(lambda: self._client.servers.reboot(server_id, kind.upper()))

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """Rebuild from its image, everything else as it is; returns Nova's request id."""
        return _act(lambda: self._client.servers.rebuild(server_id, image_id))


def _read(call: Callable[[], T]) -> T:
    try:
        return call()
    except nova.NotFound as e:
        raise NotFound(f'Nova: {e}') from None
    except (ksa.ClientException, nova.ClientException) as e:
        # No answer, a 5xx, Keystone away, even a 401: nothing can be known now; try later.
        raise CloudAway(f'Nova: {first_line(e)}') from None


def _act(call: Callable[[], Any]) -> str | None:
    try:
        answer = call()
    except (nova.ClientException, ksa.HttpError) as e:
        status = int(getattr(e, 'code', 0) or getattr(e, 'http_status', 0) or 0)
        if 400 <= status < 500 and status not in NOT_NOW:
            raise ActionRefused(f'Nova answered {status}: {first_line(e)}') from None
        raise OutcomeUnknown(f'Nova: {first_line(e)}') from None
    except ksa.ClientException as e:
        raise OutcomeUnknown(f'Nova: {first_line(e)}') from None
    ids = getattr(answer, 'request_ids', None) or []
    return str(ids[0]) if ids else None
