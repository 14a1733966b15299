"""What happened to the services, until a gateway has heard of it: on disk while none answers."""

import json
import os
import threading
import time

from .state import store

AT_ONCE = 32  # in one heartbeat: what the gateway takes
KEPT = 256  # the oldest are dropped
DETAIL = 200  # characters


class Events:
    """The events that were not told yet, oldest first.

    Each is [id, boot, monotonic, Unix time, service, what, detail]. The monotonic time
    tells how long ago it was, whatever the guest's clock does; after a reboot the clock
    has to do.
    """

    def __init__(self, folder: str, boot: str, log: 'logging.Logger') -> None:
        self._path = os.path.join(folder, 'events') if folder else ''
        self._boot = boot
        self._log = log
        self._lock = threading.Lock()
        self._dropped = 0
        self._events = self._stored()
        self._written = bool(self._events)
        self._changed = False

    def _stored(self) -> 'list[list[object]]':
        try:
            with open(self._path) as f:
                found = [json.loads(line) for line in f]
        except (OSError, ValueError):
            return []
        types = [str, str, float, float, str, str, str]
        return [e for e in found if isinstance(e, list) and [type(v) for v in e] == types][-KEPT:]

    def add(self, service: str, what: str, detail: str = '') -> None:
        """The service turned to this state, or this was done to it."""
        plain = ''.join(c if c.isprintable() else ' ' for c in detail)[:DETAIL]
        event = [
            os.urandom(8).hex(), self._boot, time.monotonic(), time.time(), service, what, plain,
        ]  # type: list[object]  # fmt: skip
        with self._lock:
            self._events.append(event)
            self._changed = True
            if len(self._events) > KEPT:
                del self._events[0]
                self._dropped += 1

    def untold(self) -> 'list[dict[str, object]]':
        """As a heartbeat carries them; `ago` in seconds before now."""
        now, clock = time.monotonic(), time.time()
        with self._lock:
            if self._dropped:
                self._log.warning('%d events of services were dropped unheard', self._dropped)
                self._dropped = 0
            found = self._events[:AT_ONCE]
        return [self._as_told(e, now, clock) for e in found]

    def _as_told(self, event: 'list[object]', now: float, clock: float) -> 'dict[str, object]':
        id, boot, monotonic, unix, service, what, detail = event
        ago = now - float(str(monotonic)) if boot == self._boot else clock - float(str(unix))
        told = {'id': id, 'service': service, 'state': what, 'ago': round(max(0.0, ago), 3)}
        if detail:
            told['detail'] = detail
        return told

    @property
    def left(self) -> bool:
        """Whether there are any that were not told."""
        return bool(self._events)

    def told(self, ids: 'list[str]') -> None:
        """A gateway has heard of these."""
        with self._lock:
            self._events = [e for e in self._events if e[0] not in ids]
            if self._written:
                self._write()

    def keep(self) -> None:
        """No gateway answers: what is untold must outlive this process."""
        with self._lock:
            if self._changed:
                self._write()

    def _write(self) -> None:
        self._changed = False
        self._written = bool(self._events)
        try:
            store(self._path, ''.join(json.dumps(e) + '\n' for e in self._events))
        except OSError as e:
            self._log.warning('cannot keep the events of services: %s', e)


MYPY = False
if MYPY:
    import logging
