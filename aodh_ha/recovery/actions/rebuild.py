"""Rebuild: a new root disk from the same image."""

from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.policy import Step


class Rebuild:
    """``server.rebuild``. Keeps volumes, ports and addresses; empties the root disk."""

    logged_as = 'rebuild'

    def act(self, cloud: Cloud, server: Server, step: Step) -> str | None:
        """See Action."""
        if server.image_id is None:
            raise ActionRefused('the server has no image to be rebuilt from')
        return cloud.rebuild(server.id, server.image_id)
