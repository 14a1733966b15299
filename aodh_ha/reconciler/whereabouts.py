"""Where guests are: host, zone and stack, and what their servers' metadata ask for."""

import logging
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from oslo_config import cfg

from aodh_ha.db import Database, alarms, audit, guests, notifications, queue
from aodh_ha.exceptions import AodhHAError, CloudAway, NotFound
from aodh_ha.reconciler.carriers import Aodh
from aodh_ha.recovery import evidence
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import enrolment
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.guest import ENROLLED, Guest

LOG = logging.getLogger(__name__)

BATCH = 50

PATIENCE = 3
"""Guests that the cloud does not answer about, after which the others wait for the next look."""

FEW, SHARE = 5, 0.3
"""So many guests, or this share of all, may lose their servers at once and be forgotten without
Nova's remembering that they were deleted. More look like a Nova that is not the one they were
enrolled with."""


class Whereabouts:
    """Looks at every guest's server once a round, some at a time."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        aodh: Aodh,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._aodh = aodh
        self._every: float = conf.worker.reconcile_interval
        self._forget_after: float = conf.worker.forget_after
        self._clock = clock
        self._gone: dict[str, float] = {}
        """Servers that Nova does not know, and since when. Not kept over a restart: the grace
        begins anew then."""
        self._deleted: set[str] = set()
        """Of these, those that Nova remembers: no other Nova would."""
        self._told = False

    def look(self, now: float) -> None:
        """Look at those whose turn it is. Raises DatabaseAway."""
        with self._database.read() as connection:
            due = guests.to_locate(connection, now - self._every, BATCH)
        failures = 0
        for guest in due:
            try:
                self._look_at(guest)
            except CloudAway as e:
                LOG.warning('where guest %s is: %s', guest.server_id, e.detail)
                self._record(guest)
                failures += 1
                if failures == PATIENCE:
                    break
        if self._gone:
            self._forget()

    def _look_at(self, guest: Guest) -> None:
        """Raises CloudAway."""
        try:
            server = self._cloud.server(guest.server_id)
        except NotFound:
            if guest.server_id not in self._gone:
                if self._cloud.deleted(guest.server_id):
                    self._deleted.add(guest.server_id)
                self._gone[guest.server_id] = self._clock()
            self._record(guest)
            return
        self._gone.pop(guest.server_id, None)
        if server.project_id != guest.project_id:
            # Not its owner's word any more; the guard of the intent leaves it alone.
            self._record(guest)
            return
        self._record(guest, **_of_server(server), **self._stack(server))

    def _stack(self, server: Server) -> dict[str, str]:
        """The outermost stack; what was known of it stays while Heat does not answer."""
        try:
            member = self._cloud.member(server)
        except AodhHAError as e:
            LOG.info('the stack of server %s: %s', server.id, e.detail)
            return {}
        if member is None:
            return {'stack_id': '', 'stack_name': ''}
        return {'stack_id': member.root_id[:64], 'stack_name': member.root_name[:255]}

    def _record(self, guest: Guest, **values: Any) -> None:
        now = self._clock()
        self._database.run(lambda c: guests.located(c, guest.server_id, now, **values))

    def _forget(self) -> None:
        """Forget the guests whose servers are gone for long enough."""
        now = self._clock()
        with self._database.read() as connection:
            known = guests.count(connection, status=ENROLLED)
            still = guests.names(connection, set(self._gone))
        self._gone = {i: since for i, since in self._gone.items() if i in still}
        self._deleted &= self._gone.keys()
        vanished = len(self._gone) - len(self._deleted)
        doubtful = vanished > max(FEW, SHARE * known)
        if doubtful:
            self._doubt(vanished, known, now)
        self._told = doubtful
        for server_id, since in list(self._gone.items()):
            if now - since < self._forget_after or (doubtful and server_id not in self._deleted):
                continue
            carriers = self._database.run(lambda c, i=server_id: forget(c, i, now))  # type: ignore[misc]
            if carriers is None:
                continue
            del self._gone[server_id]
            for aodh_alarm_id in carriers:
                self._delete(aodh_alarm_id)

    def _doubt(self, vanished: int, known: int, now: float) -> None:
        if self._told:
            return
        message = (
            f'Nova does not know {vanished} of the servers of {known} guests. None of them '
            'is forgotten: see whether [nova] and [service_credentials] name the right cloud; '
            'where the servers were deleted, use "aodh-ha guest forget"'
        )
        self._database.run(lambda c: notifications.add(c, now, 'servers', message))

    def _delete(self, aodh_alarm_id: str) -> None:
        try:
            self._aodh.delete(aodh_alarm_id)
        except NotFound:
            pass
        except AodhHAError as e:
            LOG.warning('the Aodh alarm %s is left over: %s', aodh_alarm_id, e.detail)


def _of_server(server: Server) -> dict[str, Any]:
    return {
        'name': server.name[:255],
        'host': (server.host or '')[:255],
        'zone': server.zone[:255],
        'metadata_policy': enrolment.policy_of(server.metadata),
        'opted_out': evidence.opted_out(server),
    }


def forget(connection: sa.Connection, server_id: str, now: float) -> list[str] | None:
    """Forget a guest whose server is gone; returns the Aodh alarms that it had.

    None, and nothing is done, while a recovery is at work: a step may be replacing the server.
    """
    try:
        guest = guests.get(connection, server_id)
    except NotFound:
        return []
    if queue.find(connection, server_id=server_id, active=True, limit=1):
        return None
    carriers = [
        a.aodh_alarm_id for a in alarms.find(connection, server_id=server_id) if a.aodh_alarm_id
    ]
    alarms.delete_of_guest(connection, server_id)
    guests.forget(connection, server_id)
    audit.record(
        connection,
        now,
        'forgotten',
        'Nova has no such server any more',
        project_id=guest.project_id,
        server_id=server_id,
    )
    LOG.warning('guest %s (%s) is forgotten: its server is gone', server_id, guest.name)
    return carriers
