"""AWS::EC2::Instance for images of 2014, whose guests send heartbeats with cfn-push-stats."""

from typing import Any
from urllib.parse import urlsplit

from heat.engine.resources.aws.ec2 import instance
from oslo_config import cfg

from aodh_ha.osc.client import SERVICE_TYPE
from aodh_ha.plugins.heat import userdata
from aodh_ha.plugins.heat.client import GROUP


class _Nova:
    """Heat's plugin for Nova, whose user data tell the guest of the CloudWatch bridge as well."""

    def __init__(self, plugin: Any, address: str) -> None:
        self._plugin = plugin
        self._address = address

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plugin, name)

    def build_userdata(self, *arguments: Any, **more: Any) -> str:
        """As Heat makes them."""
        made: str = self._plugin.build_userdata(*arguments, **more)
        return userdata.with_cloudwatch(made, self._address)


class EC2Instance(instance.Instance):
    """A server as AWS has it, which images with heat-cfntools of 2014 boot from.

    Beyond Heat's own AWS::EC2::Instance: without NetworkInterfaces and SubnetId it gets a port of
    the project's only network, as in 2014. And its guest is told where cfn-push-stats sends to,
    which Heat does no more; once a minute it sends a heartbeat, by which aodh-ha sees whether a
    recovery has helped.
    """

    def _build_nics(self, *arguments: Any, **more: Any) -> Any:
        found = super()._build_nics(*arguments, **more)
        # Of an update "none" means that Nova attaches one, as it always did.
        return found if found or self.resource_id else 'auto'

    def client_plugin(self, name: str | None = None) -> Any:
        """See Resource."""
        found = super().client_plugin(name)
        if name in (None, self.default_client_name):
            return _Nova(found, self._address)
        return found

    @property
    def _address(self) -> str:
        """Of the CloudWatch bridge: its port is built into cfn-push-stats."""
        told = cfg.CONF[GROUP].cloudwatch_address
        if told:
            return str(told)
        session = self.context.keystone_session
        endpoint = session.get_endpoint(
            service_type=SERVICE_TYPE,
            region_name=super().client_plugin()._get_region_name(),
            interface='public',
        )
        return urlsplit(endpoint or '').hostname or ''


def resource_mapping() -> dict[str, Any]:
    """For the plugin; an environment gives it the name that templates have."""
    return {'OS::AodhHA::EC2Instance': EC2Instance}
