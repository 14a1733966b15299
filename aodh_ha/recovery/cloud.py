"""What the engine needs of a cloud; clients.cloud.OpenStack is it, testing.FakeCloud stands in."""

from collections.abc import Mapping
from typing import Any, Protocol

from aodh_ha.rules.evidence import Activity, Host, InstanceAction, Server
from aodh_ha.rules.holdings import Holdings, Mark, Member, StackEvent
from aodh_ha.rules.rights import Rights


class Cloud(Protocol):
    """Reads raise CloudAway or NotFound.

    Actions return the request id, where there is one, and raise

    - ActionRefused: the cloud said no; asking again would not help;
    - NotNow: it is busy with the server or stack, or did not accept our token; nothing was done,
      and the same action may be made some seconds later;
    - OutcomeUnknown: the answer was lost; only the cloud's own log tells whether it was done.
    """

    # ---- who acts

    def acting(self, rights: Rights) -> 'Cloud':
        """The same cloud, whose actions are made with these rights; reads stay the service user's.

        Nothing is sent yet: actions raise CredentialRefused when Keystone refuses the rights.
        Evacuate, migrate and confirm_resize stay the service user's, too: they are about hosts.
        recreate_stack is refused with any but OURS.
        """

    def check_rights(self, rights: Rights) -> None:
        """Whether Keystone takes them. Raises CredentialRefused, NotNow while it does not say."""

    # ---- reads

    def user_id(self) -> str:
        """Who we are, or acts for us, in the log of instance actions. CredentialRefused."""

    def server(self, server_id: str) -> Server:
        """A server. CloudAway, too, while the part of Nova that knows it does not answer."""

    def servers_on(self, host: str) -> list[Server]:
        """Every server on a host, of all projects; those that Nova cannot show are left out."""

    def servers_of(self, project_id: str | None) -> list[Server]:
        """Every server of a project, None: of all; those that Nova cannot show are left out."""

    def servers_in(self, stack_id: str) -> frozenset[str]:
        """Ids of the servers that a stack has, at any depth; none, if there is no such stack."""

    def deleted(self, server_id: str) -> bool:
        """Whether Nova remembers that the server was deleted; not for ever."""

    def instance_actions(self, server_id: str) -> list[InstanceAction]:
        """What was done to it, newest first."""

    def host(self, name: str) -> Host:
        """A compute host."""

    def member(self, server: Server) -> Member | None:
        """Its place in Heat, as it is now; None when no stack has it, which may be a minute old."""

    def stack_member_again(self, member: Member) -> Member | None:
        """The member's stack as it is now: status, updated_at, last_event, siblings.

        Found by the root stack's name when its id is gone, so a stack that was recreated is
        found under its new ``root_id``. None: there is none. While the stack has no resource of
        the member's name, everything but ``stack_id`` and ``resource_name`` is as it is now.
        """

    def stack_events(self, member: Member, now: Member) -> list[StackEvent]:
        """What Heat noted about the stack and all that is nested in it, oldest first, since
        ``member`` was read; hundreds at most. ``now`` is what stack_member_again() gave for it:
        of a stack that was recreated, all since that."""

    def marked(self, member: Member) -> list[Mark]:
        """What of the member's root stack replace() has marked, and no update has replaced; none
        where there is no such stack. Marks of others, such as persons, are not told."""

    def holdings(self, server: Server, member: Member | None) -> Holdings:
        """What a server has besides itself."""

    def activity(self, server_id: str, now: float) -> Activity | None:
        """What it did lately, measured within the two minutes before ``now``.

        None: nothing was measured, or nobody could say. Never raises for Gnocchi's sake.
        """

    def console(self, server_id: str, lines: int = 200) -> str:
        """The last lines of its console, unmasked; empty where they are not to be had in time:
        a dead host's never are."""

    def diagnostics(self, server_id: str) -> dict[str, Any]:
        """What its hypervisor says; empty where that is refused, or not to be had in time."""

    def stack_definition(self, member: Member) -> dict[str, Any]:
        """All that ``recreate_stack`` needs: template, environment, files, parameters, name,
        timeout, tags, project. JSON; keep it where secrets are kept, before the stack is deleted.
        """

    # ---- actions on a server

    def reboot(self, server_id: str, kind: str) -> str | None:
        """Reboot it, ``soft`` or ``hard``. Logged as ``reboot``."""

    def start(self, server_id: str) -> str | None:
        """Start one that is off. Logged as ``start``."""

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """Rebuild it, all else as it is. Logged as ``rebuild``."""

    def evacuate(self, server_id: str) -> str | None:
        """Bring it up on a host of the scheduler's choice. Logged as ``evacuate``.

        Refused (400) while its host is up.
        """

    def migrate(self, server_id: str) -> str | None:
        """Move it, cold, to another host. Logged as ``migrate``.

        In the end it is in vm_state ``resized``, running, until ``confirm_resize``.
        """

    def confirm_resize(self, server_id: str) -> str | None:
        """Let go of the old host after ``migrate``, and wait some seconds for that. Logged as
        ``confirmResize``."""

    def snapshot(self, server_id: str, name: str) -> str | None:
        """Begin to make an image of it. Logged as ``createImage``; its end is seen by the
        server's task_state, which is ``image_…`` meanwhile."""

    def set_metadata(self, server_id: str, values: Mapping[str, str]) -> None:
        """Write these into a server's metadata; others stay. Never logged: they may be a key."""

    # ---- actions on a stack; NotNow while Heat is at work on it

    def replace(self, member: Member, names: list[str], reason: str) -> str | None:
        """Have Heat replace the servers of these resource names of the member's root stack.

        Each is marked unhealthy, nothing else ever is, and the root stack is updated with what
        it has. What an earlier call left marked besides is not replaced: its mark is taken back.
        So are those of this call where Heat refuses the update, as far as it lets us. ``names``
        are as in Member.siblings, ``group/0/db`` in a nested stack; an unknown one is refused.
        The new servers have new ids, under the same names. May be called again after it broke
        off. Returns Heat's request id of the update. Servers on a dead host are in ERROR
        afterwards, and delete_replaced() is needed for all that are.
        """

    def unmark(self, member: Member, mark: Mark, reason: str) -> None:
        """Take back a mark that marked() told: no update replaces it for that any more.

        Nothing where it is not marked any more. NotNow while Heat is at work on the resource.
        """

    def delete_replaced(self, member: Member, names: list[str]) -> None:
        """Delete those of these servers that are in ERROR, while Heat is at replacing them.

        They cannot let go of their ports by themselves, and Heat tries again until they have.
        ``member`` is as it was before. May be called again; what fails then is only logged.
        """

    def rebuild_stack(self, member: Member) -> str | None:
        """``replace`` every server of the root stack; Heat keeps to the order of dependencies."""

    def recreate_stack(
        self, member: Member, definition: Mapping[str, Any] | None = None
    ) -> str | None:
        """Delete the root stack, wait until it is gone, and create it anew from ``definition``.

        May be called again with the same definition after it broke off: it goes on from what
        it finds, and returns None when the new stack is there already. Refused, before anything
        is deleted, where a parameter is hidden: Heat does not give it out. OutcomeUnknown while
        the deletion takes longer than a call may last (minutes): call again.
        """

    def cancel_stack(self, member: Member) -> None:
        """Have Heat stop the update or creation that it is at, without a rollback: what it has
        done stays, and the stack is ``…_FAILED``. Nothing where it is not at work any more."""
