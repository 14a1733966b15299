"""Reboot: soft asks the guest, hard does not."""

from aodh_ha.recovery.actions.base import Action, Context


class Reboot(Action):
    """``server.reboot``, type soft or hard. Keeps every disk, port and address."""

    logged_as = 'reboot'

    def act(self, context: Context) -> str | None:
        """See Action."""
        return context.cloud.reboot(context.server.id, context.step.type or 'soft')
