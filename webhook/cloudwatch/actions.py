"""The four actions, for whom Keystone has vouched."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import sqlalchemy as sa

from aodh_ha.db import cloudwatch as db
from aodh_ha.db import guests, metrics, watches
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules import cloudwatch as rules
from aodh_ha.rules.alarm import RESTARTER, Alarm, Notification
from aodh_ha.rules.cloudwatch import (
    HEARTBEAT,
    NAMESPACE,
    STATES,
    Datum,
    Identity,
    Refusal,
)
from aodh_ha.rules.guest import PENDING, Guest
from aodh_ha.rules.heartbeat import MAX_AGE, SERVICE_FAILURE, Metric, mended
from aodh_ha.rules.watch import Watch
from webhook import policies
from webhook.auth import Caller, allowed
from webhook.cloudwatch.answers import Node
from webhook.state import state
from webhook.v1 import alarms as callbacks

PAGE = 100
"""Alarms or metrics in one answer, unless fewer are asked for."""

WATCHED = 'watch'
"""The trigger of what is no alarm of ours, see rules.watch."""

_WORDS = {there: here for here, there in STATES.items()}

T = TypeVar('T')


@dataclass(frozen=True)
class Call:
    """One signed request."""

    params: Mapping[str, str]
    identity: Identity
    digest: str
    """Names its signature."""

    @property
    def domain(self) -> str:
        """Where Heat makes the users of its stacks."""
        return str(state().conf.cloudwatch.stack_domain)

    @property
    def alone(self) -> bool:
        """Whether it speaks for one stack."""
        return self.identity.is_stack_user(self.domain)

    def require(self, rule: str) -> None:
        """Raise Refusal, unless it is a stack's user or the policy allows it to this one."""
        who = Caller(self.identity.project_id, self.identity.user_id, self.identity.roles)
        if not self.alone and not allowed(rule, who):
            raise Refusal('AccessDenied', f'the policy rule {rule} asks for another role')

    def mine(self, connection: sa.Connection) -> list[Guest]:
        """Every guest for which it may speak."""
        return db.mine(connection, self.identity, self.domain)


def put_metric_data(call: Call) -> None:
    """A heartbeat, a service failure, or a value: recorded before the answer."""
    call.require(policies.CLOUDWATCH_PUT)
    here = state()
    now = here.clock()
    told = rules.data(call.params, now)
    for datum in told:
        if datum.name == HEARTBEAT and datum.at is not None and datum.at < now - db.FRESH:
            raise Refusal('InvalidParameterValue', 'the Timestamp of a Heartbeat is too old')
    here.database.run(lambda c: _put(c, call, told, now))


def _put(connection: sa.Connection, call: Call, told: Sequence[Datum], now: float) -> None:
    if not db.take(connection, call.digest, now):
        return
    named = {d.instance_id for d in told}
    mine = (
        call.mine(connection)
        if '' in named
        else db.mine(connection, call.identity, call.domain, sorted(named))
    )
    looking = watches.meant(connection, {g.project_id for g in mine}, told)
    watched: list[Alarm] = []
    if any(d.alarm_name for d in told):
        servers = watches.targets(connection, looking)
        watched = db.alarms_of(connection, mine)
        watched += [w.as_alarm(servers[w.id]) for w in looking if w.id in servers]
    of: list[tuple[Guest, Datum]] = []
    for datum in told:
        try:
            guest = rules.whose(datum, mine, watched, alone=call.alone)
        except Refusal as e:
            raise _not_yet(connection, call, e) from None
        if guest.status == PENDING:
            raise Refusal('ServiceUnavailable', 'the guest is pending: a worker looks at it soon')
        of.append((guest, datum))
    # In the order of their ids: two gateways never wait for each other in a circle.
    of.sort(key=lambda pair: pair[0].server_id)
    period = state().conf.cloudwatch.failure_period
    for number, (guest, datum) in enumerate(of):
        _record(connection, call.digest, number, guest.server_id, datum, now)
    if looking:
        times = [(g, d, now if d.at is None else d.at) for g, d in of]
        watches.record(connection, times, looking)
    for server_id in sorted({g.server_id for g, _ in of}):
        db.settle(connection, server_id, now, period)
        watches.settle(connection, server_id, now)


def _watches(connection: sa.Connection, mine: Sequence[Guest]) -> list[Watch]:
    """Those of the projects of these guests."""
    projects = sorted({g.project_id for g in mine})
    return [w for p in projects for w in watches.find(connection, p)]


def _not_yet(connection: sa.Connection, call: Call, refusal: Refusal) -> Refusal:
    """The refusal, or that it is too early to tell whose the guest is."""
    if call.alone and refusal.server_id:
        projects = rules.projects(call.identity.project_name)
        if db.is_unplaced(connection, refusal.server_id, projects):
            return Refusal('ServiceUnavailable', 'which stack the guest is of, is not known yet')
    return refusal


def _record(
    connection: sa.Connection, digest: str, number: int, server_id: str, datum: Datum, now: float
) -> None:
    at = now if datum.at is None else datum.at
    if datum.name == HEARTBEAT:
        if datum.value > 0:
            guests.write_life(connection, server_id, at, 1, 'cloudwatch')
        return
    if datum.name == SERVICE_FAILURE:
        if datum.value > 0:
            db.failed(connection, digest, number, server_id, at)
        return
    metric = Metric(datum.name, datum.value, datum.unit, min(now - at, MAX_AGE))
    try:
        metrics.record(connection, server_id, [metric], now)
    except InvalidRequest as e:
        raise Refusal('InvalidParameterValue', e.detail) from None


def describe_alarms(call: Call) -> Mapping[str, Node]:
    """Our alarms of the guests for which the caller may speak, in CloudWatch's words."""
    call.require(policies.CLOUDWATCH_GET)
    with state().database.read() as connection:
        mine = call.mine(connection)
        known = _Known(connection, call, mine)
        values = dict(watches.values(connection, known.watches, state().clock()))
    found = known.alarms
    stacks = known.stacks
    wanted = [v for k, v in call.params.items() if k.startswith('AlarmNames.member.')]
    if wanted:
        found = [a for a in found if any(rules.is_named(a, stacks[a.id], w) for w in wanted)]
    if call.params.get('AlarmNamePrefix'):
        found = [a for a in found if _name(a).startswith(call.params['AlarmNamePrefix'])]
    states = {w.id: _how(w, v) for w, v in values.items()} | {
        a.id: _WORDS.get(a.state, 'INSUFFICIENT_DATA') for a in found if a.trigger != WATCHED
    }
    if call.params.get('StateValue'):
        _state(call.params)
        found = [a for a in found if states[a.id] == call.params['StateValue']]
    page, token = _page(call.params, found, lambda a: a.id)
    looking = {w.id: w for w in values}
    return {'MetricAlarms': [_alarm(a, states[a.id], looking.get(a.id)) for a in page], **token}


def _how(watch: Watch, value: float | None) -> str:
    if value is None:
        return 'INSUFFICIENT_DATA'
    return 'ALARM' if watch.breaches(value) else 'OK'


class _Known:
    """What is called an alarm in CloudWatch: our alarms of guests, and the watches of stacks."""

    def __init__(self, connection: sa.Connection, call: Call, mine: Sequence[Guest]) -> None:
        names = {g.server_id: g.stack_name for g in mine}
        own = [a for a in db.alarms_of(connection, mine) if a.trigger != RESTARTER]
        ids = {g.stack_id for g in mine}
        looking = _watches(connection, mine)
        self.watches = [w for w in looking if not call.alone or w.stack_id in ids]
        self.alarms = [*own, *(w.as_alarm('') for w in self.watches)]
        self.stacks = {a.id: names[a.server_id] for a in own}
        self.stacks |= {w.id: w.stack_name for w in self.watches}

    def named(self, name: str) -> list[Alarm]:
        """Those that are called so."""
        return [a for a in self.alarms if rules.is_named(a, self.stacks[a.id], name)]


def _alarm(alarm: Alarm, told: str, watch: Watch | None) -> Mapping[str, Node]:
    if watch is not None:
        return {
            'AlarmName': watch.name,
            'AlarmArn': f'arn:aodh-ha:cloudwatch::{watch.project_id}:alarm:{watch.id}',
            'StateValue': told,
            'StateReason': '',
            'ActionsEnabled': 'true',
            'Namespace': watch.namespace,
            'MetricName': watch.metric,
            'Statistic': watch.statistic,
            'Period': watch.period,
            'ComparisonOperator': watch.comparison,
            'Threshold': watch.threshold,
            'EvaluationPeriods': watch.evaluation_periods,
            'Dimensions': [{'Name': n, 'Value': v} for n, v in watch.dimensions],
        }
    return {
        'AlarmName': _name(alarm),
        'AlarmArn': f'arn:aodh-ha:cloudwatch::{alarm.project_id}:alarm:{alarm.id}',
        'StateValue': told,
        'StateReason': alarm.problem,
        'ActionsEnabled': 'true',
        'Namespace': NAMESPACE,
        'MetricName': HEARTBEAT if alarm.trigger == 'heartbeat' else SERVICE_FAILURE,
        'Statistic': 'SampleCount',
        'ComparisonOperator': 'GreaterThanOrEqualToThreshold',
        'Threshold': alarm.threshold,
        'EvaluationPeriods': 1,
        'Dimensions': [{'Name': 'InstanceId', 'Value': alarm.server_id}],
    }


def _name(alarm: Alarm) -> str:
    return alarm.name or alarm.id


def list_metrics(call: Call) -> Mapping[str, Node]:
    """What the guests for which the caller may speak have sent, by name and guest."""
    call.require(policies.CLOUDWATCH_GET)
    found: list[tuple[str, str]] = []
    with state().database.read() as connection:
        for guest in call.mine(connection):
            names = {m.name for m in metrics.of_guest(connection, guest.server_id)}
            if guest.last_seen is not None:
                names.add(HEARTBEAT)
            if any(s.name == SERVICE_FAILURE for s in guest.services):
                names.add(SERVICE_FAILURE)
            found += [(guest.server_id, name) for name in sorted(names)]
    params = call.params
    if params.get('Namespace') not in (None, '', NAMESPACE):
        found = []
    if params.get('MetricName'):
        found = [f for f in found if f[1] == params['MetricName']]
    for number in range(1, 11):
        if params.get(f'Dimensions.member.{number}.Name') == 'InstanceId':
            value = params.get(f'Dimensions.member.{number}.Value')
            found = [f for f in found if value in (None, '', f[0])]
    page, token = _page(params, found, lambda f: f'{f[0]}/{f[1]}')
    shown: list[Node] = [
        {
            'Namespace': NAMESPACE,
            'MetricName': name,
            'Dimensions': [{'Name': 'InstanceId', 'Value': server_id}],
        }
        for server_id, name in page
    ]
    return {'Metrics': shown, **token}


def _page(
    params: Mapping[str, str], found: Sequence[T], key: Callable[[T], str]
) -> tuple[list[T], dict[str, Node]]:
    """One page of what was found, and the token of the next one, if there is one."""
    text = params.get('MaxRecords', str(PAGE))
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= PAGE:
        raise Refusal('InvalidParameterValue', f'MaxRecords must be from 1 to {PAGE}')
    after = params.get('NextToken', '')
    rest = [f for f in sorted(found, key=key) if key(f) > after]
    page = rest[: int(text)]
    return page, {'NextToken': key(page[-1])} if len(page) < len(rest) else {}


def set_alarm_state(call: Call) -> None:
    """As if Aodh had told the state: a recovery is opened only if the guest is silent, or its
    service fails, by what we heard ourselves."""
    call.require(policies.CLOUDWATCH_PUT)
    here = state()
    name = call.params.get('AlarmName', '')
    if not name:
        raise Refusal('MissingParameter', 'AlarmName must be given')
    current = _state(call.params)
    reason = mended(call.params.get('StateReason', '')[:500])
    now = here.clock()

    def work(connection: sa.Connection) -> None:
        known = _Known(connection, call, call.mine(connection))
        found = known.named(name)
        if len(found) != 1:
            raise Refusal('AccessDenied', 'this access key has no alarm, or several, of this name')
        if not db.take(connection, call.digest, now):
            return
        alarm = found[0]
        told = f'SetAlarmState by user {call.identity.user_id}: {reason}'
        # Of a watch, whom its actions would call is told.
        called = {w.id: w.restarters for w in known.watches}.get(alarm.id, (alarm.id,))
        for alarm_id in called:
            aodh_alarm_id = '' if alarm.trigger == WATCHED else alarm.aodh_alarm_id or ''
            notification = Notification(aodh_alarm_id, alarm.state, current, told)
            callbacks.take(connection, alarm_id, notification)

    here.database.run(work)


def _state(params: Mapping[str, str]) -> str:
    value = params.get('StateValue', '')
    if not value:
        raise Refusal('MissingParameter', 'StateValue must be given')
    if value not in STATES:
        raise Refusal('InvalidParameterValue', f'StateValue must be one of {", ".join(STATES)}')
    return STATES[value]


ACTIONS: dict[str, Callable[[Call], Mapping[str, Node] | None]] = {
    'PutMetricData': put_metric_data,
    'DescribeAlarms': describe_alarms,
    'ListMetrics': list_metrics,
    'SetAlarmState': set_alarm_state,
}
