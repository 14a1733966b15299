"""What is published about the guests: one look at the database becomes samples."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa

from aodh_ha.db import gateways, guests
from aodh_ha.db.database import Database
from aodh_ha.rules import gateway
from aodh_ha.rules.alarm import HEARTBEAT, MISSED, SERVICE_FAILURES, WATCH
from aodh_ha.rules.guest import ENROLLED, Guest

PAGE = 1000
"""Guests read with one statement."""

DELTA, GAUGE = 'delta', 'gauge'

METERS = {
    HEARTBEAT: (DELTA, 'heartbeat'),
    MISSED: (GAUGE, 'heartbeat'),
    SERVICE_FAILURES: (GAUGE, 'failure'),
    WATCH: (GAUGE, 'value'),
}
"""Type and unit of each meter of our own, in Ceilometer's words."""


@dataclass(frozen=True)
class Sample:
    """One value of one meter of one guest, taken at ``timestamp`` (seconds since the epoch)."""

    meter: str
    volume: float
    resource_id: str
    """The guest's own Gnocchi resource, which is not the server's: see rules.heartbeat."""
    server_id: str
    project_id: str
    name: str
    timestamp: float
    own_unit: str = ''
    """Of a meter that is not one of METERS."""

    @property
    def type(self) -> str:
        """``gauge`` or ``delta``."""
        return METERS[self.meter][0] if self.meter in METERS else GAUGE

    @property
    def unit(self) -> str:
        """What is counted."""
        return METERS[self.meter][1] if self.meter in METERS else self.own_unit


class Collector:
    """Turns the guests in a database into samples.

    It remembers how many heartbeats it saw of each guest, because ``guest.heartbeat`` is a
    delta, for ``memory`` seconds: after a longer pause somebody else may have counted what
    came meanwhile, and then nothing is said of it. Not safe for use by several threads at once.
    """

    def __init__(self, database: Database, memory: float = math.inf) -> None:
        self._database = database
        self._memory = memory
        self._beats: dict[str, int] = {}
        self._looked_at = 0.0

    def collect(self, now: float) -> list[Sample]:
        """Samples of every enrolled guest, the silent and the never seen included.

        Of a guest whom no gateway listens for, only what was received: the silence is ours
        then, and Aodh's insufficient data says so. Raises DatabaseAway.
        """
        if now - self._looked_at > self._memory:
            self._beats = {}
        samples: list[Sample] = []
        beats: dict[str, int] = {}
        # One transaction: guests and gateways belong to the same moment.
        with self._database.read() as connection:
            known = gateways.get_all(connection)
            for guest in _enrolled(connection):
                beats[guest.server_id] = guest.beats
                since = gateway.listening_since(known, now, guest.way)
                samples += self._of(guest, now, since)
        self._beats = beats  # who was forgotten, is forgotten here too
        self._looked_at = now
        return samples

    def _of(self, guest: Guest, now: float, since: float | None) -> Iterator[Sample]:
        volumes: dict[str, int] = {}
        if since is not None:
            volumes = {MISSED: guest.missed(now, since), SERVICE_FAILURES: guest.failures}
        before = self._beats.get(guest.server_id)
        if before is not None:
            # Fewer than before: it was enrolled anew, and all of them came since then.
            restarted = guest.beats < before
            volumes[HEARTBEAT] = guest.beats if restarted else guest.beats - before
        for meter, volume in volumes.items():
            yield Sample(
                meter=meter,
                volume=volume,
                resource_id=guest.resource_id,
                server_id=guest.server_id,
                project_id=guest.project_id,
                name=guest.name,
                timestamp=now,
            )


def _enrolled(connection: sa.Connection) -> Iterator[Guest]:
    after = ''
    while True:
        page = guests.find(connection, status=ENROLLED, after=after, limit=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].server_id
