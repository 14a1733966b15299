"""The processes of a guest: known by a marker in their environment, never by name.

A pid alone says nothing, since it may belong to a stranger by now: a pid is always
looked at together with the time at which its process started.
"""

import os
import pathlib
import signal
import time

MARKER = 'DEVCLOUD_GUEST_FOLDER'
"""Every process of a guest carries its guest's folder in this variable."""

KILL_TIMEOUT = 10.0
"""Seconds after which processes that survive SIGKILL are a fault of the machine's."""

_STATE, _USER_TIME, _SYSTEM_TIME, _START_TIME = (
    0,
    11,
    12,
    19,
)  # in /proc/<pid>/stat, counted from the third field


def _stat(pid: int) -> list[str]:
    try:
        return pathlib.Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()
    except (OSError, IndexError):
        return []


def born(pid: int) -> str:
    """The process' start time in clock ticks since the machine's boot; '' if it is gone."""
    fields = _stat(pid)
    return fields[_START_TIME] if fields and fields[_STATE] not in 'ZX' else ''


def alive(pid: int, start_time: str) -> bool:
    return bool(start_time) and born(pid) == start_time


def stopped(pid: int, start_time: str) -> bool:
    """Whether the process is there and halted by SIGSTOP."""
    fields = _stat(pid)
    return bool(fields) and fields[_START_TIME] == start_time and fields[_STATE] == 'T'


def members(folder: pathlib.Path | str) -> list[int]:
    """The pids of all processes of the guest with this folder."""
    wanted = f'\0{MARKER}={folder}\0'.encode()
    found = []
    for entry in os.listdir('/proc'):
        if entry.isdecimal():
            try:
                with open(f'/proc/{entry}/environ', 'rb') as f:
                    environ = f.read()
            except OSError:
                continue  # it ended, or it is another user's
            if wanted in b'\0' + environ:
                found.append(int(entry))
    return found


def cpu_seconds(folder: pathlib.Path | str) -> float:
    """CPU time of the processes that a guest has now."""
    stats = [s for s in map(_stat, members(folder)) if s]
    ticks = sum(int(s[_USER_TIME]) + int(s[_SYSTEM_TIME]) for s in stats)
    return ticks / os.sysconf('SC_CLK_TCK')


def signal_all(folder: pathlib.Path | str, number: signal.Signals) -> int:
    """Send a signal to all processes of a guest; how many there were."""
    pids = members(folder)
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass  # it ended between the look and the signal
    return len(pids)


def kill_all(folder: pathlib.Path | str) -> None:
    """End all processes of a guest, those included that are forked meanwhile."""
    end = time.monotonic() + KILL_TIMEOUT
    while signal_all(folder, signal.SIGKILL):
        if time.monotonic() > end:
            raise RuntimeError(f'processes of {folder} survive SIGKILL: {members(folder)}')
        time.sleep(0.02)
