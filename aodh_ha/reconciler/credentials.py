"""Asks Keystone whether what projects handed over is good, before a recovery needs it."""

import logging
from collections.abc import Callable
from functools import partial

from oslo_config import cfg

from aodh_ha.db import Database, credentials
from aodh_ha.exceptions import ActionRefused, CloudAway, NotNow
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.rights import PENDING, Credential

LOG = logging.getLogger(__name__)

CHECK = 1.0
"""Seconds between two looks for credentials that were just handed over."""

BACKOFF = 30.0
"""Seconds until Keystone is asked again after it did not answer."""


class Credentials:
    """New ones at once, the others from time to time: one that was revoked is told of early."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        master_key: bytes,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._clock = clock
        self._again: float = conf.credentials.check_interval
        self._master_key = master_key
        self._away_until = 0.0

    def check(self, now: float) -> None:
        """Check those that are due. Raises DatabaseAway."""
        if now < self._away_until:
            return
        with self._database.read() as connection:
            due = credentials.find(connection, due=now - self._again)
        # Somebody waits for the answer about a new one.
        for credential in sorted(due, key=lambda c: c.status != PENDING):
            try:
                refusal = self._ask(credential)
            except (NotNow, CloudAway) as e:
                LOG.warning('credential %s is not checked: %s', credential.id, e.detail)
                self._away_until = now + BACKOFF
                return
            note = partial(credentials.usable, credential=credential, now=self._clock())
            if refusal:
                note = partial(
                    credentials.refused, credential=credential, now=self._clock(), reason=refusal
                )
            self._database.run(note)

    def _ask(self, credential: Credential) -> str:
        """Why it is refused; empty: it is not. Raises NotNow."""
        try:
            with self._database.read() as connection:
                rights = credentials.rights(connection, credential.project_id, self._master_key)
            if rights and rights.reference == credential.reference:
                self._cloud.check_rights(rights)
        except ActionRefused as e:
            return e.detail
        return ''
