"""Gnocchi, as the meters need it: a place for them, a fast way in, and what others measured."""

import datetime
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from gnocchiclient import exceptions as gnocchi
from gnocchiclient.v1 import client as gnocchiclient
from keystoneauth1 import exceptions as ksa
from keystoneauth1.session import Session

from aodh_ha.clients import activity
from aodh_ha.clients.errors import first_line
from aodh_ha.exceptions import ActionRefused, CloudAway, ConfigurationError
from aodh_ha.rules.alarm import (
    ARCHIVE_POLICY,
    GRANULARITY,
    METRIC_ARCHIVE_POLICY,
    RESOURCE_TYPE,
    archive_policy,
)
from aodh_ha.rules.evidence import Activity

T = TypeVar('T')

BATCH = 500
SAMPLES = 2000
"""Guests, and samples, in one request: some 300 KiB, far below what proxies refuse."""

NEW = 100
"""Guests created in one call; each takes Gnocchi some 25 ms (2 cores, busy)."""

PREPARE = 'run "aodh-ha telemetry prepare" once'

POLICY: dict[str, Any] = {
    'name': ARCHIVE_POLICY,
    # Measures older than the current 10 s are of no use to an alarm.
    'back_window': 0,
    # count is for people: Aodh can't use it (the newest bucket is always partial).
    'aggregation_methods': ['max', 'last', 'count'],
    'definition': [
        {'granularity': f'{GRANULARITY}s', 'timespan': '1h'},
        {'granularity': '60s', 'timespan': '1d'},
    ],
}
METRIC_POLICY: dict[str, Any] = {
    'name': METRIC_ARCHIVE_POLICY,
    'back_window': 0,
    # rate: HAProxy's counters only ever grow.
    'aggregation_methods': ['mean', 'min', 'max', 'last', 'rate:mean'],
    'definition': [
        {'granularity': '60s', 'timespan': '1d'},
        {'granularity': '300s', 'timespan': '30d'},
    ],
}

ATTRIBUTES: dict[str, dict[str, Any]] = {
    'server_id': {'type': 'uuid', 'required': False},
    'display_name': {'type': 'string', 'required': False, 'max_length': 255},
}


class Sample(Protocol):
    """What is written; publishers.samples.Sample is one."""

    @property
    def meter(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def volume(self) -> float: ...
    @property
    def resource_id(self) -> str: ...
    @property
    def server_id(self) -> str: ...
    @property
    def project_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def timestamp(self) -> float: ...


@dataclass(frozen=True)
class Prepared:
    """One thing that Gnocchi needs before samples can be written."""

    kind: str
    name: str
    created: bool
    """False: it was there already, and equal."""


class Gnocchi:
    """One Gnocchi endpoint, spoken to as the service user."""

    def __init__(
        self, session: Session, region_name: str | None = None, interface: str = 'internal'
    ) -> None:
        """Nothing is sent yet."""
        options = {'region_name': region_name, 'interface': interface}
        self._client: Any = gnocchiclient.Client(session=session, adapter_options=options)
        self._ways: dict[str, tuple[str, float] | None] = {}
        """How a metric is best read, by its id."""

    def prepare(self) -> list[Prepared]:
        """Create the archive policy and the resource type, where they are missing.

        Raises ConfigurationError when one exists and differs, ActionRefused, CloudAway.
        """
        policies, types = self._client.archive_policy, self._client.resource_type
        resource_type = {'name': RESOURCE_TYPE, 'attributes': ATTRIBUTES}
        return [
            _ensure('archive policy', policies, POLICY, _policy_differences),
            _ensure('archive policy', policies, METRIC_POLICY, _policy_differences),
            _ensure('resource type', types, resource_type, _type_differences),
        ]

    def write(self, samples: Iterable[Sample]) -> int:
        """Store samples; returns how many were stored.

        Guests that Gnocchi does not know yet are created on the way, NEW of them in one call;
        the samples of more new guests than that wait for the next call, because creating takes
        time, and the others' samples must stay regular. A batch that is refused keeps no other
        one out: ActionRefused is raised at the end. Raises CloudAway, or ConfigurationError when
        ``prepare`` was never called, at once; batches before are stored then.
        """
        refused: list[ActionRefused] = []
        by_guest: dict[str, list[Sample]] = {}
        for sample in samples:
            by_guest.setdefault(sample.resource_id, []).append(sample)
        stored, may_create = 0, NEW
        for batch in _batches(by_guest):
            measures = {resource_id: _measures(found) for resource_id, found in batch.items()}
            try:
                unknown = set(self._post(measures))
                done = [r for r in batch if r not in unknown]
                if unknown:
                    # Gnocchi stored nothing of the batch. Those it knows go first; one that was
                    # deleted just now is unknown to the next call, and created then.
                    self._post({r: measures[r] for r in done})
                    new = sorted(unknown)[:may_create]
                    may_create -= len(new)
                    self._write_new({r: batch[r][0] for r in new}, measures)
                    done += new
            except ActionRefused as e:
                refused.append(e)
                continue
            stored += sum(len(batch[r]) for r in done)
        if refused:
            more = f' (and {len(refused) - 1} more batches were refused)' if refused[1:] else ''
            raise ActionRefused(f'{refused[0].detail}{more}; {stored} samples were stored')
        return stored

    def forget(self, resource_id: str) -> None:
        """Delete a resource with all its measures. Raises CloudAway, ActionRefused."""
        try:
            _call(lambda: self._client.resource.delete(resource_id))
        except _Missing:
            pass  # nothing was ever written, or somebody deleted it

    def activity(self, server_id: str, now: float) -> Activity | None:
        """What Ceilometer's compute agent measured of a server lately; None: nothing.

        Raises CloudAway, ActionRefused.
        """
        of_server = {'=': {'instance_id': server_id}}
        sources = (
            ('instance', {'=': {'id': server_id}}, (activity.CPU,)),
            ('instance_disk', of_server, activity.DISK),
            ('instance_network_interface', of_server, activity.NETWORK),
        )
        rates: dict[str, list[float | None]] = {}
        for kind, query, meters in sources:
            for metrics in self._metrics(kind, query):
                for meter in meters:
                    if meter in metrics:
                        rates.setdefault(meter, []).append(self._rate(metrics[meter], now))
        return activity.of_rates(rates)

    def _metrics(self, kind: str, query: Mapping[str, Any]) -> list[dict[str, str]]:
        """The ids of metrics, by name, of each resource that is found."""
        try:
            found = _call(lambda: self._client.resource.search(kind, query))
        except _Missing:
            return []  # Ceilometer never made the type here
        return [r.get('metrics') or {} for r in found]

    def _rate(self, metric_id: str, now: float) -> float | None:
        if metric_id not in self._ways:
            if len(self._ways) > 10_000:
                self._ways.clear()
            policy = _call(lambda: self._client.metric.get(metric_id))['archive_policy']
            self._ways[metric_id] = activity.way(policy, _seconds)
        way = self._ways[metric_id]
        if way is None:
            return None
        aggregation, granularity = way
        measures = _call(
            lambda: self._client.metric.get_measures(
                metric_id,
                aggregation=aggregation,
                granularity=granularity,
                start=_iso(now - activity.WINDOW),
                refresh=False,
            )
        )
        points = [(at.timestamp(), float(value)) for at, _, value in measures]
        return activity.rate(points, aggregation, now)

    def _write_new(self, guests: Mapping[str, Sample], measures: Mapping[str, Any]) -> None:
        for sample in guests.values():
            self._create(sample)
        left = self._post({r: measures[r] for r in guests})
        if left:
            raise ActionRefused(
                f'Gnocchi does not know {len(left)} resources that were created just now, '
                f'the first is {left[0]}'
            )

    def _post(self, measures: Mapping[str, Any]) -> list[str]:
        """Send one batch; the ids of resources that must be created first, as Gnocchi says.

        Gnocchi stores nothing of a batch while one of its resources is unknown.
        """
        if not measures:
            return []
        try:
            _call(
                lambda: self._client.metric.batch_resources_metrics_measures(
                    measures, create_metrics=True
                )
            )
        except _UnknownResources as e:
            return [r for r in e.resource_ids if r in measures]
        return []

    def _create(self, sample: Sample) -> None:
        # Without metrics: the batch that follows creates them, each with its archive policy.
        resource = {
            'id': sample.resource_id,
            'project_id': sample.project_id,
            'server_id': sample.server_id,
            'display_name': sample.name,
        }
        try:
            _call(lambda: self._client.resource.create(RESOURCE_TYPE, resource))
        except _Exists:
            pass  # another publisher was faster


def _measures(samples: Iterable[Sample]) -> dict[str, dict[str, Any]]:
    """One guest's entry of a batch, as Gnocchi 4.3 and later take it.

    The archive policy stands with each metric: without it create_metrics follows the archive
    policy rules, and where none fits the metric would be refused or stored too coarsely.
    """
    return {
        s.meter: {
            'archive_policy_name': archive_policy(s.meter),
            'unit': s.unit,
            'measures': [{'timestamp': _iso(s.timestamp), 'value': float(s.volume)}],
        }
        for s in samples
    }


def _iso(timestamp: float) -> str:
    at = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    return at.replace(tzinfo=None).isoformat()


def _batches(guests: Mapping[str, list[Sample]]) -> Iterator[dict[str, list[Sample]]]:
    batch: dict[str, list[Sample]] = {}
    samples = 0
    for resource_id, found in guests.items():
        if batch and (len(batch) == BATCH or samples + len(found) > SAMPLES):
            yield batch
            batch, samples = {}, 0
        batch[resource_id] = found
        samples += len(found)
    if batch:
        yield batch


def _ensure(
    kind: str,
    manager: Any,
    wanted: Mapping[str, Any],
    differences: Callable[[Mapping[str, Any], Mapping[str, Any]], list[str]],
) -> Prepared:
    created = False
    found = None
    try:
        found = _call(lambda: manager.get(wanted['name']))
    except _Missing:
        try:
            _call(lambda: manager.create(wanted))
            created = True
        except _Exists:
            pass  # created by somebody else in the meantime
    found = found or _call(lambda: manager.get(wanted['name']))
    different = differences(wanted, found)
    if different:
        raise ConfigurationError(
            f'Gnocchi has the {kind} {wanted["name"]} already, but not as aodh-ha needs it: '
            f'{"; ".join(different)}; change it, or delete it and {PREPARE}'
        )
    return Prepared(kind, wanted['name'], created)


def _policy_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    different = []
    methods = set(found.get('aggregation_methods', ()))
    if methods != set(wanted['aggregation_methods']):
        different.append(
            f'aggregation methods {_list(methods)} instead of '
            f'{_list(wanted["aggregation_methods"])}'
        )
    if found.get('back_window') != wanted['back_window']:
        different.append(
            f'back_window {found.get("back_window")} instead of {wanted["back_window"]}'
        )
    spans, right = _definition(found), _definition(wanted)
    if spans != right:
        different.append(f'definition {_spans(spans)} instead of {_spans(right)}')
    return different


def _definition(policy: Mapping[str, Any]) -> set[tuple[float, float]]:
    """An archive policy's definition as (granularity, timespan) in seconds."""
    return {
        (_seconds(d.get('granularity')), _seconds(d.get('timespan')))
        for d in policy.get('definition', ())
    }


def _type_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    different = []
    if found.get('state', 'active') != 'active':
        different.append(f'its state is {found["state"]} instead of active')
    attributes = found.get('attributes', {})
    for name, expected in wanted['attributes'].items():
        have = attributes.get(name)
        if have is None:
            different.append(f'the attribute {name} is missing')
            continue
        different += [
            f'attribute {name} has {key} {have.get(key)} instead of {value}'
            for key, value in expected.items()
            if have.get(key) != value
        ]
    different += [
        f'the attribute {name} is required, and not filled by aodh-ha'
        for name, have in attributes.items()
        if name not in wanted['attributes'] and have.get('required')
    ]
    return different


def _seconds(span: Any) -> float:
    """Seconds of a time span as Gnocchi prints it, ``0:00:10``, ``1 day, 0:00:00`` or 60.0, and
    as we write it, ``10s``."""
    if isinstance(span, int | float):
        return float(span)
    ours = re.fullmatch(r'(\d+)([smhd])', str(span))
    if ours:
        return float(ours[1]) * {'s': 1, 'm': 60, 'h': 3600, 'd': 86400}[ours[2]]
    match = re.fullmatch(r'(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)', str(span))
    if match is None:
        return -1.0
    days, hours, minutes, seconds = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _spans(spans: Iterable[tuple[float, float]]) -> str:
    return ' + '.join(f'{g:g} s for {t:g} s' for g, t in sorted(spans))


def _list(names: Iterable[str]) -> str:
    return ', '.join(sorted(names))


class _Missing(ActionRefused):
    """What was asked for does not exist"""


class _Exists(ActionRefused):
    """What was to be created exists"""


class _UnknownResources(ActionRefused):
    """A batch names resources that do not exist"""

    def __init__(self, resource_ids: list[str]) -> None:
        super().__init__(f'{len(resource_ids)} resources are unknown')
        self.resource_ids = resource_ids


def _call(call: Callable[[], T]) -> T:
    """One request to Gnocchi, its errors in this project's words."""
    try:
        return call()
    except gnocchi.BadRequest as e:
        detail = e.message
        if isinstance(detail, dict) and detail.get('cause') == 'Unknown resources':
            ids = [str(r['original_resource_id']) for r in detail['detail']]
            raise _UnknownResources(ids) from None
        raise _refused(e) from None
    except gnocchi.ClientException as e:
        # Without a code there was no answer; 401 and 429 pass as an outage does.
        if e.code is None or e.code >= 500 or e.code in (401, 429):
            raise CloudAway(f'Gnocchi: {first_line(e)}') from None
        raise _refused(e) from None
    except ksa.ClientException as e:
        raise CloudAway(f'Gnocchi: {first_line(e)}') from None
    except (KeyError, ValueError) as e:
        # gnocchiclient 7.2 raises KeyError for an error without text, as a proxy may send it,
        # and ValueError for a page that is not JSON.
        raise CloudAway(f'Gnocchi answered with nothing that its client can read: {e!r}') from None


def _refused(error: gnocchi.ClientException) -> ActionRefused | ConfigurationError:
    text = first_line(error)
    # Gnocchi says "Archive policy X does not exist" (400) and "Resource type X does not
    # exist" (404); asked for by name, both are 404.
    ours = (ARCHIVE_POLICY, RESOURCE_TYPE)
    if error.method == 'POST' and 'does not exist' in text and any(o in text for o in ours):
        return ConfigurationError(f'Gnocchi: {text}; {PREPARE}')
    kinds = {404: _Missing, 409: _Exists}
    return kinds.get(error.code, ActionRefused)(f'Gnocchi answered {error.code}: {text}')
