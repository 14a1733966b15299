"""Our API, Aodh and Nova as Heat's resources reach them: with the stack owner's own rights."""

from functools import cached_property

from heat.common import config
from heat.engine import constraints
from heat.engine.clients import client_plugin
from keystoneauth1 import exceptions as ksa
from oslo_config import cfg

from aodh_ha import exceptions
from aodh_ha.clients.aodh import Aodh
from aodh_ha.clients.servers import Servers
from aodh_ha.osc.client import SERVICE_TYPE, APIError, Client

CLIENT_NAME = 'aodh_ha'
"""Of the entry point in heat.clients."""

GROUP = f'clients_{CLIENT_NAME}'
"""Of heat.conf; what Heat has for every client, and our own."""

OPTIONS = [
    cfg.FloatOpt(
        'retry_for',
        default=60.0,
        min=0,
        help='Seconds for which a resource of aodh-ha is tried again while aodh-ha, Aodh or '
        'Nova does not answer. After that it fails, with the reason.',
    ),
    cfg.StrOpt(
        'cloudwatch_address',
        default='',
        help="Where guests reach aodh-ha's CloudWatch bridge, whose port for them is 8003: a name "
        "or an address. Empty: the host of aodh-ha's public endpoint.",
    ),
]

cfg.CONF.register_opts(config.clients_opts, group=GROUP)
cfg.CONF.register_opts(OPTIONS, group=GROUP)


class AodhHAClientPlugin(client_plugin.ClientPlugin):
    """``client()`` is our REST API's. Heat's session has the stack owner's trust, or his token."""

    service_types = (SERVICE_TYPE,)

    def _create(self, version: str | None = None) -> Client:
        return Client(self.context.keystone_session, self._region, self._interface(CLIENT_NAME))

    @cached_property
    def aodh(self) -> Aodh:
        """Aodh, in the stack owner's project."""
        return Aodh(self.context.keystone_session, self._region, self._interface('aodh'))

    @cached_property
    def servers(self) -> Servers:
        """Nova's servers, in the stack owner's project."""
        return Servers(self.context.keystone_session, self._region, self._interface('nova'))

    @property
    def _region(self) -> str | None:
        region: str | None = self._get_region_name()
        return region

    def _interface(self, client: str) -> str:
        return str(self._get_client_option(client, 'endpoint_type')).removesuffix('URL')

    def is_not_found(self, ex: Exception) -> bool:
        """Whether there is no such thing."""
        return isinstance(ex, exceptions.NotFound) or _status(ex) == 404

    def is_conflict(self, ex: Exception) -> bool:
        """Whether the present state does not allow it."""
        return isinstance(ex, exceptions.Conflict) or _status(ex) == 409

    def is_away(self, ex: Exception) -> bool:
        """Whether it may pass by itself: no answer, or one that says so."""
        if isinstance(ex, exceptions.CloudAway | ksa.ConnectionError | ksa.HttpServerError):
            return True
        return _status(ex) == 429 or _status(ex) >= 500


def _status(ex: Exception) -> int:
    return ex.status if isinstance(ex, APIError) else 0


class PolicyConstraint(constraints.BaseCustomConstraint):
    """A recovery policy that the stack's project may use.

    While aodh-ha is away every name will do: who creates the resource is told then.
    """

    expected_exceptions = (exceptions.NotFound,)

    def validate_with_client(self, client: object, policy: str) -> None:
        """Raises NotFound."""
        plugin = client.client_plugin(CLIENT_NAME)  # type: ignore[attr-defined]
        if not policy:
            return
        try:
            plugin.client().policy(policy)
        except Exception as e:
            if plugin.is_not_found(e):
                raise exceptions.NotFound(str(e)) from None
            if not plugin.is_away(e):
                raise
