"""What an Aodh alarm is to this project, and what its notification says."""

import uuid
from dataclasses import dataclass
from typing import Any

from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.heartbeat import json_object, mended

OK, ALARM, INSUFFICIENT = 'ok', 'alarm', 'insufficient data'
STATES = (OK, ALARM, INSUFFICIENT)

RESOURCE_TYPE = 'aodh_ha_guest'
ARCHIVE_POLICY = 'aodh-ha-heartbeat'
GRANULARITY = 10
"""Seconds; the finest of the archive policy."""
METRIC_ARCHIVE_POLICY = 'aodh-ha-metric'
METRIC = 'guest.metric.'
"""What the name of a metric that a guest reports follows in the name of its meter."""

MISSED, SERVICE_FAILURES, HEARTBEAT = (
    'guest.heartbeat.missed',
    'guest.service.failures',
    'guest.heartbeat',
)
WATCH = 'guest.watch'
"""The meter of a watch, on a Gnocchi resource of its own: see rules.watch."""
TRIGGERS = {'heartbeat': MISSED, 'service': SERVICE_FAILURES}
"""What an alarm watches: the meter behind each trigger of a recovery."""

RESTARTER = 'restarter'
"""In the place of a trigger: an alarm of ours without an Aodh alarm of its own. Its URL is for
whichever alarms are told to call it, as ``AlarmUrl`` of Heat's HARestarter."""

ACTIONS = 'alarm_actions'
"""Of an Aodh alarm: the URLs that are called when it fires."""

MAX_TEXT = 2000


DEFAULT_FAILURES = 3
"""Failed checks of a service from which on its alarm fires, unless it is said otherwise."""


def archive_policy(meter: str) -> str:
    """The archive policy in Gnocchi of a meter of ours."""
    return METRIC_ARCHIVE_POLICY if meter.startswith(METRIC) else ARCHIVE_POLICY


@dataclass(frozen=True)
class Alarm:
    """An alarm of ours: which guest it is for, and the Aodh alarm that carries it."""

    id: str
    project_id: str
    server_id: str
    trigger: str
    """``heartbeat``, ``service`` or RESTARTER."""
    threshold: int
    aodh_alarm_id: str | None
    state: str
    """As Aodh last told us."""
    state_at: float | None
    created_at: float
    problem: str = ''
    """Why no callback will come of it, as the reconciler last saw it; empty: one should."""
    name: str = ''
    """What a template calls it, as ``cfn-push-stats --watch`` says; not unique."""


@dataclass(frozen=True)
class Notification:
    """The body that Aodh's notifier posts (the same from 14.0.0 to 23.0.0)."""

    alarm_id: str
    previous: str
    current: str
    reason: str


def parse_notification(body: bytes) -> Notification:
    """Read Aodh's notification; raises InvalidRequest naming the field.

    ``reason_data`` is not read: with repeat_actions its disposition is wrong in Aodh 23.
    """
    data = json_object(body)
    for name in ('alarm_id', 'current'):
        if not isinstance(data.get(name), str):
            raise InvalidRequest(f'{name} must be a string, as Aodh sends it')
    if data['current'] not in STATES:
        raise InvalidRequest(f'current must be one of {", ".join(STATES)}')
    return Notification(
        alarm_id=mended(data['alarm_id'][:64]),
        previous=mended(str(data.get('previous', ''))[:64]),
        current=data['current'],
        reason=mended(str(data.get('reason', ''))[:MAX_TEXT]),
    )


def why_not_recover(
    guest: Guest, trigger: str, listening_since: float | None, now: float, threshold: int = 1
) -> str:
    """Why an alarm of this threshold opens no recovery; empty when it should.

    The alarm is a claim made from samples some seconds old; the heartbeats that the
    database knows are what the samples were made from, so they are asked again.
    """
    if guest.status != 'enrolled':
        return f'the guest is {guest.status}, not enrolled'
    if listening_since is None:
        return "no gateway listens: the silence is ours, not the guest's"
    missed = guest.missed(now, listening_since)
    if trigger == 'service':
        if not guest.failures:
            return 'all services are reported healthy again'
        fewer = f"{guest.failures} failed checks, fewer than the alarm's {threshold}"
        return fewer if guest.failures < threshold else ''
    limit = max(guest.missed_limit, threshold)
    if missed < limit:
        return f'{missed} heartbeats missed, fewer than {limit}: it is heard again'
    return ''


def new(guest: Guest, trigger: str, threshold: int, now: float) -> Alarm:
    """An alarm for a guest that no Aodh alarm carries yet."""
    return Alarm(
        id=str(uuid.uuid4()),
        project_id=guest.project_id,
        server_id=guest.server_id,
        trigger=trigger,
        threshold=threshold,
        aodh_alarm_id=None,
        state=OK,
        state_at=None,
        created_at=now,
    )


TRUSTING = 'trust+'
"""Before an action's URL: Aodh calls it with a token of a trust that it makes for that."""


def with_trust(definition: dict[str, Any]) -> dict[str, Any]:
    """The alarm whose callback brings a token with its creator's rights in the project."""
    urls = [url if url.startswith(TRUSTING) else TRUSTING + url for url in definition[ACTIONS]]
    return definition | {ACTIONS: urls}


def plain(url: str) -> str:
    """An action's URL as it is called; Aodh writes the trust's id before the host."""
    if not url.startswith(TRUSTING):
        return url
    scheme, _, rest = url.removeprefix(TRUSTING).partition('://')
    authority, slash, path = rest.partition('/')
    return f'{scheme}://{authority.rpartition("@")[2]}{slash}{path}'


def default_threshold(guest: Guest, trigger: str) -> int:
    """Missed heartbeats, or failed checks, from which on the alarm fires."""
    if trigger == RESTARTER:
        return 1
    return guest.missed_limit if trigger == 'heartbeat' else DEFAULT_FAILURES


def description(guest: Guest, trigger: str, threshold: int) -> str:
    """What an operator reads at the Aodh alarm."""
    return f'{TRIGGERS[trigger]} >= {threshold} of server {guest.server_id}'


def definition(
    guest: Guest, trigger: str, threshold: int, alarm_url: str, telemetry_url: str
) -> dict[str, Any]:
    """The alarm as aodhclient's ``alarm.create`` takes it.

    Created in state ``ok``: a new Aodh alarm starts in insufficient data, from where a guest
    that was never heard makes no transition. ``repeat_actions``: Aodh delivers at most once,
    so the callback is repeated every evaluation while the alarm lasts; repeats join the
    recovery they opened. Insufficient data goes to a URL that never recovers anything.
    """
    return {
        'name': f'aodh-ha {trigger} {guest.name or guest.server_id} {guest.server_id[:8]}',
        'description': description(guest, trigger, threshold),
        'type': 'gnocchi_resources_threshold',
        'state': OK,
        'severity': 'critical',
        'repeat_actions': True,
        'alarm_actions': [alarm_url],
        'ok_actions': [alarm_url],
        'insufficient_data_actions': [telemetry_url],
        'gnocchi_resources_threshold_rule': {
            'metric': TRIGGERS[trigger],
            'resource_type': RESOURCE_TYPE,
            'resource_id': guest.resource_id,
            'aggregation_method': 'max',
            'comparison_operator': 'ge',
            'threshold': float(threshold),
            'granularity': GRANULARITY,
            'evaluation_periods': 1,
        },
    }
