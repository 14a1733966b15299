"""Takes back the marks that a step on a stack left in Heat.

A step marks servers unhealthy and then has the stack updated. Between the two a worker may die,
the guest be heard, Heat refuse; or the update is cancelled before it comes to a server. What is
still marked then is replaced by the next update that the stack's owner makes, however well the
server is by now, and its root disk is lost.
"""

import logging
from collections.abc import Callable, Sequence

import sqlalchemy as sa
from oslo_config import cfg

from aodh_ha.db import Database, callback_tokens, guests, marks, notifications, queue
from aodh_ha.db.marks import Marked
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.recovery import rights, turns
from aodh_ha.recovery.actions.base import member_of
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.holdings import Mark, Member
from aodh_ha.rules.recovery import ACTIVE, INTENDED, REFUSED

LOG = logging.getLogger(__name__)

BATCH = 20
"""Stacks that are looked at in one go."""

SOON = 5.0
"""Seconds until a stack is looked at again at which a recovery is at work."""

SOONEST, LATEST = 10.0, 600.0
"""Seconds until it is tried again: the first time, and what they grow to."""

LATE = 600.0
"""Seconds after the end of an attempt until no mark of it can be on its way to Heat any more, as
one may be whose answer nobody saw."""

PATIENCE = 3600.0
"""Seconds for which Heat is waited for before a person is told."""

MARKED, UNMARKED = 'marked', 'unmarked'
"""Kinds of entries in the audit trail, the first of notifications, too."""

WHY = 'it was not replaced, and need not be any more'

TOLD = (
    'the next update of the stack {stack} may replace healthy servers: what was marked unhealthy '
    'cannot be unmarked yet: {why}. See "openstack stack resource list --nested-depth 5 {root_id}" '
    'for CHECK_FAILED, and take it back with "openstack stack resource mark unhealthy --reset '
    'STACK RESOURCE"'
)


class Marks:
    """The duty."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        master_key: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._master_key = master_key
        self._service_user: bool = conf.credentials.service_user
        self._clock = clock

    def take_back(self, now: float) -> int:
        """Returns how many marks were taken back. Raises DatabaseAway."""
        with self._database.read() as connection:
            due = marks.stacks(connection, now, BATCH)
        return sum(self._look(root_id) for root_id in due)

    def _look(self, root_id: str) -> int:
        now = self._clock()
        kept, borrowed = self._database.run(lambda c: self._begin(c, root_id, now))
        if not kept:
            return 0
        taken = 0
        try:
            taken, refusals = self._of_stack(kept)
        except (CloudAway, NotNow, OutcomeUnknown) as e:
            self._later(kept, e.detail, now - kept[0].created_at >= PATIENCE)
        else:
            if refusals:
                self._later(kept, '; '.join(refusals), True)
            else:
                self._done(kept)
        finally:
            if borrowed:
                self._database.run(lambda c: turns.give_back(c, root_id))
        return taken

    def _begin(
        self, connection: sa.Connection, root_id: str, now: float
    ) -> tuple[list[Marked], bool]:
        """What to look after now; nothing while its recovery may still have its update made.

        And whether the stack's turn was borrowed for it: no recovery marks anything meanwhile.
        """
        kept = marks.of_stack(connection, root_id)
        under_way = [k for k in kept if k.under_way]
        marks.put_off(connection, root_id, now + SOON)
        if not all(_needless(connection, k) for k in under_way):
            return [], False
        if under_way:
            return kept, False  # it is the turn of its recovery, which has nothing to do any more
        ended = {k.recovery.id for k in kept if k.recovery.status not in ACTIVE}
        if not turns.borrow(connection, root_id, ended, now):
            return [], False
        return kept, True

    def _of_stack(self, kept: Sequence[Marked]) -> tuple[int, list[str]]:
        """Take the marks of one stack back: how many, and what was refused.

        Raises CloudAway, NotNow, OutcomeUnknown.
        """
        newest = kept[-1]
        member = member_of(newest.attempt)
        found = self._cloud.marked(member)
        if not found:
            return 0, []
        if any(k.attempt.sent_at is not None for k in kept):
            stack = self._cloud.stack_member_again(member)
            if stack and stack.busy:
                # Perhaps by our update, which may be about to replace it for others' sake.
                raise NotNow(f'the stack {stack.root_name} is {stack.status}')
        taken, refusals = 0, []
        cloud = self._acting(newest)
        for mark in found:
            try:
                self._unmark(cloud, newest, member, mark)
                taken += 1
            except (ActionRefused, NotFound) as e:
                refusals.append(f'{mark.path}: {e.detail}: {mark.reset}')
        return taken, refusals

    def _acting(self, of: Marked) -> Cloud:
        """The cloud, with the rights that its marks were made with."""
        used = rights.choose(
            self._database,
            of.recovery,
            of.recovery.policy.steps[of.attempt.step],
            master_key=self._master_key,
            service_user=self._service_user,
        )
        return self._cloud.acting(used)

    def _unmark(self, cloud: Cloud, of: Marked, member: Member, mark: Mark) -> None:
        cloud.unmark(member, mark, f'recovery {of.recovery.id}: {WHY}')
        message = f'{mark.path} of the stack {member.root_name} is not marked unhealthy any more'
        data = {'stack': mark.stack, 'resource': mark.name, 'reason': mark.reason}
        LOG.info('recovery %s: %s', of.recovery.id, message)
        self._database.run(
            lambda c: queue.note(c, of.recovery, self._clock(), UNMARKED, message, data)
        )

    def _done(self, kept: Sequence[Marked]) -> None:
        now = self._clock()
        over = [k for k in kept if not k.under_way and _last_look(k) <= now]
        rest = [SOON if k.under_way else _last_look(k) - now for k in kept if k not in over]

        def work(connection: sa.Connection) -> None:
            marks.gone(connection, over)
            if rest:
                marks.put_off(connection, kept[0].root_id, now + min(rest))
            for recovery in {k.recovery.id: k.recovery for k in over}.values():
                if recovery.status not in ACTIVE:
                    callback_tokens.forget(connection, recovery.id)

        self._database.run(work)

    def _later(self, kept: Sequence[Marked], why: str, tell: bool) -> None:
        newest, tries = kept[-1], min(k.tries for k in kept)
        recovery, member = newest.recovery, member_of(newest.attempt)
        again = self._clock() + min(SOONEST * 2 ** min(tries, 10), LATEST)
        told = tell and not all(k.told for k in kept)
        LOG.warning('marks in the stack %s are left for now: %s', member.root_name, why)

        def work(connection: sa.Connection) -> None:
            marks.later(connection, kept, again, told)
            if not told:
                return
            now = self._clock()
            message = TOLD.format(stack=member.root_name, root_id=member.root_id, why=why)
            queue.note(connection, recovery, now, MARKED, message)
            notifications.add(
                connection,
                now,
                MARKED,
                message,
                project_id=recovery.project_id,
                server_id=recovery.server_id,
                recovery_id=recovery.id,
            )

        self._database.run(work)


def _needless(connection: sa.Connection, kept: Marked) -> bool:
    """Whether an attempt that is under way has not got to its update, and need not any more."""
    if kept.attempt.status != INTENDED:
        return False
    try:
        guest = guests.get(connection, kept.recovery.server_id)
    except NotFound:
        return True
    well = kept.recovery.trigger == 'heartbeat' or not guest.failures
    return well and (guest.last_seen or 0.0) > kept.attempt.intended_at


def _last_look(kept: Marked) -> float:
    """When an attempt that has ended is looked at for the last time."""
    attempt = kept.attempt
    ended = attempt.finished_at or kept.recovery.finished_at or kept.created_at
    answered = attempt.sent_at is not None or attempt.status == REFUSED
    return ended if answered else ended + LATE
