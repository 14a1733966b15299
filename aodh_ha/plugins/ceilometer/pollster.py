"""Pollsters for Ceilometer's central agent: one look at the database, five kinds of meters."""

import datetime
import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ceilometer import sample as ceilometer_sample
from ceilometer.polling import plugin_base

from aodh_ha.db.database import Database
from aodh_ha.exceptions import ConfigurationError, DatabaseAway
from aodh_ha.plugins.ceilometer.database import connection
from aodh_ha.plugins.ceilometer.outage import Outage
from aodh_ha.publishers.measured import MeasuredCollector
from aodh_ha.publishers.samples import Collector, Sample
from aodh_ha.publishers.watched import WatchCollector
from aodh_ha.rules.alarm import HEARTBEAT, METRIC, MISSED, SERVICE_FAILURES, WATCH

LOG = logging.getLogger(__name__)

DISCOVERY = 'aodh_ha'
"""Its entry point in ceilometer.discover.central."""

CACHE_KEY = 'aodh_ha.samples'


class Discovery(plugin_base.DiscoveryBase):
    """Always finds one thing: aodh-ha's database.

    The central agent polls nothing without a resource, and the discoveries it comes with ask
    Keystone or other services. ``group_id`` stays global, so that of several agents with
    coordination exactly one polls the database.
    """

    def discover(self, _manager: Any, _param: Any = None) -> list[str]:
        """The database, under a name of its own: its URL may carry a password."""
        return ['aodh-ha']


class Source:
    """What the pollsters of one agent share: the collector, and a lock around it.

    The agent may be told to run its pollsters in several threads.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time) -> None:
        database = Database(url)
        self._collector = Collector(database)
        self._measured = MeasuredCollector(database)
        self._watches = WatchCollector(database)
        self._clock = clock
        self._lock = threading.Lock()
        self._outage = Outage(LOG, 'polls of its guests')

    def samples(self, cache: dict[str, Any]) -> list[Sample]:
        """This polling cycle's samples, collected by whoever asks first; empty on errors."""
        with self._lock:
            if CACHE_KEY not in cache:
                cache[CACHE_KEY] = self._collect()
            found: list[Sample] = cache[CACHE_KEY]
            return found

    def _collect(self) -> list[Sample]:
        try:
            now = self._clock()
            samples = self._collector.collect(now) + self._watches.collect(now)
            samples += self._measured.collect(now)
            # Ceilometer does not say what became of them.
            self._measured.done()
        except DatabaseAway as e:
            # Not PollsterPermanentError: that would end the polling until the agent restarts.
            self._outage.lost(1, e.detail)
            return []
        self._outage.over()
        return samples


# Ceilometer makes each pollster by itself, with nothing in common but the configuration.
source = functools.cache(Source)


class _Pollster(plugin_base.PollsterBase):
    meter: str

    def setup_environment(self) -> None:
        """Read the configuration; without it Ceilometer goes on without this pollster."""
        try:
            self._url = connection(self.conf)
        except ConfigurationError as e:
            # Ceilometer tells a pollster that can't be loaded at debug level only.
            LOG.error('%s is not polled: %s', self.meter, e.detail)
            raise

    @property
    def default_discovery(self) -> str:
        """Where the one resource comes from."""
        return DISCOVERY

    def get_samples(
        self, manager: Any, cache: dict[str, Any], resources: list[Any]
    ) -> Iterator[ceilometer_sample.Sample]:
        """This meter's sample of every enrolled guest.

        Yields nothing while the database is away or no gateway listens: Aodh then says
        insufficient data, and that is the truth.
        """
        for s in source(self._url).samples(cache):
            if s.meter == self.meter:
                yield _ceilometer(s)


class HeartbeatPollster(_Pollster):
    """Heartbeats received since the last poll."""

    meter = HEARTBEAT


class MissedPollster(_Pollster):
    """Consecutive heartbeats missed, 0 when healthy."""

    meter = MISSED


class ServiceFailuresPollster(_Pollster):
    """Consecutive failed checks of the guest's worst service, 0 when healthy."""

    meter = SERVICE_FAILURES


class WatchPollster(_Pollster):
    """The number of each watch: what CloudWatch alarms of templates look at."""

    meter = WATCH


class MetricPollster(_Pollster):
    """What guests measured: one meter for each name, which Ceilometer need not know before."""

    meter = METRIC.rstrip('.')

    def get_samples(
        self, manager: Any, cache: dict[str, Any], resources: list[Any]
    ) -> Iterator[ceilometer_sample.Sample]:
        """The values that came since the last poll."""
        for s in source(self._url).samples(cache):
            if s.meter.startswith(METRIC):
                yield _ceilometer(s, _Measured)


class _Measured(ceilometer_sample.Sample):
    """A sample that keeps its time."""

    def set_timestamp(self, _timestamp: str) -> None:
        """The agent would give every sample the time of its poll: a value that was on its way
        for an hour would pass for one of now."""


def _ceilometer(
    sample: Sample, made: type[ceilometer_sample.Sample] = ceilometer_sample.Sample
) -> ceilometer_sample.Sample:
    at = datetime.datetime.fromtimestamp(sample.timestamp, datetime.UTC)
    return made(
        name=sample.meter,
        type=sample.type,
        unit=sample.unit,
        volume=sample.volume,
        user_id=None,
        project_id=sample.project_id,
        resource_id=sample.resource_id,
        # As oslo.utils' timeutils.utcnow().isoformat() writes it.
        timestamp=at.replace(tzinfo=None).isoformat(),
        resource_metadata={'server_id': sample.server_id, 'display_name': sample.name},
    )
