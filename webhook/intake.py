"""Accepted heartbeats on their way into the database, and the gateway's own sign of life."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import Database, gateways, guests
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import AodhHAError, DatabaseAway

LOG = logging.getLogger(__name__)

FLUSH = 0.5
"""Seconds between two writes: a plain beat waits at most this long, and may die with us,
which is one beat missed."""
MAX_PENDING = 100_000
"""Guests with a beat that waits; beyond it beats are refused."""


class Intake:
    """A bounded batch of beats, written by one thread.

    A beat is only accepted while the last write succeeded: what cannot be kept is refused.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        clock: Callable[[], float] = time.time,
        reachable: Callable[[], bool] = lambda: True,
    ) -> None:
        self._database = database
        self._name = name
        self._clock = clock
        self._reachable = reachable
        self._lock = threading.Lock()
        self._pending: dict[str, Beat] = {}
        self._writing: dict[str, Beat] = {}
        self._writer = threading.Lock()
        self._stop = threading.Event()
        self._broken: str | None = None
        self._last_tick: float | None = None
        self._thread = threading.Thread(target=self._run, name='intake', daemon=True)

    def start(self) -> None:
        """Write once now, then every FLUSH seconds."""
        self.flush()
        self._thread.start()

    def close(self) -> None:
        """Write what waits and stop."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self.flush()

    @property
    def broken(self) -> str | None:
        """Why beats cannot be kept now."""
        return self._broken

    def last_sequence(self, server_id: str) -> int:
        """The newest sequence that waits to be written; 0 if none."""
        with self._lock:
            beat = self._pending.get(server_id) or self._writing.get(server_id)
            return beat.sequence if beat else 0

    def add(self, beat: Beat) -> bool:
        """Take a beat; False if its sequence is not newer than one that waits.

        Raises DatabaseAway while beats cannot be kept.
        """
        if self._broken:
            raise DatabaseAway(self._broken)
        with self._lock:
            waiting = self._pending.get(beat.server_id)
            if waiting and waiting.sequence >= beat.sequence:
                return False
            if not waiting and len(self._pending) >= MAX_PENDING:
                raise DatabaseAway('too many heartbeats wait to be written')
            count = beat.count + (waiting.count if waiting else 0)
            self._pending[beat.server_id] = replace(beat, count=count)
            return True

    def write_now(self, beat: Beat) -> bool:
        """Commit a beat that reports something before it is answered; else as add()."""
        if not self.add(beat):
            return False
        failure = self.flush()
        if failure:
            raise DatabaseAway(failure)
        return True

    def flush(self) -> str | None:
        """Write what waits, and that we listen; on failure keep it, and return why."""
        # One writer at a time: who returns from here knows that all beats taken before are
        # written, also those that another thread had begun to write.
        with self._writer:
            with self._lock:
                self._writing, self._pending = self._pending, {}
            failure = self._write(list(self._writing.values()))
            with self._lock:
                if failure:
                    self._pending = self._writing | self._pending
                self._writing = {}
            if bool(failure) != bool(self._broken):
                LOG.warning('heartbeats are %s', failure or 'written again')
            self._broken = failure
        return failure

    def _write(self, batch: list[Beat]) -> str | None:
        monotonic = time.monotonic()
        step = None if self._last_tick is None else monotonic - self._last_tick
        now = self._clock()
        reachable = self._reachable()

        def work(connection: sa.Connection) -> None:
            if reachable:
                gateways.tick(connection, self._name, now, step)
            guests.write_beats(connection, batch)

        try:
            self._database.run(work)
        except AodhHAError as e:
            return f'refused, they cannot be kept: {e.detail}'
        except Exception:
            LOG.exception('writing %d heartbeats failed', len(batch))
            return self._sort_out(batch)
        if reachable:
            self._last_tick = monotonic
        return None

    def _sort_out(self, batch: list[Beat]) -> str | None:
        """After an error of ours: write what can be written, and drop what cannot.

        Kept, one beat that no database takes would silence every guest for good.
        """
        if not batch:
            return 'refused: an error of this service'
        if len(batch) == 1:
            LOG.error('the heartbeat of %s is dropped', batch[0].server_id)
            return None
        for beat in batch:
            failure = self._write([beat])
            if failure:
                return failure
        return None

    def _run(self) -> None:
        while not self._stop.wait(FLUSH):
            self.flush()
