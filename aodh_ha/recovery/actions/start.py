"""Start: for a server found off that nobody switched off."""

from aodh_ha.recovery.actions.base import Action, Context


class Start(Action):
    """``server.start``. Keeps everything."""

    logged_as = 'start'

    def act(self, context: Context) -> str | None:
        """See Action."""
        return context.cloud.start(context.server.id)
