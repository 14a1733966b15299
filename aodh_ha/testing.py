"""Fakes for tests, ours and yours: a clock that is set by hand, and a cloud in memory.

``FakeCloud`` keeps the contract of ``recovery.cloud.Cloud``; one test suite runs against it and
against the real clients, so what is shown with the fake holds for Nova, Neutron, Cinder and Heat
as far as that suite goes.
Nothing here sleeps, opens a socket or reads the machine's clock.
"""

import itertools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.rules.evidence import Activity, Host, InstanceAction, Server
from aodh_ha.rules.holdings import IMAGE, VOLUME, Holdings, Member

START = 1_800_000_000.0
"""Where a new clock stands: seconds since the epoch, in January 2027."""

DONE, DROPPED = 'done', 'dropped'
"""What became of an action whose answer is lost: Nova took it, or it never got there."""


class Clock:
    """The time, in seconds since the epoch; call it to read it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time that was set."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, or with a negative number set the clock back; returns the new time."""
        self.now += seconds
        return self.now


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


class FakeCloud:
    """A Nova, a Heat and what belongs to them in memory, which misbehave as they are told.

    ``away``: reads raise CloudAway, actions OutcomeUnknown, and nothing is done.
    ``lose_answer``: DONE or DROPPED; the next actions raise OutcomeUnknown after, or without,
    being taken. ``refuse``: actions by their name in a policy (``server.reboot soft``), in
    Nova's log (``reboot``) or in the contract (``rebuild_stack``) that raise ActionRefused with
    this text. ``on_action`` is called with each action that was taken: let the guest come back
    there. Whatever takes a real cloud some seconds is done at once here; ``stack_takes`` lets
    Heat stay at work until ``finish_stack``.
    """

    def __init__(self, clock: Callable[[], float], user_id: str = 'the-service-user') -> None:
        self._clock = clock
        self._user_id = user_id
        self._servers: dict[str, Server] = {}
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
        self.kept: dict[str, Holdings] = {}
        """What a server has, by its id; a root disk of an image where nothing is said."""
        self.stacks: dict[str, Member] = {}
        """By the root stack's id, seen from its first server."""
        self.stack_takes = False
        self.activities: dict[str, Activity] = {}
        self.consoles: dict[str, str] = {}
        self.images: list[tuple[str, str]] = []
        """Snapshots: (server id, name)."""

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

    def stack(self, name: str, project_id: str, servers: Mapping[str, str]) -> Member:
        """Put servers, {resource name: server id}, into a stack of its own."""
        number = next(self._numbers)
        root_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f'stack {name} {number}'))
        siblings = tuple((server_id, resource) for resource, server_id in servers.items())
        self.stacks[root_id] = Member(
            stack_id=root_id,
            stack_name=name,
            resource_name=siblings[0][1],
            root_id=root_id,
            root_name=name,
            project_id=project_id,
            status='CREATE_COMPLETE',
            last_event=f'event-{number}',
            siblings=siblings,
        )
        return self.stacks[root_id]

    def finish_stack(self, root_id: str, status: str = 'COMPLETE') -> None:
        """Let Heat end what it is at: COMPLETE or FAILED."""
        action = self.stacks[root_id].status.split('_')[0]
        self._stack_event(root_id, status=f'{action}_{status}')

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

    def member(self, server: Server) -> Member | None:
        """See Cloud."""
        self._answer()
        for stack in self.stacks.values():
            for server_id, resource in stack.siblings:
                if server_id == server.id:
                    return replace(stack, resource_name=resource)
        return None

    def stack_member_again(self, member: Member) -> Member | None:
        """See Cloud."""
        self._answer()
        found = self.stacks.get(member.root_id) or next(
            (s for s in self.stacks.values() if s.root_name == member.root_name), None
        )
        return found and replace(found, resource_name=member.resource_name)

    def holdings(self, server: Server, member: Member | None) -> Holdings:
        """See Cloud."""
        self._answer()
        self._known(server.id)
        return self.kept.get(server.id, Holdings(IMAGE if server.image_id else VOLUME))

    def activity(self, server_id: str, now: float) -> Activity | None:
        """See Cloud."""
        self._answer()
        return self.activities.get(server_id)

    def console(self, server_id: str, lines: int = 200) -> str:
        """See Cloud."""
        self._answer()
        return '\n'.join(self.consoles.get(server_id, '').splitlines()[-lines:])

    def diagnostics(self, server_id: str) -> dict[str, Any]:
        """See Cloud."""
        self._answer()
        server = self._servers.get(server_id)
        return {'state': 'running'} if server and server.vm_state == 'active' else {}

    def stack_definition(self, member: Member) -> dict[str, Any]:
        """See Cloud."""
        self._answer()
        stack = self.stacks.get(member.root_id)
        if stack is None:
            raise NotFound(f'Heat: no stack {member.root_id}')
        resources = [resource for _, resource in stack.siblings]
        return {'name': stack.root_name, 'project_id': stack.project_id, 'resources': resources}

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

    # ---- actions on a stack

    def replace(self, member: Member, names: list[str], reason: str) -> str | None:
        """See Cloud. The new servers run on the same host and have what the old ones had."""
        return self._act_on_stack(member, ('replace', 'server.replace'), names)

    def rebuild_stack(self, member: Member) -> str | None:
        """See Cloud."""
        names = [resource for _, resource in member.siblings]
        return self._act_on_stack(member, ('rebuild_stack', 'stack.rebuild'), names)

    def recreate_stack(
        self, member: Member, definition: Mapping[str, Any] | None = None
    ) -> str | None:
        """See Cloud."""
        self._may(('recreate_stack', 'stack.recreate'))
        stack = self.stacks.get(member.root_id)
        if stack is None and definition is None:
            raise ActionRefused(f'Heat answered 404: no stack {member.root_id}')
        if stack is not None and stack.busy:
            raise NotNow(f'the stack {stack.root_name} is {stack.status}')
        definition = definition or self.stack_definition(member)
        if stack is not None:
            host = self._servers[stack.siblings[0][0]].host
            for server_id, _ in stack.siblings:
                self.delete(server_id)
            del self.stacks[member.root_id]
            self._taken(member.root_id, 'delete_stack', None)
        else:
            host = 'host1'
        if any(s.root_name == definition['name'] for s in self.stacks.values()):
            return None
        servers = {resource: self._new_id() for resource in definition['resources']}
        for server_id in servers.values():
            self.add(server_id, definition['project_id'], host=host)
        new = self.stack(definition['name'], definition['project_id'], servers)
        if self.stack_takes:
            self._stack_event(new.root_id, status='CREATE_IN_PROGRESS')
        return self._taken(new.root_id, 'create_stack', None)

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

    def _act_on_stack(
        self, member: Member, called: tuple[str, ...], names: list[str]
    ) -> str | None:
        self._may(called)
        stack = self.stacks.get(member.root_id)
        if stack is None:
            raise ActionRefused(f'Heat answered 404: no stack {member.root_id}')
        if stack.busy:
            raise NotNow(f'Heat answered 409: stack {stack.root_name} is {stack.status}')
        known = {resource for _, resource in stack.siblings}
        if not names or not known.issuperset(names):
            raise ActionRefused(f'the stack {stack.root_name} has no server {names}')
        siblings = []
        for server_id, resource in stack.siblings:
            if resource in names:
                siblings.append((self._replace(server_id), resource))
            else:
                siblings.append((server_id, resource))
        status = 'UPDATE_IN_PROGRESS' if self.stack_takes else 'UPDATE_COMPLETE'
        self._stack_event(member.root_id, status=status, siblings=tuple(siblings))
        return self._taken(member.root_id, 'replace', ','.join(names))

    def _replace(self, server_id: str) -> str:
        old = self._servers[server_id]
        new_id = self._new_id()
        self.add(new_id, old.project_id, name=old.name, host=old.host, image_id=old.image_id)
        if server_id in self.kept:
            self.kept[new_id] = self.kept.pop(server_id)
        self.delete(server_id)
        return new_id

    def _new_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f'server {next(self._numbers)}'))

    def _stack_event(self, root_id: str, **values: Any) -> None:
        number = next(self._numbers)
        self.stacks[root_id] = replace(
            self.stacks[root_id], updated_at=self._iso(), last_event=f'event-{number}', **values
        )

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


def _running(server: Server) -> Server:
    return replace(server, status='ACTIVE', vm_state='active', power_state=1)
