"""Migrate: cold, away from a host that is up but suspected."""

from aodh_ha.exceptions import ActionRefused, NotFound, NotNow, OutcomeUnknown
from aodh_ha.recovery.actions.base import Action, Context

RESIZED = 'resized'


class Migrate(Action):
    """``server.migrate``. Keeps everything; Nova waits to be told that the old host may forget."""

    logged_as = 'migrate'

    def act(self, context: Context) -> str | None:
        """See Action."""
        return context.cloud.migrate(context.server.id)

    def conclude(self, context: Context) -> None:
        """Confirm, helped or not: the next step needs a server that waits for nobody."""
        server_id = context.recovery.server_id
        try:
            if context.cloud.server(server_id).vm_state == RESIZED:
                context.cloud.confirm_resize(server_id)
        except (ActionRefused, NotFound):
            return  # it was confirmed in the meantime, or is gone
        except NotNow as e:
            raise OutcomeUnknown(e.detail) from None
