"""What guests measured, on its way out: each value once, with the time when it was measured."""

from aodh_ha.db import metrics
from aodh_ha.db.database import Database
from aodh_ha.db.metrics import Owned
from aodh_ha.publishers.samples import Sample
from aodh_ha.rules.alarm import METRIC
from aodh_ha.rules.heartbeat import resource_id

LATE = 10.0
"""Seconds by which the clocks of gateways may be behind ours, and a value be written late."""
LONGEST = 600.0
"""Seconds that we look back after a start, or when nothing could be published: what came earlier
is published by somebody else, or never. To a metric in Gnocchi, a value that it has is none."""
UNIT_LIMIT = 31
"""Characters of a unit in Gnocchi."""


class MeasuredCollector:
    """Turns new values of guests' metrics into samples. Not for several threads at once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[tuple[str, str], float] = {}
        self._looked_at = 0.0
        self._last: tuple[float, dict[tuple[str, str], float]] = (0.0, {})

    def collect(self, now: float) -> list[Sample]:
        """The values that came since the last look of which ``done`` was called.

        Raises DatabaseAway.
        """
        with self._database.read() as connection:
            found = metrics.since(connection, max(self._looked_at - LATE, now - LONGEST))
        at = {(o.measured.server_id, o.measured.name): o.measured.at for o in found}
        self._last = now, at
        return [_sample(o) for o in found if not self._known(o)]

    def done(self) -> None:
        """What was collected last is published."""
        self._looked_at, self._told = self._last

    def _known(self, owned: Owned) -> bool:
        m = owned.measured
        return self._told.get((m.server_id, m.name)) == m.at


def _sample(owned: Owned) -> Sample:
    m = owned.measured
    return Sample(
        meter=METRIC + m.name,
        volume=m.value,
        resource_id=resource_id(m.server_id),
        server_id=m.server_id,
        project_id=owned.project_id,
        name=owned.guest_name,
        timestamp=m.at,
        own_unit=m.unit[:UNIT_LIMIT],
    )
