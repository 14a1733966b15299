"""A publisher for Ceilometer's pipeline: samples of a guest become signs of its life."""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from ceilometer import publisher

from aodh_ha.exceptions import DatabaseAway
from aodh_ha.plugins.ceilometer.database import open_database
from aodh_ha.plugins.ceilometer.outage import Outage
from aodh_ha.plugins.ceilometer.signs import DEFAULT_METER, record, signs

LOG = logging.getLogger(__name__)


class SignOfLifePublisher(publisher.ConfigPublisherBase):
    """``aodhha://?meter=NAME&meter=NAME``: records that the guests behind these samples live.

    A sample counts when it is of one of these meters (``guest.heartbeat`` if none is named),
    not zero, fresh, and of an enrolled guest. See ``signs``.

    While the database is away the samples are lost: Ceilometer has no second delivery for a
    publisher. What is lost then is that these guests were alive at these moments, so a guest
    heard in no other way may count as silent once the database is back, until its next sample.
    The losses are logged and counted.
    """

    def __init__(self, conf: Any, parsed_url: Any, clock: Callable[[], float] = time.time) -> None:
        super().__init__(conf, parsed_url)
        self.meters = frozenset(parse_qs(parsed_url.query).get('meter', [DEFAULT_METER]))
        self._database = open_database(conf)
        self._clock = clock
        self.outage = Outage(LOG, 'signs of life')

    def publish_samples(self, samples: Iterable[Any]) -> None:
        """Record what these samples say; never raises for the database's sake."""
        found = signs(samples, self.meters, self._clock())
        if not found:
            return
        try:
            self._database.run(lambda connection: record(connection, found))
        except DatabaseAway as e:
            self.outage.lost(len(found), e.detail)
        else:
            self.outage.over()

    def publish_events(self, events: Iterable[Any]) -> None:
        """Events say nothing about a guest's life."""
