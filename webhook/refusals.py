"""Counts refused heartbeats: in memory, and every few seconds into the database."""

import logging
import threading
import time
from collections.abc import Callable

from aodh_ha.db import Database, refusals
from aodh_ha.db.refusals import NOBODY, Refusal
from aodh_ha.exceptions import AodhHAError
from webhook.periodic import Periodic

LOG = logging.getLogger(__name__)

FLUSH = 5.0
"""Seconds between two writes; what was counted since the last one may die with us."""

MAX_PENDING = 10_000
"""Guests and reasons that are counted apart between two writes. Whoever sends heartbeats of
made-up guests could fill our memory else."""

CHUNK = 200
"""Of them in one transaction."""


class Refusals:
    """Counters of this process, which one thread adds to those of the database."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, str], Refusal] = {}
        self._periodic = Periodic('counting refused heartbeats', FLUSH, self.flush)

    def start(self) -> None:
        """Write every FLUSH seconds."""
        self._periodic.start()

    def close(self) -> None:
        """Write what waits and stop."""
        self._periodic.close()
        self.flush()

    def count(self, server_id: str, reason: str, address: str | None) -> None:
        """Count a heartbeat that was refused; ``server_id`` is whose it claims to be."""
        now = self._clock()
        with self._lock:
            if len(self._pending) >= MAX_PENDING and (server_id, reason) not in self._pending:
                server_id = NOBODY
            key = (server_id, reason)
            old = self._pending.get(key)
            self._pending[key] = Refusal(
                server_id=server_id,
                reason=reason,
                count=old.count + 1 if old else 1,
                first_at=old.first_at if old else now,
                last_at=now,
                address=(address or '')[:64],
            )

    def flush(self) -> None:
        """Write what was counted; what the database does not take is dropped."""
        with self._lock:
            found, self._pending = list(self._pending.values()), {}
        found.sort(key=lambda r: (r.server_id, r.reason))
        for start in range(0, len(found), CHUNK):
            chunk = found[start : start + CHUNK]
            try:
                self._database.run(lambda c, part=chunk: refusals.add(c, part, self._clock()))  # type: ignore[misc]
            except AodhHAError as e:
                lost = sum(r.count for r in found[start:])
                LOG.warning('%d refused heartbeats are not counted: %s', lost, e.detail)
                return
