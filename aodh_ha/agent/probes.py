"""The ways to ask whether a service is well.

Each has a method `ask(timeout)` that tells what is wrong, or ''; it may raise anything.
"""

import os
import re
import time

from .processes import run
from .transport import connect, exchange

BODY_LIMIT = 1 << 20  # bytes of a page that are read


class Http:
    """A URL that answers with one of the statuses, and with the text in its body.

    `statuses` are pairs of the first and the last one. With `verify` false the
    certificate may be anybody's.
    """

    def __init__(
        self,
        url: str,
        statuses: 'tuple[tuple[int, int], ...]' = ((200, 399),),
        body: str = '',
        ca_file: str = '',
        verify: bool = True,
    ) -> None:
        self._url = url
        self._statuses = statuses
        self._body = body
        self._ca_file = ca_file
        self._verify = verify

    def ask(self, timeout: float) -> str:
        """Never through a proxy: checks are of services in this guest."""
        reply = exchange(
            'GET',
            self._url,
            timeout=timeout,
            limit=BODY_LIMIT,
            proxied=False,
            ca_file=self._ca_file,
            verify=self._verify,
        )
        if not any(first <= reply.status <= last for first, last in self._statuses):
            return 'HTTP {}'.format(reply.status)
        if self._body.encode() not in reply.body:
            return 'HTTP {} without "{}" in its body'.format(reply.status, self._body)
        return ''


class Tcp:
    """An address `host:port` that takes connections."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(':')
        self._host = host.strip('[]')
        self._port = int(port)

    def ask(self, timeout: float) -> str:
        """Connect, and hang up."""
        connect(self._host, self._port, timeout).close()
        return ''


class Process:
    """A process whose command line fits the pattern, or whose number is in the file, or both."""

    def __init__(self, pattern: str = '', pid_file: str = '') -> None:
        self._pattern = re.compile(pattern) if pattern else None
        self._pid_file = pid_file
        self._found = ''  # looked at first the next time: a guest may have many processes

    def ask(self, _timeout: float) -> str:
        """Look into /proc."""
        if self._pid_file:
            with open(self._pid_file) as f:
                pid = f.read(64).split()[:1]
            if not pid or not pid[0].isdigit():
                return '{}: no process number is in it'.format(self._pid_file)
            wanted = ' as wanted' if self._pattern else ''
            said = '{}: no process {} runs{}'.format(self._pid_file, pid[0], wanted)
            return '' if self._runs(pid[0]) else said
        if self._found and self._runs(self._found):
            return ''
        own = str(os.getpid())
        for pid_ in os.listdir('/proc'):
            if pid_.isdigit() and pid_ != own and self._runs(pid_):
                self._found = pid_
                return ''
        return 'no process runs whose command line fits'

    def _runs(self, pid: str) -> bool:
        try:
            if self._pattern is None:
                with open('/proc/{}/stat'.format(pid), 'rb') as f:
                    state = f.read(4096).rpartition(b')')[2].split()[0]
                return state not in (b'Z', b'X')  # dead, and not buried yet
            with open('/proc/{}/cmdline'.format(pid), 'rb') as f:
                words = f.read(65536).rstrip(b'\0').replace(b'\0', b' ')
        except (OSError, IndexError):
            return False
        # The dead have no command line, and neither have the threads of the kernel.
        return bool(words and self._pattern.search(words.decode('utf-8', 'replace')))


class Command:
    """A command that ends with status 0; whatever it starts ends with it."""

    def __init__(self, command: 'list[str]') -> None:
        self._command = command

    def ask(self, timeout: float) -> str:
        """Run it."""
        return run(self._command, timeout, leaves_nothing=True)


class Unit(Command):
    """A systemd unit that is active."""

    def __init__(self, unit: str) -> None:
        super().__init__(['systemctl', 'is-active', unit])


class FileAge:
    """A file that was written within `age` seconds."""

    def __init__(self, path: str, age: float) -> None:
        self._path = path
        self._age = age

    def ask(self, _timeout: float) -> str:
        """Look at the file's time."""
        age = time.time() - os.stat(self._path).st_mtime
        if age > self._age:
            return '{}: not written for {:.0f} s'.format(self._path, age)
        return ''


MYPY = False  # mypy takes it for true; `typing` is not worth its memory in a guest
if MYPY:
    from typing import Protocol

    class Probe(Protocol):
        """Any of them."""

        def ask(self, timeout: float) -> str:
            """What is wrong with the service, or ''; may raise anything."""
