"""A watch: what a CloudWatch alarm looks at, as Heat's alarms of 2014 did.

Samples that come through the CloudWatch bridge are put into periods; one number tells how it is,
and an alarm in Aodh compares it. The number is that of the least breaching of the last periods,
so that the alarm fires only when all of them are beyond the threshold.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aodh_ha.rules import cloudwatch
from aodh_ha.rules.alarm import GRANULARITY, OK, RESOURCE_TYPE, WATCH, Alarm
from aodh_ha.rules.cloudwatch import Datum
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.heartbeat import WATCHED, Service, resource_id

SAMPLE_COUNT, AVERAGE, SUM, MINIMUM, MAXIMUM = 'SampleCount', 'Average', 'Sum', 'Minimum', 'Maximum'
STATISTICS = (SAMPLE_COUNT, AVERAGE, SUM, MINIMUM, MAXIMUM)

COMPARISONS = {
    'GreaterThanOrEqualToThreshold': 'ge',
    'GreaterThanThreshold': 'gt',
    'LessThanThreshold': 'lt',
    'LessThanOrEqualToThreshold': 'le',
}
"""CloudWatch's words, and Aodh's."""

COUNTED = (SAMPLE_COUNT, SUM)
"""Statistics of which no data are 0; the others have no value then."""

LONGEST = 86400
"""Seconds that all periods together may have, as in CloudWatch."""


@dataclass(frozen=True)
class Values:
    """One sample: a value, or several that somebody has put together before."""

    at: float
    """Seconds since the epoch."""
    count: float
    total: float
    low: float
    high: float


@dataclass(frozen=True)
class Watch:
    """One CloudWatch alarm of a template."""

    id: str
    project_id: str
    name: str
    """As a template, or Heat, calls it: what ``cfn-push-stats --watch`` says."""
    stack_id: str
    stack_name: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    """A sample must have each of these."""
    statistic: str
    period: int
    """Seconds."""
    evaluation_periods: int
    comparison: str
    """One of COMPARISONS."""
    threshold: float
    restarters: tuple[str, ...]
    """Alarms of ours that its actions call."""
    aodh_alarm_id: str | None
    created_at: float
    problem: str = ''
    """Why its actions will never be called, as the reconciler last saw it; empty: they would."""

    @property
    def window(self) -> float:
        """Seconds of all its periods."""
        return float(self.period * self.evaluation_periods)

    @property
    def resource_id(self) -> str:
        """Its Gnocchi resource: it is not a guest's, whose server may be replaced."""
        return resource_id(self.id)

    @property
    def is_below(self) -> bool:
        """Whether it fires when there is too little."""
        return COMPARISONS[self.comparison] in ('lt', 'le')

    @property
    def is_of_silence(self) -> bool:
        """Whether it fires when heartbeats do not come."""
        return self.metric == cloudwatch.HEARTBEAT and self.is_below

    @property
    def service(self) -> str:
        """Among the services of a guest, the one that it stands for."""
        return f'{WATCHED}{self.name}'[:64]

    def breaches(self, value: float | None) -> bool:
        """Whether this number is beyond the threshold; None, no number, is not."""
        if value is None:
            return False
        limit = self.threshold
        return {
            'ge': value >= limit,
            'gt': value > limit,
            'lt': value < limit,
            'le': value <= limit,
        }[COMPARISONS[self.comparison]]

    def as_alarm(self, server_id: str) -> Alarm:
        """As one of the alarms by whose name a sample may say which guest it is of."""
        return Alarm(
            id=self.id,
            project_id=self.project_id,
            server_id=server_id,
            trigger='watch',
            threshold=math.ceil(self.threshold),
            aodh_alarm_id=self.aodh_alarm_id,
            state=OK,
            state_at=None,
            created_at=self.created_at,
            name=self.name,
        )


def wants(watch: Watch, datum: Datum, guest: Guest) -> bool:
    """Whether a sample of this guest belongs to the watch.

    One that names an alarm (``--watch``) is for that alarm only; another is for all of its stack
    that look at such a metric. Heat of 2014 looked at no owner at all; here the project counts.
    """
    if guest.project_id != watch.project_id:
        return False
    if (datum.namespace, datum.name) != (watch.namespace, watch.metric):
        return False
    if not set(watch.dimensions) <= set(datum.dimensions.items()):
        return False
    wanted = datum.alarm_name
    if wanted in (watch.name, watch.id):
        return True
    # Stacks of one template have alarms of the same name.
    if watch.stack_id and guest.stack_id != watch.stack_id:
        return False
    named = watch.as_alarm(guest.server_id)
    return not wanted or cloudwatch.is_named(named, watch.stack_name, wanted)


def value(
    watch: Watch,
    samples: Sequence[Values],
    now: float,
    listening_since: float | None,
    acted_at: float = 0.0,
) -> float | None:
    """The watch's statistic in the least breaching of its last periods; None: it is not known.

    No data are 0 for SampleCount and Sum, as they were in 2014; but only where somebody listened
    (``listening_since``, None: nobody does) since before the periods began, and the watch was
    there. Only where it fires at too much, a part of the window is enough: what is missing could
    not make it less.

    What came before ``acted_at``, the last action of a recovery, says nothing about whether that
    helped; of what fires at too little it says that the guest was there.
    """
    if listening_since is None:
        return None
    counted = watch.statistic in COUNTED
    whole = max(listening_since, watch.created_at) <= now - watch.window
    if not whole and (watch.is_below or not counted):
        return None
    keeps = counted and watch.is_below
    found = [s for s in samples if keeps or s.at > acted_at]
    values = []
    for n in range(watch.evaluation_periods):
        end = now - n * watch.period
        period = [s for s in found if end - watch.period < s.at <= end]
        if not period and not counted:
            return None
        values.append(_statistic(watch.statistic, period))
    return max(values) if watch.is_below else min(values)


def _statistic(name: str, period: Sequence[Values]) -> float:
    if name == MINIMUM:
        return min(s.low for s in period)
    if name == MAXIMUM:
        return max(s.high for s in period)
    count, total = math.fsum(s.count for s in period), math.fsum(s.total for s in period)
    return {SAMPLE_COUNT: count, SUM: total}[name] if name in COUNTED else total / count


def services(
    before: Sequence[Service], found: Iterable[tuple[Watch, float | None]]
) -> tuple[Service, ...]:
    """The guest's services with those that stand for watches which would have it recovered.

    One that never fired is not among them.
    """
    others = tuple(s for s in before if not s.name.startswith(WATCHED))
    known = {s.name for s in before}
    told = {}
    for watch, number in found:
        if watch.is_of_silence:
            continue
        fires = watch.breaches(number)
        if fires or watch.service in known:
            told[watch.service] = Service(watch.service, 'failed' if fires else 'ok', int(fires))
    return (*others, *told.values())


def definition(watch: Watch, actions: Mapping[str, Sequence[str]], **more: Any) -> dict[str, Any]:
    """The alarm as aodhclient's ``alarm.create`` takes it.

    ``actions``: URLs by Aodh's names (``alarm_actions``, ``ok_actions``,
    ``insufficient_data_actions``). In state ``ok`` and repeated, as rules.alarm.definition has it.
    """
    return {
        'name': f'aodh-ha watch {watch.name} {watch.id[:8]}',
        'description': f'{watch.statistic} of {watch.metric}',
        'type': 'gnocchi_resources_threshold',
        'state': OK,
        'severity': 'critical',
        'repeat_actions': True,
        'gnocchi_resources_threshold_rule': {
            'metric': WATCH,
            'resource_type': RESOURCE_TYPE,
            'resource_id': watch.resource_id,
            'aggregation_method': 'last',
            'comparison_operator': COMPARISONS[watch.comparison],
            'threshold': watch.threshold,
            'granularity': GRANULARITY,
            'evaluation_periods': 1,
        },
        **{name: list(urls) for name, urls in actions.items()},
        **more,
    }
