"""Our API and Aodh as Heat's resources reach them: with the stack owner's own rights."""

from heat.engine.clients import client_plugin

from aodh_ha import exceptions
from aodh_ha.clients.aodh import Aodh
from aodh_ha.osc.client import SERVICE_TYPE, APIError, Client

CLIENT_NAME = 'aodh_ha'
"""Of the entry point in heat.clients; [clients_aodh_ha] of heat.conf is read where it exists."""


class AodhHAClientPlugin(client_plugin.ClientPlugin):
    """``client()`` is our REST API's. Heat's session has the stack owner's trust, or his token."""

    service_types = (SERVICE_TYPE,)

    def _create(self, version: str | None = None) -> Client:
        return Client(
            self.context.keystone_session,
            region_name=self._get_region_name(),
            interface=self._get_client_option(CLIENT_NAME, 'endpoint_type').removesuffix('URL'),
        )

    def aodh(self) -> Aodh:
        """Aodh, in the stack owner's project."""
        return Aodh(
            self.context.keystone_session,
            region_name=self._get_region_name(),
            interface=self._get_client_option('aodh', 'endpoint_type').removesuffix('URL'),
        )

    def is_not_found(self, ex: Exception) -> bool:
        """Whether there is no such thing."""
        return isinstance(ex, exceptions.NotFound) or _status(ex) == 404

    def is_conflict(self, ex: Exception) -> bool:
        """Whether the present state does not allow it."""
        return isinstance(ex, exceptions.Conflict) or _status(ex) == 409

    def is_away(self, ex: Exception) -> bool:
        """Whether it may pass by itself: no answer, or one that says so."""
        return isinstance(ex, exceptions.CloudAway) or _status(ex) in (429, 500, 502, 503, 504)


def _status(ex: Exception) -> int:
    return ex.status if isinstance(ex, APIError) else 0
