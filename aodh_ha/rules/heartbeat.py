"""What a heartbeat is, how it is signed, and when one is missed."""

import hashlib
import hmac
import json
import math
import re
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from aodh_ha.exceptions import BadSignature, ClockSkew, InvalidRequest

T = TypeVar('T')

SCHEME = 'AODH-HA-HMAC-SHA256'
MAX_BODY = 16 * 1024
"""Bytes of a heartbeat's body; a full report of 64 services takes about 6 KiB."""
MAX_SERVICES = 64
MAX_RESULTS = 16
"""Results of commands in one heartbeat; the agent sends at most 4."""
MAX_DETAIL = 500
"""Characters that a guest may say of a command's result."""
MAX_METRICS = 32
"""Metrics in one heartbeat; their names and units fit into MAX_BODY beside a full report."""
MAX_AGE = 86400.0
"""Seconds that a metric's value may be old; the agent keeps none for longer."""
MAX_EVENTS = 32
"""Events of services in one heartbeat, as many as the agent sends."""
MAX_AGO = 30 * 86400.0
"""Seconds that an event may be past: of one from before a reboot the guest's clock says so."""

OK, FAILED, UNKNOWN = 'ok', 'failed', 'unknown'
"""States of a service. ``unknown``: the agent has just started and cannot tell yet."""
RESTARTED = 'restarted'
"""No state, but an event: the agent has restarted the service by itself."""

SERVICE_FAILURE = 'ServiceFailure'
"""The service that stands for what ``cfn-push-stats --service-failure`` told. No agent reports it:
it heals by time alone."""

WATCHED = 'watch:'
"""What the name of a watch follows in the name of the service that stands for it; see rules.watch.
No agent reports such a one, either."""

MAX_SEQUENCE = 2**62
"""Sequences stay inside a signed 64-bit column on every database."""

RESOURCE_NAMESPACE = uuid.UUID('6f0bb3c5-9f0b-5d0a-8f0d-3f5a0a0d6a11')

_FIELD = re.compile(r'([a-z]+)="([^"\\]{0,200})"')
_UNSTORABLE = re.compile('[\x00\ud800-\udfff]')
_METRIC = re.compile(r'[A-Za-z0-9_.-]{1,64}')
_NUMBER = re.compile(r'-?[0-9]{1,19}')
_UUID = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}')


def is_uuid(text: object) -> bool:
    """Whether text is a UUID in Nova's form (lower case, with hyphens)."""
    return isinstance(text, str) and _UUID.fullmatch(text) is not None


def resource_id(server_id: str) -> str:
    """The Gnocchi resource of a guest.

    Gnocchi's resource ids are unique over all resource types and Ceilometer already owns
    the server's UUID as type ``instance``, so a guest's resource gets a UUID derived from it.
    """
    return str(uuid.uuid5(RESOURCE_NAMESPACE, server_id))


@dataclass(frozen=True)
class Claim:
    """What the Authorization header of a heartbeat says, not yet believed."""

    guest: str
    generation: int
    time: int
    """Seconds since the epoch by the guest's clock; proves freshness, nothing else."""
    sequence: int
    signature: str


@dataclass(frozen=True)
class Service:
    """A service inside the guest, as the agent last checked it."""

    name: str
    state: str
    """``ok``, ``failed`` or ``unknown``."""
    failures: int
    """Consecutive failed checks; of an unknown one those from before it became unknown."""

    @property
    def failing(self) -> int:
        """Failed checks that count: of a failed service, and of one that was so when last known."""
        if self.state == FAILED:
            return max(self.failures, 1)
        return self.failures if self.state == UNKNOWN else 0


@dataclass(frozen=True)
class Result:
    """What became of a command in the guest."""

    id: str
    ok: bool
    detail: str = ''
    refused: bool = False
    """The guest's configuration does not allow it, or it came too late."""


@dataclass(frozen=True)
class Metric:
    """A value that somebody in the guest measured: the agent, or who gave it to the agent."""

    name: str
    """Letters, digits, ``_``, ``.`` and ``-``; at most 64."""
    value: float
    """Finite."""
    unit: str = ''
    """At most 32 characters, as CloudWatch has them: ``Percent``, ``Megabytes``."""
    age: float = 0.0
    """Seconds since it was measured, when it was sent: the guest's clock may be wrong."""


@dataclass(frozen=True)
class ServiceEvent:
    """What happened to a service, also while no gateway heard of it."""

    id: str
    """Made by the agent: an event is told again when the reply to it was lost."""
    service: str
    state: str
    """That it turned to; or ``restarted``, by the agent."""
    ago: float
    """Seconds before the heartbeat."""
    detail: str = ''


@dataclass(frozen=True)
class Report:
    """The body of a heartbeat."""

    boot_id: str | None = None
    agent: str | None = None
    services: tuple[Service, ...] = ()
    results: tuple[Result, ...] = ()
    metrics: tuple[Metric, ...] = ()
    events: tuple[ServiceEvent, ...] = ()


def parse_authorization(header: str | None) -> Claim:
    """Read the Authorization header of a heartbeat.

    Raises BadSignature when it is absent or not of the form that the agent sends.
    """
    how = (
        f'send Authorization: {SCHEME} guest="<server UUID>", generation="1", '
        'time="<unix seconds>", sequence="<n>", signature="<hex>"'
    )
    if not header:
        raise BadSignature(f'no Authorization header; {how}')
    scheme, _, rest = header.partition(' ')
    if scheme != SCHEME:
        raise BadSignature(f'the Authorization scheme is not {SCHEME}; {how}')
    fields = dict(_FIELD.findall(rest[:1024]))
    numbers = {}
    for name in ('generation', 'time', 'sequence'):
        # The value is not repeated: a sender that mixes its fields up would see its key here.
        if not _NUMBER.fullmatch(fields.get(name, '')):
            raise BadSignature(f'the Authorization header lacks a valid {name}; {how}')
        numbers[name] = int(fields[name])
    if 'signature' not in fields:
        raise BadSignature(f'the Authorization header lacks a valid signature; {how}')
    claim = Claim(guest=fields.get('guest', ''), signature=fields['signature'], **numbers)
    if not is_uuid(claim.guest) or not 0 < claim.sequence < MAX_SEQUENCE:
        raise BadSignature(f'guest must be a UUID and sequence between 1 and 2^62; {how}')
    return claim


def sign(
    key: str,
    method: str,
    path: str,
    guest: str,
    generation: int,
    time: int,
    sequence: int,
    body: bytes,
) -> str:
    """The signature of a request: hex HMAC-SHA256 over its parts, one a line."""
    digest = hashlib.sha256(body).hexdigest()
    text = '\n'.join([method, path, guest, str(generation), str(time), str(sequence), digest])
    return hmac.digest(key.encode(), text.encode(), 'sha256').hex()


def sign_reply(key: str, status: int, sequence: int, body: bytes) -> str:
    """The signature of a reply, so that a guest never obeys anybody else."""
    text = '\n'.join(['reply', str(status), str(sequence), hashlib.sha256(body).hexdigest()])
    return hmac.digest(key.encode(), text.encode(), 'sha256').hex()


def verify(claim: Claim, key: str, method: str, path: str, body: bytes) -> None:
    """Raise BadSignature unless the claim was signed with this key."""
    good = sign(key, method, path, claim.guest, claim.generation, claim.time, claim.sequence, body)
    # Bytes, because compare_digest refuses a str that is not ASCII.
    if not hmac.compare_digest(good.encode(), claim.signature.encode()):
        raise BadSignature('the signature does not fit this guest, generation and body')


def verify_time(claim: Claim, now: float, max_skew: float) -> None:
    """Raise ClockSkew when the claim's time is more than max_skew seconds from now."""
    if abs(now - claim.time) > max_skew:
        raise ClockSkew(
            f"time {claim.time} is more than {max_skew:g} s from this server's; "
            'correct the clock or send with server_time',
            server_time=now,
        )


def parse_report(body: bytes) -> Report:
    """Read the body of a heartbeat; empty means nothing to report.

    Raises InvalidRequest naming the field.
    """
    if not body:
        return Report()
    data = json_object(body)
    return Report(
        boot_id=_text(data, 'boot_id'),
        agent=_text(data, 'agent'),
        services=_each(data, 'services', MAX_SERVICES, _service),
        results=_each(data, 'results', MAX_RESULTS, _result),
        metrics=_each(data, 'metrics', MAX_METRICS, _metric),
        events=_each(data, 'events', MAX_EVENTS, _event),
    )


def carried(services: Sequence[Service], before: Sequence[Service]) -> tuple[Service, ...]:
    """The services as reported, where an unknown one keeps the failures that it had before.

    After a reboot the agent cannot tell at once. Taken for healthy, a failed service would
    count as recovered at the first heartbeat, and fail again, for ever. What was told to the
    CloudWatch bridge stays beside them: the agent knows nothing of it.
    """
    failing = {s.name: s.failing for s in before}
    reported = tuple(
        replace(s, failures=failing.get(s.name, 0)) if s.state == UNKNOWN else s for s in services
    )
    told = (s for s in before if is_told(s.name))
    return (*(s for s in reported if not is_told(s.name)), *told)


def is_told(name: str) -> bool:
    """Whether a service of this name stands for what came through the CloudWatch bridge."""
    return name == SERVICE_FAILURE or name.startswith(WATCHED)


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in body; raises InvalidRequest for anything else."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidRequest('the body is not JSON') from None
    if not isinstance(data, dict):
        raise InvalidRequest(f'the body must be a JSON object, not {type(data).__name__}')
    return data


def _text(data: dict[str, Any], name: str, limit: int = 64) -> str | None:
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit or not storable(value):
        raise InvalidRequest(f'{name} must be a string of at most {limit} characters')
    return value


def storable(text: str) -> bool:
    """Whether every database takes the text: no NUL, and no half of a surrogate pair.

    JSON can carry both (``\\ud800``); PostgreSQL refuses the first, every driver the second.
    """
    return not _UNSTORABLE.search(text)


def mended(text: str) -> str:
    """The text with a question mark for each character that is not storable."""
    return _UNSTORABLE.sub('?', text)


def _each(
    data: dict[str, Any], name: str, most: int, read: Callable[[str, Any], T]
) -> tuple[T, ...]:
    items = data.get(name, [])
    if not isinstance(items, list) or len(items) > most:
        raise InvalidRequest(f'{name} must be a list of at most {most}')
    return tuple(read(f'{name}[{n}]', item) for n, item in enumerate(items))


def _service(where: str, data: Any) -> Service:
    if not isinstance(data, dict):
        raise InvalidRequest(f'{where} must be an object with name, state and failures')
    name = _text(data, 'name')
    state, failures = data.get('state'), data.get('failures', 0)
    if not name:
        raise InvalidRequest(f'{where}.name must be a string')
    if state not in (OK, FAILED, UNKNOWN):
        raise InvalidRequest(f'{where}.state must be "ok", "failed" or "unknown"')
    if type(failures) is not int or not 0 <= failures < 2**31:
        raise InvalidRequest(f'{where}.failures must be an integer from 0')
    return Service(name, state, failures)


def _result(where: str, data: Any) -> Result:
    if not isinstance(data, dict):
        raise InvalidRequest(f'{where} must be an object with id, ok and detail')
    if not is_uuid(data.get('id')):
        raise InvalidRequest(f"{where}.id must be the command's")
    ok, refused = data.get('ok'), data.get('refused', False)
    if type(ok) is not bool or type(refused) is not bool:
        raise InvalidRequest(f'{where}.ok and refused must be true or false')
    detail = _text(data, 'detail', MAX_DETAIL) or ''
    return Result(data['id'], ok and not refused, detail, refused)


def _event(where: str, data: Any) -> ServiceEvent:
    if not isinstance(data, dict):
        raise InvalidRequest(f'{where} must be an object with id, service, state and ago')
    id, service = _text(data, 'id', 32), _text(data, 'service')
    state, ago = data.get('state'), _finite(data.get('ago'))
    if not id or not service:
        raise InvalidRequest(f'{where}.id and service must be strings')
    if state not in (OK, FAILED, UNKNOWN, RESTARTED):
        raise InvalidRequest(f'{where}.state must be "ok", "failed", "unknown" or "restarted"')
    if ago is None or ago < 0:
        raise InvalidRequest(f'{where}.ago must be seconds from 0')
    detail = _text(data, 'detail', MAX_DETAIL) or ''
    return ServiceEvent(id, service, state, min(ago, MAX_AGO), detail)


def _metric(where: str, data: Any) -> Metric:
    if not isinstance(data, dict):
        raise InvalidRequest(f'{where} must be an object with name, value and unit')
    return metric(data.get('name'), data.get('value'), data.get('unit'), data.get('age'), where)


def metric(
    name: Any, value: Any, unit: Any = None, age: Any = None, where: str = 'metric'
) -> Metric:
    """A metric of what somebody sent; ``unit`` and ``age`` may be None.

    Raises InvalidRequest, which begins with ``where`` it stands.
    """
    if not isinstance(name, str) or not _METRIC.fullmatch(name):
        raise InvalidRequest(
            f'{where}.name must be 1 to 64 letters, digits, "_", "." and "-" (no spaces)'
        )
    number, old = _finite(value), _finite(0 if age is None else age)
    if number is None:
        raise InvalidRequest(f'{where}.value must be a finite number')
    if old is None or not 0 <= old <= MAX_AGE:
        raise InvalidRequest(f'{where}.age must be seconds from 0 to {MAX_AGE:g}')
    unit = '' if unit is None else unit
    if not isinstance(unit, str) or len(unit) > 32 or not unit.isprintable():
        raise InvalidRequest(f'{where}.unit must be a string of at most 32 printable characters')
    return Metric(name, number, unit, old)


def _finite(value: Any) -> float | None:
    if type(value) not in (int, float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def slack(interval: float) -> float:
    """Seconds that a heartbeat may be late before it counts as missed.

    A tenth of the interval for jitter and the network, never under 1 s, because the gateway
    writes what it received every half second.
    """
    return max(1.0, interval / 10)


def missed(
    *,
    last_seen: float | None,
    enrolled_at: float,
    interval: float,
    boot_grace: float,
    listening_since: float,
    now: float,
) -> int:
    """Consecutive heartbeats missed: 0 when healthy.

    Silence counts only while somebody listened: a gateway that was away, or whose clock
    jumped, starts the count anew (``listening_since``), so an outage of ours is never an
    outage of the guests. A guest that was never heard is counted from the end of its boot
    grace. All arguments in seconds (times since the epoch, by the server's clock).
    """
    start = last_seen if last_seen is not None else enrolled_at + boot_grace
    # A last_seen in the future is left over from before the server's clock was set back. An
    # enrolment in the future is another host's clock: the guest is given the time.
    if last_seen is not None and start > now + boot_grace + interval:
        start = listening_since
    late = now - max(start, listening_since) - slack(interval)
    return max(0, math.floor(late / interval))
