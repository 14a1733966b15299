"""The worker: claims recoveries by lease and carries them out; duties under named leases."""

import logging
import threading
import time
import uuid
from collections.abc import Callable

from oslo_config import cfg

from aodh_ha import keys, opts
from aodh_ha.db import Database, queue
from aodh_ha.duties import Duties, Duty
from aodh_ha.exceptions import AodhHAError, DatabaseAway, LeaseLost
from aodh_ha.recovery import evidence
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.recovery.engine import Engine, Pause, Settings
from aodh_ha.recovery.hooks import Hooks
from aodh_ha.rules.recovery import Recovery

LOG = logging.getLogger(__name__)

BACKOFF = 2.0
"""Seconds until the database is tried again after it did not answer."""


def engine(
    conf: cfg.ConfigOpts,
    database: Database,
    cloud: Cloud,
    *,
    call_limit: float,
    at: Callable[[str, str], object] | None = None,
) -> Engine:
    """An engine as the operator configured it; raises ConfigurationError.

    ``call_limit``: see clients.session; ``at``: see Engine, for tests of crashes only.
    """
    master_key = keys.load_master_key(conf.secrets.master_key_file, create=database.is_sqlite)
    settings = Settings(
        limits=opts.limits(conf),
        dry_run=conf.guards.dry_run,
        allowed=opts.bounds(conf)[0],
        storm=storm_settings(conf),
        call_limit=call_limit,
        master_key=master_key,
        service_user=conf.credentials.service_user,
        gateways=tuple(opts.gateways(conf)),
    )
    return Engine(
        database,
        cloud,
        hooks=Hooks(conf),
        settings=settings,
        at=at or (lambda boundary, recovery_id: None),
    )


def storm_settings(conf: cfg.ConfigOpts) -> evidence.Settings:
    """When silent guests are a storm."""
    group = conf.guards
    return evidence.Settings(group.storm_share / 100, group.storm_window, group.storm_minimum)


class Worker:
    """One worker process: a claiming loop, a thread a recovery, a thread a duty."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        duties: list[Duty] | None = None,
        clock: Callable[[], float] = time.time,
        *,
        engine: Engine | None = None,
    ) -> None:
        """``engine``: one that knows the operator's budget, hooks and keys; see engine()."""
        self._database = database
        self._clock = clock
        self._lease: float = conf.worker.lease
        self._poll: float = conf.worker.poll
        # Unique to this process: after a restart the old leases have to run out, so that a
        # request still in Nova's socket is seen in its log before anything is repeated.
        self._owner = f'{conf.worker.name}:{uuid.uuid4()}'
        self._engine = engine or Engine(database, cloud, clock)
        self._slots = threading.Semaphore(conf.worker.concurrency)
        self._stop = threading.Event()
        self._threads: set[threading.Thread] = set()
        self._duties = Duties(
            database,
            duties or [],
            owner=self._owner,
            lease=self._lease,
            stop=self._stop,
            clock=clock,
        )

    def stop(self) -> None:
        """Finish the decision in hand, give every recovery back, and return from run()."""
        self._stop.set()

    def run(self) -> None:
        """Work until stop(); a database that is away is waited for."""
        for name, loop in self._duties.loops():
            self._spawn(loop, name)
        LOG.info('worker %s started', self._owner)
        while not self._stop.is_set():
            try:
                found = self._claim()
            except AodhHAError as e:
                LOG.warning('waiting for the database: %s', e.detail)
                self._stop.wait(BACKOFF)
                continue
            if not found:
                self._stop.wait(self._poll)
        for thread in list(self._threads):
            thread.join(timeout=self._lease)
        LOG.info('worker %s stopped', self._owner)

    def _claim(self) -> bool:
        """Claim one recovery and start on it; False when there was none or no free slot."""
        if not self._slots.acquire(blocking=False):
            return False
        recovery = None
        try:
            recovery = self._database.run(
                lambda c: queue.claim(c, self._owner, self._clock(), self._lease)
            )
        finally:
            if recovery is None:
                self._slots.release()
        if recovery is None:
            return False
        claimed = recovery
        self._spawn(lambda: self._hold(claimed), f'recovery-{claimed.id[:8]}')
        return True

    def _hold(self, recovery: Recovery) -> None:
        """Advance a recovery while holding its lease, until it ends or has to wait."""
        done = threading.Event()
        lost = threading.Event()
        renewer = threading.Thread(
            target=self._renew,
            args=(recovery, done, lost),
            daemon=True,
            name=f'lease-{recovery.id[:8]}',
        )
        renewer.start()
        try:
            pause: Pause | None = Pause(0, True, '')
            while pause and pause.hold and not self._stop.is_set() and not lost.is_set():
                pause = self._engine.advance(recovery)
                if pause and pause.hold:
                    self._stop.wait(pause.seconds)
            if pause and not lost.is_set():
                self._release(recovery, pause)
        except LeaseLost as e:
            LOG.warning('%s', e.detail)
        except DatabaseAway as e:
            LOG.warning('recovery %s is left until the database is back: %s', recovery.id, e.detail)
        except Exception:
            # Its lease runs out and a worker tries again: a bug must not lose a recovery.
            LOG.exception('recovery %s failed', recovery.id)
        finally:
            done.set()
            self._slots.release()

    def _release(self, recovery: Recovery, pause: Pause) -> None:
        now = self._clock()
        not_before = now if pause.hold else now + pause.seconds
        reason = pause.reason or recovery.reason
        self._database.run(lambda c: queue.release(c, recovery, now, not_before, reason))

    def _renew(self, recovery: Recovery, done: threading.Event, lost: threading.Event) -> None:
        while not done.wait(self._lease / 3):
            try:
                self._database.run(lambda c: queue.renew(c, recovery, self._clock(), self._lease))
            except LeaseLost:
                lost.set()
                return
            except DatabaseAway as e:
                LOG.warning('the lease of %s was not renewed: %s', recovery.id, e.detail)

    def _spawn(self, work: Callable[[], None], name: str) -> None:
        def run() -> None:
            try:
                work()
            finally:
                self._threads.discard(threading.current_thread())

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.add(thread)
        thread.start()
