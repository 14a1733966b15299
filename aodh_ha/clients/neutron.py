"""Neutron, as preservation needs it: a server's ports, with the addresses on them."""

import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from keystoneauth1.session import Session

from aodh_ha.clients.rest import NotInCatalog, Reader
from aodh_ha.exceptions import NotFound
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.holdings import HEAT, NOVA, USER, Port

SKEW = 5.0
"""Seconds that the clocks of Nova's and Neutron's hosts may differ, and more than Nova takes
from a server's creation to that of its port."""

_INTERNAL = re.compile(r'-port-\d+')
"""The end of the name that Heat gives to a port which it makes for a server with a ``subnet``,
and deletes with it."""


class Neutron:
    """One Neutron endpoint, spoken to as the service user. Raises CloudAway."""

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str = 'internal'
    ) -> None:
        self._reader = Reader(session, 'Neutron', 'network', '2', region_name, interface)

    def ports(self, server: Server, of_stack: Collection[str] = ()) -> tuple[Port, ...]:
        """A server's ports, by id. ``of_stack``: ids of all that the server's stack made."""
        found = self._reader.get('ports', [('device_id', server.id)])['ports']
        floating = self._floating([p['id'] for p in found])
        ports = (
            Port(
                id=p['id'],
                mac=p.get('mac_address') or '',
                fixed_ips=tuple(sorted(ip['ip_address'] for ip in p.get('fixed_ips') or ())),
                floating_ips=tuple(sorted(floating.get(p['id'], ()))),
                security_groups=tuple(sorted(p.get('security_groups') or ())),
                made_by=made_by(p, server, of_stack),
            )
            for p in found
        )
        return tuple(sorted(ports, key=lambda p: p.id))

    def _floating(self, port_ids: Collection[str]) -> dict[str, list[str]]:
        if not port_ids:
            return {}
        try:
            found = self._reader.get('floatingips', [('port_id', i) for i in port_ids])
        except NotInCatalog:
            raise
        except NotFound:
            return {}  # a Neutron without routers has none
        by_port: dict[str, list[str]] = {}
        for address in found['floatingips']:
            by_port.setdefault(address['port_id'], []).append(address['floating_ip_address'])
        return by_port


def made_by(port: Mapping[str, Any], server: Server, of_stack: Collection[str]) -> str:
    """Who made a port, which tells whether it outlives its server: HEAT, USER, or NOVA.

    Neither Nova nor Neutron say it. Nova makes its ports after the server and gives them no
    name; so a port that is older than its server is somebody's own. All else may be Nova's, and
    is taken for that: what is thought to be lost is at worst not touched. A port that Heat makes
    within a server is no resource of the stack, and goes with the server, as Nova's do.
    """
    if port['id'] in of_stack:
        return HEAT
    name = str(port.get('name') or '')
    if of_stack and _INTERNAL.search(name):
        return NOVA
    made_at = _time(port.get('created_at'))
    older = made_at is not None and made_at < server.created_at - (0.0 if name else SKEW)
    return USER if older else NOVA


def _time(text: str | None) -> float | None:
    if not text:
        return None
    return datetime.fromisoformat(text.removesuffix('Z')).replace(tzinfo=UTC).timestamp()
