"""Heat: which stack has a server, and the replacement of a stack's servers.

Whatever Heat does, it does in the project of the token that asked for it: an update with the
token of an administrator from another project creates the new server in that other project
(seen, Heat 27). So a stack is only ever changed with a token of its own project.
"""

import contextlib
import copy
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from heatclient import client as heatclient
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from aodh_ha.clients.errors import first_line
from aodh_ha.clients.heat_calls import act, before, read, request_id
from aodh_ha.clients.heat_recreation import Recreation, look
from aodh_ha.clients.rest import NotInCatalog
from aodh_ha.clients.stacks import Resource, Tree, event, hidden
from aodh_ha.exceptions import (
    ActionRefused,
    AodhHAError,
    CloudAway,
    ConfigurationError,
    NotFound,
    NotNow,
)
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.holdings import MARKED_BY_US, Mark, Member, StackEvent

# No request is logged, not even for debugging: templates and parameters have passwords.
_QUIET = logging.getLogger(f'{__name__}.requests')
_QUIET.setLevel(logging.WARNING)

KEPT = 60.0
"""Seconds that it is believed that no stack has a server."""

MOST = 100_000
"""Entries of what is remembered; beyond them it is looked up anew."""

REFUSED = f'{MARKED_BY_US}Heat refused the update'
LEFT = f'{MARKED_BY_US}another recovery had left it marked'
"""Why marks are taken back."""

DEPTH = 10
"""Of nesting; Heat cuts it to what it allows."""

EVENTS = 500
"""Of one action on a stack that are read; of one stack Heat keeps 1,000."""


class Heat:
    """One Heat endpoint; the part of recovery.cloud.Cloud that is Heat's. Errors as told there.

    ``session`` is the service user's, an administrator's; ``in_project`` makes one for another
    project, in which the service user needs the role member.
    """

    def __init__(
        self,
        session: Session,
        in_project: Callable[[str], Session],
        region_name: str | None = None,
        interface: str = 'internal',
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options = {'region_name': region_name, 'interface': interface}
        self._reader, self._in_project = self._client(session), in_project
        self._clients: dict[str, tuple[Session, Any]] = {}
        self._clock, self._sleep = clock, sleep
        self._root_of: dict[str, str] = {}
        """``name/id`` of the root stack, by server."""
        self._seen: dict[str, tuple[tuple[str, str], float]] = {}
        """Root stacks that were read: their status and time of update, and when."""
        self._none: dict[str, float] = {}
        """Servers that no stack had, and when that was found."""
        self._ids: tuple[tuple[str, str, str, str], frozenset[str]] | None = None
        """Of the stack that was asked for last, in the state that it had."""

    def acting(self, in_project: Callable[[str], Session]) -> 'Heat':
        """The same Heat, which reads as before and acts with other sessions than ours."""
        other = copy.copy(self)
        other._in_project, other._clients = in_project, {}
        return other

    def _client(self, session: Session) -> Any:
        return heatclient.Client('1', session=session, logger=_QUIET, **self._options)

    # ---- reads

    def member(self, server: Server) -> Member | None:
        """Its place in Heat; None when no stack has it."""
        if self._clock() - self._none.get(server.id, -KEPT) < KEPT:
            return None
        known = self._root_of.get(server.id)
        found = self._member(known, server.project_id, server.id) if known else None
        if found is None:
            if known and (root := self._root(known)) and 'IN_PROGRESS' in root.stack_status:
                # While Heat replaces it, no resource is the server any more.
                raise CloudAway(f'the stack {root.stack_name} is {root.stack_status}')
            self._root_of.pop(server.id, None)
            root = self._hinted(server) or self._search(server)
            found = self._member(root, server.project_id, server.id) if root else None
        if found is None:
            self._none[server.id] = self._clock()
        return found

    def again(self, member: Member) -> Member | None:
        """The member's stack as it is now; by its name where its id is gone."""
        found = self._root(f'{member.root_name}/{member.root_id}')
        if found is None:
            # By its list: an administrator's look by name finds what is in its own project.
            wanted = {'tenant': member.project_id, 'name': member.root_name}
            for listed in read(lambda: list(self._reader.stacks.list(filters=wanted))):
                found = found or self._root(listed.identifier)
        return self._as_member(found, member.project_id, member) if found else None

    def servers_in(self, stack_id: str) -> frozenset[str]:
        """Ids of the servers that a stack has, at any depth; none, if there is no such stack."""
        try:
            tree = read(lambda: self._tree(stack_id))
        except NotFound:
            return frozenset()
        return frozenset(s.physical_id for s in tree.servers().values() if s.physical_id)

    def ids(self, member: Member) -> frozenset[str]:
        """Ids of all that the root stack made, or attaches."""
        # Asked for each server of a stack in turn; what the stack has changes with its state.
        state = (member.root_id, member.status, member.updated_at, member.last_event)
        known = self._ids
        if known is None or known[0] != state or member.busy:
            tree = read(lambda: self._tree(f'{member.root_name}/{member.root_id}'))
            known = self._ids = (state, tree.ids)
        return known[1]

    def marked(self, member: Member) -> list[Mark]:
        """See Cloud."""
        try:
            tree = read(lambda: self._tree(f'{member.root_name}/{member.root_id}'))
        except NotFound:
            return []
        ours = (r for r in tree.resources if r.marked_by_us)
        return [Mark(r.path, r.stack, r.name, r.reason) for r in ours]

    def definition(self, member: Member) -> dict[str, Any]:
        """See Cloud.stack_definition."""
        stacks, which = self._reader.stacks, f'{member.root_name}/{member.root_id}'

        def shown() -> dict[str, Any]:
            root = self._show(which)
            if root.stack_status.startswith('DELETE'):
                # Heat still shows it, with an empty template.
                raise NotFound(f'the stack {root.stack_name} is deleted')
            return {
                'name': root.stack_name,
                'project_id': member.project_id,
                'template': stacks.template(which),
                'environment': stacks.environment(which),
                'files': stacks.files(which),
                'timeout_mins': root.timeout_mins,
                'disable_rollback': root.disable_rollback,
                'tags': list(root.tags or ()),
            }

        return read(shown)

    def events(self, member: Member, now: Member) -> list[StackEvent]:
        """See Cloud.stack_events."""
        # With nested_depth, Heat shows none to administrators of another project (seen, Heat 27).
        client = self._acting(member.project_id)
        # A marker that Heat does not know, as another stack's, is passed over.
        listed = read(
            lambda: client.events.list(
                f'{now.root_name}/{now.root_id}',
                nested_depth=DEPTH,
                marker=member.last_event or None,
                sort_dir='asc',
                limit=EVENTS,
            )
        )
        return [event(e, now.root_id) for e in listed]

    # ---- actions

    def replace(self, member: Member, names: list[str] | None, reason: str) -> str | None:
        """Have these servers of the root stack replaced; None: every one."""
        which = f'{member.root_name}/{member.root_id}'
        client = self._acting(member.project_id)
        wanted, stale = before(lambda: self._wanted(client, which, member, names))
        # What others have marked is replaced, too, and theirs if it is not.
        mine = [s for s in wanted if not s.marked or s.marked_by_us]
        try:
            for server in stale:
                self._mark(client, server.stack, server.name, False, LEFT)
            for server in mine:
                self._mark(client, server.stack, server.name, True, MARKED_BY_US + reason)
            # Not stacks.update(): it keeps the answer, which has the request id, to itself.
            answer = act(lambda: client.http_client.patch(f'/stacks/{which}', data={}))
        except (ActionRefused, NotNow):
            # Left marked, they would be replaced by whatever update their owner makes next.
            for server in mine:
                with contextlib.suppress(AodhHAError):
                    self._mark(client, server.stack, server.name, False, REFUSED)
            raise
        return request_id(answer)

    def unmark(self, member: Member, mark: Mark, reason: str) -> None:
        """See Cloud."""
        client = self._acting(member.project_id)
        self._mark(client, mark.stack, mark.name, False, MARKED_BY_US + reason)

    def _mark(self, client: Any, stack: str, name: str, unhealthy: bool, reason: str) -> None:
        act(partial(client.resources.mark_unhealthy, stack, name, unhealthy, reason))

    def cancel(self, member: Member) -> None:
        """See Cloud.cancel_stack."""
        which = f'{member.root_name}/{member.root_id}'
        client = self._acting(member.project_id)
        try:
            act(lambda: client.actions.cancel_without_rollback(which))
        except ActionRefused:
            root = look(client, which)
            if root is not None and root.stack_status.endswith('IN_PROGRESS'):
                raise

    def recreate(self, member: Member, definition: Mapping[str, Any] | None) -> str | None:
        """See Cloud.recreate_stack."""
        known = dict(definition or before(lambda: self.definition(member)))
        names = hidden(known)
        if names:
            raise ActionRefused(
                f'the stack {member.root_name} cannot be created again: Heat does not give out '
                f'the hidden parameters {", ".join(names)}'
            )
        recreation = Recreation(self._acting(member.project_id), self._clock, self._sleep)
        return recreation.make(member, known)

    # ---- within: finding

    def _hinted(self, server: Server) -> str | None:
        """The root stack that a template wrote into the server's metadata, as is usual in groups
        that scale. May be wrong: it is the user's."""
        which = server.metadata.get('metering.stack')
        for _ in range(DEPTH):
            found = self._root(which) if which else None
            # Any text may stand there: another project's stack, too.
            if found is None or found.parameters.get('OS::project_id') != server.project_id:
                return None
            which = getattr(found, 'parent', None)
            if not which:
                return str(found.identifier)
        return None

    def _search(self, server: Server) -> str | None:
        """Look through the stacks of its project; only at what was not there the last time."""
        if len(self._root_of) + len(self._none) > MOST:
            for remembered in (self._root_of, self._seen, self._none):
                remembered.clear()
        wanted = {'tenant': server.project_id}
        for root in read(lambda: list(self._reader.stacks.list(filters=wanted))):
            if getattr(root, 'project', server.project_id) != server.project_id:
                continue
            state = (root.stack_status, root.updated_time or '')
            seen, at = self._seen.get(root.id, (None, 0.0))
            # A group that scales changes nothing in its root stack: a newer server is looked for.
            if seen != state or at < server.created_at + KEPT or 'IN_PROGRESS' in state[0]:
                try:
                    tree = read(partial(self._tree, root.identifier))
                except NotFound:
                    continue
                self._root_of.update({r.physical_id: root.identifier for r in tree.resources})
                self._seen[root.id] = (state, self._clock())
            if self._root_of.get(server.id) == root.identifier:
                return str(root.identifier)
        return None

    def _member(self, which: str, project_id: str, server_id: str) -> Member | None:
        root = self._root(which)
        return self._as_member(root, project_id, server_id) if root else None

    def _as_member(self, root: Any, project_id: str, of: Member | str) -> Member | None:
        """A place in this root stack: of a server, or that which a member had."""
        tree = read(lambda: self._tree(root.identifier))
        events = read(lambda: self._reader.events.list(root.identifier, limit=1, sort_dir='desc'))
        if isinstance(of, str):
            found = tree.server(of)
            if found is None:
                return None
        else:
            found = next((r for r in tree.resources if r.path == of.resource_name), None)
        stack_name, _, stack_id = (found.stack if found else root.identifier).partition('/')
        servers = tree.servers(found).values()
        return Member(
            stack_id=stack_id,
            stack_name=stack_name,
            resource_name=found.path if found else of.resource_name,  # type: ignore[union-attr]
            root_id=root.id,
            root_name=root.stack_name,
            project_id=project_id,
            status=root.stack_status,
            updated_at=root.updated_time or '',
            last_event=events[0].id if events else '',
            siblings=tuple((s.physical_id, s.path) for s in servers if s.physical_id),
        )

    def _root(self, which: str) -> Any:
        """A stack by ``name/id`` or id; None where there is none."""
        try:
            found = read(lambda: self._show(which))
        except NotInCatalog:
            raise
        except NotFound:
            return None
        return None if found.stack_status == 'DELETE_COMPLETE' else found

    def _show(self, which: str) -> Any:
        return self._reader.stacks.get(which, resolve_outputs=False)

    def _tree(self, which: str, client: Any = None) -> Tree:
        listed = (client or self._reader).resources.list(which, nested_depth=DEPTH)
        return Tree.read(r.to_dict() for r in listed)

    # ---- within: acting

    def _acting(self, project_id: str) -> Any:
        """A client with a token of the stack's project."""
        try:
            if project_id not in self._clients:
                session = self._in_project(project_id)
                self._clients[project_id] = (session, self._client(session))
            session, client = self._clients[project_id]
            session.get_token()
        except (ksa.Unauthorized, ksa.Forbidden):
            raise ActionRefused(
                f'the service user has no role in the project {project_id}, without which Heat '
                'would replace the servers in a wrong one; see "Heat" in the installation guide'
            ) from None
        except ConfigurationError as e:
            raise ActionRefused(e.detail) from None
        except ksa.ClientException as e:
            raise NotNow(f'Keystone: {first_line(e)}') from None
        return client

    def _wanted(
        self, client: Any, which: str, member: Member, names: list[str] | None
    ) -> tuple[list[Resource], list[Resource]]:
        """Those to be replaced, and those that were to be once, and are still marked for it."""
        root = client.stacks.get(which, resolve_outputs=False)
        if root.stack_status.endswith('IN_PROGRESS'):
            # Heat would take a second update during the first, and mix them up.
            raise NotNow(f'the stack {root.stack_name} is {root.stack_status}')
        tree = self._tree(which, client)
        mine = next((r for r in tree.resources if r.path == member.resource_name), None)
        servers = tree.servers(mine)
        unknown = sorted(set(names or ()).difference(servers))
        if unknown or names == [] or not servers:
            raise ActionRefused(
                f'the stack {root.stack_name} has no server {", ".join(unknown)}'.rstrip()
            )
        wanted = [s for path, s in servers.items() if names is None or path in names]
        stale = [r for r in tree.resources if r.marked_by_us and r not in wanted]
        return wanted, stale
