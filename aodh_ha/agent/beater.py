"""Sends the heartbeats: when, to whom, and what follows from the reply."""

import json
import os
import select
import time

from .clock import ServerClock
from .signing import authorization, reply_is_genuine
from .transport import TransportError, exchange
from .version import VERSION

PATH = '/v1/heartbeats'
BODY_LIMIT = 16 * 1024  # the gateway answers 413 above this
REQUEST_TIMEOUT = 5.0
SHORTEST, LONGEST = 0.1, 3600.0  # what an interval from the gateway may be, seconds
LOOK_EVERY = 2.0  # seconds between looks for credentials while there are none
JITTER = 0.03
# Seconds that the heartbeats may be without progress: one exchange takes REQUEST_TIMEOUT at
# most, but the resolver has time limits of its own before that.
STUCK_AFTER = 120.0
# What a reply can put right: for each of these a heartbeat is tried once more, at once.
CORRECTABLE = ('clock_skew', 'replayed_sequence', 'bad_signature', 'bad_request')


def boot_id(environ: 'dict[str, str]') -> str:
    """The kernel's id of this boot, or the one that the environment gives."""
    given = environ.get('AODH_HA_BOOT_ID')
    if given:
        return given
    with open('/proc/sys/kernel/random/boot_id') as f:
        return f.read().strip()


def _random() -> float:
    """From 0 to 1; the module `random` would cost half a megabyte."""
    return int.from_bytes(os.urandom(4), 'big') / 2.0**32


class Alarm:
    """A wait that can be cut short from another thread.

    A pipe and select, because the timeouts of locks follow the wall clock
    before Python 3.11: a clock set back by an hour would silence the guest.
    """

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """End the current wait, or else the next one."""
        try:
            os.write(self._write, b'.')
        except BlockingIOError:
            pass  # it has been rung often enough

    def wait(self, timeout: float) -> bool:
        """Wait for at most `timeout` seconds; whether it was rung."""
        if not select.select([self._read], [], [], max(0.0, timeout))[0]:
            return False
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass
        return True


class Sent:
    """What a heartbeat carries beside the states of the services."""

    def __init__(self) -> None:
        self.results = []  # type: list[dict[str, object]]
        self.events = []  # type: list[dict[str, object]]
        self.metrics = []  # type: list[dict[str, object]]

    def halve(self) -> bool:
        """Leave half of what can wait to the next heartbeat; whether there was any."""
        if self.metrics:
            self.metrics = self.metrics[: len(self.metrics) // 2]
        elif self.events:
            self.events = self.events[: len(self.events) // 2]
        else:
            return False
        return True


class Beater:
    """The heartbeat loop of one guest."""

    # Between two heartbeats of which the second one reports a change, seconds:
    # a flapping service must not become a flood.
    shortest_gap = 1.0

    def __init__(
        self,
        source: 'Source',
        sequence: 'Sequence',
        watches: 'list[Watch]',
        interval: float,
        boot: str,
        log: 'logging.Logger',
        ca_file: str = '',
        alarm: 'Alarm | None' = None,
        commands: 'Commands | None' = None,
        events: 'Events | None' = None,
        outbox: 'Outbox | None' = None,
    ) -> None:
        self._source = source
        self._sequence = sequence
        self.watches = watches
        self.interval = interval
        self._boot = boot
        self._log = log
        self.ca_file = ca_file
        self._clock = ServerClock()
        self._alarm = alarm or Alarm()
        self._commands = commands
        self._events = events
        self.outbox = outbox
        self._moves_before = float('inf')  # monotonic: who does not move until then is stuck
        self._preferred = 0
        self._failed = 0
        self._said = ''
        self._stopped = False

    @property
    def stuck(self) -> bool:
        """Whether the heartbeats have come to a stop that is none of their own."""
        return time.monotonic() > self._moves_before

    @property
    def said(self) -> str:
        """What was said last of the heartbeats, for people."""
        return self._said

    def changed(self) -> None:
        """A service's state changed: tell it at once."""
        self._alarm.ring()

    def stop(self) -> None:
        """Make run() return; it may take as long as a request in progress."""
        self._stopped = True
        self._alarm.ring()

    def run(self) -> None:
        """Beat until stop() is called."""
        while not self._stopped:
            began = time.monotonic()
            self._moves()
            try:
                until = began + self.beat()
            except Exception:
                # A fault of this program's own must not end the heartbeats.
                self._log.exception('heartbeat failed')
                until = began + self.interval
            while not self._stopped:
                left = until - time.monotonic()
                if left <= 0:
                    break
                self._moves(left)
                if self._alarm.wait(left):
                    until = min(until, began + self.shortest_gap)
        self._moves_before = float('inf')

    def _moves(self, waits: float = 0.0) -> None:
        self._moves_before = time.monotonic() + waits + STUCK_AFTER

    def beat(self) -> float:
        """Send one heartbeat; seconds from its beginning to the next one."""
        identity = self._source.current()
        if identity is None:
            return min(self.interval, LOOK_EVERY)
        retry_after = 0.0
        count = len(identity.gateways)
        for i in range(count):
            number = (self._preferred + i) % count
            reason, retry_after = self._tell(identity, identity.gateways[number])
            identity = self._source.current() or identity
            if not reason:
                self._preferred = number
                self._failed = 0
                gateway = identity.gateways[number % len(identity.gateways)]
                self._say('heard by {}, every {:g} s'.format(gateway, self.interval))
                return self.interval * (1 + JITTER * (2 * _random() - 1))
            self._say('not heard: ' + reason)
            if self._stopped or len(identity.gateways) != count:
                break
        # Sooner than the next regular beat, since silence has a price for the
        # guest, yet spread out, since all the others lost the gateway as well.
        self._failed += 1
        if self._events:
            self._events.keep()
        share = min(1.0, 0.125 * (1 << min(self._failed, 3))) * (0.75 + 0.5 * _random())
        return max(self.interval * share, min(retry_after, max(30.0, self.interval)))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._log.info('%s', text)

    def body(self) -> 'tuple[bytes, Sent]':
        """The heartbeat's JSON, and what is in it.

        What would not fit is left out: metrics and events until later, services for good, and
        that is said.
        """
        sent = Sent()
        services = [w.report() for w in self.watches]
        if self._commands:
            sent.results = self._commands.results()
        if self._events:
            sent.events = self._events.untold()
        if self.outbox:
            sent.metrics = self.outbox.waiting()
        while True:
            data = {'boot_id': self._boot, 'agent': VERSION, 'services': services}
            data.update({k: v for k, v in vars(sent).items() if v})
            text = json.dumps(data, separators=(',', ':')).encode()
            if len(text) <= BODY_LIMIT:
                return text, sent
            if sent.halve():
                continue
            if not services:
                return text, sent
            self._log.warning('too many services for one heartbeat: the last ones are left out')
            services = services[: len(services) // 2]

    def _told(self, sent: 'Sent') -> None:
        """It has reached the gateway, or will never be taken."""
        if self._events and sent.events:
            self._events.told([str(e['id']) for e in sent.events])
            if self._events.left:
                self._alarm.ring()  # the others are not left waiting for an interval each
        if self.outbox and sent.metrics:
            self.outbox.told(sent.metrics)

    def _tell(self, identity: 'Identity', gateway: str) -> 'tuple[str, float]':
        """Tell one gateway; what went wrong (empty if nothing) and its Retry-After."""
        reason, retry_after = '', 0.0
        corrected = set()  # type: set[str]
        while not self._stopped:
            code, reason, retry_after = self._send(identity, gateway)
            if code in corrected or code not in CORRECTABLE:
                break
            corrected.add(code)
            if code == 'bad_signature':
                if not self._source.reload():
                    break
                identity = self._source.current() or identity
        return reason, retry_after

    def _send(self, identity: 'Identity', gateway: str) -> 'tuple[str, str, float]':
        """One request; (code, what went wrong, Retry-After), the first two empty if accepted."""
        self._moves()
        body, sent = self.body()
        since = time.monotonic()
        sequence, now = self._sequence.next(), int(self._clock.now())
        header = authorization(
            identity.key, 'POST', PATH, identity.guest, identity.generation, now, sequence, body
        )
        try:
            reply = exchange(
                'POST',
                gateway + PATH,
                body,
                {
                    'Authorization': header,
                    'Content-Type': 'application/json',
                    'User-Agent': 'aodh-ha-agent/' + VERSION,
                },
                timeout=REQUEST_TIMEOUT,
                ca_file=self.ca_file,
            )
        except TransportError as e:
            return 'unreachable', '{}: {}'.format(gateway, e), 0.0
        genuine = reply_is_genuine(
            identity.key, reply.status, sequence, reply.body, reply.header('X-Aodh-HA-Signature')
        )
        told = _object(reply.body)
        if reply.status == 202 and genuine:
            self._accept(told)
            # A guest that was rebuilt counts its sequence anew: an old reply that somebody
            # plays back has the right number then, but not the time.
            if told.get('time') == now:
                self._told(sent)
                if self._commands:
                    self._commands.told([str(r['id']) for r in sent.results])
                    self._commands.take(told.get('commands'), since)
            return '', '', 0.0
        error = _first_error(told)
        code = str(error.get('code', ''))
        if genuine and code == 'clock_skew' and _number(error.get('server_time')):
            self._clock.set(_number(error.get('server_time')))
        elif genuine and code == 'replayed_sequence' and _number(error.get('last_sequence')):
            self._sequence.jump(int(_number(error.get('last_sequence'))))
        elif code in ('clock_skew', 'replayed_sequence'):
            code = 'not_genuine'  # to obey it would let anybody silence the guest
        elif genuine and code == 'bad_request' and (sent.events or sent.metrics):
            # Whatever is wrong with them must not silence the guest: once more without.
            self._log.error('events and metrics are dropped: %s', error.get('detail'))
            self._told(sent)
        detail = str(error.get('title', ''))[:200]
        if reply.status == 202:
            detail = 'the reply is not signed with the key of this guest'
        reason = '{}: HTTP {} {} {}'.format(gateway, reply.status, code, detail).rstrip()
        return code or 'refused', reason, _number(_to_float(reply.header('Retry-After')))

    def _accept(self, told: 'dict[str, object]') -> None:
        if _number(told.get('server_time')):
            self._clock.set(_number(told.get('server_time')))
        if _number(told.get('interval')):
            self.interval = min(LONGEST, max(SHORTEST, _number(told.get('interval'))))
        generation = told.get('generation')
        # Not by _number: a generation may have 16 digits.
        if isinstance(generation, int) and generation is not True and generation > 0:
            self._source.told(str(generation))


def _object(body: bytes) -> 'dict[str, object]':
    try:
        found = json.loads(body.decode('utf-8'))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _first_error(told: 'dict[str, object]') -> 'dict[str, object]':
    errors = told.get('errors')
    first = errors[0] if isinstance(errors, list) and errors else None
    return first if isinstance(first, dict) else {}


def _to_float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _number(value: object) -> float:
    """The value if it is a positive number that a clock or counter can take, else 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e15:
        return float(value)
    return 0.0


MYPY = False
if MYPY:
    import logging

    from .checks import Watch
    from .commands import Commands
    from .events import Events
    from .identity import Identity, Source
    from .push import Outbox
    from .state import Sequence
