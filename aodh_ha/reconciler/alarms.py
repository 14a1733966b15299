"""Aodh's alarms against our own: what a lost callback did not open, and what will never call."""

import logging
from dataclasses import dataclass

import sqlalchemy as sa
from oslo_config import cfg

from aodh_ha.db import Database, alarms, gateways, guests, policies, queue
from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.reconciler.carriers import (
    UNLINKED,
    Aodh,
    Broken,
    Carrier,
    Carriers,
    by_itself,
    changed_at,
    record,
    tell,
    watched,
)
from aodh_ha.reconciler.watch_alarms import WatchAlarms
from aodh_ha.rules import alarm as rules
from aodh_ha.rules import gateway
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import ACTIVE, LEFT_ALONE

LOG = logging.getLogger(__name__)

PAGE = 1000

IN_FLIGHT = 20.0
"""Seconds for which Aodh's state may be newer than ours without a callback having been lost."""

LATE = 300.0
"""Seconds of silence, besides what the alarm waits for, after which Aodh should have noticed: it
evaluates once a minute, and samples may be a minute old."""

GONE = 'its Aodh alarm no longer exists: create the alarm again'
NONE = 'no Aodh alarm carries it: create the alarm again'
DISABLED = 'its Aodh alarm is disabled: enable it, or delete the alarm'
ELSEWHERE = (
    'its Aodh alarm calls another URL than this service: set alarm_actions as "aodh-ha alarm '
    'create" did, or create the alarm again'
)
ASTRAY = 'its Aodh alarm watches another guest: create the alarm again'
DEAF = 'many heartbeats are missed, yet its Aodh alarm does not fire: look at Gnocchi and Aodh'

MANY = '{number} alarms: {problem}; see "aodh-ha alarm list --all-projects"'


class Alarms:
    """One round looks at every alarm; what it finds is told once, not every minute."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, aodh: Aodh) -> None:
        self._database = database
        self._aodh = aodh
        self._public_url: str = conf.webhook.public_url
        self._watches = WatchAlarms(database)

    def reconcile(self, now: float) -> None:
        """Raises CloudAway while Aodh does not answer, DatabaseAway."""
        # Ours first: what is linked by now existed in Aodh before its list is taken.
        ours, those = self._ours(now)
        looking = self._watches.all()
        if not ours and not looking:
            return
        carriers = Carriers(self._aodh, self._public_url)
        self._watches.compare(looking, carriers, now)
        self._compare(ours, those, carriers, now)

    def _compare(self, ours: list[Alarm], those: '_Guests', carriers: Carriers, now: float) -> None:
        by_called = carriers.by_called()
        problems: dict[str, list[Alarm]] = {}
        working: list[tuple[Alarm, Carrier]] = []
        for alarm in ours:
            with by_itself(f'alarm {alarm.id}'):
                linked = carriers.get(alarm.aodh_alarm_id)
                carrier = linked or self._linked(alarm, by_called.get(alarm.id))
                problem = self._problem(alarm, carrier, carriers, those, now)
                if problem != alarm.problem:
                    problems.setdefault(problem, []).append(alarm)
                if carrier and not problem:
                    working.append((alarm, carrier))
        for problem, found in problems.items():
            self._tell(problem, found, now)
        for alarm, carrier in working:
            with by_itself(f'alarm {alarm.id}'):
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

    def _linked(self, alarm: Alarm, carrier: Carrier | None) -> Carrier | None:
        """The Aodh alarm that was made for ours by somebody who did not tell us so."""
        if alarm.aodh_alarm_id or carrier is None or carrier['project_id'] != alarm.project_id:
            return None
        self._database.run(lambda c: alarms.link(c, alarm.id, carrier['alarm_id']))
        LOG.info('alarm %s is carried by the Aodh alarm %s', alarm.id, carrier['alarm_id'])
        return carrier

    def _problem(
        self,
        alarm: Alarm,
        carrier: Carrier | None,
        carriers: Carriers,
        those: '_Guests',
        now: float,
    ) -> str:
        """Why no callback will come; empty when one should. Raises CloudAway or NotFound."""
        guest = those.get(alarm.server_id)
        if carrier is None:
            if alarm.aodh_alarm_id is None:
                return NONE if now - alarm.created_at > UNLINKED else ''
            return GONE if alarm.problem == GONE or carriers.is_gone(alarm.aodh_alarm_id) else ''
        if not carrier.get('enabled', True):
            return DISABLED
        if alarm.id not in carriers.called(carrier):
            return ELSEWHERE
        if self._astray(alarm, guest, carrier, now):
            return ASTRAY
        return DEAF if _unnoticed(alarm, guest, carrier, those.listening[guest.way], now) else ''

    def _astray(self, alarm: Alarm, guest: Guest, carrier: Carrier, now: float) -> bool:
        """Whether it watches another guest and cannot be led back.

        When Heat has replaced a server, our alarm follows at once, and Aodh's here: its owner's
        credentials are not needed for that.
        """
        if watched(carrier) == guest.resource_id:
            return False
        description = rules.description(guest, alarm.trigger, alarm.threshold)
        try:
            self._aodh.watch(carrier['alarm_id'], guest.resource_id, description)
        except ActionRefused as e:
            LOG.warning('alarm %s: %s', alarm.id, e.detail)
            return True
        message = f'its Aodh alarm watches server {guest.server_id} now'
        moved = _broken(alarm, guest)
        self._database.run(lambda c: record(c, moved, 'alarm_moved', message, now))
        return False

    def _catch_up(self, alarm: Alarm, carrier: Carrier, now: float) -> None:
        """Open what a lost callback did not, and note the state that it did not tell."""
        state = carrier.get('state')
        if state not in rules.STATES or now - changed_at(carrier) < IN_FLIGHT:
            return
        if state == rules.ALARM:
            self._database.run(lambda c: _open(c, alarm, now))
        if state != alarm.state:
            self._database.run(lambda c: alarms.set_state(c, alarm.id, state, now))

    def _tell(self, problem: str, found: list[Alarm], now: float) -> None:
        def work(connection: sa.Connection) -> None:
            told = []
            for alarm in found:
                try:
                    guest = guests.get(connection, alarm.server_id)
                except NotFound:
                    continue
                if alarms.set_problem(connection, alarm.id, problem):
                    told.append(_broken(alarm, guest))
            tell(connection, told, problem, MANY, now)

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


def _broken(alarm: Alarm, guest: Guest) -> Broken:
    return Broken(
        what=f'alarm {alarm.id} of guest {guest.name or guest.server_id}',
        trigger=alarm.trigger,
        project_id=alarm.project_id,
        server_id=alarm.server_id,
        id=alarm.id,
        aodh_alarm_id=alarm.aodh_alarm_id,
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
