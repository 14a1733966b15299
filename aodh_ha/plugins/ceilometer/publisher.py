"""A publisher for Ceilometer's pipeline: samples of a guest become signs of its life."""

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

from ceilometer import publisher

from aodh_ha.db import gateways
from aodh_ha.exceptions import DatabaseAway
from aodh_ha.plugins.ceilometer.database import open_database
from aodh_ha.plugins.ceilometer.outage import Outage
from aodh_ha.plugins.ceilometer.signs import DEFAULT_METER, record, signs
from aodh_ha.rules.gateway import CEILOMETER

LOG = logging.getLogger(__name__)

TICK = 1.0
"""Seconds between two records that this way works, where there is nothing else to write."""


class SignOfLifePublisher(publisher.ConfigPublisherBase):
    """``aodhha://?meter=NAME&meter=NAME``: records that the guests behind these samples live.

    A sample counts when it is of one of these meters (``guest.heartbeat`` if none is named),
    not zero, fresh, and of an enrolled guest. See ``signs``.

    Every batch, whatever it holds, also tells that this way of hearing guests works: the
    silence of a guest heard this way counts only while batches came. So the pipeline sends the
    polled ``guest.heartbeat`` here too, which comes every interval even if all guests are silent.

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
        self._ticker = gateways.Ticker(f'{CEILOMETER}:{socket.gethostname()}:{os.getpid()}')
        self.outage = Outage(LOG, 'signs of life')

    def publish_samples(self, samples: Iterable[Any]) -> None:
        """Record what these samples say; never raises for the database's sake."""
        now = self._clock()
        found = signs(samples, self.meters, now)
        age = self._ticker.age
        if not found and age is not None and age < TICK:
            return
        try:
            self._ticker.tick(self._database, now, lambda connection: record(connection, found))
        except DatabaseAway as e:
            self.outage.lost(len(found), e.detail)
        else:
            self.outage.over()

    def publish_events(self, events: Iterable[Any]) -> None:
        """Events say nothing about a guest's life."""
