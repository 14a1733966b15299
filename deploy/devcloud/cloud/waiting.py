"""Wait for a service to answer, with a bound, and say where to look when it does not."""

import socket
import time
import urllib.error
import urllib.request

from cloud.process import pid_of
from cloud.settings import Settings

LIMIT = 120.0
"""Seconds a service may take until it answers."""


class NotReadyError(Exception):
    """A service ended, or did not answer in time; the message names its log."""


def busy(port: int) -> bool:
    """Whether something listens on this port of 127.0.0.1."""
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex(('127.0.0.1', port)) == 0


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""What listens on loopback is not asked through the caller's proxy."""


def _answers(url: str) -> bool:
    try:
        with _DIRECT.open(url, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        with error:
            return error.code < 500  # 300 or 401 come from a service that works
    except OSError:
        return False


def wait(s: Settings, name: str, port: int, path: str | None = None, limit: float = LIMIT) -> None:
    """Wait until the port is open and, when a path is given, answered below status 500."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if busy(port) and (path is None or _answers(f'http://127.0.0.1:{port}{path}')):
            return
        if pid_of(s, name) is None:
            raise NotReadyError(f'{name} ended; see {s.log}/{name}.log')
        time.sleep(0.2)
    raise NotReadyError(
        f'{name}: no answer on port {port} for {limit:.0f} s; see {s.log}/{name}.log'
    )
