"""What is published about watches: the number of each, where it is known."""

from aodh_ha.db import watches
from aodh_ha.db.database import Database
from aodh_ha.publishers.samples import Sample
from aodh_ha.rules.alarm import WATCH
from aodh_ha.rules.watch import Watch

PAGE = 500
"""Watches looked at with one transaction."""


class WatchCollector:
    """Turns the watches in a database into samples."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def collect(self, now: float) -> list[Sample]:
        """One sample of each watch whose number is known. Raises DatabaseAway."""
        found: list[Sample] = []
        after = ''
        while True:
            with self._database.read() as connection:
                page = watches.find(connection, None, after, PAGE)
                known = watches.values(connection, page, now)
                servers = watches.targets(connection, page)
            found += [_sample(w, v, servers, now) for w, v in known if v is not None]
            if len(page) < PAGE:
                return found
            after = page[-1].id


def _sample(watch: Watch, value: float, servers: dict[str, str], now: float) -> Sample:
    return Sample(
        meter=WATCH,
        volume=value,
        resource_id=watch.resource_id,
        # Of one that looks at no single server there is nothing better to say.
        server_id=servers.get(watch.id, watch.id),
        project_id=watch.project_id,
        name=watch.name,
        timestamp=now,
    )
