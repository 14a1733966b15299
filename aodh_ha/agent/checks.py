"""The checks of the guest's services, each in a thread of its own.

A service that hangs may hold up its own check, never another one and never
the heartbeats.
"""

import select
import threading
import time

from .transport import connect, exchange

OK, FAILED, UNKNOWN = 'ok', 'failed', 'unknown'

MYPY = False  # mypy takes it for true; `typing` is not worth its memory in a guest
if MYPY:
    import logging
    from typing import Callable

    from .restarts import Restarter


class Service:
    """One service as configured: what is asked, how often, and how patiently.

    `interval`, `timeout` and `start_period` in seconds; `failures` is the number
    of failed checks in a row from which on the service is called failed. Checks
    that fail within the start period of the agent, or of a restart, do not count.
    """

    def __init__(
        self,
        name: str,
        http: str = '',
        tcp: str = '',
        interval: float = 10.0,
        timeout: float = 5.0,
        failures: int = 3,
        start_period: float = 0.0,
        restarter: 'Restarter | None' = None,
    ) -> None:
        self.name = name
        self.http = http
        self.tcp = tcp
        self.interval = interval
        self.timeout = timeout
        self.failures = failures
        self.start_period = start_period
        self.restarter = restarter

    def probe(self) -> str:
        """What is wrong with the service; empty when it is well."""
        try:
            if self.http:
                # Checks are of services in this guest: never through a proxy.
                reply = exchange(
                    'GET', self.http, timeout=self.timeout, limit=1 << 20, proxied=False
                )
                return '' if 200 <= reply.status < 400 else 'HTTP {}'.format(reply.status)
            host, _, port = self.tcp.rpartition(':')
            connect(host.strip('[]'), int(port), self.timeout).close()
            return ''
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
        self, service: Service, changed: 'Callable[[], None]', log: 'logging.Logger'
    ) -> None:
        self.name = service.name
        self._service = service
        self._changed = changed
        self._log = log
        self._turn = threading.Lock()  # held by the one check or restart at a time
        self._lock = threading.Lock()  # of what stands below
        self._failures = 0
        self._settled = UNKNOWN
        self._reported = UNKNOWN
        self._due = False  # a restart by the agent itself, before the failure is told
        self._restarting = False
        self._since = time.monotonic()
        self._lenient_until = self._since + service.start_period

    @property
    def restartable(self) -> bool:
        """Whether this guest's settings say how the service is restarted."""
        return self._service.restarter is not None

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        name = 'check-' + self._service.name
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            self.check()
            if self._due:
                self._restart_here()
            # Monotonic on every Python, unlike the timeouts of locks before 3.11; and not
            # time.sleep, which fails from 3.11 on under libfaketime (clock_nanosleep: EINVAL).
            left = began + self._service.interval - time.monotonic()
            select.select([], [], [], max(0.0, left))

    def check(self) -> str:
        """Check the service now; what is wrong with it, or ''."""
        with self._turn:
            with self._lock:
                self._since = time.monotonic()
            wrong = self._service.probe()
            with self._lock:
                turned = self._learn(wrong, time.monotonic())
                state = self._reported
        if turned:
            say = self._log.info if state == OK else self._log.warning
            say('service %s: %s%s', self.name, state, wrong and ': ' + wrong)
            self._changed()
        return wrong

    def _learn(self, wrong: str, now: float) -> bool:
        """Count the check; whether the state is another one than was reported."""
        self._since = now
        if not wrong:
            self._failures = 0
            self._settled = OK
            self._due = False
        elif now >= self._lenient_until:
            self._failures += 1
            if self._failures >= self._service.failures:
                restarter = self._service.restarter
                self._due = restarter is not None and restarter.left() > 0
                if not self._due:
                    self._settled = FAILED
        state = self._state(now)
        turned, self._reported = state != self._reported, state
        return turned

    def restart(self) -> str:
        """Restart the service by its command; what went wrong, or ''."""
        with self._turn:
            return self._restart()

    def _restart_here(self) -> None:
        """Restart the service before anybody is told that it failed."""
        restarter = self._service.restarter
        with self._turn:
            if restarter is None or not self._due:
                return  # a command of the gateway's came first
            restarter.count()
            wrong = self._restart()
        self._log.warning(
            'service %s: restarted by the agent%s; restarts left: %d',
            self.name, wrong and ', in vain: ' + wrong, restarter.left(),
        )  # fmt: skip

    def _restart(self) -> str:
        restarter = self._service.restarter
        if restarter is None:
            return 'there is no command to restart it'
        with self._lock:
            self._restarting = True
        wrong = 'not done'
        try:
            wrong = restarter.run()
        finally:
            with self._lock:
                self._restarting = False
                self._since = time.monotonic()
                self._lenient_until = self._since + self._service.start_period
                if self._due:
                    # The failure is not told before the service has failed anew. After a
                    # restart in vain the next failed check leads to the next one.
                    self._failures = self._service.failures - 1 if wrong else 0
                self._due = False
        return wrong

    def _overdue(self, now: float) -> int:
        """Checks that should have come to an end by now and did not."""
        if self._restarting:
            return 0
        since = max(self._since, self._lenient_until)
        late = now - since - self._service.timeout - self._service.interval
        return int(late // self._service.interval) + 1 if late > 0 else 0

    def _state(self, now: float) -> str:
        failures = self._failures + self._overdue(now)
        late = failures >= self._service.failures and not self._due
        return FAILED if late else self._settled

    def report(self) -> 'dict[str, object]':
        """The service as it goes into a heartbeat."""
        now = time.monotonic()
        with self._lock:
            self._reported = self._state(now)
            return {
                'name': self.name,
                'state': self._reported,
                'failures': self._failures + self._overdue(now),
            }
