"""Reboot: soft asks the guest, hard does not."""

from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.policy import Step


class Reboot:
    """``server.reboot``, type soft or hard. Keeps every disk, port and address."""

    logged_as = 'reboot'

    def act(self, cloud: Cloud, server: Server, step: Step) -> str | None:
        """See Action."""
        return cloud.reboot(server.id, step.type or 'soft')
