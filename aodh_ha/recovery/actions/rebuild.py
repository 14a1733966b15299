"""Rebuild: a new root disk from the same image."""

from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.actions.base import Action, Context


class Rebuild(Action):
    """``server.rebuild``. Keeps volumes, ports and addresses; empties the root disk."""

    logged_as = 'rebuild'

    def act(self, context: Context) -> str | None:
        """See Action."""
        image_id = context.server.image_id
        if image_id is None:
            raise ActionRefused('the server has no image to be rebuilt from')
        return context.cloud.rebuild(context.server.id, image_id)

    def failure(self, context: Context) -> str:
        """See Action."""
        return fault(context)


def fault(context: Context) -> str:
    """What Nova says went wrong with the server."""
    server = context.cloud.server(context.recovery.server_id)
    if server.vm_state != 'error' or server.task_state:
        return ''
    return f'the server is in ERROR: {server.fault or "Nova does not say why"}'
