"""The webhook as a process of its own: gunicorn with our settings, started and killed by pid."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import requests

from aodh_ha.cmd.serve import WEBHOOK
from tests import waiting

T = TypeVar('T')

START_SECONDS = 60.0


def wait_for(condition: Callable[[], T], seconds: float = 30.0) -> T:
    """The condition's first true value: processes take their time on a busy machine."""
    return waiting.wait_for(condition, seconds, every=0.02)


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return int(s.getsockname()[1])


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and was not waited for yet does not."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(')')[2].split()[0] not in 'XZ'


class Gunicorn:
    """A running webhook."""

    def __init__(self, configuration: pathlib.Path, port: int, host: str = '127.0.0.1') -> None:
        self.url = f'http://{host}:{port}'
        self.log = configuration.with_suffix('.log')
        environment = os.environ | {'AODH_HA_CONFIG_FILE': str(configuration)}
        with self.log.open('ab') as log:
            self.process = subprocess.Popen(
                [sys.executable, *WEBHOOK], env=environment, stdout=log, stderr=log
            )
        wait_for(self.answers, START_SECONDS)

    def answers(self) -> bool:
        """Whether it answers at all; with 503 too."""
        assert self.process.poll() is None, self.log.read_text()
        return self._health() is not None

    def healthy(self) -> bool:
        """Whether it says that it can keep what it is sent."""
        return self._health() == 200

    def _health(self) -> int | None:
        try:
            return requests.get(f'{self.url}/healthz', timeout=20).status_code
        except requests.RequestException:
            return None

    def workers(self) -> list[int]:
        """Pids of the processes that answer."""
        pid = self.process.pid
        text = pathlib.Path(f'/proc/{pid}/task/{pid}/children').read_text()
        return [int(p) for p in text.split()]

    def memory(self) -> int:
        """Most bytes that a worker has ever held resident."""
        found = []
        for pid in self.workers():
            for line in pathlib.Path(f'/proc/{pid}/status').read_text().splitlines():
                if line.startswith('VmHWM:'):
                    found.append(int(line.split()[1]) * 1024)
        return max(found)

    def kill(self) -> None:
        """kill -9 of everything, as a power cut: nobody is left, and nobody starts another.

        The master hangs while its workers are looked up and killed. Killed after them, it would
        start a new worker in between, who answers at the same port until it notices that it is
        an orphan.
        """
        self.process.send_signal(signal.SIGSTOP)
        workers = self.workers()
        self.process.kill()
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(30)
        wait_for(lambda: not any(map(alive, workers)))

    def stop(self) -> None:
        """End it as a supervisor would."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class Proxy:
    """Stands between the service and a database's Unix socket, and can be cut."""

    def __init__(self, target: str) -> None:
        self.port = free_port()
        self._target = target
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.connect()

    def connect(self) -> None:
        """Take connections."""
        self._listener = socket.create_server(('127.0.0.1', self.port))
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Break every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener:
            # Wakes up who waits in accept(); close alone leaves the port open until then.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            with self._lock:
                self._open |= {near, far}
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(one, other), daemon=True).start()

    def _copy(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                other.sendall(data)
        except OSError:
            pass
        for each in (one, other):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open -= {one}
        one.close()


@contextlib.contextmanager
def gunicorn(configuration: pathlib.Path, port: int, host: str = '127.0.0.1') -> Iterator[Gunicorn]:
    """A webhook process, to be asked at ``host``; stopped at the end."""
    running = Gunicorn(configuration, port, host)
    try:
        yield running
    finally:
        running.stop()
