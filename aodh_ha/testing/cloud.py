"""A whole cloud in memory: Nova, Heat, and what a server holds."""

import contextlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from aodh_ha.exceptions import ActionRefused, AodhHAError, NotFound, NotNow
from aodh_ha.rules.evidence import Activity, Server
from aodh_ha.rules.holdings import (
    IMAGE,
    MARKED_BY_US,
    VOLUME,
    Holdings,
    Mark,
    Member,
    StackEvent,
)
from aodh_ha.testing.nova import FakeNova


class FakeCloud(FakeNova):
    """A Nova, a Heat and what belongs to them in memory, which misbehave as they are told.

    ``away``: reads raise CloudAway, actions OutcomeUnknown, and nothing is done.
    ``lose_answer``: DONE or DROPPED; the next actions raise OutcomeUnknown after, or without,
    being taken. ``refuse``: actions by their name in a policy (``server.reboot soft``), in
    Nova's log (``reboot``) or in the contract (``rebuild_stack``) that raise ActionRefused with
    this text; ``update`` is a Heat that takes the marks of a replacement, and refuses its update.
    ``on_action`` is called with each action that was taken: let the guest come back there.
    Whatever takes a real cloud some seconds is done at once here; ``stack_takes`` lets
    Heat stay at work until ``finish_stack``.
    """

    def __init__(self, clock: Callable[[], float], user_id: str = 'the-service-user') -> None:
        super().__init__(clock, user_id)
        self.kept: dict[str, Holdings] = {}
        """What a server has, by its id; a root disk of an image where nothing is said."""
        self.stacks: dict[str, Member] = {}
        """By the root stack's id, seen from its first server."""
        self.stack_takes = False
        self._stuck: dict[str, set[str]] = {}
        """Servers in ERROR that Heat tries to replace, by the root stack's id."""
        self.marks: dict[str, dict[str, str]] = {}
        """Why resources are marked unhealthy, by the root stack's id and their names."""
        self.on_mark: Callable[[Member], object] = lambda stack: None
        """Called once Heat has the marks of a replacement, and not yet the update."""
        self.events: dict[str, list[StackEvent]] = {}
        """What Heat noted, by the root stack's id, oldest first."""
        self.activities: dict[str, Activity] = {}

    # ---- the world

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

    def mark(self, root_id: str, resource: str, reason: str) -> None:
        """Somebody marks a resource unhealthy; we, where the reason is as ours are."""
        self.marks.setdefault(root_id, {})[resource] = reason

    def update_stack(self, root_id: str) -> None:
        """Its owner updates a stack: Heat replaces what is marked, whoever did that."""
        self._update(root_id)

    # ---- reads of the contract

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

    def marked(self, member: Member) -> list[Mark]:
        """See Cloud."""
        self._answer()
        stack = f'{member.root_name}/{member.root_id}'
        of_stack = self.marks.get(member.root_id, {}) if member.root_id in self.stacks else {}
        return [Mark(n, stack, n, r) for n, r in of_stack.items() if r.startswith(MARKED_BY_US)]

    def activity(self, server_id: str, now: float) -> Activity | None:
        """See Cloud."""
        self._answer()
        return self.activities.get(server_id)

    def stack_definition(self, member: Member) -> dict[str, Any]:
        """See Cloud."""
        self._answer()
        stack = self.stacks.get(member.root_id)
        if stack is None:
            raise NotFound(f'Heat: no stack {member.root_id}')
        resources = [resource for _, resource in stack.siblings]
        return {'name': stack.root_name, 'project_id': stack.project_id, 'resources': resources}

    def stack_events(self, member: Member, now: Member) -> list[StackEvent]:
        """See Cloud."""
        self._answer()
        noted = self.events.get(now.root_id, [])
        ids = [event.id for event in noted]
        return noted[ids.index(member.last_event) + 1 :] if member.last_event in ids else noted

    # ---- actions on a stack

    def replace(self, member: Member, names: list[str], reason: str) -> str | None:
        """See Cloud. The new servers have what the old ones had, and run on the same host, or on
        another that is up. For one in ERROR there is none until it is deleted."""
        return self._act_on_stack(member, ('replace', 'server.replace'), names, reason)

    def unmark(self, member: Member, mark: Mark, reason: str) -> None:
        """See Cloud."""
        self._may(('unmark',))
        stack, stuck = self.stacks.get(member.root_id), self._stuck.get(member.root_id, ())
        if stack and stack.busy and any(i in stuck for i, n in stack.siblings if n == mark.name):
            raise NotNow(f'Heat answered 409: stack {member.root_name} is being updated')
        if self.marks.get(member.root_id, {}).pop(mark.name, None) is not None:
            self._taken(member.root_id, 'unmark', mark.name)

    def delete_replaced(self, member: Member, names: list[str]) -> None:
        """See Cloud."""
        stuck = self._stuck.get(member.root_id, set())
        with contextlib.suppress(AodhHAError):
            self._may(('delete_replaced',))
            self._delete_in_error(member, names, stuck)
        if member.root_id in self._stuck and not stuck:
            del self._stuck[member.root_id]
            if not self.stack_takes:
                self.finish_stack(member.root_id)

    def _delete_in_error(self, member: Member, names: list[str], stuck: set[str]) -> None:
        for server_id, resource in member.siblings:
            server = self._servers.get(server_id)
            if server and resource in names and server.status == 'ERROR':
                if server_id in stuck:
                    stuck.discard(server_id)
                    self._put_in_place(member.root_id, {server_id: self._replace(server_id)})
                else:
                    self.delete(server_id)
                self._taken(server_id, 'delete', None)

    def rebuild_stack(self, member: Member) -> str | None:
        """See Cloud."""
        names = [resource for _, resource in member.siblings]
        called = ('rebuild_stack', 'stack.rebuild')
        return self._act_on_stack(member, called, names, 'every server of the stack is replaced')

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

    def cancel_stack(self, member: Member) -> None:
        """See Cloud."""
        self._may(('cancel_stack',))
        stack = self.stacks.get(member.root_id)
        if stack is not None and stack.busy:
            self._taken(member.root_id, 'cancel_stack', None)
            self.finish_stack(member.root_id, 'FAILED')

    # ---- within

    def _act_on_stack(
        self, member: Member, called: tuple[str, ...], names: list[str], reason: str
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
        marks = self.marks.setdefault(member.root_id, {})
        for resource, why in list(marks.items()):
            if why.startswith(MARKED_BY_US):
                del marks[resource]
        for resource in names:
            marks.setdefault(resource, MARKED_BY_US + reason)
        self.on_mark(stack)
        if 'update' in self.refuse:
            for mark in self.marked(member) if 'unmark' not in self.refuse else ():
                del marks[mark.name]
            raise ActionRefused(self.refuse['update'])
        self._update(member.root_id)
        return self._taken(member.root_id, 'replace', ','.join(names))

    def _update(self, root_id: str) -> None:
        """Replace what is marked, as far as it lets go of its ports."""
        marked = self.marks.get(root_id, {})
        wanted = [i for i, resource in self.stacks[root_id].siblings if resource in marked]
        for server_id in wanted:
            if self._servers[server_id].host_status == 'DOWN':
                self.change(server_id, status='ERROR', vm_state='error')
        stuck = {i for i in wanted if self._servers[i].status == 'ERROR'}
        self._stack_event(root_id, status='UPDATE_IN_PROGRESS')
        self._put_in_place(root_id, {i: self._replace(i) for i in wanted if i not in stuck})
        if stuck:
            self._stuck[root_id] = stuck
        elif not self.stack_takes:
            self.finish_stack(root_id)

    def _put_in_place(self, root_id: str, new_ids: Mapping[str, str]) -> None:
        stack, marks = self.stacks[root_id], self.marks.get(root_id, {})
        for server_id, resource in stack.siblings:
            if server_id in new_ids:
                marks.pop(resource, None)
        siblings = tuple((new_ids.get(i, i), resource) for i, resource in stack.siblings)
        self.stacks[root_id] = replace(stack, siblings=siblings)

    def _replace(self, server_id: str) -> str:
        old = self._servers[server_id]
        new_id = self._new_id()
        host = old.host
        if host and not self.hosts[host].up:
            host = self._elsewhere(old).host
        self.add(new_id, old.project_id, name=old.name, host=host, image_id=old.image_id)
        if server_id in self.kept:
            self.kept[new_id] = self.kept.pop(server_id)
        self.delete(server_id)
        return new_id

    def _new_id(self) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f'server {next(self._numbers)}'))

    def _stack_event(self, root_id: str, **values: Any) -> None:
        number, stack = next(self._numbers), self.stacks[root_id]
        self.stacks[root_id] = replace(
            stack, updated_at=self._iso(), last_event=f'event-{number}', **values
        )
        status = values.get('status', stack.status)
        event = StackEvent(f'event-{number}', stack.root_name, status, '', self._iso(), True)
        self.events.setdefault(root_id, []).append(event)
