"""The checks of the guest's services, each in a thread of its own.

A service that hangs may hold up its own check, never another one and never
the heartbeats.
"""

import select
import socket
import threading
import time

from .transport import TransportError, exchange

MYPY = False  # mypy takes it for true; `typing` is not worth its memory in a guest
if MYPY:
    import logging
    from typing import Callable


class Service:
    """One service as configured: what is asked, how often, and how patiently.

    `interval` and `timeout` in seconds; `failures` is the number of failed
    checks in a row from which on the service is called failed.
    """

    def __init__(
        self,
        name: str,
        http: str = '',
        tcp: str = '',
        interval: float = 10.0,
        timeout: float = 5.0,
        failures: int = 3,
    ) -> None:
        self.name = name
        self.http = http
        self.tcp = tcp
        self.interval = interval
        self.timeout = timeout
        self.failures = failures

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
            address = (host.strip('[]'), int(port))
            with socket.create_connection(address, timeout=self.timeout):
                return ''
        except (OSError, TransportError) as e:
            return str(e) or type(e).__name__


class Watch:
    """Checks one service for ever and knows its state."""

    def __init__(
        self, service: Service, changed: 'Callable[[], None]', log: 'logging.Logger'
    ) -> None:
        self._service = service
        self._changed = changed
        self._log = log
        self._lock = threading.Lock()
        self._failures = 0
        self._known = False
        self._since = time.monotonic()
        self._reported = 'ok'

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        name = 'check-' + self._service.name
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            with self._lock:
                self._since = began
            wrong = self._service.probe()
            with self._lock:
                self._failures = self._failures + 1 if wrong else 0
                self._known = True
                state = self._state(time.monotonic())
                turned = state != self._reported
                self._reported = state
            if turned:
                self._log.warning(
                    'service %s: %s%s', self._service.name, state, wrong and ': ' + wrong
                )
                self._changed()
            # Monotonic on every Python, unlike the timeouts of locks before 3.11; and not
            # time.sleep, which fails from 3.11 on under libfaketime (clock_nanosleep: EINVAL).
            left = began + self._service.interval - time.monotonic()
            select.select([], [], [], max(0.0, left))

    def _overdue(self, now: float) -> int:
        """Checks that should have come to an end by now and did not."""
        late = now - self._since - self._service.timeout - self._service.interval
        return int(late // self._service.interval) + 1 if late > 0 else 0

    def _state(self, now: float) -> str:
        failures = self._failures + self._overdue(now)
        return 'failed' if failures >= self._service.failures else 'ok'

    def report(self) -> 'dict[str, object] | None':
        """The service as it goes into a heartbeat; None before its first check."""
        now = time.monotonic()
        with self._lock:
            failures = self._failures + self._overdue(now)
            if not self._known and not failures:
                return None
            return {
                'name': self._service.name,
                'state': self._state(now),
                'failures': failures,
            }
