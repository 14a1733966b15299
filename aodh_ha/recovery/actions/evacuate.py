"""Evacuate: the server comes up on another host, for its own is dead."""

from aodh_ha.recovery.actions.base import Action, Context
from aodh_ha.recovery.actions.rebuild import fault


class Evacuate(Action):
    """``server.evacuate``. A root disk that is local to the dead host is made anew."""

    logged_as = 'evacuate'

    def act(self, context: Context) -> str | None:
        """See Action."""
        return context.cloud.evacuate(context.server.id)

    def failure(self, context: Context) -> str:
        """See Action."""
        return fault(context)
