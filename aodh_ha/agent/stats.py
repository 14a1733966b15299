"""What the guest is busy with: CPU, load, memory, swap, disks, HAProxy.

Names and units are those of cfn-push-stats, which many images still have.
"""

import os
import threading
import time

SOURCES = ('cpu', 'load', 'memory', 'swap', 'disk', 'haproxy')
MEGABYTE = 1048576.0
CPU_AT_LEAST = 1.0  # seconds that a CPU's use must be measured for to mean anything


class Statistics:
    """Measures, at most once in an interval, what the settings name.

    `due()` never waits: what may hang (a disk that is mounted over the network, HAProxy) is
    measured by a thread of its own, and told when it is there. For the beater see push.Outbox.
    """

    def __init__(
        self,
        sources: 'list[str]',
        log: 'logging.Logger',
        interval: float = 60.0,
        disks: 'list[str] | tuple[str, ...]' = ('/',),
        haproxy: str = '',
        proc: str = '/proc',
    ) -> None:
        """`sources` are of SOURCES; `haproxy` is its stats socket (a path) or the stats page's
        URL. Raises ValueError, whose text says which setting is wrong."""
        for source in sources:
            if source not in SOURCES:
                raise ValueError(
                    'statistics = {}: unknown; known are {}'.format(source, ', '.join(SOURCES))
                )
        if 'haproxy' in sources and not haproxy:
            raise ValueError('statistics = haproxy: write also haproxy = SOCKET or URL')
        self._interval = interval
        self._log = log
        self._proc = proc
        self._quick = [s for s in sources if s not in ('disk', 'haproxy')]
        self._slow = []  # type: list[Slow]
        if 'disk' in sources:
            suffixes = {}  # type: dict[str, str]
            for path in disks:
                suffix = _suffix(path)
                if suffixes.setdefault(suffix, path) != path:
                    raise ValueError(
                        'disks = {}: has the same name as {}'.format(path, suffixes[suffix])
                    )
            self._slow += [Slow('disk ' + p, disk, (p, s)) for s, p in suffixes.items()]
        if 'haproxy' in sources:
            self._slow.append(Slow('haproxy', _haproxy, (haproxy,)))
        self._measured = None  # type: float | None
        self._cpu = self._cpu_times() if 'cpu' in sources else (0.0, 0.0)
        self._cpu_at = time.monotonic()
        self._said = {}  # type: dict[str, str]
        self._look = {
            'cpu': self._used, 'load': self._load, 'memory': self._memory, 'swap': self._swap,
        }  # fmt: skip

    def due(self) -> 'list[dict[str, object]]':
        """New values as a heartbeat carries them: name, value, unit, and age in seconds.

        Empty when there are none. No value is given twice.
        """
        found = []  # type: list[dict[str, object]]
        now = time.monotonic()
        new_round = self._measured is None or now - self._measured >= self._interval
        for slow in self._slow:
            answer = slow.take(now)
            if answer is not None:
                found += answer
                self._say(slow.name, slow.error)
        if new_round:
            self._measured = now
            for slow in self._slow:
                if not slow.start():
                    self._say(slow.name, 'no answer yet; it is not asked again before')
            for name in self._quick:
                try:
                    found += self._look[name]()
                    self._say(name, '')
                except (OSError, ValueError, IndexError, KeyError) as e:
                    self._say(name, repr(e))
        return found

    def _say(self, name: str, what: str) -> None:
        if what != self._said.get(name, ''):
            self._said[name] = what
            if what:
                self._log.warning('statistics of %s: %s', name, what)
            else:
                self._log.info('statistics of %s are there', name)

    def _read(self, name: str) -> str:
        with open(os.path.join(self._proc, name)) as f:
            return f.read(1 << 16)

    def _cpu_times(self) -> 'tuple[float, float]':
        """Busy and all time since the boot, in clock ticks."""
        try:
            fields = [float(n) for n in self._read('stat').split('\n', 1)[0].split()[1:9]]
        except (OSError, ValueError):
            return 0.0, 0.0
        # user nice system idle iowait irq softirq steal; guest time is part of user's.
        return sum(fields) - fields[3] - fields[4], sum(fields)

    def _used(self) -> 'list[dict[str, object]]':
        now = time.monotonic()
        if now - self._cpu_at < CPU_AT_LEAST:
            self._measured = None  # look again with the next heartbeat
            return []
        (busy, total), (busy_before, before) = self._cpu_times(), self._cpu
        self._cpu, self._cpu_at = (busy, total), now
        if total <= before:
            return []
        share = 100.0 * max(0.0, busy - busy_before) / (total - before)
        return [metric('CPUUtilization', min(100.0, share), 'Percent')]

    def _load(self) -> 'list[dict[str, object]]':
        return [metric('LoadAverage', float(self._read('loadavg').split()[0]), '')]

    def _meminfo(self) -> 'dict[str, float]':
        """/proc/meminfo, in bytes."""
        found = {}
        for line in self._read('meminfo').splitlines():
            name, _, rest = line.partition(':')
            words = rest.split()
            if words:
                found[name] = float(words[0]) * (1024 if words[1:] == ['kB'] else 1)
        return found

    def _memory(self) -> 'list[dict[str, object]]':
        found = self._meminfo()
        total = found['MemTotal']
        free = found.get('MemAvailable')
        if free is None:  # before Linux 3.14
            free = found['MemFree'] + found.get('Buffers', 0.0) + found.get('Cached', 0.0)
        return [
            metric('MemoryUtilization', 100.0 * (total - free) / total, 'Percent'),
            metric('MemoryUsed', (total - free) / MEGABYTE, 'megabytes'),
            metric('MemoryAvailable', free / MEGABYTE, 'megabytes'),
        ]

    def _swap(self) -> 'list[dict[str, object]]':
        found = self._meminfo()
        total, free = found['SwapTotal'], found['SwapFree']
        share = 100.0 * (total - free) / total if total else 0.0
        return [
            metric('SwapUtilization', share, 'Percent'),
            metric('SwapUsed', (total - free) / MEGABYTE, 'megabytes'),
        ]


class Slow:
    """A source that may hang: asked by a thread, of which there is never a second one."""

    def __init__(
        self,
        name: str,
        ask: 'Callable[..., list[dict[str, object]]]',
        arguments: 'tuple[str, ...]',
    ) -> None:
        self.name = name
        self.error = ''
        self._ask = ask
        self._arguments = arguments
        self._thread = None  # type: threading.Thread | None
        self._found = []  # type: list[dict[str, object]]
        self._at = 0.0

    def start(self) -> bool:
        """Ask; False if the last question has no answer yet."""
        if self._thread and self._thread.is_alive():
            return False
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()
        return True

    def wait(self, timeout: float) -> None:
        """Until it has answered, at most so many seconds."""
        if self._thread:
            self._thread.join(timeout)

    def take(self, now: float) -> 'list[dict[str, object]] | None':
        """The answer, once, with its age in seconds; None while there is no new one."""
        if not self._thread or self._thread.is_alive():
            return None
        self._thread = None
        found, self._found = self._found, []
        age = round(max(0.0, now - self._at), 1)
        return [dict(m, age=age) for m in found]

    def _run(self) -> None:
        try:
            found = self._ask(*self._arguments)
            error = ''
        except Exception as e:  # whatever it is, the next round asks again
            found, error = [], '{}: {}'.format(type(e).__name__, e)[:200]
        self._found, self.error, self._at = found, error, time.monotonic()


def metric(name: str, value: float, unit: str) -> 'dict[str, object]':
    """As a heartbeat carries it."""
    return {'name': name, 'value': round(value, 3), 'unit': unit}


def _suffix(path: str) -> str:
    """What a mount point adds to the names: nothing for /, else its path with dots."""
    if not path.startswith('/'):
        raise ValueError('disks = {}: write absolute paths of mount points'.format(path))
    plain = [c if (c.isalnum() and ord(c) < 128) or c in '_-' else '.' for c in path.strip('/')]
    suffix = ''.join(plain)
    if len(suffix) > 43:  # with DiskSpaceUtilization at most 64 characters
        raise ValueError('disks = {}: write paths of at most 43 characters'.format(path))
    return '.' + suffix if suffix else ''


def disk(path: str, suffix: str) -> 'list[dict[str, object]]':
    """How full the disk is that is mounted there; `suffix` goes after the names."""
    found = os.statvfs(path)
    used = float(found.f_blocks - found.f_bfree) * found.f_frsize
    free = float(found.f_bavail) * found.f_frsize  # for others than root, as df shows it
    share = 100.0 * used / (used + free) if used + free else 0.0
    return [
        metric('DiskSpaceUtilization' + suffix, share, 'Percent'),
        metric('DiskSpaceUsed' + suffix, used / MEGABYTE, 'megabytes'),
        metric('DiskSpaceAvailable' + suffix, free / MEGABYTE, 'megabytes'),
    ]


def _haproxy(where: str) -> 'list[dict[str, object]]':
    from .haproxy import statistics

    return statistics(where)


MYPY = False
if MYPY:
    import logging
    from collections.abc import Callable
