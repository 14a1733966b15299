"""Commands from the gateway: which of them this guest allows, and that each is done once.

A command names a kind and a service. What it means, and whether it is allowed,
stands in the guest's own settings; nothing that the gateway sends is ever run.
"""

import re
import threading
import time

RESTART, CHECK, REPORT = 'service.restart', 'check', 'report'
AT_ONCE = 4  # results in one heartbeat, so that the services have room in it
DETAIL = 200  # characters of a result
ID = re.compile(r'^[0-9a-f-]{36}$')


class Commands:
    """Takes commands out of replies, carries them out one by one, and keeps their results."""

    def __init__(
        self,
        watches: 'list[Watch]',
        memory: 'Memory',
        changed: 'Callable[[], None]',
        log: 'logging.Logger',
    ) -> None:
        self.watches = watches
        self._memory = memory
        self._changed = changed
        self._log = log
        self._lock = threading.Lock()
        self._queue = []  # type: list[Command]
        self._busy = False

    def take(self, told: object, since: float) -> None:
        """Take what a genuine reply carries; `since`: when its request was made, monotonic."""
        for each in told[:64] if isinstance(told, list) else []:
            command = Command.read(each, since)
            if command is None:
                self._log.warning('a command is not understood: %s', str(each)[:200])
                continue
            with self._lock:
                if any(c.id == command.id for c in self._queue):
                    continue
                # The gateway asks for it again: it has not got the result.
                if not self._memory.tell_again(command.id):
                    self._queue.append(command)
        with self._lock:
            if not self._queue or self._busy:
                return
            self._busy = True
        # A thread of its own: a restart may take long, and heartbeats may not wait.
        threading.Thread(target=self._run, name='commands', daemon=True).start()

    def results(self) -> 'list[dict[str, object]]':
        """What is to be reported, oldest first."""
        with self._lock:
            return self._memory.untold()[:AT_ONCE]

    def told(self, ids: 'list[str]') -> None:
        """These results have reached the gateway."""
        if ids:
            with self._lock:
                self._memory.told(ids)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._queue:
                    self._busy = False
                    return
                command = self._queue[0]
                # On the disk before it begins: killed in the middle, it is not done twice.
                self._memory.begin(command.id)
                del self._queue[0]
            self._log.warning('command %s: %s', command.id, command.name)
            try:
                ok, detail, refused = self._carry_out(command)
            except Exception as e:
                self._log.exception('command %s', command.id)
                ok, detail, refused = False, '{}: {}'.format(type(e).__name__, e), False
            detail = ''.join(c if c.isprintable() else ' ' for c in detail)[:DETAIL]
            self._log.warning(
                'command %s: %s: %s',
                command.id, 'refused' if refused else 'done' if ok else 'failed', detail,
            )  # fmt: skip
            with self._lock:
                self._memory.end(command.id, ok, detail, refused)
            self._changed()

    def _carry_out(self, command: 'Command') -> 'tuple[bool, str, bool]':
        """(whether it worked, what is to be said of it, whether it is refused)."""
        if time.monotonic() >= command.deadline:
            return False, 'its time was over', True
        if command.kind == REPORT:
            return True, 'reported', False  # the result goes out at once, the report with it
        if command.kind not in (RESTART, CHECK):
            return False, 'this agent knows no {}'.format(command.kind), True
        watch = next((w for w in self.watches if w.name == command.service), None)
        if watch is None:
            return False, 'no service {} is watched here'.format(command.service), True
        if command.kind == CHECK:
            return True, watch.check() or 'ok', False
        if not watch.restartable:
            said = '[service:{}] of this guest has neither restart nor unit'
            return False, said.format(command.service), True
        wrong = watch.restart()
        if wrong:
            return False, wrong, False
        wrong = watch.check()
        return True, 'restarted' + (wrong and ', not well yet: ' + wrong), False


class Command:
    """A command as it was read from a reply; `deadline` on the monotonic clock."""

    def __init__(self, id: str, kind: str, service: str, deadline: float) -> None:
        self.id = id
        self.kind = kind
        self.service = service
        self.deadline = deadline

    @property
    def name(self) -> str:
        """For the log."""
        return (self.kind + ' ' + self.service).strip()

    @classmethod
    def read(cls, told: object, since: float) -> 'Command | None':
        """None for what is no command."""
        if not isinstance(told, dict):
            return None
        id, kind, left = told.get('id'), told.get('kind'), told.get('expires_in')
        arguments = told.get('arguments')
        service = arguments.get('service', '') if isinstance(arguments, dict) else ''
        texts = isinstance(id, str) and isinstance(kind, str) and isinstance(service, str)
        if not texts or not ID.match(str(id)) or len(str(kind)) > 64 or len(service) > 64:
            return None
        if isinstance(left, bool) or not isinstance(left, (int, float)) or not left < 1e9:
            return None
        return cls(str(id), str(kind), service, since + left)


MYPY = False
if MYPY:
    import logging
    from typing import Callable

    from .checks import Watch
    from .state import Memory
