"""Whether a request still gets through to us: what the gateway's sign of life rests on."""

import ipaddress
import logging
import socket
import threading
import time

LOG = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two requests to ourselves, and what one may take."""
FRESH = 3.0
"""Seconds for which an answer proves that guests get through."""


class Probe:
    """Asks our own door, the way a guest would come.

    A thread of ours runs on while every request thread is held, as by a hung
    database. Without this it would say that we listen, and every guest would be silent.
    """

    def __init__(self, host: str, port: int, group: str = 'webhook') -> None:
        """``group``: of the configuration, where host and port stand."""
        self._group = group
        self._address = (_reachable(host), port)
        self._answered_at: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name='probe', daemon=True)

    def start(self) -> None:
        """Ask from now on."""
        self._thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()

    def __call__(self) -> bool:
        """Whether an answer came lately."""
        at = self._answered_at
        return at is not None and time.monotonic() - at <= FRESH

    def _run(self) -> None:
        # As if it had been well: one that never gets through, because gunicorn was bound to
        # another address than the configuration's, must be told as well.
        said, since = True, time.monotonic()
        while not self._stop.is_set():
            if self._ask():
                self._answered_at = time.monotonic()
            well = self() or time.monotonic() - since <= FRESH
            if well != said:
                LOG.warning(
                    'requests get through to us again'
                    if well
                    else 'no request gets through to %s port %d, where [%s] host and port '
                    'say that we are: we do not count as listening, and nobody is recovered',
                    *(() if well else (*self._address, self._group)),
                )
            said = well
            self._stop.wait(INTERVAL)

    def _ask(self) -> bool:
        try:
            with socket.create_connection(self._address, INTERVAL) as s:
                # OPTIONS: answered as any request is, also while /healthz itself says 503,
                # of which there would be a line in the log every second.
                s.sendall(b'OPTIONS /healthz HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n')
                return s.recv(64).startswith(b'HTTP/1.')
        except OSError:
            return False


def _reachable(host: str) -> str:
    """Where to ask whoever is bound to ``host``: on loopback, if that is every address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if not address.is_unspecified:
        return host
    return '127.0.0.1' if address.version == 4 else '::1'
