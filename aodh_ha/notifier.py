"""Delivers notifications: each at least once, tried again for as long as the operator says."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from oslo_config import cfg

from aodh_ha.db import Database, notifications
from aodh_ha.db.notifications import Notification
from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.hooks import Hooks

LOG = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two looks into the outbox."""

LONGEST = 300.0
"""Seconds between two tries; the first pause is 1 s, each further one twice as long."""

AT_ONCE = 8
"""Deliveries side by side, so that one slow hook does not hold up the others' news."""


class Notifier:
    """Brings what is in the outbox to the hooks; every notification is logged as well."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        hooks: Hooks,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._default: str = conf.notifications.hook
        self._give_up_after: float = conf.notifications.give_up_after
        self._clock = clock

    def deliver(self, now: float) -> int:
        """Try everything that is due; returns how many came through. Raises DatabaseAway."""
        with self._database.read() as connection:
            due = notifications.due(connection, now, self._give_up_after, limit=4 * AT_ONCE)
        if not due:
            return 0
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix='notify') as pool:
            return sum(pool.map(self._deliver, due))

    def _deliver(self, notification: Notification) -> bool:
        if notification.tries == 0:
            LOG.warning('%s: %s', notification.kind, notification.message)
        failure = self._bring(notification)
        now = self._clock()
        if not failure:
            self._database.run(lambda c: notifications.delivered(c, notification.id, now))
            return True
        pause = min(2.0**notification.tries, LONGEST)
        self._database.run(lambda c: notifications.failed(c, notification.id, now + pause))
        if now + pause >= notification.at + self._give_up_after:
            LOG.error('notification %s could not be delivered: %s', notification.id, failure)
        return False

    def _bring(self, notification: Notification) -> str:
        """Why it did not come through; empty when it did, or when the log is all there is."""
        names = [n for n in (notification.hook, self._default) if n]
        failure = ''
        for name in dict.fromkeys(names):
            try:
                result = self._hooks.run(name, facts(notification))
            except ActionRefused as e:
                # A policy may name a hook that was since taken out of the configuration.
                LOG.error('notification %s: %s', notification.id, e.detail)
                continue
            if result.ok:
                return ''
            failure = f'{name}: {result.output}'
            break
        return failure


def facts(notification: Notification) -> dict[str, str]:
    """What a hook is told."""
    at = datetime.fromtimestamp(notification.at, UTC)
    found = {
        'id': notification.id,
        'kind': notification.kind,
        'message': notification.message,
        'at': at.strftime('%Y-%m-%dT%H:%M:%SZ'),
        'project_id': notification.project_id,
        'server_id': notification.server_id,
        'recovery_id': notification.recovery_id,
    }
    return {name: value for name, value in found.items() if value is not None}
