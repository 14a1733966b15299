"""Restart a service inside the guest, by its agent."""

import uuid

import sqlalchemy as sa

from aodh_ha.db import commands, queue
from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.recovery.actions.base import Action, Context, Observed
from aodh_ha.rules.heartbeat import is_told

NAMESPACE = uuid.UUID('8f1b2c4e-5f0e-4a3c-9a53-6f2f5f6d5a01')


class ServiceRestart(Action):
    """``service.restart``: every service that failed when last known. Keeps everything.

    The command goes out in the reply to a heartbeat. Its ids follow from the attempt's, so a
    worker that takes over finds it, and writes none twice.
    """

    settles = False

    def act(self, context: Context) -> str | None:
        """See Action. Raises LeaseLost."""
        # What cfn-push-stats told names no service, and there may be no agent to obey.
        failed = [s.name for s in context.guest.services if s.failing and not is_told(s.name)]
        if not failed:
            raise ActionRefused('the guest has not said which service failed')
        recovery, now = context.recovery, context.now

        def work(connection: sa.Connection) -> None:
            queue.fenced(connection, recovery, {'updated_at': now})
            for name in failed:
                commands.add(
                    connection,
                    recovery.server_id,
                    commands.RESTART,
                    {'service': name},
                    recovery.id,
                    now,
                    now + context.step.verify,
                    _id(context, name),
                )

        context.database.run(work)
        return None

    def observe(self, context: Context) -> Observed | None:
        """See Action."""
        ids = [_id(context, s.name) for s in context.guest.services]
        with context.database.read() as connection:
            for command_id in ids:
                try:
                    found = commands.get(connection, command_id)
                except NotFound:
                    continue
                return Observed(None, f'the guest was told: {found.name}')
        return None

    def failure(self, context: Context) -> str:
        """The guest says that it could not, or that it may not."""
        ids = [_id(context, s.name) for s in context.guest.services]
        with context.database.read() as connection:
            for command_id in ids:
                try:
                    command = commands.get(connection, command_id, context.now)
                except NotFound:
                    continue
                if command.status in (commands.FAILED, commands.REFUSED):
                    why = f': {command.result}' if command.result else ''
                    return f'{command.name} {command.status}{why}'
        return ''


def _id(context: Context, service: str) -> str:
    return str(uuid.uuid5(NAMESPACE, f'{context.attempt.id}:{service}'))
