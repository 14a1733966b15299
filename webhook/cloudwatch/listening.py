"""The bridge's own sign of life: its guests' silence counts only while it could hear them."""

import contextlib
import logging
from collections.abc import Callable

from aodh_ha.db import Database, gateways
from aodh_ha.exceptions import AodhHAError
from webhook.periodic import Periodic

LOG = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two ticks."""


class Listening:
    """Ticks while ``well`` says so, in a thread of its own.

    Guests with an agent need no Keystone; those with cfn-push-stats are refused while it is
    away. Without this their silence, which is ours, would be recovered.
    """

    def __init__(
        self, database: Database, name: str, clock: Callable[[], float], well: Callable[[], bool]
    ) -> None:
        self._database = database
        self._ticker = gateways.Ticker(name)
        self._clock = clock
        self._well = well
        self._was_well: bool | None = None
        self._periodic = Periodic(
            'recording that the CloudWatch bridge listens', INTERVAL, self.look
        )

    def start(self) -> None:
        """Tick once now, then every INTERVAL seconds."""
        self.look()
        self._periodic.start()

    def close(self) -> None:
        """Tick no more; from here on silence is ours, not the guests'."""
        self._periodic.close()
        with contextlib.suppress(AodhHAError):
            self._ticker.end(self._database)

    def look(self) -> None:
        """Tick, if the guests can be heard."""
        well = self._well()
        # At first nobody has asked at our door yet.
        if self._was_well is not None and well != self._was_well:
            LOG.warning(
                'the CloudWatch bridge listens again'
                if well
                else 'the CloudWatch bridge cannot hear its guests: none of them is recovered'
            )
        self._was_well = well
        if not well:
            return
        try:
            self._ticker.tick(self._database, self._clock())
        except AodhHAError as e:
            LOG.warning('that the CloudWatch bridge listens is not recorded: %s', e.detail)
