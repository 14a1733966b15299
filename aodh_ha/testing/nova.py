"""A Nova in memory, which misbehaves as it is told."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self, cast

from aodh_ha.exceptions import (
    ActionRefused,
    CloudAway,
    CredentialRefused,
    NotFound,
    NotNow,
    OutcomeUnknown,
)
from aodh_ha.rules.evidence import Host, InstanceAction, Server
from aodh_ha.rules.rights import NO_CREATION, OURS, Rights

DONE, DROPPED = 'done', 'dropped'
"""What became of an action whose answer is lost: Nova took it, or it never got there."""


@dataclass(frozen=True)
class Taken:
    """An action that FakeCloud took."""

    server_id: str
    """Of an action on a stack: the root stack's id."""
    action: str
    """As in Nova's log (``reboot``); of a stack ``replace``, ``delete_stack``, ``create_stack``."""
    kind: str | None
    """``soft`` or ``hard``, of a reboot; of ``replace`` the resources' names, with commas."""
    at: float
    request_id: str


# What Nova allows each action from, and whether only while no task runs (compute/api.py, 34).
_ALLOWED: dict[str, tuple[tuple[str, ...], bool]] = {
    'reboot soft': (('active',), True),
    'reboot hard': (('active', 'stopped', 'paused', 'suspended', 'error'), False),
    'start': (('stopped',), True),
    'rebuild': (('active', 'stopped', 'error'), True),
    'evacuate': (('active', 'stopped', 'error'), False),
    'migrate': (('active', 'stopped'), True),
    'confirmResize': (('resized',), True),
    'createImage': (('active', 'stopped', 'paused', 'suspended'), True),
}
_NAMES = {'confirmResize': 'confirm_resize', 'createImage': 'snapshot'}
"""Of the contract's methods, where Nova's log says otherwise."""


class FakeNova:
    """The part of FakeCloud that is Nova's."""

    def __init__(self, clock: Callable[[], float], user_id: str = 'the-service-user') -> None:
        self._clock = clock
        self._user_id = user_id
        self._servers: dict[str, Server] = {}
        self._deleted: set[str] = set()
        self.stack_servers: dict[str, set[str]] = {}
        """Servers by the stack that has them."""
        self._log: dict[str, list[InstanceAction]] = {}
        self._numbers = itertools.count(1)
        self.away = False
        self.lose_answer: str | None = None
        self.refuse: dict[str, str] = {}
        self.on_action: Callable[[Taken], object] = lambda taken: None
        self.on_read: Callable[[str], object] = lambda server_id: None
        self.taken: list[Taken] = []
        """Every action that was taken, oldest first; by ours only, not by others()."""
        self.hosts: dict[str, Host] = {n: Host(n, True, zone='nova') for n in ('host1', 'host2')}
        self.consoles: dict[str, str] = {}
        self.images: list[tuple[str, str]] = []
        """Snapshots: (server id, name)."""

        self.acted_as: list[Rights] = []
        """The rights of each action that was tried, oldest first."""
        self.refused_rights: dict[str, str] = {}
        """Why Keystone refuses rights, by their reference, or kind where they have none."""

    # ---- who acts

    def acting(self, rights: Rights) -> Self:
        """See Cloud. Who it is in Nova's log is called ``user of REFERENCE``."""
        return self if rights == OURS else cast('Self', _Acting(self, rights))

    def check_rights(self, rights: Rights) -> None:
        """See Cloud."""
        if self.away:
            raise NotNow('Keystone: no answer')
        problem = rights.problem or self.refused_rights.get(rights.reference or rights.kind)
        if problem:
            raise CredentialRefused(problem)

    # ---- the world

    def add(self, server_id: str, project_id: str, **values: Any) -> Server:
        """Boot a server: ACTIVE, unless the values (fields of Server) say otherwise."""
        server = Server(
            id=server_id,
            project_id=project_id,
            name=f'server-{server_id[:8]}',
            status='ACTIVE',
            vm_state='active',
            task_state=None,
            power_state=1,
            locked=False,
            host='host1',
            image_id='11111111-1111-4111-8111-111111111111',
            zone='nova',
            created_at=self._clock(),
            launched_at=self._clock(),
        )
        server = replace(server, **values)
        if server.host and server.host not in self.hosts:
            self.hosts[server.host] = Host(server.host, True, zone=server.zone)
        self._servers[server_id] = server
        self._log[server_id] = []
        self.others(server_id, 'create')
        return server

    def change(self, server_id: str, **values: Any) -> Server:
        """Let a server be otherwise: ``change(id, vm_state='stopped', status='SHUTOFF')``."""
        self._servers[server_id] = replace(self._servers[server_id], **values)
        return self._servers[server_id]

    def delete(self, server_id: str) -> None:
        """Delete a server; Nova knows nothing of it any more."""
        del self._servers[server_id]
        del self._log[server_id]
        self._deleted.add(server_id)

    def others(self, server_id: str, action: str, user_id: str | None = 'its-owner') -> str:
        """Somebody else does something to a server; returns the request id.

        ``user_id`` None: Nova itself, as when it found the server off.
        """
        return self._record(server_id, action, user_id)

    def kill_host(self, name: str, forced_down: bool = False) -> None:
        """Let a compute host die; its servers stay ACTIVE in Nova, as they do in a real one."""
        self.hosts[name] = replace(self.hosts[name], up=False, forced_down=forced_down)
        self._show_hosts()

    def revive_host(self, name: str) -> None:
        """Let it come back."""
        self.hosts[name] = replace(self.hosts[name], up=True, forced_down=False)
        self._show_hosts()

    # ---- reads of the contract

    def user_id(self) -> str:
        """See Cloud."""
        self._answer()
        return self._user_id

    def server(self, server_id: str) -> Server:
        """See Cloud."""
        self._answer()
        self.on_read(server_id)
        return self._known(server_id)

    def servers_on(self, host: str) -> list[Server]:
        """See Cloud."""
        self._answer()
        return [s for s in self._servers.values() if s.host == host]

    def servers_of(self, project_id: str | None) -> list[Server]:
        """See Cloud."""
        self._answer()
        return [s for s in self._servers.values() if project_id in (None, s.project_id)]

    def servers_in(self, stack_id: str) -> frozenset[str]:
        """See Cloud; as ``stack_servers`` says."""
        self._answer()
        return frozenset(self.stack_servers.get(stack_id, ()))

    def deleted(self, server_id: str) -> bool:
        """See Cloud."""
        self._answer()
        return server_id in self._deleted

    def instance_actions(self, server_id: str) -> list[InstanceAction]:
        """See Cloud."""
        self._answer()
        self._known(server_id)
        return list(self._log[server_id])

    def host(self, name: str) -> Host:
        """See Cloud."""
        self._answer()
        if name not in self.hosts:
            raise NotFound(f'Nova: no compute host {name}')
        return self.hosts[name]

    def console(self, server_id: str, lines: int = 200) -> str:
        """See Cloud."""
        self._answer()
        return '\n'.join(self.consoles.get(server_id, '').splitlines()[-lines:])

    def diagnostics(self, server_id: str) -> dict[str, Any]:
        """See Cloud."""
        self._answer()
        server = self._servers.get(server_id)
        return {'state': 'running'} if server and server.vm_state == 'active' else {}

    # ---- actions on a server

    def reboot(self, server_id: str, kind: str) -> str | None:
        """See Cloud. As in Nova, a soft reboot needs a running server, a hard one does not."""
        if kind not in ('soft', 'hard'):
            raise ValueError(f'a reboot is soft or hard, not {kind!r}')
        return self._act(server_id, 'reboot', kind, _running)

    def start(self, server_id: str) -> str | None:
        """See Cloud."""
        return self._act(server_id, 'start', None, _running)

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """See Cloud."""
        return self._act(server_id, 'rebuild', None, lambda s: replace(s, image_id=image_id))

    def evacuate(self, server_id: str) -> str | None:
        """See Cloud. As in Nova, refused while the host is up."""
        server = self._servers.get(server_id)
        if not self.away and server and server.host and self.hosts[server.host].up:
            raise ActionRefused(
                f'Nova answered 400: Compute service of {server.host} is still in use.'
            )
        return self._act(server_id, 'evacuate', None, self._elsewhere)

    def migrate(self, server_id: str) -> str | None:
        """See Cloud."""
        return self._act(
            server_id,
            'migrate',
            None,
            lambda s: replace(self._elsewhere(s), vm_state='resized', status='VERIFY_RESIZE'),
        )

    def confirm_resize(self, server_id: str) -> str | None:
        """See Cloud."""
        return self._act(server_id, 'confirmResize', None, _running)

    def snapshot(self, server_id: str, name: str) -> str | None:
        """See Cloud."""

        def keep(server: Server) -> Server:
            self.images.append((server_id, name))
            return server

        return self._act(server_id, 'createImage', None, keep)

    def set_metadata(self, server_id: str, values: Mapping[str, str]) -> None:
        """See Cloud."""
        self._answer()
        server = self._servers.get(server_id)
        if server is None:
            raise ActionRefused(f'Nova answered 404: no server {server_id}')
        self.change(server_id, metadata=server.metadata | dict(values))

    # ---- within

    def _act(
        self, server_id: str, action: str, kind: str | None, effect: Callable[[Server], Server]
    ) -> str | None:
        method = _NAMES.get(action, action)
        named = f'server.{method} {kind}' if kind else f'server.{method}'
        self._may((named, action, method))
        server = self._servers.get(server_id)
        if server is None:
            raise ActionRefused(f'Nova answered 404: no server {server_id}')
        states, idle = _ALLOWED[f'{action} {kind}' if kind else action]
        if server.vm_state not in states:
            raise ActionRefused(
                f"Nova answered 409: Cannot '{action}' while it is in vm_state {server.vm_state}"
            )
        if idle and server.task_state:
            raise NotNow(
                f"Nova answered 409: Cannot '{action}' while it is in task_state "
                f'{server.task_state}'
            )
        self._servers[server_id] = effect(server)
        return self._taken(server_id, action, kind, self._record(server_id, action, self._user_id))

    def _elsewhere(self, server: Server) -> Server:
        """On the first other host that is up; Nova tells it only later when there is none."""
        others = (n for n, h in self.hosts.items() if h.up and not h.disabled and n != server.host)
        host = next(others, None)
        if host is None:
            return replace(
                server, status='ERROR', vm_state='error', fault='No valid host was found.'
            )
        return replace(_running(server), host=host, host_status='UP')

    def _show_hosts(self) -> None:
        for server_id, server in self._servers.items():
            if server.host in self.hosts:
                up = self.hosts[server.host].up
                self._servers[server_id] = replace(server, host_status='UP' if up else 'DOWN')

    def _may(self, names: tuple[str, ...]) -> None:
        if self.away or self.lose_answer == DROPPED:
            raise OutcomeUnknown('Nova: the connection broke off')
        for name in names:
            if name in self.refuse:
                raise ActionRefused(self.refuse[name])

    def _taken(self, on: str, action: str, kind: str | None, request_id: str | None = None) -> str:
        taken = Taken(on, action, kind, self._clock(), request_id or self._request_id())
        self.taken.append(taken)
        self.on_action(taken)
        if self.lose_answer == DONE:
            raise OutcomeUnknown('Nova: the connection broke off')
        return taken.request_id

    def _record(self, server_id: str, action: str, user_id: str | None) -> str:
        request_id = self._request_id()
        self._log[server_id].insert(0, InstanceAction(action, request_id, user_id, self._iso()))
        return request_id

    def _request_id(self) -> str:
        return f'req-{next(self._numbers):08d}-0000-4000-8000-000000000000'

    def _iso(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')

    def _known(self, server_id: str) -> Server:
        try:
            return self._servers[server_id]
        except KeyError:
            raise NotFound(f'Nova: no server {server_id}') from None

    def _answer(self) -> None:
        if self.away:
            raise CloudAway('Nova: no answer')


# All but those that are about hosts.
ACTIONS = (
    *('reboot', 'start', 'rebuild', 'snapshot', 'set_metadata'),
    *('replace', 'delete_replaced', 'rebuild_stack', 'cancel_stack', 'unmark'),
)


class _Acting:
    """A fake whose actions are made with a project's rights."""

    def __init__(self, nova: FakeNova, rights: Rights) -> None:
        self._nova, self._rights = nova, rights

    def acting(self, rights: Rights) -> Any:
        return self._nova.acting(rights)

    def user_id(self) -> str:
        self._nova.check_rights(self._rights)
        return f'user of {self._rights.reference or self._rights.kind}'

    def recreate_stack(self, *_: Any) -> None:
        raise ActionRefused(NO_CREATION.format(self._rights.name))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._nova, name)
        return partial(self._act, found) if name in ACTIONS else found

    def _act(self, action: Callable[..., Any], *args: Any) -> Any:
        self._nova.acted_as.append(self._rights)
        ours, self._nova._user_id = self._nova._user_id, self.user_id()
        try:
            return action(*args)
        finally:
            self._nova._user_id = ours


def _running(server: Server) -> Server:
    return replace(server, status='ACTIVE', vm_state='active', power_state=1)
