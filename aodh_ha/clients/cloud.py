"""The cloud as the engine sees it: Nova, Neutron, Cinder, Heat and Gnocchi behind one contract."""

import logging
from collections.abc import Mapping
from typing import Any

from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.clients.cinder import Cinder
from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.clients.heat import Heat
from aodh_ha.clients.neutron import Neutron
from aodh_ha.clients.nova import ASIDE, Nova
from aodh_ha.clients.rest import NotInCatalog
from aodh_ha.clients.session import service_session, with_timeout
from aodh_ha.exceptions import AodhHAError, CloudAway, NotFound, NotNow
from aodh_ha.rules.evidence import Activity, Server
from aodh_ha.rules.holdings import HEAT, IMAGE, USER, VOLUME, Holdings, Member, Volume

LOG = logging.getLogger(__name__)


class OpenStack(Nova):
    """recovery.cloud.Cloud of a real cloud; nothing is sent before it is asked something.

    It is a Nova that knows the services around it. One that is not in the catalog is no error:
    without Heat no stack has a server, without Gnocchi nothing was measured.
    """

    def __init__(self, conf: cfg.ConfigOpts, session: Session) -> None:
        def where(service: str) -> tuple[str | None, str]:
            group = conf[service]
            return group.region_name, group.interface

        super().__init__(session, *where('nova'))
        self._neutron = Neutron(session, *where('neutron'))
        self._cinder = Cinder(session, *where('cinder'))
        self._heat = Heat(session, lambda project: service_session(conf, project), *where('heat'))
        self._gnocchi = Gnocchi(with_timeout(session, ASIDE), *where('gnocchi'))

    def member(self, server: Server) -> Member | None:
        """See Cloud."""
        try:
            return self._heat.member(server)
        except NotInCatalog:
            return None

    def stack_member_again(self, member: Member) -> Member | None:
        """See Cloud."""
        return self._heat.again(member)

    def stack_definition(self, member: Member) -> dict[str, Any]:
        """See Cloud."""
        return self._heat.definition(member)

    def holdings(self, server: Server, member: Member | None) -> Holdings:
        """See Cloud."""
        of_stack = self._heat.ids(member) if member else frozenset()
        disks = self.disks(server.id)
        volumes = (
            Volume(
                id=v.volume_id,
                device=v.device,
                root=disks.image_id is None and v.device == disks.root_device,
                delete_on_termination=v.delete_on_termination,
                multiattach=self._cinder.shared(v.volume_id),
                made_by=HEAT if v.volume_id in of_stack else USER,
            )
            for v in disks.volumes
        )
        return Holdings(
            root_disk=VOLUME if disks.image_id is None else IMAGE,
            volumes=tuple(volumes),
            ports=self._neutron.ports(server, of_stack),
            ephemeral_gb=disks.ephemeral_gb,
            swap_mb=disks.swap_mb,
            config_drive=disks.config_drive,
            server_groups=disks.server_groups,
        )

    def activity(self, server_id: str, now: float) -> Activity | None:
        """See Cloud. A Gnocchi that does not answer is no reason to leave a guest alone."""
        try:
            return self._gnocchi.activity(server_id, now)
        except AodhHAError as e:
            LOG.info('what server %s does is not known: %s', server_id, e.detail)
            return None

    def replace(self, member: Member, names: list[str], reason: str) -> str | None:
        """See Cloud."""
        return self._replace(member, names, reason)

    def rebuild_stack(self, member: Member) -> str | None:
        """See Cloud."""
        return self._replace(member, None, 'aodh-ha replaces every server of the stack')

    def _replace(self, member: Member, names: list[str] | None, reason: str) -> str | None:
        try:
            broken = [
                server_id
                for server_id, name in member.siblings
                if (names is None or name in names) and self._broken(server_id)
            ]
        except CloudAway as e:
            raise NotNow(e.detail) from None
        request_id = self._heat.replace(member, names, reason)
        # Heat does not take the ports off a server in ERROR, and nobody takes them off one on a
        # dead host: the new server would be refused them ("Port … is still in use", and the
        # update fails after 100 s). Deleted, the old one lets go of its ports and volumes, and
        # Heat's next try gets them. Only now, because before the update it would leave nothing
        # by which a worker that takes over could see what was going on.
        for server_id in broken:
            try:
                self.delete(server_id)
            except AodhHAError as e:
                LOG.warning('server %s, which Heat replaces, stays: %s', server_id, e.detail)
        return request_id

    def _broken(self, server_id: str) -> bool:
        try:
            server = self.server(server_id)
            return server.status == 'ERROR' or server.host_status == 'DOWN'
        except NotFound:
            return False

    def recreate_stack(
        self, member: Member, definition: Mapping[str, Any] | None = None
    ) -> str | None:
        """See Cloud."""
        return self._heat.recreate(member, definition)
