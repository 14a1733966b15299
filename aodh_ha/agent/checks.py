"""The checks of the guest's services, each in a thread of its own.

A service that hangs may hold up its own check, never another one and never
the heartbeats.
"""

import select
import threading
import time

OK, FAILED, UNKNOWN = 'ok', 'failed', 'unknown'
RESTARTED = 'restarted'  # no state, but an event
LONGEST_SLEEP = 60.0  # seconds, after which a check that is not wanted any more ends

MYPY = False  # mypy takes it for true; `typing` is not worth its memory in a guest
if MYPY:
    import logging
    from typing import Callable

    from .events import Events
    from .probes import Probe
    from .restarts import Restarter


class Service:
    """One service as configured: how it is asked, how often, and how patiently.

    `interval`, `timeout` and `start_period` in seconds; `failures` is the number
    of failed checks in a row from which on the service is called failed. Checks
    that fail within the start period of the agent, of a restart, or of a service
    that this one depends on, do not count. `options` are those it was made of.
    """

    def __init__(
        self,
        name: str,
        probe: 'Probe',
        interval: float = 10.0,
        timeout: float = 5.0,
        failures: int = 3,
        start_period: float = 0.0,
        restarter: 'Restarter | None' = None,
        depends_on: 'tuple[str, ...]' = (),
        options: 'dict[str, str] | None' = None,
    ) -> None:
        self.name = name
        self.probe = probe
        self.interval = interval
        self.timeout = timeout
        self.failures = failures
        self.start_period = start_period
        self.restarter = restarter
        self.depends_on = depends_on
        self.options = options or {}

    def ask(self) -> str:
        """What is wrong with the service; empty when it is well."""
        try:
            return self.probe.ask(self.timeout)
        except Exception as e:
            # Whatever it is, UnicodeError of a strange host name too: with its thread
            # gone the service would be called failed, or well, for ever.
            return str(e) or type(e).__name__


class Watch:
    """Checks one service for ever, restarts it where it may, and knows its state.

    The state is unknown at first: a guest that has just booted must not call a
    service well, or failed, before that is so.
    """

    def __init__(
        self,
        service: Service,
        changed: 'Callable[[], None]',
        log: 'logging.Logger',
        events: 'Events | None' = None,
    ) -> None:
        self.name = service.name
        self.service = service
        self._needs = []  # type: list[Watch]
        self._changed = changed
        self._log = log
        self._events = events
        self._turn = threading.Lock()  # held by the one check or restart at a time
        self._lock = threading.Lock()  # of what stands below
        self._failures = 0
        self._settled = UNKNOWN
        self._reported = UNKNOWN
        self._due = False  # a restart by the agent itself, before the failure is told
        self._restarting = False
        self._held = False  # its checks do not count: what it depends on is not well
        self._stopped = False
        self._since = time.monotonic()
        self._seen = 0.0  # when the last check that came to an end began
        self._row = self._since  # when the first failed check that counts began
        self._well_since = None  # type: float | None
        self._lenient_until = self._since + service.start_period

    @property
    def restartable(self) -> bool:
        """Whether this guest's settings say how the service is restarted."""
        return self.service.restarter is not None

    def depend(self, watches: 'dict[str, Watch]') -> None:
        """Find what this service depends on among all that are watched."""
        self._needs = [watches[n] for n in self.service.depends_on if n in watches]

    def start(self) -> None:
        """Start the thread; it ends with the process, or some time after stop()."""
        name = 'check-' + self.service.name
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def stop(self) -> None:
        """Say and restart nothing any more; what is being done is done to its end."""
        self._stopped = True

    def _run(self) -> None:
        while not self._stopped:
            began = time.monotonic()
            self.check()
            if self._due:
                self._restart_here()
            while not self._stopped:
                # Monotonic on every Python, unlike the timeouts of locks before 3.11; and not
                # time.sleep, which fails from 3.11 on under libfaketime (clock_nanosleep: EINVAL).
                left = began + self.service.interval - time.monotonic()
                select.select([], [], [], min(LONGEST_SLEEP, max(0.0, left)))
                if left <= LONGEST_SLEEP:
                    break

    def check(self) -> str:
        """Check the service now; what is wrong with it, or ''."""
        with self._turn:
            return self._check()

    def _check(self) -> str:
        with self._lock:
            began = self._since = time.monotonic()
        wrong = self.service.ask()
        with self._lock:
            self._since = time.monotonic()
        in_the_way = self._in_the_way(began) if wrong else ''
        with self._lock:
            turned = self._learn(wrong, in_the_way, began)
            state = self._reported
        if turned and not self._stopped:
            say = self._log.info if state == OK else self._log.warning
            say('service %s: %s%s', self.name, state, wrong and ': ' + wrong)
            self._changed()
        return wrong

    def _in_the_way(self, began: float) -> str:
        """The service that explains why the check that began then failed, or ''."""
        # What it depends on may be checked more seldom than this service: before this one
        # is restarted, or called failed, the others are looked at.
        last = self._failures + 1 >= self.service.failures
        for each in self._needs:
            if not each.stood(began - self.service.start_period, self._row if last else None):
                return each.name
        return ''

    def stood(self, since: float, seen_after: 'float | None') -> bool:
        """Whether the service has been well since then, as known and as seen after that time."""
        # Not waited for: who is being restarted, or asked and slow to answer, is not well.
        if seen_after is not None and self._seen < seen_after:
            if not self._turn.acquire(False):
                return False
            try:
                self._check()
            finally:
                self._turn.release()
        with self._lock:
            return self._well_since is not None and self._well_since <= since

    def _learn(self, wrong: str, in_the_way: str, began: float) -> bool:
        """Count the check; whether the state is another one than was reported."""
        now = self._since = time.monotonic()
        self._seen = began
        if not wrong:
            self._failures = 0
            self._settled = OK
            self._due = False
            if self._well_since is None:
                self._well_since = now
        else:
            self._well_since = None
            if in_the_way:
                self._due = False
                if self._settled != FAILED:
                    self._failures = 0
            elif now >= self._lenient_until:
                self._count(began)
        if bool(in_the_way) != self._held:
            self._held = bool(in_the_way)
            if self._held:
                said = 'service %s: not counted, since %s is not well: %s'
                self._log.warning(said, self.name, in_the_way, wrong)
        return self._turn_to(self._state(now), wrong)

    def _count(self, began: float) -> None:
        if not self._failures:
            self._row = began
        self._failures += 1
        if self._failures >= self.service.failures:
            restarter = self.service.restarter
            self._due = restarter is not None and restarter.left() > 0
            if not self._due:
                self._settled = FAILED

    def _turn_to(self, state: str, wrong: str) -> bool:
        before, self._reported = self._reported, state
        # That a service is well after a boot is nothing that happened to it.
        if state != before and (before, state) != (UNKNOWN, OK):
            self._record(state, wrong)
        return state != before

    def _record(self, what: str, wrong: str) -> None:
        if self._events is not None and not self._stopped:
            self._events.add(self.name, what, wrong)

    def restart(self) -> str:
        """Restart the service by its command; what went wrong, or ''."""
        with self._turn:
            return self._restart()

    def _restart_here(self) -> None:
        """Restart the service before anybody is told that it failed."""
        restarter = self.service.restarter
        with self._turn:
            if restarter is None or not self._due or self._stopped:
                return  # a command of the gateway's came first
            restarter.count()
            wrong = self._restart()
        self._log.warning(
            'service %s: restarted by the agent%s; restarts left: %d',
            self.name, wrong and ', in vain: ' + wrong, restarter.left(),
        )  # fmt: skip
        self._record(RESTARTED, wrong and 'in vain: ' + wrong)

    def _restart(self) -> str:
        restarter = self.service.restarter
        if restarter is None:
            return 'there is no command to restart it'
        with self._lock:
            self._restarting = True
            self._well_since = None
        wrong = 'not done'
        try:
            wrong = restarter.run(self._log)
        finally:
            with self._lock:
                self._restarting = False
                self._since = time.monotonic()
                self._lenient_until = self._since + self.service.start_period
                if self._due:
                    # The failure is not told before the service has failed anew. After a
                    # restart in vain the next failed check leads to the next one.
                    self._failures = self.service.failures - 1 if wrong else 0
                self._due = False
        return wrong

    def _overdue(self, now: float) -> int:
        """Checks that should have come to an end by now and did not."""
        if self._restarting:
            return 0
        since = max(self._since, self._lenient_until)
        late = now - since - self.service.timeout - self.service.interval
        return int(late // self.service.interval) + 1 if late > 0 else 0

    def _state(self, now: float) -> str:
        failures = self._failures + self._overdue(now)
        late = failures >= self.service.failures and not self._due
        return FAILED if late else self._settled

    def report(self) -> 'dict[str, object]':
        """The service as it goes into a heartbeat."""
        now = time.monotonic()
        with self._lock:
            self._turn_to(self._state(now), 'its check does not end')
            return {
                'name': self.name,
                'state': self._reported,
                'failures': self._failures + self._overdue(now),
            }
