"""The direct way: the worker writes to Gnocchi, for clouds without Ceilometer's agents."""

import time
from dataclasses import dataclass

from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.db.database import Database
from aodh_ha.publishers.samples import Collector


@dataclass(frozen=True)
class Published:
    """What one round wrote."""

    samples: int
    seconds: float
    """How long it took, of a clock that never jumps."""


class DirectPublisher:
    """Collects and writes, once a call; who calls holds the publisher's lease."""

    def __init__(self, database: Database, gnocchi: Gnocchi) -> None:
        self._collector = Collector(database)
        self._gnocchi = gnocchi

    def publish_once(self, now: float) -> Published:
        """Write the samples of all enrolled guests, taken at ``now``.

        Raises DatabaseAway, CloudAway, ActionRefused or ConfigurationError. What could not be
        written is not kept: the next round says how the guests are then, and values that come
        late would only make Aodh act on the past.
        """
        started = time.monotonic()
        stored = self._gnocchi.write(self._collector.collect(now))
        return Published(stored, time.monotonic() - started)
