"""Nova, as the recovery needs it: servers, hosts, and what may be done to a server."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session
from novaclient import client as novaclient
from novaclient import exceptions as nova

from aodh_ha.clients.errors import first_line, of_action
from aodh_ha.clients.session import with_timeout
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound
from aodh_ha.rules.evidence import Host, InstanceAction, Server

T = TypeVar('T')

MICROVERSION = '2.90'
"""Below 2.93 on purpose: from there a rebuild re-images a volume-backed root disk; and below
2.95, from where an evacuated server lands stopped."""

ASIDE = 5.0
"""Seconds for what would be good to know but is not needed: the console of a server on a dead
host keeps Nova waiting for a minute."""


CONFIRM = 30.0
"""Seconds that a confirmation is waited for; it takes Nova one or two."""


@dataclass(frozen=True)
class Attached:
    """A volume that Nova has attached to a server."""

    volume_id: str
    device: str
    delete_on_termination: bool


@dataclass(frozen=True)
class Disks:
    """What Nova gave a server besides ports."""

    volumes: tuple[Attached, ...]
    root_device: str
    image_id: str | None
    ephemeral_gb: int
    swap_mb: int
    config_drive: bool
    server_groups: tuple[str, ...]


class Nova:
    """One Nova endpoint; the part of recovery.cloud.Cloud that is Nova's. Errors as told there.

    Spoken to as the service user, but for what _actor() is asked for: who acts may be another.
    """

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str = 'internal'
    ) -> None:
        self._options = {'region_name': region_name, 'endpoint_type': interface}
        self._session = session
        self._client = self.client(session)
        self._aside = self.client(with_timeout(session, ASIDE))

    def client(self, session: Session) -> Any:
        """novaclient on this session, which may be somebody else's."""
        return novaclient.Client(MICROVERSION, session=session, **self._options)

    def _actor(self) -> Any:
        """novaclient as who acts on servers: the service user, unless told otherwise."""
        return self._client

    # ---- reads

    def user_id(self) -> str:
        """Who we are in Nova's instance actions."""
        return _read(lambda: str(self._session.get_user_id()))

    def server(self, server_id: str) -> Server:
        """A server, of any project."""
        return _server(self._raw(server_id))

    def servers_on(self, host: str) -> list[Server]:
        """Every server on a host; those of a cell that is away are left out."""
        wanted = {'all_tenants': 1, 'host': host}
        found = _read(lambda: self._client.servers.list(search_opts=wanted, limit=-1))
        return [_server(raw) for raw in (s.to_dict() for s in found) if not _partial(raw)]

    def servers_of(self, project_id: str | None) -> list[Server]:
        """Every server of a project, None: of all; those of a cell that is away are left out."""
        wanted = {'all_tenants': 1} | ({'project_id': project_id} if project_id else {})
        found = _read(lambda: self._client.servers.list(search_opts=wanted, limit=-1))
        return [_server(raw) for raw in (s.to_dict() for s in found) if not _partial(raw)]

    def deleted(self, server_id: str) -> bool:
        """Whether the server was deleted; not after "nova-manage db archive_deleted_rows"."""
        wanted = {'all_tenants': 1, 'deleted': 'True', 'uuid': server_id}
        found = _read(lambda: self._client.servers.list(search_opts=wanted))
        return any(s.id == server_id and s.status == 'DELETED' for s in found)

    def disks(self, server_id: str) -> Disks:
        """A server's disks and what else Nova gave it."""
        raw = self._raw(server_id)
        attached = _read(lambda: self._client.volumes.get_server_volumes(server_id))
        volumes = (
            Attached(a.volumeId, a.device or '', bool(getattr(a, 'delete_on_termination', False)))
            for a in attached
        )
        flavor = raw.get('flavor') or {}
        return Disks(
            volumes=tuple(sorted(volumes, key=lambda v: v.device)),
            root_device=raw.get('OS-EXT-SRV-ATTR:root_device_name') or '',
            image_id=_image(raw),
            ephemeral_gb=int(flavor.get('ephemeral') or 0),
            swap_mb=int(flavor.get('swap') or 0),
            config_drive=str(raw.get('config_drive')) == 'True',
            server_groups=tuple(raw.get('server_groups') or ()),
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
                failed=getattr(a, 'message', None) == 'Error',
            )
            for a in found
        ]

    def host(self, name: str) -> Host:
        """A compute host, by its nova-compute service."""
        found = _read(lambda: self._client.services.list(host=name, binary='nova-compute'))
        if not found:
            raise NotFound(f'Nova: no nova-compute on {name}')
        service = found[0].to_dict()
        return Host(
            name=name,
            up=service.get('state') == 'up',
            forced_down=bool(service.get('forced_down')),
            disabled=service.get('status') == 'disabled',
            zone=service.get('zone') or '',
        )

    def console(self, server_id: str, lines: int = 200) -> str:
        """The console's last lines; empty where they are not to be had within ASIDE."""
        return str(_aside(lambda: self._aside.servers.get_console_output(server_id, lines), ''))

    def diagnostics(self, server_id: str) -> dict[str, Any]:
        """The hypervisor's numbers; empty where they are not to be had within ASIDE."""
        return dict(_aside(lambda: self._aside.servers.diagnostics(server_id)[1], {}))

    def _raw(self, server_id: str) -> dict[str, Any]:
        raw: dict[str, Any] = _read(lambda: self._client.servers.get(server_id)).to_dict()
        if _partial(raw):
            raise CloudAway(f'Nova: the cell that has the server {server_id} does not answer')
        return raw

    # ---- actions

    def reboot(self, server_id: str, kind: str) -> str | None:
        """Reboot ``soft`` or ``hard``."""
        return _act(lambda: self._actor().servers.reboot(server_id, kind.upper()))

    def start(self, server_id: str) -> str | None:
        """Start one that is off."""
        return _act(lambda: self._actor().servers.start(server_id))

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """Rebuild from its image, everything else as it is."""
        return _act(lambda: self._actor().servers.rebuild(server_id, image_id))

    def evacuate(self, server_id: str) -> str | None:
        """Bring it up on a host of the scheduler's choice; an administrator's right."""
        return _act(lambda: self._client.servers.evacuate(server_id))

    def migrate(self, server_id: str) -> str | None:
        """Move it, cold, to a host of the scheduler's choice; an administrator's right."""
        return _act(lambda: self._client.servers.migrate(server_id))

    def confirm_resize(self, server_id: str) -> str | None:
        """Let go of the old host after a migration; returns when that is done, or CONFIRM later.

        Nova shows nothing of it meanwhile: no task, and still ``resized``, as a person leaves it.
        """
        request_id = _act(lambda: self._client.servers.confirm_resize(server_id))
        until = time.monotonic() + CONFIRM
        while time.monotonic() < until:
            try:
                if self.server(server_id).vm_state != 'resized':
                    break
            except (CloudAway, NotFound):
                break
            time.sleep(0.5)
        return request_id

    def snapshot(self, server_id: str, name: str) -> str | None:
        """Begin to make an image of it."""
        return _act(lambda: self._actor().servers.create_image(server_id, name))

    def set_metadata(self, server_id: str, values: Mapping[str, str]) -> None:
        """Write these into a server's metadata; others stay. The body is never logged."""
        url = f'/servers/{server_id}/metadata'
        # Straight through the session: novaclient logs bodies, and metadata has a guest's key.
        body = {'metadata': dict(values)}
        _act(lambda: self._actor().client.post(url, json=body, log=False))

    def reset_state(self, server_id: str, state: str) -> None:
        """Have Nova believe that it is ``active`` or in ``error``; nothing is done to it. An
        administrator's right."""
        _act(lambda: self._client.servers.reset_state(server_id, state))

    def delete(self, server_id: str) -> None:
        """Delete it; one that is gone already is no error."""
        try:
            _act(lambda: self._actor().servers.delete(server_id))
        except ActionRefused as e:
            if not e.detail.startswith('Nova answered 404'):
                raise


def _partial(raw: dict[str, Any]) -> bool:
    """Whether Nova shows only what its API database has, because the server's cell is away."""
    return raw.get('status') == 'UNKNOWN' and 'name' not in raw


def _server(raw: dict[str, Any]) -> Server:
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
        image_id=_image(raw),
        host_status=raw.get('host_status') or 'UNKNOWN',
        zone=raw.get('OS-EXT-AZ:availability_zone') or '',
        created_at=_time(raw.get('created')) or 0.0,
        launched_at=_time(raw.get('OS-SRV-USG:launched_at')),
        metadata=dict(raw.get('metadata') or {}),
        tags=frozenset(raw.get('tags') or ()),
        fault=first_line(str((raw.get('fault') or {}).get('message') or '')),
    )


def _image(raw: dict[str, Any]) -> str | None:
    image = raw.get('image') or {}
    return image.get('id') if isinstance(image, dict) else None


def _time(text: str | None) -> float | None:
    """Seconds since the epoch of Nova's times, which are UTC with a Z or without."""
    if not text:
        return None
    return datetime.fromisoformat(text.removesuffix('Z')).replace(tzinfo=UTC).timestamp()


def _read(call: Callable[[], T]) -> T:
    try:
        return call()
    except nova.NotFound as e:
        raise NotFound(f'Nova: {e}') from None
    except (ksa.ClientException, nova.ClientException) as e:
        # No answer, a 5xx, Keystone away, even a 401: nothing can be known now; try later.
        raise CloudAway(f'Nova: {first_line(e)}') from None


def _aside(call: Callable[[], T], without: T) -> T:
    try:
        return call()
    except (ksa.ClientException, nova.ClientException):
        return without  # a 404, too, comes from a compute host that knows the server no more


def _act(call: Callable[[], Any]) -> str | None:
    try:
        answer = call()
    except (nova.ClientException, ksa.HttpError) as e:
        status = int(getattr(e, 'code', 0) or getattr(e, 'http_status', 0) or 0)
        raise of_action('Nova', status, e) from None
    except ksa.ClientException as e:
        raise of_action('Nova', 0, e) from None
    ids = getattr(answer, 'request_ids', None) or []
    return str(ids[0]) if ids else None
