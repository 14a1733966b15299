"""Deletes what is old, in small batches: nobody waits long for a lock."""

import logging
from collections.abc import Callable

import sqlalchemy as sa
from oslo_config import cfg

from aodh_ha.db import Database, prune

LOG = logging.getLogger(__name__)

DAY = 86400.0

METRICS = DAY
"""Seconds after which a metric that has no new value is forgotten here; Gnocchi keeps it."""

ROUNDS = 200
"""Batches in one go; what is left over waits for the next."""


class Housekeeping:
    """Keeps the database as small as [database] keep_events and keep_recoveries say."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database) -> None:
        self._database = database
        self._events: float = conf.database.keep_events * DAY
        self._recoveries: float = conf.database.keep_recoveries * DAY

    def prune(self, now: float) -> dict[str, int]:
        """Returns how many rows went, by kind. Raises DatabaseAway."""
        work: dict[str, Callable[[sa.Connection], int]] = {
            'recoveries': lambda c: prune.recoveries(c, now - self._recoveries),
            'events': lambda c: prune.events(c, now - self._events),
            'notifications': lambda c: prune.notifications(c, now - self._events),
            'incidents': lambda c: prune.incidents(c, now - self._recoveries),
            'silences': lambda c: prune.silences(c, now - self._recoveries),
            'commands': lambda c: prune.commands(c, now - self._events),
            'callback_tokens': prune.callback_tokens,
            'metrics': lambda c: prune.metrics(c, now - METRICS),
        }
        done = {name: self._all(batch) for name, batch in work.items()}
        if any(done.values()):
            LOG.info('deleted: %s', ', '.join(f'{n} {name}' for name, n in done.items() if n))
        return done

    def _all(self, batch: Callable[[sa.Connection], int]) -> int:
        total = 0
        for _ in range(ROUNDS):
            deleted = self._database.run(batch)
            total += deleted
            if not deleted:
                break
        return total
