"""Runs a command for a limited time, without a shell and in a process group of its own."""

import os
import select
import signal
import time

POLL = 0.05  # seconds between two looks whether the command has ended
SAID = 200  # characters of a command's output that are told
# Nothing that a command needs to know: the guest's key, and who the agent is to systemd.
OURS = ('AODH_HA_KEY', 'NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID')


def run(
    command: 'list[str]',
    timeout: float,
    environ: 'dict[str, str] | None' = None,
    leaves_nothing: bool = False,
) -> str:
    """Run the command for at most `timeout` seconds; what went wrong, or ''.

    What it prints goes where the agent's own log goes: a pipe of ours would be held
    open by a service that it starts, for as long as that runs. With `leaves_nothing`
    whatever it started ends with it, and the beginning of its output is told.
    """
    import subprocess  # not needed in a guest whose services never fail

    surroundings = {k: v for k, v in os.environ.items() if k not in OURS}
    surroundings.update(environ or {})
    read, write = os.pipe() if leaves_nothing else (-1, -1)
    # A thread of this program blocks the signals that end it, and what it
    # starts would inherit that: the service could never be stopped again.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=write if leaves_nothing else 2,
            stderr=write if leaves_nothing else None,
            env=surroundings,
            start_new_session=True,
        )
    except (OSError, ValueError) as e:
        if leaves_nothing:
            os.close(read)
        return '{}: {}'.format(command[0], e)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        if leaves_nothing:
            os.close(write)
    try:
        in_time, said = _wait(process.pid, time.monotonic() + timeout, read)
        # The group is killed before its first process is buried: until then its number
        # cannot become another one's.
        if leaves_nothing or not in_time:
            _kill(process.pid)
        code = process.wait()
    finally:
        if leaves_nothing:
            os.close(read)
    if not in_time:
        return '{}: not done within {:g} s'.format(command[0], timeout)
    if not code:
        return ''
    how = 'exit status {}'.format(code) if code > 0 else 'signal {}'.format(-code)
    return '{}: {}{}'.format(command[0], how, said and ': ' + said)


def _wait(pid: int, until: float, read: int) -> 'tuple[bool, str]':
    """(whether it ended in time, what it said)."""
    said = b''
    reads = [read] if read >= 0 else []
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > until:
            return False, ''
        # Not Popen.wait(timeout): it sleeps, which fails under libfaketime from 3.11 on.
        if select.select(reads, [], [], POLL)[0]:
            # All of it is read, so that a command that talks much is not held up.
            new = os.read(read, 65536)
            said += new[: 4 * SAID - len(said)]
            reads = reads if new else []
    while reads and select.select(reads, [], [], 0)[0] and len(said) < 4 * SAID:
        new = os.read(read, 4 * SAID)
        said += new
        reads = reads if new else []
    return True, ' '.join(said.decode('utf-8', 'replace').split())[:SAID]


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # it ended meanwhile
