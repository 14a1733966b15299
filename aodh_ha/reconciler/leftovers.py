"""Deletes from Gnocchi what it still has of guests and watches that are forgotten here."""

import logging
from typing import Protocol

from oslo_config import cfg

from aodh_ha.db import Database, leftovers
from aodh_ha.exceptions import ActionRefused
from aodh_ha.rules.heartbeat import resource_id

LOG = logging.getLogger(__name__)

GRACE = 30.0
"""Seconds, at least: samples spend some in Ceilometer's queue. Two rounds of the reconciler, at
least, too: until then Aodh's alarm of a server that was replaced watches the old resource."""

BATCH = 100


class Measures(Protocol):
    """What is asked of clients.gnocchi.Gnocchi."""

    def forget(self, resource_id: str) -> None:
        """Delete a resource. Raises CloudAway, ActionRefused."""


class Leftovers:
    """The duty."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, gnocchi: Measures) -> None:
        self._database = database
        self._gnocchi = gnocchi
        self._grace = max(GRACE, 2 * conf.worker.reconcile_interval)

    def clear(self, now: float) -> int:
        """Returns how many resources were deleted. Raises CloudAway, DatabaseAway."""
        found = self._database.run(lambda c: leftovers.due(c, now, self._grace, BATCH))
        return sum(self._clear(owner_id, now) for owner_id in found)

    def _clear(self, owner_id: str, now: float) -> bool:
        try:
            self._gnocchi.forget(resource_id(owner_id))
        except ActionRefused as e:
            LOG.warning('what Gnocchi has of %s stays for now: %s', owner_id, e.detail)
            self._database.run(lambda c: leftovers.later(c, owner_id, now))
            return False
        self._database.run(lambda c: leftovers.gone(c, owner_id))
        return True
