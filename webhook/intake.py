"""Accepted heartbeats on their way into the database, and the gateway's own sign of life."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import Database, gateways, guests, metrics
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import AodhHAError, DatabaseAway
from webhook.periodic import Periodic

LOG = logging.getLogger(__name__)

FLUSH = 0.5
"""Seconds between two writes: a plain beat waits at most this long, and may die with us,
which is one beat missed."""
MAX_PENDING = 100_000
"""Guests with a beat that waits; beyond it beats are refused."""
TICK = 0.25
"""Seconds for which our own sign of life is new enough. Reports that are committed at once
write in between, and each of them would otherwise write that too."""
TELL = 60.0
"""Seconds between two lines in the log about guests with too many metrics."""
CHUNK = 500
"""Beats written in one transaction: those of a whole fleet in one would make us look deaf
meanwhile, since each flush also records that we listen."""


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
        self._ticker = gateways.Ticker(name)
        self._clock = clock
        self._reachable = reachable
        self._lock = threading.Lock()
        self._pending: dict[str, Beat] = {}
        self._writing: dict[str, Beat] = {}
        self._writer = threading.Lock()
        self._broken: str | None = None
        self._dropped: dict[str, int] = {}
        self._ticked_at: float | None = None
        self._told_at: float | None = None
        self._periodic = Periodic('intake', FLUSH, self.flush)

    def start(self) -> None:
        """Write once now, then every FLUSH seconds."""
        self.flush()
        self._periodic.start()

    def close(self) -> None:
        """Write what waits and stop; from here on silence is ours, not the guests'."""
        self._periodic.close()
        self.flush()
        with contextlib.suppress(AodhHAError):
            self._ticker.end(self._database)

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
            self._pending[beat.server_id] = _joined(waiting, beat)
            return True

    def write_now(self, beat: Beat) -> bool:
        """Commit a beat that reports something before it is answered; else as add()."""
        if not self.add(beat):
            return False
        failure = self.flush()
        with self._lock:
            dropped = self._dropped.get(beat.server_id, 0) >= beat.sequence
        if failure or dropped:
            raise DatabaseAway(failure or 'the database does not take this heartbeat')
        return True

    def flush(self) -> str | None:
        """Write what waits, and that we listen; on failure keep it, and return why."""
        # One writer at a time: who returns from here knows that all beats taken before are
        # written, also those that another thread had begun to write.
        with self._writer:
            with self._lock:
                self._writing, self._pending = self._pending, {}
            batch = list(self._writing.values())
            failure = self._write(batch)
            with self._lock:
                for beat in batch:
                    if failure and beat.server_id in self._writing:
                        self._keep(beat)
                self._writing = {}
            if bool(failure) != bool(self._broken):
                LOG.warning('heartbeats are %s', failure or 'written again')
            self._broken = failure
        return failure

    def _keep(self, beat: Beat) -> None:
        newer = self._pending.get(beat.server_id)
        self._pending[beat.server_id] = _joined(beat, newer) if newer else beat

    def _write(self, batch: list[Beat]) -> str | None:
        """Write the beats, and before each chunk that we listen; why that failed."""
        for start in range(0, max(len(batch), 1), CHUNK):
            failure = self._tick() or self._write_chunk(batch[start : start + CHUNK])
            if failure:
                return failure
        return None

    def _tick(self) -> str | None:
        if not self._reachable():
            return None
        began = time.monotonic()
        if self._ticked_at is not None and began - self._ticked_at < TICK:
            return None
        try:
            self._ticker.tick(self._database, self._clock())
        except AodhHAError as e:
            return f'refused, they cannot be kept: {e.detail}'
        except Exception:
            LOG.exception('recording that we listen failed')
            return 'refused: an error of this service'
        self._ticked_at = began
        return None

    def _write_chunk(self, chunk: list[Beat]) -> str | None:
        """Write these; what is written, or dropped, is no longer in `_writing`."""
        if not chunk:
            return None
        try:
            left_out = self._database.run(lambda c: _record(c, chunk, self._clock()))
        except AodhHAError as e:
            return f'refused, they cannot be kept: {e.detail}'
        except Exception:
            LOG.exception('writing %d heartbeats failed', len(chunk))
            return self._sort_out(chunk)
        with self._lock:
            for beat in chunk:
                self._writing.pop(beat.server_id, None)
        if left_out:
            self._tell(left_out)
        return None

    def _tell(self, left_out: dict[str, int]) -> None:
        """Who has too many metrics, once a minute: they come with every report."""
        now = time.monotonic()
        if self._told_at is None or now - self._told_at >= TELL:
            self._told_at = now
            for server_id, count in sorted(left_out.items())[:10]:
                LOG.warning(
                    '%d values of metrics of %s are left out: it has %d others already',
                    *(count, server_id, metrics.MOST),
                )

    def _sort_out(self, chunk: list[Beat]) -> str | None:
        """After an error of ours: write what can be written, and drop what cannot.

        Kept, one beat that no database takes would silence every guest for good.
        """
        if len(chunk) == 1:
            (beat,) = chunk
            LOG.error('the heartbeat of %s is dropped', beat.server_id)
            with self._lock:
                self._writing.pop(beat.server_id, None)
                self._dropped[beat.server_id] = beat.sequence
            return None
        for beat in chunk:
            failure = self._write_chunk([beat])
            if failure:
                return failure
        return None


def _joined(older: Beat | None, newer: Beat) -> Beat:
    """The newer beat, that counts for both, with what only the older one measured."""
    if older is None:
        return newer
    newer = replace(newer, count=newer.count + older.count)
    if not older.report.metrics:
        return newer
    passed = max(0.0, newer.received_at - older.received_at)
    known = {m.name for m in newer.report.metrics}
    more = [replace(m, age=m.age + passed) for m in older.report.metrics if m.name not in known]
    kept = (*newer.report.metrics, *more[: metrics.MOST])
    return replace(newer, report=replace(newer.report, metrics=kept))


def _record(connection: sa.Connection, chunk: list[Beat], now: float) -> dict[str, int]:
    """Write beats and what they measured; how many values were too many, by guest."""
    guests.write_beats(connection, chunk)
    told = [(b.server_id, b.report.metrics, b.received_at) for b in chunk if b.report.metrics]
    return metrics.record_many(connection, told, now)
