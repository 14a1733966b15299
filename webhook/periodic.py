"""What a gateway does every so many seconds, in a thread of its own."""

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)


class Periodic:
    """Calls ``work`` every ``interval`` seconds; its errors are logged, and it goes on."""

    def __init__(self, name: str, interval: float, work: Callable[[], object]) -> None:
        self._name = name
        self._interval = interval
        self._work = work
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Call it from now on; the first time after one interval."""
        self._thread.start()

    def close(self, wait: float = 5.0) -> None:
        """Call it no more; wait so many seconds for a call that is under way."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=wait)

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            try:
                self._work()
            except Exception:
                LOG.exception('%s failed', self._name)
