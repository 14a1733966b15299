"""How a service of this guest is restarted: by a command that the guest's own settings name."""

import os
import select
import signal
import time

POLL = 0.05  # seconds between two looks whether the command has ended


class Restarter:
    """One service's restart command, and how often the agent may run it by itself.

    `timeout` and `window` in seconds; `attempts` within the window, 0 for none.
    """

    def __init__(
        self,
        command: 'list[str]',
        timeout: float = 60.0,
        attempts: int = 0,
        window: float = 600.0,
    ) -> None:
        self.command = command
        self.timeout = timeout
        self.attempts = attempts
        self.window = window
        self._began = []  # type: list[float]

    def left(self) -> int:
        """Restarts that the agent may still do by itself in this window."""
        since = time.monotonic() - self.window
        self._began = [b for b in self._began if b > since]
        return max(0, self.attempts - len(self._began))

    def count(self) -> None:
        """One of those is used."""
        self._began.append(time.monotonic())

    def run(self) -> str:
        """Restart the service; what went wrong, or ''.

        What the command prints goes where the agent's own log goes: a pipe of
        ours would be held open by the service for as long as it runs.
        """
        import subprocess  # not needed in a guest whose services never fail

        environ = dict(os.environ)
        environ.pop('AODH_HA_KEY', None)  # nothing that the service needs to know
        # A thread of this program blocks the signals that end it, and what it
        # starts would inherit that: the service could never be stopped again.
        before = signal.pthread_sigmask(signal.SIG_SETMASK, [])
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environ,
                start_new_session=True,
            )
        except (OSError, ValueError) as e:
            return '{}: {}'.format(self.command[0], e)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        end = time.monotonic() + self.timeout
        while process.poll() is None:
            if time.monotonic() > end:
                _kill(process.pid)
                process.wait()
                return '{}: not done within {:g} s'.format(self.command[0], self.timeout)
            # Not Popen.wait(timeout): it sleeps, which fails under libfaketime from 3.11 on.
            select.select([], [], [], POLL)
        code = process.returncode
        if not code:
            return ''
        how = 'exit status {}'.format(code) if code > 0 else 'signal {}'.format(-code)
        return '{}: {}'.format(self.command[0], how)


def _kill(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass  # it ended meanwhile
