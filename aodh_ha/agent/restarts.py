"""How a service of this guest is restarted: by a command that the guest's own settings name."""

import time

from .processes import run

MYPY = False
if MYPY:
    import logging
    from collections.abc import Callable


class Hooks:
    """Commands that are run before and after a restart; `timeout` of each in seconds.

    They are told what happens, and cannot prevent it: a hook that fails is said in the log.
    """

    def __init__(
        self,
        service: str,
        before: 'list[str] | None' = None,
        after: 'list[str] | None' = None,
        timeout: float = 30.0,
    ) -> None:
        self._service = service
        self._commands = {'before': before or [], 'after': after or []}
        self._timeout = timeout

    def run(self, event: str, log: 'logging.Logger', wrong: str = '') -> None:
        """Run the hook of `before` or `after`; `wrong`: what went wrong with the restart."""
        command = self._commands[event]
        if not command:
            return
        environ = {
            'AODH_HA_SERVICE': self._service,
            'AODH_HA_EVENT': event,
            'AODH_HA_WRONG': wrong,
        }
        failed = run(command, self._timeout, environ)
        if failed:
            log.warning('service %s: hook %s: %s', self._service, event, failed)


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
        hooks: 'Hooks | None' = None,
    ) -> None:
        self.command = command
        self.timeout = timeout
        self.attempts = attempts
        self.window = window
        self._hooks = hooks
        self._began = []  # type: list[float]
        self._keep = None  # type: Callable[[list[float]], None] | None

    def left(self) -> int:
        """Restarts that the agent may still do by itself in this window."""
        since = time.monotonic() - self.window
        self._began = [b for b in self._began if b > since]
        return max(0, self.attempts - len(self._began))

    def count(self) -> None:
        """One of those is used."""
        self._began.append(time.monotonic())
        if self._keep:
            self._keep(self._began)

    def remember(self, began: 'list[float]', keep: 'Callable[[list[float]], None]') -> None:
        """These were used before; `keep` those that are from now on."""
        self._began = began
        self._keep = keep

    def run(self, log: 'logging.Logger') -> str:
        """Restart the service, with the hooks around it; what went wrong, or ''."""
        if self._hooks:
            self._hooks.run('before', log)
        wrong = run(self.command, self.timeout)
        if self._hooks:
            self._hooks.run('after', log, wrong)
        return wrong
