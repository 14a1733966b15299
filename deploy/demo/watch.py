"""Looks at both guests from every side, often, and notes when each stage was reached."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cloud import Cloud, Guest, Object, seconds
from shell import DemoError
from timeline import Timeline

FRESH = 25.0
"""Seconds: the newest bucket of 10 s in Gnocchi began at most so long ago."""
BEATS = 2
"""Heartbeats of each guest before anything is broken."""
IN_FLIGHT = 2.0
"""Seconds after the freeze that a heartbeat sent before it may be noted."""
JOIN = 15.0

SOFT, HARD = 'server.reboot soft', 'server.reboot hard'


@dataclass
class View:
    """A guest as it was last seen. None: not known yet."""

    nova: str | None = None
    beats: int = 0
    last_seen: float | None = None
    missed: int | None = None
    limit: int = 3
    interval: float = 10.0
    gnocchi: int | None = None
    gnocchi_at: float = 0.0
    aodh: str | None = None
    evaluated: bool = False
    recovery: str = '-'
    boots: int | None = None
    most_missed: int = 0
    alarms: int = 0
    """How often its Aodh alarm went to `alarm`."""


class Watch:
    """Polls in threads, because a slow service must not hide what the others say."""

    def __init__(self, cloud: Cloud, victim: Guest, bystander: Guest) -> None:
        self.victim, self.bystander = victim, bystander
        self.guests = (victim, bystander)
        self.views = {g.name: View() for g in self.guests}
        self.timeline = Timeline()
        self.recovery: Object = {}
        self.attempts: list[Object] = []
        self.trouble: dict[str, str] = {}
        """Who did not answer, and why; empty as soon as it answers again."""
        self._cloud = cloud
        self._stop = threading.Event()
        self._history: dict[str, list[Object]] = {}
        looks: tuple[tuple[str, float, Callable[[], None]], ...] = (
            ('aodh-ha, guests', 0.4, self._look_at_guests),
            ('aodh-ha, recoveries', 0.5, self._look_at_recovery),
            ('Gnocchi', 0.4, lambda: self._look_at_gnocchi(victim)),
            ('Gnocchi', 2.0, lambda: self._look_at_gnocchi(bystander)),
            ('Aodh', 1.0, self._look_at_alarms),
            ('Nova', 1.0, self._look_at_servers),
            ('hosts', 3.0, self._look_at_machines),
        )
        self._threads = [
            threading.Thread(target=self._repeat, args=look, daemon=True) for look in looks
        ]

    def __enter__(self) -> 'Watch':
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        end = time.monotonic() + JOIN
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))

    def ready(self) -> bool:
        """Whether the chain runs for both guests, so that something may be broken."""
        return all(
            v.beats >= BEATS
            and v.missed == 0
            and v.gnocchi == 0
            and time.time() - v.gnocchi_at < FRESH
            and v.aodh == 'ok'
            and v.evaluated
            and v.boots is not None
            for v in self.views.values()
        )

    def frozen(self, at: float) -> None:
        """The victim was frozen: what comes now is timed."""
        self.timeline.at['freeze'] = at

    def ended(self) -> bool:
        """Whether there is nothing more to come."""
        if not self.recovery:
            # Somebody else has thawed or booted it: there is nothing left to recover.
            heard = self.views[self.victim.name].last_seen or 0
            return heard > self.timeline.at['freeze'] + IN_FLIGHT
        if self.recovery['status'] in ('queued', 'running'):
            return False
        return self.recovery['status'] != 'recovered' or 'alarm_ok' in self.timeline.at

    # ---- the looks

    def _repeat(self, who: str, pause: float, look: Callable[[], None]) -> None:
        while not self._stop.is_set():
            try:
                look()
                self.trouble.pop(who, None)
            except Exception as e:  # a look that fails is shown, the next one may succeed
                text = str(e) if isinstance(e, DemoError) else f'{type(e).__name__}: {e}'
                self.trouble[who] = ' '.join(text.split())[:200]
            self._stop.wait(pause)

    def _reach(self, stage: str, at: float) -> None:
        if 'freeze' in self.timeline.at:
            self.timeline.at.setdefault(stage, at)

    def _look_at_guests(self) -> None:
        for guest in self.guests:
            found = self._cloud.get('aodh-ha', f'/v1/guests/{guest.id}')['guest']
            view = self.views[guest.name]
            view.beats, view.missed = found['beats'], found['missed']
            view.limit, view.interval = found['missed_limit'], found['interval']
            view.last_seen = found['last_seen'] and seconds(found['last_seen'])
            view.most_missed = max(view.most_missed, view.missed or 0)
        self._note_heartbeats(self.views[self.victim.name])

    def _note_heartbeats(self, view: View) -> None:
        at = self.timeline.at
        if 'freeze' not in at or view.last_seen is None:
            return
        if view.last_seen < at['freeze'] + IN_FLIGHT:
            at['beat'] = view.last_seen
        if (view.missed or 0) >= view.limit:
            self._reach('missed', time.time())
        if 'hard' in at and view.last_seen > at['hard']:
            self._reach('heartbeat', view.last_seen)

    def _look_at_recovery(self) -> None:
        for guest in self.guests:
            path = f'/v1/recoveries?guest={guest.id}'
            found = self._cloud.get('aodh-ha', path)['recoveries']
            if not found:
                continue
            if guest is self.bystander:
                self.views[guest.name].recovery = found[0]['status']
                continue
            answer = self._cloud.get('aodh-ha', f'/v1/recoveries/{found[-1]["id"]}')
            recovery, attempts = answer['recovery'], answer['attempts']
            self._note_recovery(recovery, attempts)
            self.views[guest.name].recovery = _in_short(recovery, attempts)
            self.attempts, self.recovery = attempts, recovery

    def _note_recovery(self, recovery: Object, attempts: list[Object]) -> None:
        self._reach('callback', seconds(recovery['created_at']))
        for attempt in attempts:
            name = {SOFT: 'soft', HARD: 'hard'}.get(attempt['action'])
            if name and attempt['sent_at']:
                self._reach(name, seconds(attempt['intended_at']))
            if name == 'soft' and attempt['status'] == 'unverified':
                self._reach('soft_unverified', seconds(attempt['finished_at']))
        if recovery['status'] == 'recovered':
            self._reach('recovered', seconds(recovery['finished_at']))

    def _look_at_gnocchi(self, guest: Guest) -> None:
        newest = self._cloud.missed_in_gnocchi(guest.resource)
        if newest is None:
            return
        view = self.views[guest.name]
        view.gnocchi_at, view.gnocchi = newest
        if guest is self.victim and view.gnocchi >= view.limit:
            self._reach('gnocchi', time.time())

    def _look_at_alarms(self) -> None:
        for guest in self.guests:
            alarm = self._cloud.get('aodh', f'/v2/alarms/{guest.alarm}')
            view = self.views[guest.name]
            # At first it only has the state that it was created with.
            evaluated = alarm.get('evaluate_timestamp')
            created = seconds(alarm['timestamp'])
            view.evaluated = bool(evaluated) and seconds(evaluated) > created
            if view.aodh != alarm['state']:
                self._look_at_history(guest)
            view.aodh = alarm['state']

    def _look_at_history(self, guest: Guest) -> None:
        """The API's alarm has no time of its newest transition; its history has."""
        turns = []
        for entry in self._cloud.get('aodh', f'/v2/alarms/{guest.alarm}/history'):
            if entry['type'] == 'state transition':
                turns.append((seconds(entry['timestamp']), json.loads(entry['detail'])['state']))
        self.views[guest.name].alarms = sum(state == 'alarm' for _, state in turns)
        freeze = self.timeline.at.get('freeze')
        if guest is not self.victim or freeze is None:
            return
        fired = min((at for at, state in turns if state == 'alarm' and at > freeze), default=None)
        if fired is None:
            return
        self._reach('alarm', fired)
        again = [at for at, state in turns if state == 'ok' and at > fired]
        if again:
            # The last one: telemetry that stumbled in between would show as two.
            self._reach('alarm_ok', max(again))

    def _look_at_servers(self) -> None:
        for guest in self.guests:
            server = self._cloud.get('nova', f'/servers/{guest.id}')['server']
            self.views[guest.name].nova = server['status']

    def _look_at_machines(self) -> None:
        rows = self._cloud.devcloud.guests()
        for guest in self.guests:
            boots = [int(r['boots']) for r in rows if r['uuid'] == guest.id]
            self.views[guest.name].boots = max(boots, default=None)


def _in_short(recovery: Object, attempts: list[Any]) -> str:
    if recovery['status'] in ('queued', 'running') and attempts:
        action = attempts[-1]['action'].removeprefix('server.reboot ')
        return f'{action} reboot {attempts[-1]["status"]}'
    return str(recovery['status'])
