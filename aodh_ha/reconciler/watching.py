"""Alarms for guests that nobody enrolled by hand: nobody else would create them."""

import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa

from aodh_ha.callbacks import ALARM, CallbackURLs
from aodh_ha.db import Database, alarms, audit, guests
from aodh_ha.exceptions import ActionRefused, BadSignature, Gone, NotFound, OutcomeUnknown
from aodh_ha.rules import alarm as rules
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import Guest

LOG = logging.getLogger(__name__)

BATCH = 50

LATER = 60.0
"""Seconds until an alarm is tried again that Aodh refused, or did not answer about."""


class Aodh(Protocol):
    """What is asked of clients.aodh.Aodh."""

    def create(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Create an alarm. Raises CloudAway, ActionRefused or OutcomeUnknown."""

    def list_all(self) -> list[dict[str, Any]]:
        """Every project's alarms of our type. Raises CloudAway."""

    def delete(self, alarm_id: str) -> None:
        """Delete an alarm. Raises CloudAway, NotFound, ActionRefused or OutcomeUnknown."""


class Watching:
    """Creates what `aodh-ha alarm create` would, in the guest's own project."""

    def __init__(
        self, database: Database, aodh: Aodh, urls: CallbackURLs, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._aodh = aodh
        self._urls = urls
        self._clock = clock
        self._later: dict[str, float] = {}
        self._carriers: dict[str, str] | None = None
        """Ids of Aodh's alarms by the alarm of ours that they call for, once a look needs them."""

    def look(self, now: float) -> None:
        """Raises CloudAway while Aodh does not answer, DatabaseAway."""
        self._later = {k: at for k, at in self._later.items() if at > now}
        self._carriers = None
        with self._database.read() as connection:
            # Those that wait must not keep others out of the batch.
            found = guests.unwatched(connection, BATCH + len(self._later))
        for guest in found:
            for trigger in guest.to_watch.split(','):
                known = trigger != 'service' or guest.services
                if known and f'{guest.server_id} {trigger}' not in self._later:
                    self._watch(guest, trigger)

    def _watch(self, guest: Guest, trigger: str) -> None:
        try:
            alarm, new = self._database.run(lambda c: _ours(c, guest, trigger, self._clock()))
        except NotFound:
            return  # it was forgotten meanwhile
        if alarm.aodh_alarm_id:
            self._database.run(lambda c: guests.watched(c, guest, trigger))
            return
        try:
            # One that is not new may have come about, and its answer been lost.
            carrier = None if new else self._carrier(alarm)
            if carrier is None:
                definition = self._urls.definition(guest, alarm)
                made = self._aodh.create(definition | {'project_id': guest.project_id})
                carrier = made['alarm_id']
        except (ActionRefused, OutcomeUnknown) as e:
            self._later[f'{guest.server_id} {trigger}'] = self._clock() + LATER
            LOG.warning('no %s alarm for guest %s yet: %s', trigger, guest.server_id, e.detail)
            reason = f'no {trigger} alarm yet: {e.detail}'[:255]
            self._database.run(lambda c: self._note(c, alarm, reason))
            return
        if not self._database.run(lambda c: self._linked(c, guest, alarm, carrier)):
            LOG.info('guest %s was forgotten meanwhile', guest.server_id)
            try:
                self._aodh.delete(carrier)
            except (NotFound, ActionRefused) as e:
                LOG.warning('the Aodh alarm %s is left over: %s', carrier, e.detail)

    def _carrier(self, alarm: Alarm) -> str | None:
        """The Aodh alarm that calls for ours."""
        if self._carriers is None:
            self._carriers = {}
            for found in self._aodh.list_all():
                for url in found.get('alarm_actions') or []:
                    with contextlib.suppress(BadSignature, Gone):
                        named = self._urls.read(ALARM, url.rpartition('/')[2])
                        self._carriers[named] = str(found['alarm_id'])
        return self._carriers.get(alarm.id)

    def _note(self, connection: sa.Connection, alarm: Alarm, reason: str) -> None:
        if alarms.set_problem(connection, alarm.id, reason):
            self._record(connection, alarm, 'alarm_broken', reason)

    def _linked(self, connection: sa.Connection, guest: Guest, alarm: Alarm, carrier: str) -> bool:
        try:
            alarms.get(connection, alarm.id)
        except NotFound:
            return False
        alarms.link(connection, alarm.id, carrier)
        alarms.set_problem(connection, alarm.id, '')
        guests.watched(connection, guest, alarm.trigger)
        message = f'{alarm.trigger}: alarm created, from {alarm.threshold} on'
        self._record(connection, alarm, 'alarm_created', message)
        return True

    def _record(self, connection: sa.Connection, alarm: Alarm, kind: str, message: str) -> None:
        audit.record(
            connection,
            self._clock(),
            kind,
            message,
            project_id=alarm.project_id,
            server_id=alarm.server_id,
            data={'alarm_id': alarm.id},
        )


def _ours(connection: sa.Connection, guest: Guest, trigger: str, now: float) -> tuple[Alarm, bool]:
    """The guest's alarm for this trigger, and whether it is new. Raises NotFound."""
    guests.get(connection, guest.server_id)
    known = [a for a in alarms.find(connection, server_id=guest.server_id) if a.trigger == trigger]
    if known:
        return max(known, key=lambda a: bool(a.aodh_alarm_id)), False
    alarm = rules.new(guest, trigger, rules.default_threshold(guest, trigger), now)
    alarms.add(connection, alarm)
    return alarm, True
