"""A clock that is set by hand."""

START = 1_800_000_000.0
"""Where a new clock stands: seconds since the epoch, in January 2027."""


class Clock:
    """The time, in seconds since the epoch; call it to read it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time that was set."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, or with a negative number set the clock back; returns the new time."""
        self.now += seconds
        return self.now
