"""The cloud as the engine sees it: Nova, Neutron, Cinder, Heat and Gnocchi behind one contract."""

import copy
import logging
from collections.abc import Callable, Mapping
from functools import partial
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
from aodh_ha.clients.tenants import Tenants
from aodh_ha.exceptions import ActionRefused, AodhHAError, CloudAway, NotFound, NotNow
from aodh_ha.rules.evidence import Activity, Server
from aodh_ha.rules.holdings import (
    HEAT,
    IMAGE,
    USER,
    VOLUME,
    Holdings,
    Mark,
    Member,
    StackEvent,
    Volume,
)
from aodh_ha.rules.rights import NO_CREATION, OURS, Rights

LOG = logging.getLogger(__name__)


class OpenStack(Nova):
    """recovery.cloud.Cloud of a real cloud; nothing is sent before it is asked something.

    It is a Nova that knows the services around it. One that is not in the catalog is no error:
    without Heat no stack has a server, without Gnocchi nothing was measured.

    It asks as the service user, and acts so unless acting() was told otherwise. What has to do
    with hosts is an administrator's right, and always the service user's: evacuate, migrate with
    its confirmation, and to tell Nova that the server of a dead host is in ERROR.
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
        self._tenants = Tenants(conf, session)
        self._rights, self._as_service = OURS, self

    # ---- who acts

    def acting(self, rights: Rights) -> 'OpenStack':
        """See Cloud."""
        if rights == OURS:
            return self._as_service
        other = copy.copy(self)
        other._rights = rights
        other._heat = self._heat.acting(lambda project: self._tenants.session(rights))
        return other

    def check_rights(self, rights: Rights) -> None:
        """See Cloud."""
        self._tenants.session(rights)

    def user_id(self) -> str:
        """See Cloud."""
        if self._rights == OURS:
            return super().user_id()
        try:
            return str(self._tenants.session(self._rights).get_user_id())
        except NotNow as e:
            raise CloudAway(e.detail) from None

    def _actor(self) -> Any:
        if self._rights == OURS:
            return super()._actor()
        return self.client(self._tenants.session(self._rights))

    # ---- reads

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

    def stack_events(self, member: Member, now: Member) -> list[StackEvent]:
        """See Cloud."""
        return self._heat.events(member, now)

    def marked(self, member: Member) -> list[Mark]:
        """See Cloud."""
        return self._heat.marked(member)

    def servers_in(self, stack_id: str) -> frozenset[str]:
        """See Cloud."""
        return self._heat.servers_in(stack_id)

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
        return self._replace(member, None, 'every server of the stack is replaced')

    def _replace(self, member: Member, names: list[str] | None, reason: str) -> str | None:
        """Replace, also those that cannot let go of their ports themselves.

        Heat takes the ports off the old server first: in vain where its host is dead (the
        update fails at once), and not at all where it is in ERROR (Nova refuses the new server
        the port that is "still in use"; Heat tries again for some 100 s). So the old server is
        in ERROR when Heat looks, and deleted while Heat tries (delete_replaced): then it lets go
        of its ports and volumes. Not before, because a worker that takes over could not see what
        was going on.
        """
        try:
            found = self._old_servers(member, names)
        except CloudAway as e:
            raise NotNow(e.detail) from None
        dead = [s for s in found if s.status != 'ERROR' and s.host_status == 'DOWN']
        try:
            for server in dead:
                self.reset_state(server.id, 'error')
            return self._heat.replace(member, names, reason)
        except (ActionRefused, NotNow):
            for server in dead:
                self._anyway(partial(self.reset_state, server.id, 'active'))
            raise

    def delete_replaced(self, member: Member, names: list[str]) -> None:
        """See Cloud."""
        for server in self._old_servers(member, names):
            if server.status == 'ERROR' and server.task_state != 'deleting':
                self._anyway(partial(self.delete, server.id))

    def _old_servers(self, member: Member, names: list[str] | None) -> list[Server]:
        """Those of its servers that are still there; names None: of all."""
        wanted = [i for i, name in member.siblings if names is None or name in names]
        return [server for server in map(self._there, wanted) if server]

    def _there(self, server_id: str) -> Server | None:
        try:
            return self.server(server_id)
        except NotFound:
            return None

    def _anyway(self, call: Callable[[], None]) -> None:
        try:
            call()
        except AodhHAError as e:
            LOG.warning('a server that Heat should replace is left as it is: %s', e.detail)

    def recreate_stack(
        self, member: Member, definition: Mapping[str, Any] | None = None
    ) -> str | None:
        """See Cloud."""
        if self._rights != OURS:
            # Seen with Keystone 30, and with an unrestricted application credential, too: Heat
            # deletes the stack, and answers 500 when it is to create it.
            raise ActionRefused(NO_CREATION.format(self._rights.name))
        return self._heat.recreate(member, definition)

    def unmark(self, member: Member, mark: Mark, reason: str) -> None:
        """See Cloud."""
        self._heat.unmark(member, mark, reason)

    def cancel_stack(self, member: Member) -> None:
        """See Cloud."""
        self._heat.cancel(member)
