"""What a resource has to do, in steps that Heat asks for again until they are done."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aodh_ha.exceptions import AodhHAError

Step = Callable[[], bool | None]
"""False: not done yet, ask again. After an error it is begun again, and does nothing twice."""


class StillAway(AodhHAError):
    """A service that is needed does not answer"""


@dataclass
class Work:
    """Steps in their order. While a service is away its step is tried again, but not for ever."""

    steps: list[Step]
    is_away: Callable[[Exception], bool]
    patience: float
    """Seconds of trying before a service that is away makes it fail."""
    clock: Callable[[], float] = time.monotonic
    _away_since: float | None = field(default=None, init=False)

    def advance(self) -> bool:
        """Do what can be done now; returns whether all is done. Raises what a step raises, and
        StillAway with the reason when the patience is at its end."""
        while self.steps:
            try:
                done = self.steps[0]()
            except Exception as e:
                if not self.is_away(e):
                    raise
                self._wait(e)
                return False
            self._away_since = None
            if done is False:
                return False
            self.steps.pop(0)
        return True

    def _wait(self, error: Exception) -> None:
        now = self.clock()
        if self._away_since is None:
            self._away_since = now
        if now - self._away_since >= self.patience:
            raise StillAway(f'tried for {self.patience:g} s: {error}') from error
