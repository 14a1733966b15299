"""Who this guest is, and with which key it signs: from the settings, or from Nova's metadata."""

import json
import os
import re
import time

from .config import ConfigError, Settings, split
from .transport import TransportError, exchange

LOOK_AGAIN = 10.0  # seconds at least between two looks for a newer key
PATIENCE, LONGEST_PATIENCE = 2.0, 60.0
LIMIT = 1 << 20  # bytes of a metadata document
VENDOR = 'vendor_data2.json'  # lies beside meta_data.json


class Identity:
    """Who this guest is and whom it tells: all that a heartbeat is signed with."""

    def __init__(self, gateways: 'list[str]', guest: str, key: str, generation: str) -> None:
        self.gateways = gateways
        self.guest = guest
        self.key = key
        self.generation = generation

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Identity) and vars(self) == vars(other)

    def __repr__(self) -> str:  # the key must not reach a log by way of a traceback
        return 'Identity({}, generation {})'.format(self.guest, self.generation)


class Source:
    """The guest's identity, read again when the metadata changes or a newer key is told of."""

    def __init__(self, settings: Settings, log: 'logging.Logger') -> None:
        self._log = log
        self._settings = settings
        self._stamp = []  # type: list[object]
        self._said = {}  # type: dict[str, str]
        self._found = []  # type: list[dict[str, str]]  # what the metadata told
        self._newest = ''  # generation, as a gateway tells it
        self._looked = time.monotonic() - LOOK_AGAIN
        self._patience = 0.0  # seconds between two looks for a first key
        try:
            self._identity = self._merge()
        except ValueError as e:
            raise ConfigError('[agent] {}'.format(e)) from e

    def configure(self, settings: Settings) -> None:
        """Go on with other settings; raises ConfigError, and then nothing has changed."""
        Source(settings, self._log)
        self._settings = settings
        # What the metadata told is kept: it may be away just now.
        try:
            self._identity = self._merge()
        except ValueError as e:
            self._say('no use of the metadata: {}'.format(e), 'merge')
        self.reload()

    @property
    def _files(self) -> 'list[str]':
        found = [p for p in self._settings.metadata if '://' not in p]
        return found + [_beside(p) for p in found]

    def current(self) -> 'Identity | None':
        """The identity as far as known; None as long as the guest is not enrolled."""
        if self._stat() != self._stamp:
            self.reload()
        elif self._identity is None and time.monotonic() - self._looked >= self._patience:
            # More and more seldom: each look at vendor data is a request to Nova, and of Nova's
            # to a gateway, and a guest that nobody enrols looks for ever.
            self._patience = min(LONGEST_PATIENCE, max(PATIENCE, self._patience * 1.5))
            self.reload()
        return self._identity

    def told(self, newest: str) -> None:
        """A gateway told the generation of the guest's newest key; look for it if it is another."""
        self._newest = newest
        if self._identity is None or self._identity.generation == newest:
            return
        if self._settings.key:
            self._say(
                'the key of generation {} is in the settings, and there is a newer one, {}: '
                'write it there'.format(self._identity.generation, newest)
            )
        elif time.monotonic() - self._looked >= LOOK_AGAIN and self.reload():
            self._log.info('the key is of generation %s now', self._identity.generation)

    def _stat(self) -> 'list[object]':
        found = []  # type: list[object]
        for path in self._files:
            try:
                s = os.stat(path)
            except OSError:
                continue
            found.append((path, s.st_ino, s.st_mtime_ns, s.st_size))
        return found

    def reload(self) -> bool:
        """Read the metadata now; whether that changed anything."""
        if self._settings.key and self._settings.guest and self._settings.gateways:
            return False  # all is in the configuration: the metadata has no say
        self._looked = time.monotonic()
        self._stamp = self._stat()
        found = self._told()
        # A key that was known stays when none can be read: vendor data is empty while the
        # gateways are away, and they would refuse a key that is not good any more.
        if any(t['key'] for t in found) or not self._found:
            self._found = found
        identity = self._identity
        try:
            identity = self._merge()
        except ValueError as e:
            self._say('no use of the metadata: {}'.format(e), 'merge')
        if identity is None:
            self._say('not enrolled yet: no gateways and key in the configuration or metadata')
        changed = identity != self._identity
        self._identity = identity
        return changed

    def _say(self, text: str, about: str = '') -> None:
        if text != self._said.get(about):
            self._said[about] = text
            self._log.warning('%s', text)

    def _told(self) -> 'list[dict[str, str]]':
        """What each document tells, as far as one has to read for the newest key."""
        found = []
        for place in self._settings.metadata:
            try:
                document = _read(place)
                meta = document.get('meta', {})
                if not isinstance(meta, dict):
                    raise ValueError('not the JSON object that Nova writes')
            except (OSError, TransportError, ValueError) as e:
                self._say('no metadata from {}: {}'.format(place, e), place)
                continue
            found.append(_values(meta, document.get('uuid', '')))
            if self._enough(found):
                break
            try:
                vendor = _read(_beside(place))
            except (OSError, TransportError, ValueError):
                continue  # most clouds have none
            for value in vendor.values():
                if isinstance(value, dict) and value.get('aodh_ha_key'):
                    found.append(_values(value, document.get('uuid', '')))
                    break
            if self._enough(found):
                break
        return found

    def _enough(self, found: 'list[dict[str, str]]') -> bool:
        last = found[-1]
        known = last['gateways'] or self._settings.gateways
        key = last['key'] or self._settings.key
        newest = self._settings.key or self._newest in ('', last['generation'])
        return bool(known and key and newest)

    def _merge(self) -> 'Identity | None':
        s = self._settings
        found = self._found
        keys = [t for t in found if t['key']]
        if self._newest:
            # Else the first one counts; sorted keeps the order of those that are as good.
            keys = sorted(
                keys,
                key=lambda t: (t['generation'] == self._newest, _whole(t['generation'])),
                reverse=True,
            )
        first = keys[0] if keys else {}
        gateways = s.gateways or split(first.get('gateways', ''))
        for each in found:
            gateways = gateways or split(each['gateways'])
        guest = s.guest or next((t['guest'] for t in found if t['guest']), '')
        # A key of the file goes with the file's generation, never with another.
        key = s.key or first.get('key', '')
        generation = s.generation if s.key else first.get('generation', '1')
        if not (gateways and guest and key):
            return None
        if not all(re.match(r'^[!-~]+$', t) and '"' not in t for t in (guest, generation, key)):
            raise ValueError('guest, key and generation must be plain ASCII without quotes')
        return Identity(gateways, guest, key, generation)


def _beside(place: str) -> str:
    return place.rpartition('/')[0] + '/' + VENDOR if '/' in place else VENDOR


def _read(place: str) -> 'dict[str, object]':
    """The JSON object there; raises OSError, TransportError or ValueError."""
    if '://' in place:
        reply = exchange('GET', place, limit=LIMIT)
        if reply.status != 200:
            raise ValueError('HTTP {}'.format(reply.status))
        data = reply.body
    else:
        with open(place, 'rb') as f:
            data = f.read(LIMIT)
    try:
        found = json.loads(data.decode('utf-8'))
    except RecursionError:
        found = None
    if not isinstance(found, dict):
        raise ValueError('not the JSON object that Nova writes')
    return found


def _values(told: 'dict[str, object]', guest: object) -> 'dict[str, str]':
    return {
        'gateways': str(told.get('aodh_ha_gateways') or ''),
        'key': str(told.get('aodh_ha_key') or ''),
        'generation': str(told.get('aodh_ha_generation') or '1'),
        'guest': str(guest),
    }


def _whole(text: str) -> int:
    return int(text) if re.match(r'^[0-9]{1,18}$', text) else 0


MYPY = False
if MYPY:
    import logging
