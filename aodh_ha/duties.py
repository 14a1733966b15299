"""Duties: what one process at a time does every so many seconds, under a named lease."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from aodh_ha.db import Database, leases
from aodh_ha.exceptions import AodhHAError

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """Something to do at once and then every ``interval`` seconds, given the time.

    The lease only spares work: after a long pause of its holder two processes may do it at
    the same time, so it has to be harmless twice. Its errors are logged, and it goes on.
    """

    name: str
    interval: float
    work: Callable[[float], object]


class Duties:
    """The duties of one process; each has a loop, to be run in a thread of its own."""

    def __init__(
        self,
        database: Database,
        duties: Iterable[Duty],
        *,
        owner: str,
        lease: float,
        stop: threading.Event,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``owner`` holds the leases, each for ``lease`` seconds, until ``stop`` is set."""
        self._database = database
        self._duties = list(duties)
        self._owner = owner
        self._lease = lease
        self._stop = stop
        self._clock = clock
        self._held: set[str] = set()

    def loops(self) -> list[tuple[str, Callable[[], None]]]:
        """What to run in threads, each with a name for its thread; all end after ``stop``."""
        loops: list[tuple[str, Callable[[], None]]] = [
            (f'duty-{duty.name}', functools.partial(self._do, duty)) for duty in self._duties
        ]
        return [*loops, ('duty-leases', self._renew)]

    def _do(self, duty: Duty) -> None:
        try:
            while not self._stop.is_set():
                mine = self._round(duty)
                # Who has not got the lease asks more often, so as to follow a dead one soon.
                self._stop.wait(duty.interval if mine else min(duty.interval, self._lease / 3))
        finally:
            self._release(duty)

    def _round(self, duty: Duty) -> bool:
        try:
            if not self._take(duty.name):
                return False
            duty.work(self._clock())
        except AodhHAError as e:
            LOG.warning('%s: %s: %s', duty.name, e.title, e.detail)
        except Exception:
            LOG.exception('%s failed', duty.name)
        return duty.name in self._held

    def _take(self, name: str) -> bool:
        mine = self._database.run(
            lambda c: leases.take(c, name, self._owner, self._clock(), self._lease)
        )
        if mine:
            self._held.add(name)
        elif name in self._held:
            self._held.discard(name)
            LOG.warning('%s: another worker has taken it over', name)
        return mine

    def _renew(self) -> None:
        """Keep the leases, also while the work takes long and between two rounds of it."""
        while not self._stop.wait(self._lease / 3):
            for name in list(self._held):
                try:
                    self._take(name)
                except AodhHAError as e:
                    LOG.warning('the lease of %s was not renewed: %s', name, e.detail)

    def _release(self, duty: Duty) -> None:
        if duty.name not in self._held:
            return
        self._held.discard(duty.name)
        try:
            self._database.run(lambda c: leases.release(c, duty.name, self._owner))
        except AodhHAError as e:
            LOG.warning('the lease of %s was not given back: %s', duty.name, e.detail)
