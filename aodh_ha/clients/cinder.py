"""Cinder, as preservation needs it: whether a volume is attached elsewhere, too."""

from keystoneauth1.session import Session

from aodh_ha.clients.rest import Reader
from aodh_ha.exceptions import NotFound


class Cinder:
    """One Cinder endpoint, spoken to as the service user. Raises CloudAway."""

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str = 'internal'
    ) -> None:
        self._reader = Reader(session, 'Cinder', 'block-storage', '3', region_name, interface)

    def shared(self, volume_id: str) -> bool:
        """Whether more than one server may have it; False where Cinder knows of no such volume."""
        try:
            volume = self._reader.get(f'volumes/{volume_id}')['volume']
        except NotFound:
            return False
        return bool(volume.get('multiattach')) or len(volume.get('attachments') or ()) > 1
