"""The server's time, as far as its replies tell, carried by the monotonic clock."""

import time


class ServerClock:
    """Unix seconds for signing.

    Before the first reply the guest's wall clock has to do. From then on a
    jump of that clock changes nothing any more.
    """

    def __init__(self) -> None:
        self._offset = None  # type: float | None

    def now(self) -> float:
        """Unix seconds, the server's if known."""
        if self._offset is None:
            return time.time()
        return time.monotonic() + self._offset

    def set(self, server_time: float) -> None:
        """Adopt the time of a reply whose signature was right."""
        self._offset = server_time - time.monotonic()
