"""What a step has to offer, and what it is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from aodh_ha.db import Database
from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.recovery.hooks import HookResult
from aodh_ha.rules.evidence import Evidence, Server
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.holdings import Member
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import Attempt, Recovery
from aodh_ha.rules.rights import OURS, Rights


class Runner(Protocol):
    """recovery.hooks.Hooks, as far as it is needed here."""

    def run(self, name: str, facts: Mapping[str, str]) -> HookResult:
        """Run one; raises ActionRefused when there is none of this name."""


def member_of(attempt: Attempt) -> Member:
    """The server's place in a stack when the attempt was made; refused where it had none."""
    kept = attempt.evidence.get('member')
    if not kept:
        raise ActionRefused('no stack has the server')
    siblings = tuple((str(s[0]), str(s[1])) for s in kept['siblings'])
    return Member(**(kept | {'siblings': siblings}))


@dataclass(frozen=True)
class Context:
    """What an action works with. Its intent is recorded already."""

    cloud: Cloud
    database: Database
    hooks: Runner
    recovery: Recovery
    guest: Guest
    step: Step
    attempt: Attempt
    now: float
    evidence: Evidence | None = None
    """None when what became of an action is looked at: then only the attempt's is left."""
    gateways: tuple[str, ...] = ()
    """Where guests send their heartbeats."""
    rights: Rights = OURS
    """Those that ``cloud`` acts with."""
    master_key: bytes = b''
    """What is kept for the time of an action, and is nobody's business, is sealed with it."""

    @property
    def server(self) -> Server:
        """The server, as it was just seen."""
        server = self.evidence.server if self.evidence else None
        if server is None:
            raise ActionRefused('the server was not seen')
        return server

    @property
    def member(self) -> Member:
        """Its place in a stack, now or when the attempt was made; refused where it has none."""
        if self.evidence and self.evidence.member:
            return self.evidence.member
        return member_of(self.attempt)

    @cached_property
    def stack(self) -> Member | None:
        """That place as Heat shows it now, asked for once; None: the stack is gone.

        Raises CloudAway.
        """
        return self.cloud.stack_member_again(self.member)


@dataclass(frozen=True)
class Observed:
    """That the action was made, though its answer was never recorded."""

    request_id: str | None
    message: str


class Action:
    """A step's call on the cloud, and how it is found again when the answer was lost."""

    logged_as: str | None = None
    """The ``action`` of Nova's instance-action log; None where Nova does not know of it."""

    settles = True
    """Whether the call may still arrive for a while after it broke off. False: what observe()
    says at once is so for ever."""

    repeatable = True
    """False: never made again when it is not known whether it was made."""

    def act(self, context: Context) -> str | None:
        """Make the call, once; returns the request id where there is one.

        Raises ActionRefused, NotNow or OutcomeUnknown.
        """
        raise NotImplementedError

    def observe(self, context: Context) -> Observed | None:
        """The action, if it was made, whoever made it for this attempt; raises CloudAway.

        In Nova's log it is newer than all that was there before the intent.
        """
        if self.logged_as is None:
            return None
        ours = context.cloud.user_id()
        try:
            actions = context.cloud.instance_actions(context.recovery.server_id)
        except NotFound:
            return None
        for action in actions:
            if action.request_id == context.attempt.evidence.get('last_request_id'):
                return None
            if action.action == self.logged_as and action.user_id in (ours, None):
                return Observed(action.request_id, "found in Nova's log")
        return None

    def requests(self, context: Context) -> int:
        """How many requests the call makes at most, each as long as the session lets it."""
        return 1

    def failure(self, context: Context) -> str:
        """Why an action that was taken is known not to help any more; empty: wait on.

        Asked from time to time while a heartbeat is waited for. Raises CloudAway.
        """
        return ''

    def follow(self, context: Context) -> bool:
        """Go with the guest to another server, where the action made one; whether it moved.

        Asked from time to time while a heartbeat is waited for. Raises CloudAway, ActionRefused.
        """
        return False

    def go_on(self, context: Context) -> None:
        """Do what the action needs besides its call, while the cloud is at it.

        Asked from time to time while a heartbeat is waited for, of whichever worker has the
        recovery by then: so what a death left undone is done. May be called again. Raises
        CloudAway.
        """

    def note(self, context: Context) -> None:
        """Put into the audit trail what the cloud says of its progress.

        Asked from time to time while a heartbeat is waited for. Raises CloudAway, LeaseLost.
        """

    def unheard(self, context: Context) -> list[str]:
        """Who else has to be heard before it counts as having helped, and is not yet.

        Raises CloudAway.
        """
        return []

    def give_up(self, context: Context) -> str:
        """Stop what still goes on of an action that did not help in time; what to add to the
        reason.

        May be called again. Raises CloudAway or OutcomeUnknown: then the end of the attempt waits.
        """
        return ''

    def conclude(self, context: Context) -> None:
        """What is left to do when the attempt is about to end, whatever its end.

        May be called again. Raises CloudAway or OutcomeUnknown: then the end waits.
        """
