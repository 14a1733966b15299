"""Start and stop processes, and know them again: by pid and start time, never by name."""

import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence

from cloud.progress import say
from cloud.settings import Settings

GRACE = 20.0
"""Seconds between SIGTERM and SIGKILL."""


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
    """Signal the services' process groups and wait until they are gone; returns who ran."""
    live = {}
    for name in names:
        pid = pid_of(s, name)
        if pid is None:
            (s.run / name).unlink(missing_ok=True)
            continue
        live[name] = pid
        _signal_group(pid, sig)
    ran = list(live)
    end = time.monotonic() + GRACE
    while live and time.monotonic() < end:
        for name, pid in list(live.items()):
            _reap(pid)
            if pid_of(s, name) is None:
                del live[name]
        time.sleep(0.05)
    for name, pid in live.items():
        say(f'  {name} did not stop within {GRACE:.0f} s: SIGKILL')
        _signal_group(pid, signal.SIGKILL)
    for name in ran:
        (s.run / name).unlink(missing_ok=True)
    return ran


def _signal_group(pid: int, sig: signal.Signals) -> None:
    try:
        os.killpg(pid, sig)
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
