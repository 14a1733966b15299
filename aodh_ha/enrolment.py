"""Enrolment: whose server is it that asks to be a guest? Only Nova knows."""

import functools
import logging
import time
from collections.abc import Callable

from aodh_ha.db import Database, guests
from aodh_ha.exceptions import CloudAway, NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.guest import PENDING, Guest

LOG = logging.getLogger(__name__)

INTERVAL = 0.5
"""Seconds between two looks for guests that wait."""

BATCH = 50

BACKOFF = 5.0
"""Seconds until Nova is asked again about a guest that it did not answer about; doubled up to
LONGEST. One such guest must not keep the others waiting."""

LONGEST = 30.0

PATIENCE = 3
"""Guests that Nova does not answer about, after which the others wait for the next look: each
may take as long as a request's time limit."""


class Enrolment:
    """Confirms pending guests, or refuses them."""

    def __init__(
        self, database: Database, cloud: Cloud, clock: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._later: dict[str, tuple[float, float]] = {}
        """By server: when to ask again, and the pause after that."""

    def confirm(self, now: float) -> None:
        """Ask Nova whose server each pending guest is. Raises DatabaseAway."""
        waiting = self._pending()
        ids = {g.server_id for g in waiting}
        self._later = {k: v for k, v in self._later.items() if k in ids}
        failures = 0
        for guest in waiting:
            if self._later.get(guest.server_id, (0.0, 0.0))[0] > now:
                continue
            try:
                name, refusal = self._look_up(guest)
            except CloudAway as e:
                pause = self._later.get(guest.server_id, (0.0, BACKOFF))[1]
                self._later[guest.server_id] = (now + pause, min(2 * pause, LONGEST))
                LOG.warning('guest %s stays pending: %s', guest.server_id, e.detail)
                failures += 1
                if failures == PATIENCE:
                    return
                continue
            confirm = functools.partial(
                guests.confirm, guest=guest, now=self._clock(), name=name, refusal=refusal
            )
            self._database.run(confirm)

    def _pending(self) -> list[Guest]:
        """Every pending guest: those that Nova does not answer about fill no batch for good."""
        found: list[Guest] = []
        with self._database.read() as connection:
            while True:
                after = found[-1].server_id if found else ''
                page = guests.find(connection, status=PENDING, after=after, limit=BATCH)
                found += page
                if len(page) < BATCH:
                    return found

    def _look_up(self, guest: Guest) -> tuple[str, str]:
        """The server's name, or why the guest is refused. Raises CloudAway."""
        # One sentence for both, so that enrolling tells nobody which servers others have.
        refusal = f'project {guest.project_id} has no server {guest.server_id}'
        try:
            server = self._cloud.server(guest.server_id)
        except NotFound:
            return '', refusal
        return server.name, '' if server.project_id == guest.project_id else refusal
