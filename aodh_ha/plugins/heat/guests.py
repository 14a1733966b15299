"""What resources that enrol servers have in common."""

from typing import Any

from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.osc import carriers
from aodh_ha.osc.guest import metadata
from aodh_ha.plugins.heat import base
from aodh_ha.rules.enrolment import CREDENTIALS
from aodh_ha.rules.guest import ENROLLED, REFUSED


class EnrollingResource(base.AodhHAResource):
    """Enrols servers, brings them their keys, and forgets them again."""

    def guest(self, server_id: str) -> dict[str, Any] | None:
        """A guest, None if there is none."""
        found = self.unless_gone(lambda: self.client().guest(server_id))
        return None if found is None else dict(found['guest'])

    def settled(self, server_id: str) -> bool:
        """Whether it is enrolled: a worker asks Nova, within about a second, whose server it is.

        Fails with the reason when it is refused.
        """
        guest = self.client().guest(server_id)['guest']
        if guest['status'] == REFUSED:
            raise base.failure(f'server {server_id}: {guest["status_reason"]}')
        return bool(guest['status'] == ENROLLED)

    def deliver(self, server_id: str) -> None:
        """Write its credentials into the server's metadata."""
        credentials = self.client().credentials(server_id)
        self.plugin.servers.set_metadata(server_id, metadata(credentials))

    def succeed(self, old: str, new: str) -> None:
        """What was under one server's id goes on under another's; a worker that recovers it may
        have seen to that before."""
        self.unless_gone(lambda: self.client().succeed_guest(old, new))

    def forget(self, server_id: str) -> None:
        """Forget a guest with all its alarms, whoever made them, and take back its key."""
        for alarm in list(self.client().alarms(server_id)):
            with self.plugin.ignore_not_found:
                carriers.delete(self.client(), self.plugin.aodh, alarm)
        self.unless_gone(lambda: self.client().forget_guest(server_id))
        # The key is void: whoever looks at the server's metadata should not find it there.
        servers = self.plugin.servers
        try:
            found = servers.metadata_keys(server_id)
            servers.delete_metadata(server_id, found & set(CREDENTIALS))
        except (NotFound, ActionRefused):
            pass  # the server is gone, or locked
