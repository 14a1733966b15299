"""What a CloudWatch request says, and for which guest its sender may speak.

As heat-api-cloudwatch understood it until Heat 10, and cfn-push-stats still sends it.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.heartbeat import SERVICE_FAILURE, Service, is_uuid

HEARTBEAT = 'Heartbeat'
NAMESPACE = 'system/linux'
"""Of everything that cfn-push-stats sends, but what it reads from HAProxy."""

STATES = {'OK': 'ok', 'ALARM': 'alarm', 'INSUFFICIENT_DATA': 'insufficient data'}
"""CloudWatch's words for the states of an alarm, and Aodh's."""

MAX_METRICS = 100
"""In one request; cfn-push-stats sends one."""
MAX_DIMENSIONS = 64
"""Of one metric: the server's metadata are sent along, of which Nova allows 128 by default."""
MOST = float(2**360)
"""The largest number that CloudWatch takes."""
SHORTEST_ID = 16
"""Characters of a stack's id that must be left of it in the name of its project."""

_MEMBER = re.compile(r'MetricData\.member\.([1-9][0-9]{0,3})\.(.+)')
_DIMENSION = re.compile(r'Dimensions\.member\.([1-9][0-9]{0,3})\.(Name|Value)')
_NAME = re.compile(r'[A-Za-z0-9_.-]{1,64}')
_UNNAMED = re.compile(r'[^A-Za-z0-9_.-]')
_SUFFIX = re.compile(r'[a-z0-9]{12}')
"""What Heat puts behind a physical name."""


class Refusal(Exception):
    """A request that is not carried out; ``code`` is AWS's word for why"""

    def __init__(self, code: str, detail: str, server_id: str = '') -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.server_id = server_id
        """The guest that the request claimed to be, where it was not allowed to."""


@dataclass(frozen=True)
class Datum:
    """One value of one metric."""

    name: str
    value: float
    unit: str
    at: float | None
    """When it was measured, in seconds since the epoch as the guest says; None: now."""
    instance_id: str
    alarm_name: str
    namespace: str = ''
    dimensions: Mapping[str, str] = field(default_factory=dict)
    count: float = 1.0
    """Values that ``value`` is the mean of, and the least and the greatest of them."""
    low: float = 0.0
    high: float = 0.0


@dataclass(frozen=True)
class Identity:
    """Whose access key signed a request, as Keystone says."""

    user_id: str
    project_id: str
    project_name: str
    domain_id: str
    """Of the project."""
    domain_name: str
    roles: tuple[str, ...]

    def is_stack_user(self, domain: str) -> bool:
        """Whether it is of the domain, by id or name, in which Heat makes its stacks' users."""
        return domain in (self.domain_id, self.domain_name)


# ---- what is said


def data(params: Mapping[str, str], now: float) -> list[Datum]:
    """The metrics of a PutMetricData; raises Refusal."""
    members: dict[int, dict[str, str]] = {}
    for key, value in params.items():
        found = _MEMBER.fullmatch(key)
        if found:
            members.setdefault(int(found[1]), {})[found[2]] = value
    if not members:
        raise Refusal('MissingParameter', 'MetricData.member.1.MetricName must be given')
    if len(members) > MAX_METRICS:
        raise Refusal('InvalidParameterValue', f'at most {MAX_METRICS} metrics in one request')
    namespace = params.get('Namespace', '')[:255]
    return [_datum(f'MetricData.member.{n}', members[n], now, namespace) for n in sorted(members)]


def _datum(where: str, fields: Mapping[str, str], now: float, namespace: str) -> Datum:
    name = fields.get('MetricName', '')
    if not name:
        raise Refusal('MissingParameter', f'{where}.MetricName must be given')
    if len(name) > 255:
        raise Refusal('InvalidParameterValue', f'{where}.MetricName has over 255 characters')
    unit = fields.get('Unit', '')
    if len(unit) > 32 or not unit.isprintable():
        raise Refusal(
            'InvalidParameterValue', f'{where}.Unit must be at most 32 printable characters'
        )
    dimensions = _dimensions(where, fields)
    instance_id = dimensions.get('InstanceId', '').lower()
    if instance_id and not is_uuid(instance_id):
        raise Refusal('InvalidParameterValue', f'{where}: InstanceId must be the UUID of a server')
    value, count, low, high = _value(where, fields)
    return Datum(
        name=plain(name),
        value=value,
        unit=unit,
        at=_time(where, fields['Timestamp'], now) if fields.get('Timestamp') else None,
        instance_id=instance_id,
        alarm_name=dimensions.get('AlarmName', '')[:255],
        namespace=namespace,
        dimensions=dimensions,
        count=count,
        low=low,
        high=high,
    )


def plain(name: str) -> str:
    """A metric's name as part of a meter's, which has no blanks: what CloudWatch allows besides
    becomes an underscore."""
    return _UNNAMED.sub('_', name)[:64]


def _dimensions(where: str, fields: Mapping[str, str]) -> dict[str, str]:
    members: dict[str, dict[str, str]] = {}
    for key, value in fields.items():
        found = _DIMENSION.fullmatch(key)
        if found:
            members.setdefault(found[1], {})[found[2]] = value
    if len(members) > 2 * MAX_DIMENSIONS:
        raise Refusal('InvalidParameterValue', f'{where} has over {2 * MAX_DIMENSIONS} dimensions')
    named: dict[str, str] = {}
    for each in members.values():
        if not each.get('Name'):
            raise Refusal('MissingParameter', f'{where}: each dimension must have a Name')
        if each['Name'] in named and each['Name'] in ('InstanceId', 'AlarmName'):
            raise Refusal('InvalidParameterCombination', f'{where}: {each["Name"]} is given twice')
        named[each['Name']] = each.get('Value', '')
    return named


def _value(where: str, fields: Mapping[str, str]) -> tuple[float, float, float, float]:
    """One value, or the mean of a statistic set or of an array; how many they are, the least and
    the greatest of them."""
    if 'Value' in fields:
        one = _number(f'{where}.Value', fields['Value'])
        return one, 1.0, one, one
    if 'StatisticValues.Sum' in fields:
        return _set(where, fields)
    values = _numbers(where, fields, 'Values.member.')
    counts = _numbers(where, fields, 'Counts.member.') or dict.fromkeys(values, 1.0)
    if not values:
        raise Refusal('MissingParameter', f'{where}.Value must be given')
    if counts.keys() != values.keys() or min(counts.values()) < 0 or sum(counts.values()) < 1:
        raise Refusal('InvalidParameterValue', f'{where}: each of Values must have one of Counts')
    number = math.fsum(counts.values())
    mean = math.fsum(values[n] * counts[n] for n in values) / number
    return mean, number, min(values.values()), max(values.values())


def _set(where: str, fields: Mapping[str, str]) -> tuple[float, float, float, float]:
    """As ``_value`` of a statistic set."""
    total = _number(f'{where}.StatisticValues.Sum', fields['StatisticValues.Sum'])
    count = fields.get('StatisticValues.SampleCount', '')
    number = _number(f'{where}.StatisticValues.SampleCount', count)
    if number < 1:
        raise Refusal('InvalidParameterValue', f'{where}: SampleCount must be 1 or more')
    mean = total / number

    def extreme(name: str) -> float:
        given = fields.get(f'StatisticValues.{name}')
        return mean if given is None else _number(f'{where}.StatisticValues.{name}', given)

    return mean, number, extreme('Minimum'), extreme('Maximum')


def _numbers(where: str, fields: Mapping[str, str], prefix: str) -> dict[str, float]:
    return {
        key.removeprefix(prefix): _number(f'{where}.{key[:64]}', text)
        for key, text in fields.items()
        if key.startswith(prefix)
    }


def _number(where: str, text: str) -> float:
    try:
        value = float(text[:64])
    except ValueError:
        raise Refusal('InvalidParameterValue', f'{where} must be a number') from None
    if not abs(value) <= MOST:  # neither is NaN
        raise Refusal('InvalidParameterValue', f'{where} must be between -2^360 and 2^360')
    return value


def _time(where: str, text: str, now: float) -> float:
    try:
        at = datetime.fromisoformat(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Refusal('InvalidParameterValue', f'{where}.Timestamp must be ISO 8601') from None
    return min(seconds, now)


# ---- for whom


def projects(name: str) -> list[str]:
    """The projects of which a stack's project may be, by its name."""
    parts = name.split('-')
    return ['-'.join(parts[:n]) for n in range(1, len(parts))][:16]


def is_of_stack(guest: Guest, name: str) -> bool:
    """Whether a stack's project, which Heat names ``(project-stack)[:64]``, is the guest's.

    Heat cuts off what is beyond 64 characters: of a stack's id 31 of 36 are left.
    """
    whole = f'{guest.project_id}-{guest.stack_id}'
    left = min(len(whole), 64) - len(guest.project_id) - 1
    return bool(guest.stack_id) and left >= SHORTEST_ID and whole[:64] == name


def is_named(alarm: Alarm, stack_name: str, wanted: str) -> bool:
    """Whether ``--watch`` names this alarm: by its name in the template, by the physical one
    that Heat makes of it (``<stack>-<name>-<id>``), or by its id here or in Aodh."""
    if wanted in (alarm.name, alarm.id, alarm.aodh_alarm_id):
        return True
    return bool(alarm.name) and (
        _is_physical(wanted, stack_name, alarm.name) or _is_physical(alarm.name, stack_name, wanted)
    )


def logical_names(physical: str) -> list[str]:
    """Names in a template of which Heat may have made this one, whatever its stack is called."""
    beginning, _, suffix = physical.rpartition('-')
    if not _SUFFIX.fullmatch(suffix):
        return []
    parts = beginning.split('-')
    return ['-'.join(parts[n:]) for n in range(1, len(parts))]


def _is_physical(name: str, stack_name: str, logical: str) -> bool:
    beginning, _, suffix = name.rpartition('-')
    return beginning == f'{stack_name}-{logical}' and bool(_SUFFIX.fullmatch(suffix))


def whose(datum: Datum, mine: Sequence[Guest], alarms: Iterable[Alarm], *, alone: bool) -> Guest:
    """The guest that a metric is of; raises Refusal when the sender may not speak for it.

    ``mine`` are the guests for which the sender may speak. ``alone``: whether the only one of
    them is meant where neither its id nor an alarm of its own is named, as for a stack's user.
    """
    if datum.instance_id:
        for guest in mine:
            if guest.server_id == datum.instance_id:
                return guest
        raise Refusal(
            'AccessDenied',
            'this access key may not speak for this InstanceId, or no such guest is enrolled',
            datum.instance_id,
        )
    by_id = {g.server_id: g for g in mine}
    if datum.alarm_name:
        watched = [a for a in alarms if a.server_id in by_id]
        found = {
            a.server_id
            for a in watched
            if is_named(a, by_id[a.server_id].stack_name, datum.alarm_name)
        }
        if len(found) == 1:
            return by_id[found.pop()]
        if found:
            raise Refusal('AccessDenied', 'several guests have an alarm named so; send InstanceId')
    if alone and len(mine) == 1:
        return mine[0]
    raise Refusal(
        'AccessDenied',
        'it cannot be told which guest this is of; send the dimension InstanceId, or the '
        'AlarmName of an alarm that one guest of this access key has',
    )


# ---- service failures


def service(before: Sequence[Service], count: int) -> tuple[Service, ...]:
    """The guest's services with the one that stands for what ``--service-failure`` told.

    ``count`` of them came in the period that counts; 0: it is well.
    """
    others = tuple(s for s in before if s.name != SERVICE_FAILURE)
    return (*others, Service(SERVICE_FAILURE, 'failed' if count else 'ok', count))
