"""The direct way: the worker writes to Gnocchi, for clouds without Ceilometer's agents."""

from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.db.database import Database
from aodh_ha.exceptions import ActionRefused
from aodh_ha.publishers.measured import MeasuredCollector
from aodh_ha.publishers.samples import Collector
from aodh_ha.publishers.watched import WatchCollector


class DirectPublisher:
    """Collects and writes, once a call; who calls holds the publisher's lease."""

    def __init__(self, database: Database, gnocchi: Gnocchi, memory: float) -> None:
        """``memory``: see Collector; no longer than another worker takes to get the lease."""
        self._collector = Collector(database, memory)
        self._measured = MeasuredCollector(database)
        self._watches = WatchCollector(database)
        self._gnocchi = gnocchi

    def publish_once(self, now: float) -> int:
        """Write the samples of all enrolled guests, taken at ``now``; returns how many.

        Raises DatabaseAway, CloudAway, ActionRefused or ConfigurationError. What could not be
        written is not kept: the next round says how the guests are then, and values that come
        late would only make Aodh act on the past. What guests measured goes by itself and last,
        and has times of its own: what Gnocchi could not take is written in the next round.
        """
        stored = self._gnocchi.write(self._collector.collect(now) + self._watches.collect(now))
        measured = self._measured.collect(now)
        try:
            stored += self._gnocchi.write(measured)
        except ActionRefused:
            self._measured.done()  # the others are stored; these would be refused again
            raise
        self._measured.done()
        return stored
