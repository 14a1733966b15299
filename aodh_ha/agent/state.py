"""What the agent keeps across restarts: its sequence number, the commands it carried out, and
how often it has restarted which service.
"""

import json
import os

# Written once for so many heartbeats, ahead of use: a kill at any moment can
# only make the numbers skip, never repeat.
BLOCK = 100


class Sequence:
    """Ever growing numbers; the state folder may vanish at any time."""

    def __init__(self, folder: str, log: 'logging.Logger') -> None:
        self._path = os.path.join(folder, 'sequence') if folder else ''
        self._log = log
        self._last = self._stored()
        self._reserved = self._last

    def _stored(self) -> int:
        try:
            with open(self._path) as f:
                return max(0, int(f.read(32)))
        except (OSError, ValueError):
            # A new or a rebuilt guest: the gateway's 409 tells where to go on.
            return 0

    def next(self) -> int:
        """A number that was not used before."""
        self._last += 1
        if self._last > self._reserved:
            self._reserved = self._last + BLOCK
            self._write()
        return self._last

    def jump(self, last: int) -> None:
        """Go on after `last`, the highest number that the gateway has seen."""
        if last > self._last:
            self._last = last

    def _write(self) -> None:
        try:
            store(self._path, '{}\n'.format(self._reserved))
        except OSError as e:
            # A full disk is no reason to fall silent.
            self._log.warning('cannot keep the sequence number: %s', e)


class Memory:
    """The last commands and their results: what was begun is never done again.

    While the folder cannot be written they are kept in memory alone.
    """

    KEPT = 64

    def __init__(self, folder: str, log: 'logging.Logger') -> None:
        self._path = os.path.join(folder, 'commands') if folder else ''
        self._log = log
        self._known = {}  # type: dict[str, Done]
        for values in self._stored():
            done = Done(*values)
            if not done.ended:
                done.end(False, 'the agent ended before it did; it may have been done', False)
            self._known[done.id] = done

    def _stored(self) -> 'list[tuple[str, bool, bool, str, bool, bool]]':
        try:
            with open(self._path) as f:
                found = [tuple(json.loads(line)) for line in f]
        except (OSError, ValueError, TypeError):
            return []
        types = (str, bool, bool, str, bool, bool)
        return [v for v in found if tuple(map(type, v)) == types]

    def begin(self, id: str) -> None:
        """The command is about to be carried out."""
        self._known[id] = Done(id)
        for old in list(self._known)[: -self.KEPT]:
            del self._known[old]
        self._write()

    def end(self, id: str, ok: bool, detail: str, refused: bool) -> None:
        """It was carried out, or refused."""
        if id in self._known:
            self._known[id].end(ok, detail, refused)
            self._write()

    def tell_again(self, id: str) -> bool:
        """Whether the command is known; its result, if there is one, is told once more."""
        done = self._known.get(id)
        if done and done.told:
            done.told = False
            self._known[id] = self._known.pop(id)  # after those that were never told
            self._write()
        return done is not None

    def untold(self) -> 'list[dict[str, object]]':
        """The results that have to be told."""
        return [d.result() for d in self._known.values() if d.ended and not d.told]

    def told(self, ids: 'list[str]') -> None:
        """These were."""
        for id in ids:
            if id in self._known:
                self._known[id].told = True
        self._write()

    def _write(self) -> None:
        try:
            lines = [json.dumps(d.values()) + '\n' for d in self._known.values()]
            store(self._path, ''.join(lines))
        except OSError as e:
            self._log.warning('cannot keep which commands were carried out: %s', e)


class Done:
    """A command that was begun."""

    def __init__(
        self,
        id: str,
        ended: bool = False,
        ok: bool = False,
        detail: str = '',
        refused: bool = False,
        told: bool = False,
    ) -> None:
        self.id = id
        self.ended = ended
        self.ok = ok
        self.detail = detail
        self.refused = refused
        self.told = told

    def end(self, ok: bool, detail: str, refused: bool) -> None:
        """What came of it."""
        self.ended, self.ok, self.detail, self.refused = True, ok, detail, refused

    def values(self) -> 'list[object]':
        """As it lies on the disk: the arguments of its constructor."""
        return [self.id, self.ended, self.ok, self.detail, self.refused, self.told]

    def result(self) -> 'dict[str, object]':
        """As a heartbeat carries it."""
        found = {'id': self.id, 'ok': self.ok, 'detail': self.detail}  # type: dict[str, object]
        if self.refused:
            found['refused'] = True
        return found


class Attempts:
    """When the agent restarted each service by itself, since the guest booted.

    Else an agent that is restarted, too, would restart a service that cannot run for ever, and
    the gateway would never hear that it failed. In seconds of the monotonic clock, which goes on
    until the guest reboots; after that each service has all its attempts again.
    """

    def __init__(self, folder: str, boot: str, log: 'logging.Logger') -> None:
        self._path = os.path.join(folder, 'restarts') if folder else ''
        self._boot = boot
        self._log = log
        self._began = self._stored()

    def _stored(self) -> 'dict[str, list[float]]':
        try:
            with open(self._path) as f:
                boot, began = json.load(f)
            if boot != self._boot:
                return {}
            return {str(name): [float(at) for at in times] for name, times in began.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}

    def of(self, service: str) -> 'list[float]':
        """When they began."""
        return list(self._began.get(service, ()))

    def keep(self, service: str, began: 'list[float]') -> None:
        """These are the service's, of its window."""
        self._began[service] = began
        try:
            store(self._path, json.dumps([self._boot, self._began]))
        except OSError as e:
            self._log.warning('cannot keep how often a service was restarted: %s', e)


def store(path: str, text: str) -> None:
    """Write the file in one step, and to the disk; '' for no file."""
    if not path:
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + '.new', 'w') as f:
        f.write(text)
        f.flush()
        os.fsync(f.fileno())
    os.replace(path + '.new', path)


MYPY = False
if MYPY:
    import logging
