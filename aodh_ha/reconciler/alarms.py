"""Aodh's alarms against our own: what a lost callback did not open, and what will never call."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from itsdangerous import BadData, URLSafeTimedSerializer
from oslo_config import cfg

from aodh_ha.db import Database, alarms, audit, gateways, guests, notifications, policies, queue
from aodh_ha.exceptions import ActionRefused, AodhHAError, NotFound
from aodh_ha.rules import alarm as rules
from aodh_ha.rules import gateway
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import ACTIVE, LEFT_ALONE

LOG = logging.getLogger(__name__)

PAGE = 1000

Carrier = dict[str, Any]
"""An alarm as Aodh's API shows it."""

IN_FLIGHT = 20.0
"""Seconds for which Aodh's state may be newer than ours without a callback having been lost."""

UNLINKED = 600.0
"""Seconds after which an alarm of ours without one in Aodh was not just being created."""

LATE = 300.0
"""Seconds of silence, besides what the alarm waits for, after which Aodh should have noticed: it
evaluates once a minute, and samples may be a minute old."""

FEW = 3
"""Problems of one kind that are told one by one; more of them have one cause."""

GONE = 'its Aodh alarm no longer exists: create the alarm again'
NONE = 'no Aodh alarm carries it: create the alarm again'
DISABLED = 'its Aodh alarm is disabled: enable it, or delete the alarm'
ELSEWHERE = (
    'its Aodh alarm calls another URL than this service: set alarm_actions as "aodh-ha alarm '
    'create" did, or create the alarm again'
)
ASTRAY = 'its Aodh alarm watches another guest: create the alarm again'
DEAF = 'many heartbeats are missed, yet its Aodh alarm does not fire: look at Gnocchi and Aodh'


class Aodh(Protocol):
    """What is asked of clients.aodh.Aodh."""

    def list_all(self) -> list[Carrier]:
        """Every project's alarms of our type. Raises CloudAway."""

    def get(self, alarm_id: str) -> Carrier:
        """An alarm. Raises CloudAway or NotFound."""

    def watch(self, alarm_id: str, resource_id: str, description: str) -> None:
        """Let an alarm watch another resource. Raises as delete() does."""

    def delete(self, alarm_id: str) -> None:
        """Delete an alarm. Raises CloudAway, NotFound, ActionRefused or OutcomeUnknown."""


class Alarms:
    """One round looks at every alarm; what it finds is told once, not every minute."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, aodh: Aodh) -> None:
        self._database = database
        self._aodh = aodh
        self._door = f'{conf.webhook.public_url.rstrip("/")}/v1/alarms/'

    def reconcile(self, now: float) -> None:
        """Raises CloudAway while Aodh does not answer, DatabaseAway."""
        # Ours first: what is linked by now existed in Aodh before its list is taken.
        ours, those = self._ours(now)
        if not ours:
            return
        theirs = {a['alarm_id']: a for a in self._aodh.list_all()}
        carriers = self._by_url(theirs.values())
        problems: dict[str, list[Alarm]] = {}
        working: list[tuple[Alarm, Carrier]] = []
        for alarm in ours:
            with _by_itself(alarm):
                linked = theirs.get(alarm.aodh_alarm_id or '')
                carrier = linked or self._linked(alarm, carriers.get(alarm.id))
                problem = self._problem(alarm, carrier, those, now)
                if problem != alarm.problem:
                    problems.setdefault(problem, []).append(alarm)
                if carrier and not problem:
                    working.append((alarm, carrier))
        for problem, found in problems.items():
            self._tell(problem, found, now)
        for alarm, carrier in working:
            with _by_itself(alarm):
                self._catch_up(alarm, carrier, now)

    def _ours(self, now: float) -> tuple[list[Alarm], '_Guests']:
        ours: list[Alarm] = []
        known: list[Guest] = []
        with self._database.read() as connection:
            while True:
                more = alarms.find(connection, after=ours[-1].id if ours else '', limit=PAGE)
                ours += more
                if len(more) < PAGE:
                    break
            while ours:
                after = known[-1].server_id if known else ''
                page = guests.find(connection, after=after, limit=PAGE)
                known += page
                if len(page) < PAGE:
                    break
            listening = {
                way: gateways.listening_since(connection, now, way) for way in gateway.GAPS
            }
        # A restarter has no Aodh alarm of its own.
        ours = [a for a in ours if a.trigger != rules.RESTARTER]
        return ours, _Guests({g.server_id: g for g in known}, listening)

    def _by_url(self, theirs: Iterable[Carrier]) -> dict[str, Carrier]:
        """Aodh's alarms by the alarm of ours that their URL is for."""
        found = {}
        for carrier in theirs:
            for url in self._doors(carrier):
                found[_named(url)] = carrier
        return found

    def _doors(self, carrier: Carrier) -> list[str]:
        """Those of its actions that call us, with a trust or without."""
        called = map(rules.plain, carrier.get(rules.ACTIONS) or [])
        return [url for url in called if url.startswith(self._door)]

    def _linked(self, alarm: Alarm, carrier: Carrier | None) -> Carrier | None:
        """The Aodh alarm that was made for ours by somebody who did not tell us so."""
        if alarm.aodh_alarm_id or carrier is None or carrier['project_id'] != alarm.project_id:
            return None
        self._database.run(lambda c: alarms.link(c, alarm.id, carrier['alarm_id']))
        LOG.info('alarm %s is carried by the Aodh alarm %s', alarm.id, carrier['alarm_id'])
        return carrier

    def _problem(self, alarm: Alarm, carrier: Carrier | None, those: '_Guests', now: float) -> str:
        """Why no callback will come; empty when one should. Raises CloudAway or NotFound."""
        guest = those.get(alarm.server_id)
        if carrier is None:
            if alarm.aodh_alarm_id is None:
                return NONE if now - alarm.created_at > UNLINKED else ''
            return GONE if alarm.problem == GONE or self._is_gone(alarm.aodh_alarm_id) else ''
        if not carrier.get('enabled', True):
            return DISABLED
        if alarm.id not in map(_named, self._doors(carrier)):
            return ELSEWHERE
        if self._astray(alarm, guest, carrier, now):
            return ASTRAY
        return DEAF if _unnoticed(alarm, guest, carrier, those.listening[guest.way], now) else ''

    def _is_gone(self, aodh_alarm_id: str) -> bool:
        # A list of many pages may leave one out that moved; only a look at it is certain.
        try:
            self._aodh.get(aodh_alarm_id)
        except NotFound:
            return True
        return False

    def _astray(self, alarm: Alarm, guest: Guest, carrier: Carrier, now: float) -> bool:
        """Whether it watches another guest and cannot be led back.

        When Heat has replaced a server, our alarm follows at once, and Aodh's here: its owner's
        credentials are not needed for that.
        """
        watched = (carrier.get(f'{carrier["type"]}_rule') or {}).get('resource_id')
        if watched == guest.resource_id:
            return False
        description = rules.description(guest, alarm.trigger, alarm.threshold)
        try:
            self._aodh.watch(carrier['alarm_id'], guest.resource_id, description)
        except ActionRefused as e:
            LOG.warning('alarm %s: %s', alarm.id, e.detail)
            return True
        message = f'{alarm.trigger}: its Aodh alarm watches server {guest.server_id} now'
        self._database.run(lambda c: _record(c, alarm, 'alarm_moved', message, now))
        return False

    def _catch_up(self, alarm: Alarm, carrier: Carrier, now: float) -> None:
        """Open what a lost callback did not, and note the state that it did not tell."""
        state = carrier.get('state')
        if state not in rules.STATES or now - _changed_at(carrier) < IN_FLIGHT:
            return
        if state == rules.ALARM:
            self._database.run(lambda c: _open(c, alarm, now))
        if state != alarm.state:
            self._database.run(lambda c: alarms.set_state(c, alarm.id, state, now))

    def _tell(self, problem: str, found: list[Alarm], now: float) -> None:
        def work(connection: sa.Connection) -> None:
            told: list[tuple[Alarm, Guest]] = []
            for alarm in found:
                try:
                    guest = guests.get(connection, alarm.server_id)
                except NotFound:
                    continue
                if alarms.set_problem(connection, alarm.id, problem):
                    told.append((alarm, guest))
                    _note(connection, alarm, problem, now)
            if problem and len(told) > FEW:
                message = f'{len(told)} alarms: {problem}; see "aodh-ha alarm list --all-projects"'
                notifications.add(connection, now, 'alarm', message)
            elif problem:
                for alarm, guest in told:
                    notifications.add(
                        connection,
                        now,
                        'alarm',
                        f'alarm {alarm.id} of guest {guest.name or guest.server_id}: {problem}',
                        project_id=alarm.project_id,
                        server_id=alarm.server_id,
                    )

        self._database.run(work)


@dataclass(frozen=True)
class _Guests:
    """The guests as they were at the beginning of a round, all read at once."""

    known: dict[str, Guest]
    listening: dict[str, float | None]
    """Since when guests are heard, by way."""

    def get(self, server_id: str) -> Guest:
        """Raises NotFound."""
        try:
            return self.known[server_id]
        except KeyError:
            raise NotFound(f'no guest {server_id}') from None


def _unnoticed(
    alarm: Alarm, guest: Guest, carrier: Carrier, since: float | None, now: float
) -> bool:
    """Whether the guest is silent for so long that Aodh should have noticed."""
    if alarm.trigger != 'heartbeat' or carrier.get('state') == rules.ALARM or since is None:
        return False
    needed = max(alarm.threshold, guest.missed_limit) + LATE / guest.interval
    return guest.missed(now, since) >= needed


@contextmanager
def _by_itself(alarm: Alarm) -> Iterator[None]:
    """What is wrong with one alarm must not keep the others from being looked at."""
    try:
        yield
    except NotFound:
        LOG.info('alarm %s or its guest was deleted meanwhile', alarm.id)
    except AodhHAError as e:
        LOG.warning('alarm %s: %s: %s', alarm.id, e.title, e.detail)


def _note(connection: sa.Connection, alarm: Alarm, problem: str, now: float) -> None:
    kind = 'alarm_broken' if problem else 'alarm_mended'
    message = problem or 'its Aodh alarm is as it should be again'
    _record(connection, alarm, kind, f'{alarm.trigger}: {message}', now)


def _record(connection: sa.Connection, alarm: Alarm, kind: str, message: str, now: float) -> None:
    audit.record(
        connection,
        now,
        kind,
        message,
        project_id=alarm.project_id,
        server_id=alarm.server_id,
        data={'alarm_id': alarm.id, 'aodh_alarm_id': alarm.aodh_alarm_id},
    )


def _open(connection: sa.Connection, alarm: Alarm, now: float) -> None:
    """Open the recovery that the alarm's callback should have opened, if none was."""
    guest = guests.get(connection, alarm.server_id)
    listening = gateways.listening_since(connection, now, guest.way)
    if rules.why_not_recover(guest, alarm.trigger, listening, now, alarm.threshold):
        return
    episode = guest.episode(alarm.trigger)
    for known in queue.find(connection, server_id=guest.server_id, limit=10):
        # One that was left alone may be opened again, which enqueue() decides.
        if known.status in ACTIVE or (known.episode == episode and known.status != LEFT_ALONE):
            return
    policy = policies.of_guest(connection, guest)
    reason = 'Aodh says alarm, and no callback of it came'
    recovery, opened = queue.enqueue(
        connection, guest, policy, alarm.trigger, alarm.id, reason, now
    )
    if opened:
        LOG.warning('recovery %s of guest %s: %s', recovery.id, guest.server_id, reason)


def _named(url: str) -> str:
    """The alarm that a callback URL says it is for; empty when it says nothing.

    The signature is the webhook's to check: here nothing is done because of the URL.
    """
    try:
        _, payload = URLSafeTimedSerializer('').loads_unsafe(url.rpartition('/')[2])
    except BadData:
        return ''
    return payload if isinstance(payload, str) else ''


def _changed_at(carrier: Carrier) -> float:
    try:
        at = datetime.fromisoformat(carrier['state_timestamp'])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()
