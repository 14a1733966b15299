"""How many heartbeats a guest may send: one that floods us costs the others nothing."""

import threading
import time
from collections.abc import Callable

BURST = 4.0
"""Seconds' worth that may come at once: what waited in a network, or an agent that starts."""
MOST = 10_000
"""Guests after which those are forgotten that have sent nothing for a while."""


class Pace:
    """A leaky bucket for each guest, in this process."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """``rate`` a second in the long run, 0: any."""
        self._rate = rate
        self._burst = rate * BURST
        self._clock = clock
        self._lock = threading.Lock()
        self._levels: dict[str, tuple[float, float]] = {}

    def allows(self, guest: str) -> bool:
        """Count a heartbeat; False for one too many, which is not counted."""
        if not self._rate:
            return True
        now = self._clock()
        with self._lock:
            level, at = self._levels.get(guest, (0.0, now))
            level = max(0.0, level - (now - at) * self._rate) + 1
            if level > self._burst:
                return False
            self._levels[guest] = (level, now)
            if len(self._levels) > MOST:
                self._forget(now)
            return True

    def _forget(self, now: float) -> None:
        empty = self._burst / self._rate
        self._levels = {g: (v, at) for g, (v, at) in self._levels.items() if now - at < empty}
