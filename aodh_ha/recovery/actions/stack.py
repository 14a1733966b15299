"""The stack steps: Heat puts other servers in the place of those that failed."""

import sqlalchemy as sa

from aodh_ha.db import definitions, guests, marks, queue
from aodh_ha.exceptions import ActionRefused, CloudAway, NotNow, OutcomeUnknown
from aodh_ha.recovery import stack_events
from aodh_ha.recovery.actions.base import Action, Context, Observed
from aodh_ha.recovery.succession import Succession
from aodh_ha.rules.rights import NO_CREATION, OURS


class _Stack(Action):
    def names(self, context: Context) -> list[str]:
        """The resources whose servers are replaced."""
        raise NotImplementedError

    def ask(self, context: Context) -> str | None:
        """Have Heat mark and update; see Action.act."""
        return context.cloud.replace(context.member, self.names(context), _reason(context))

    def act(self, context: Context) -> str | None:
        """See Action. Raises LeaseLost.

        Kept before is that there may be marks from now on: those that no update of ours comes
        to are taken back (reconciler.marks), whatever became of this worker.
        """
        root_id = context.member.root_id

        def work(connection: sa.Connection) -> None:
            queue.fenced(connection, context.recovery, {'updated_at': context.now})
            marks.keep(connection, context.attempt.id, root_id, context.now)

        context.database.run(work)
        return self.ask(context)

    def follow(self, context: Context) -> bool:
        """See Action."""
        return _follow(context)

    def observe(self, context: Context) -> Observed | None:
        """An update of the stack since the intent: nobody else's, for it was idle then.

        That servers were marked only is no update: marking and updating are done again.
        """
        before = context.member
        now = context.cloud.stack_member_again(before)
        if now is None or (now.updated_at, now.status) == (before.updated_at, before.status):
            return None
        return Observed(None, f'the stack is {now.status}, changed since')

    def go_on(self, context: Context) -> None:
        """Delete the servers that cannot let go of their ports, which Heat waits for."""
        now = context.stack
        if now is not None and stack_events.ours(context, now):
            context.cloud.delete_replaced(context.member, self.names(context))

    def note(self, context: Context) -> None:
        """See Action."""
        stack_events.note(context, context.member)

    def give_up(self, context: Context) -> str:
        """Cancel the update that we made, where it still goes on when its time is over."""
        return stack_events.cancel(context)

    def requests(self, context: Context) -> int:
        """A mark for each server, its way back, what is read for it, and the update."""
        return 2 * len(context.member.siblings) + 3

    def failure(self, context: Context) -> str:
        """See Action."""
        now = context.stack
        if now is None:
            return 'the stack is gone'
        if now.status.endswith('_FAILED') and now.updated_at != context.member.updated_at:
            return f'the stack {now.root_name} is {now.status}'
        return ''


class Replace(_Stack):
    """``server.replace``: the server alone."""

    def names(self, context: Context) -> list[str]:
        """See _Stack."""
        return [context.member.resource_name]


class Heal(_Stack):
    """``stack.heal``: every server of the stack that failed, in one update."""

    def names(self, context: Context) -> list[str]:
        """See _Stack. Who else failed was looked up with the evidence."""
        seen = context.attempt.evidence
        failed = [seen['server']['id'], *seen['others']]
        return [name for server_id, name in context.member.siblings if server_id in failed]


class Rebuild(_Stack):
    """``stack.rebuild``: every server of the stack, in the order of their dependencies."""

    def names(self, context: Context) -> list[str]:
        """See _Stack."""
        return [name for _, name in context.member.siblings]

    def ask(self, context: Context) -> str | None:
        """See _Stack."""
        return context.cloud.rebuild_stack(context.member)

    def unheard(self, context: Context) -> list[str]:
        """See Action."""
        return _unheard(context)


class Recreate(Action):
    """``stack.recreate``: the stack is deleted and created again. Keeps nothing.

    What it is created from is kept, sealed, before it is deleted: a worker that takes over could
    not ask Heat for it any more.
    """

    settles = False

    def act(self, context: Context) -> str | None:
        """See Action. Raises LeaseLost."""
        if context.rights != OURS:
            # Before the definition is kept: who finds one, goes on with ours.
            raise ActionRefused(NO_CREATION.format(context.rights.name))
        definition = context.cloud.stack_definition(context.member)
        sealed = definitions.seal(definition, context.master_key)

        def work(connection: sa.Connection) -> None:
            queue.fenced(connection, context.recovery, {'updated_at': context.now})
            definitions.keep(connection, context.attempt.id, sealed, context.now)

        context.database.run(work)
        try:
            return context.cloud.recreate_stack(context.member, definition)
        except (NotNow, CloudAway) as e:
            # It may be deleted by now: to give up here would leave nothing. observe() goes on.
            raise OutcomeUnknown(e.detail) from None

    def observe(self, context: Context) -> Observed | None:
        """Go on with what was begun: to delete and not create would be the worst of all."""
        with context.database.read() as connection:
            sealed = definitions.get(connection, context.attempt.id)
        if sealed is None:
            return None  # nothing was deleted yet
        definition = definitions.unseal(sealed, context.master_key)
        # Begun with ours, as it can be with no others: also if the project gave some meanwhile.
        cloud = context.cloud.acting(OURS)
        request_id = cloud.recreate_stack(context.member, definition)
        return Observed(request_id, 'gone on with')

    def follow(self, context: Context) -> bool:
        """See Action."""
        return _follow(context)

    def failure(self, context: Context) -> str:
        """See Action."""
        now = context.stack
        if now is not None and now.status == 'CREATE_FAILED':
            return f'the stack {now.root_name} is {now.status}'
        return ''

    def note(self, context: Context) -> None:
        """See Action."""
        now = context.stack
        if now is not None:
            stack_events.note(context, now)

    def unheard(self, context: Context) -> list[str]:
        """See Action."""
        return _unheard(context)

    def conclude(self, context: Context) -> None:
        """See Action."""
        context.database.run(lambda c: definitions.forget(c, context.attempt.id))


def _follow(context: Context) -> bool:
    succession = Succession(
        context.database, context.cloud, context.master_key, list(context.gateways)
    )
    return bool(succession.follow(context.member, context.now))


def _unheard(context: Context) -> list[str]:
    """Resources whose guests were watched, and are not heard since the action was sent."""
    watched = context.attempt.evidence.get('watched', ())
    if not watched:
        return []
    now = context.cloud.stack_member_again(context.member)
    new = {name: server_id for server_id, name in now.siblings} if now else {}
    old = {name: server_id for server_id, name in context.member.siblings}
    sent = context.attempt.sent_at or context.attempt.intended_at
    with context.database.read() as connection:
        seen = guests.last_seen(connection, (*old.values(), *new.values()))
    # Not waited for: who was forgotten meanwhile, and whose group has shrunk.
    there = [name for name in watched if name in new]
    return [
        name
        for name in there
        if (new[name] in seen and (seen[new[name]] or 0) <= sent)
        or (new[name] != old[name] and old[name] in seen)
    ]


def _reason(context: Context) -> str:
    return f'recovery {context.recovery.id}: {context.attempt.detail}'
