"""The sequence number of the last heartbeat, kept across restarts."""

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
        if not self._path:
            return
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            with open(self._path + '.new', 'w') as f:
                f.write('{}\n'.format(self._reserved))
                f.flush()
                os.fsync(f.fileno())
            os.replace(self._path + '.new', self._path)
        except OSError as e:
            # A full disk is no reason to fall silent.
            self._log.warning('cannot keep the sequence number: %s', e)


MYPY = False
if MYPY:
    import logging
