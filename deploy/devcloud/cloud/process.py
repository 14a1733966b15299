"""Start and stop processes, and know them again: by pid and start time, never by name."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from cloud.progress import say
from cloud.settings import Settings

GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL."""


class StopError(Exception):
    """Processes that do not end even by SIGKILL: a fault of the machine's."""


def _stat(pid: int | str) -> list[str]:
    """The fields of /proc/<pid>/stat from the third on (state is number 0)."""
    return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()


_STATE, _SESSION, _START_TIME = 0, 3, 19


def pid_of(s: Settings, name: str) -> int | None:
    """The pid of a service that we started and that still runs."""
    try:
        pid, born = (s.run / name).read_text().split()
        fields = _stat(pid)
    except (OSError, ValueError):
        return None
    # A pid may be taken again by a stranger: only the start time makes it ours.
    return int(pid) if fields[_START_TIME] == born and fields[_STATE] != 'Z' else None


def start(s: Settings, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
    """Start a service in a session of its own, with its output in its log."""
    with open(s.log / f'{name}.log', 'ab') as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=dict(env),
            cwd=s.data,
            start_new_session=True,
        )
    born = _stat(process.pid)[_START_TIME]
    (s.run / name).write_text(f'{process.pid} {born}\n')


def recorded(s: Settings) -> list[str]:
    """Every service that was started and not stopped, alive or not."""
    return sorted(p.name for p in s.run.iterdir()) if s.run.is_dir() else []


def stop(s: Settings, names: Iterable[str], sig: signal.Signals = signal.SIGTERM) -> list[str]:
    """Signal the services and wait until nothing of their sessions is left; returns who ran.

    A service whose leader died by itself may have left workers, which hold its port.
    """
    names = list(names)
    ran = [name for name in names if pid_of(s, name)]
    leaders = {name: pid for name in names if (pid := _session_of(s, name))}
    for name, pid in leaders.items():
        if name in ran and sig != signal.SIGKILL:
            _signal(os.killpg, pid, sig)
        else:
            _signal_all(_sessions({pid}), sig)
    end = time.monotonic() + GRACE
    while (left := _sessions(set(leaders.values()))) and time.monotonic() < end:
        time.sleep(0.1)
    if left:
        late = [name for name, pid in leaders.items() if pid in left]
        say(f'  {" ".join(late)} did not stop within {GRACE:.0f} s: SIGKILL')
    end = time.monotonic() + GRACE
    while left and time.monotonic() < end:
        _signal_all(left, signal.SIGKILL)
        time.sleep(0.05)
        left = _sessions(set(leaders.values()))
    if left:
        raise StopError(f'processes survive SIGKILL: {left}')
    for name in names:
        (s.run / name).unlink(missing_ok=True)
    return ran


def _session_of(s: Settings, name: str) -> int | None:
    """The session that a service was started in, unless its number is a stranger's by now."""
    try:
        pid, born = (s.run / name).read_text().split()
    except (OSError, ValueError):
        return None
    try:
        return int(pid) if _stat(pid)[_START_TIME] == born else None
    except (OSError, IndexError):
        return int(pid)  # the leader is gone; while others are in its session, nobody gets the pid


def _sessions(leaders: set[int]) -> dict[int, list[int]]:
    """The living processes of these sessions, by session; children of ours are buried."""
    found: dict[int, list[int]] = {}
    if not leaders:
        return found
    for entry in os.listdir('/proc'):
        if not entry.isdecimal():
            continue
        try:
            fields = _stat(entry)
        except (OSError, IndexError):
            continue
        session = int(fields[_SESSION])
        if session not in leaders:
            continue
        if fields[_STATE] == 'Z':
            _reap(int(entry))
        else:
            found.setdefault(session, []).append(int(entry))
    return found


def _signal_all(sessions: Mapping[int, list[int]], sig: signal.Signals) -> None:
    for pids in sessions.values():
        for pid in pids:
            _signal(os.kill, pid, sig)


def _signal(send: Callable[[int, int], None], pid: int, sig: signal.Signals) -> None:
    try:
        send(pid, sig)
    except ProcessLookupError:
        pass  # it ended between the look and the signal


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # started by an earlier command: not our child


def memory(pid: int) -> tuple[int, int]:
    """(MiB, processes) of the session that a service leads; shared pages count in parts."""
    kib = count = 0
    for entry in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            if int(_stat(entry.name)[_SESSION]) != pid:
                continue
            rollup = (entry / 'smaps_rollup').read_text()
        except (OSError, IndexError, ValueError):
            continue  # it ended while we looked
        kib += sum(int(x.split()[1]) for x in rollup.splitlines() if x.startswith('Pss:'))
        count += 1
    return kib // 1024, count
