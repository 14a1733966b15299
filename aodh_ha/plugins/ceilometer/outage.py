"""An outage is said once when it begins and once when it ends, not at every poll."""

import logging


class Outage:
    """Counts what is lost while something is away."""

    def __init__(self, logger: logging.Logger, what: str) -> None:
        self._logger = logger
        self._what = what
        self._lost = 0

    def lost(self, count: int, reason: object) -> None:
        """Another ``count`` could not be dealt with."""
        if not self._lost:
            self._logger.error(
                "aodh-ha's database is away (%s): %s are lost until it is back", reason, self._what
            )
        self._lost += count

    def over(self) -> None:
        """It worked again."""
        if self._lost:
            self._logger.warning(
                "aodh-ha's database is back; %s lost in the meantime: %d", self._what, self._lost
            )
            self._lost = 0
