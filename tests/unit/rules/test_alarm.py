"""What Aodh's notification says, and when an alarm opens no recovery."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules import alarm
from aodh_ha.rules.alarm import Notification
from aodh_ha.testing import START
from tests import samples

# As Aodh 23 sent it (facts seen live).
SEEN = {
    'alarm_name': 'g5',
    'alarm_id': '2b6c1f0c-6f0c-4a41-9b0e-2f6f3f0c8f11',
    'severity': 'critical',
    'previous': 'ok',
    'current': 'insufficient data',
    'reason': 'No datapoint for granularity 5',
    'reason_data': {
        'type': 'threshold',
        'disposition': 'unknown',
        'count': 1,
        'most_recent': None,
    },
}


def parse(data):
    return alarm.parse_notification(json.dumps(data).encode())


def test_a_notification_as_aodh_sends_it_is_read():
    assert parse(SEEN) == Notification(
        SEEN['alarm_id'], 'ok', 'insufficient data', 'No datapoint for granularity 5'
    )


@pytest.mark.parametrize(
    ('changes', 'told'),
    [
        ({'alarm_id': None}, 'alarm_id must be a string'),
        ({'alarm_id': 5}, 'alarm_id must be a string'),
        ({'current': None}, 'current must be a string'),
        ({'current': ['alarm']}, 'current must be a string'),
        ({'current': 'ALARM'}, 'current must be one of ok, alarm, insufficient data'),
        ({'current': ''}, 'current must be one of'),
    ],
)
def test_what_aodh_would_not_send_is_refused_by_the_name_of_the_field(changes, told):
    with pytest.raises(InvalidRequest) as e:
        parse(SEEN | changes)
    assert told in e.value.detail


@pytest.mark.parametrize('body', [b'', b'[]', b'null', b'"alarm"', b'\xff', b'{', b'[' * 10**5])
def test_a_body_that_is_no_object_is_refused(body):
    with pytest.raises(InvalidRequest):
        alarm.parse_notification(body)


def test_texts_are_cut_to_what_the_database_takes():
    found = parse(SEEN | {'reason': 'r' * 10_000, 'alarm_id': 'i' * 1000, 'previous': 'p' * 1000})
    assert (len(found.reason), len(found.alarm_id), len(found.previous)) == (2000, 64, 64)


def test_a_reason_that_no_database_takes_is_mended_and_the_callback_is_not_lost():
    assert parse(SEEN | {'reason': 'a\x00b\ud800c'}).reason == 'a?b?c'


# Every depth up to where JSON's own reader gives up.
@pytest.mark.parametrize('depth', [10, *range(700, 1000, 3)])
def test_a_deep_reason_breaks_nothing(depth):
    deep = '[' * depth + ']' * depth
    body = f'{{"alarm_id": "a", "current": "ok", "reason": {deep}}}'.encode()
    try:
        assert alarm.parse_notification(body).reason.startswith('[')
    except InvalidRequest:
        assert depth > 800


TEXT = st.text(st.characters() | st.sampled_from('\x00\ud800'))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
NOTIFICATIONS = st.fixed_dictionaries(
    {'alarm_id': TEXT | JSON, 'current': st.sampled_from(alarm.STATES) | JSON},
    optional={'previous': JSON, 'reason': JSON, 'reason_data': JSON},
)


@given(st.binary() | (JSON | NOTIFICATIONS).map(lambda data: json.dumps(data).encode()))
def test_any_body_is_a_notification_or_an_invalid_request(body):
    try:
        found = alarm.parse_notification(body)
    except InvalidRequest:
        return
    assert found.current in alarm.STATES
    for text in (found.alarm_id, found.previous, found.reason):
        text.encode()
        assert '\x00' not in text
        assert len(text) <= alarm.MAX_TEXT


# ---- whether an alarm opens a recovery


@pytest.mark.parametrize(
    ('guest', 'trigger', 'listening', 'why'),
    [
        ({}, 'heartbeat', 0.0, ''),
        ({'status': 'pending'}, 'heartbeat', 0.0, 'pending, not enrolled'),
        ({'status': 'refused'}, 'heartbeat', 0.0, 'refused, not enrolled'),
        ({}, 'heartbeat', None, 'no gateway listens'),
        ({'failures': 3}, 'service', None, 'no gateway listens'),
        ({}, 'heartbeat', START - 5, '0 heartbeats missed, fewer than 3'),
        ({'last_seen': START}, 'heartbeat', 0.0, '0 heartbeats missed, fewer than 3'),
        ({'last_seen': START - 30.9}, 'heartbeat', 0.0, '2 heartbeats missed'),
        ({'last_seen': START - 31}, 'heartbeat', 0.0, ''),
        ({'last_seen': None}, 'heartbeat', 0.0, ''),
        ({'last_seen': None, 'enrolled_at': START - 100}, 'heartbeat', 0.0, '0 heartbeats'),
        ({'failures': 1, 'last_seen': START}, 'service', 0.0, ''),
        ({'failures': 0, 'last_seen': START}, 'service', 0.0, 'reported healthy again'),
    ],
)
def test_an_alarm_is_believed_only_when_the_heartbeats_say_the_same(guest, trigger, listening, why):
    found = alarm.why_not_recover(samples.guest(**guest), trigger, listening, START)
    assert why in found
    assert bool(found) == bool(why)


# ---- the definition


@pytest.mark.parametrize(
    ('trigger', 'metric'),
    [('heartbeat', 'guest.heartbeat.missed'), ('service', 'guest.service.failures')],
)
def test_the_aodh_alarm_starts_ok_repeats_and_sends_missing_data_elsewhere(trigger, metric):
    guest = samples.guest()
    found = alarm.definition(guest, trigger, 4, 'http://h/v1/alarms/t', 'http://h/v1/telemetry/t')
    assert found['state'] == 'ok'
    assert found['repeat_actions'] is True
    assert found['alarm_actions'] == found['ok_actions'] == ['http://h/v1/alarms/t']
    assert found['insufficient_data_actions'] == ['http://h/v1/telemetry/t']
    rule = found['gnocchi_resources_threshold_rule']
    assert (rule['metric'], rule['threshold']) == (metric, 4.0)
    assert (rule['comparison_operator'], rule['aggregation_method']) == ('ge', 'max')
    assert rule['resource_id'] == guest.resource_id


@pytest.mark.parametrize(
    'url',
    [
        'http://ha:8787/v1/alarms/x',
        'trust+http://ha:8787/v1/alarms/x',
        'trust+http://trust-id:delete@ha:8787/v1/alarms/x',
    ],
)
def test_what_aodh_writes_into_a_url_with_a_trust_is_not_part_of_it(url):
    assert alarm.plain(url) == 'http://ha:8787/v1/alarms/x'


def test_an_at_sign_in_a_path_is_left_alone():
    assert alarm.plain('trust+https://ha/v1/a@b') == 'https://ha/v1/a@b'


def test_only_the_call_that_opens_a_recovery_gets_a_trust():
    before = alarm.definition(samples.guest(), 'heartbeat', 3, 'http://ha/a', 'http://ha/t')
    after = alarm.with_trust(before)
    assert after['alarm_actions'] == ['trust+http://ha/a']
    assert {k: v for k, v in after.items() if k != 'alarm_actions'} == {
        k: v for k, v in before.items() if k != 'alarm_actions'
    }
    assert alarm.with_trust(after) == after
