"""What a heartbeat is, how it is signed, and when one is missed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.exceptions import BadSignature, ClockSkew, InvalidRequest
from aodh_ha.rules import heartbeat
from aodh_ha.rules.heartbeat import Claim, Metric, Report, Service
from tests.samples import SERVER_ID

KEY = 'k' * 43
HEADER = (
    f'AODH-HA-HMAC-SHA256 guest="{SERVER_ID}", generation="1", time="1764000000", '
    f'sequence="42", signature="{"0" * 64}"'
)


# ---- signatures


@pytest.mark.parametrize(
    ('generation', 'time', 'sequence', 'body', 'signature'),
    [
        # printf 'POST\n/v1/heartbeats\n…%s' $(sha256sum of body) | openssl dgst -sha256 -hmac kk…
        (
            *(1, 1764000000, 42, b''),
            'b0c2c5728d4b597944f07db9dc160e511c77904002735787b431f00e8d5c7fb0',
        ),
        (
            *(7, 1764000001, 2**62 - 1, b'{"services": []}'),
            '8c285b1b191aaf7c40fb8c560b21d3d176a1bb96dd8c496249627a138fecccb1',
        ),
    ],
)
def test_a_request_is_signed_as_openssl_signs_it(generation, time, sequence, body, signature):
    ours = heartbeat.sign(
        KEY, 'POST', '/v1/heartbeats', SERVER_ID, generation, time, sequence, body
    )
    assert ours == signature


def test_a_reply_is_signed_as_openssl_signs_it():
    ours = heartbeat.sign_reply(KEY, 202, 42, b'{"interval": 10.0}')
    assert ours == '4d0b600e860b018ebca7a8be5276e1e5a29105f2f06a977bb7e4e79bcd308141'


@pytest.mark.parametrize(
    'changed',
    [
        {'method': 'PUT'},
        {'path': '/v1/heartbeat'},
        {'guest': 'x'},
        {'generation': 2},
        {'time': 1},
        {'sequence': 41},
        {'body': b' '},
        {'key': 'l' * 43},
    ],
)
def test_every_part_of_a_request_is_signed(changed):
    parts = {
        'key': KEY,
        'method': 'POST',
        'path': '/v1/heartbeats',
        'guest': SERVER_ID,
        'generation': 1,
        'time': 1764000000,
        'sequence': 42,
        'body': b'',
    }
    assert heartbeat.sign(**parts) != heartbeat.sign(**(parts | changed))


@pytest.mark.parametrize('changed', [{'status': 200}, {'sequence': 41}, {'body': b'x'}])
def test_every_part_of_a_reply_is_signed(changed):
    parts = {'key': KEY, 'status': 202, 'sequence': 42, 'body': b''}
    assert heartbeat.sign_reply(**parts) != heartbeat.sign_reply(**(parts | changed))


def test_a_claim_with_the_right_signature_is_believed():
    signature = heartbeat.sign(KEY, 'POST', '/v1/heartbeats', SERVER_ID, 1, 5, 6, b'{}')
    claim = Claim(SERVER_ID, 1, 5, 6, signature)
    heartbeat.verify(claim, KEY, 'POST', '/v1/heartbeats', b'{}')
    with pytest.raises(BadSignature):
        heartbeat.verify(claim, KEY, 'POST', '/v1/heartbeats', b'{ }')


@pytest.mark.parametrize('signature', ['', '0' * 64, 'é' * 64, 'A' * 200])
def test_any_other_signature_is_not(signature):
    claim = Claim(SERVER_ID, 1, 5, 6, signature)
    with pytest.raises(BadSignature):
        heartbeat.verify(claim, KEY, 'POST', '/v1/heartbeats', b'')


@pytest.mark.parametrize(('now', 'fresh'), [(700, True), (1300, True), (699, False), (1301, False)])
def test_a_claim_is_fresh_within_the_skew_and_the_refusal_tells_the_time(now, fresh):
    claim = Claim(SERVER_ID, 1, 1000, 6, '')
    if fresh:
        heartbeat.verify_time(claim, now, 300)
    else:
        with pytest.raises(ClockSkew) as e:
            heartbeat.verify_time(claim, now, 300)
        assert e.value.server_time == now


# ---- the Authorization header


def test_the_header_is_read():
    assert heartbeat.parse_authorization(HEADER) == Claim(SERVER_ID, 1, 1764000000, 42, '0' * 64)


@pytest.mark.parametrize(
    ('header', 'told'),
    [
        (None, 'no Authorization header'),
        ('', 'no Authorization header'),
        ('Bearer x', 'scheme is not AODH-HA-HMAC-SHA256'),
        (HEADER.replace('generation="1", ', ''), 'lacks a valid generation'),
        (HEADER.replace('sequence="42", ', ''), 'lacks a valid sequence'),
        (HEADER.replace('sequence="42"', 'sequence="4 2"'), 'lacks a valid sequence'),
        (HEADER.replace('time="1764000000"', 'time="1e9"'), 'lacks a valid time'),
        (HEADER.replace('"1764000000"', '""'), 'lacks a valid time'),
        (HEADER.replace('sequence="42"', 'sequence="0"'), 'sequence between 1 and 2^62'),
        (HEADER.replace('sequence="42"', 'sequence="-1"'), 'sequence between 1 and 2^62'),
        (HEADER.replace('"42"', f'"{2**62}"'), 'sequence between 1 and 2^62'),
        (HEADER.replace(SERVER_ID, SERVER_ID.upper()), 'guest must be a UUID'),
        (HEADER.replace(SERVER_ID, SERVER_ID + '\n'), 'guest must be a UUID'),
        (HEADER.replace(SERVER_ID, '../../etc/passwd'), 'guest must be a UUID'),
        (HEADER.replace('signature=', 'signatur='), 'lacks a valid signature'),
    ],
)
def test_a_header_that_lacks_something_is_refused_naming_it_and_the_form(header, told):
    with pytest.raises(BadSignature) as e:
        heartbeat.parse_authorization(header)
    assert told in e.value.detail
    assert 'signature="<hex>"' in e.value.detail


def test_a_refusal_repeats_nothing_of_the_header():
    with pytest.raises(BadSignature) as e:
        heartbeat.parse_authorization(HEADER.replace('"42"', '"my-secret"'))
    assert 'my-secret' not in e.value.detail


@given(st.text())
def test_no_header_breaks_the_reading(text):
    for header in (text, f'AODH-HA-HMAC-SHA256 {text}', HEADER.replace('42', text)):
        try:
            claim = heartbeat.parse_authorization(header)
        except BadSignature:
            continue
        assert 0 < claim.sequence < heartbeat.MAX_SEQUENCE
        assert heartbeat.is_uuid(claim.guest)


# ---- the body


def test_an_empty_body_reports_nothing():
    assert heartbeat.parse_report(b'') == Report()
    assert heartbeat.parse_report(b'{}') == Report()


def test_a_report_is_read():
    body = {
        'boot_id': 'b',
        'agent': '1.0',
        'services': [
            {'name': 'web', 'state': 'ok'},
            {'name': 'db', 'state': 'failed', 'failures': 2},
        ],
        'something-newer': 1,
    }
    services = (Service('web', 'ok', 0), Service('db', 'failed', 2))
    assert heartbeat.parse_report(json.dumps(body).encode()) == Report('b', '1.0', services)


def test_metrics_are_read():
    told = [
        {'name': 'CPUUtilization', 'value': 12, 'unit': 'Percent'},
        {'name': 'a.b-c_D9', 'value': -0.5, 'unit': None, 'age': 30},
        {'name': 'x' * 64, 'value': 1e308, 'unit': '°' * 32, 'age': 86400.0},
    ]
    report = heartbeat.parse_report(json.dumps({'metrics': told}).encode())
    assert report.metrics == (
        Metric('CPUUtilization', 12.0, 'Percent'),
        Metric('a.b-c_D9', -0.5, '', 30.0),
        Metric('x' * 64, 1e308, '°' * 32, 86400.0),
    )


def measured(**fields):
    return {'metrics': [{'name': 'm', 'value': 1.5} | fields]}


def service(**fields):
    return {'services': [{'name': 'web', 'state': 'ok', 'failures': 0} | fields]}


@pytest.mark.parametrize(
    ('data', 'told'),
    [
        ([], 'must be a JSON object, not list'),
        ('x', 'must be a JSON object, not str'),
        (None, 'must be a JSON object, not NoneType'),
        ({'boot_id': 1}, 'boot_id must be a string'),
        ({'boot_id': 'x' * 65}, 'at most 64'),
        ({'boot_id': 'a\x00b'}, 'boot_id'),
        ({'boot_id': '\ud800'}, 'boot_id'),
        ({'agent': []}, 'agent'),
        ({'services': {}}, 'services must be a list'),
        ({'services': None}, 'services must be a list'),
        ({'services': [{}] * 65}, 'at most 64'),
        ({'services': [1]}, 'services[0] must be an object'),
        (service(name=''), 'services[0].name'),
        (service(name=None), 'services[0].name'),
        (service(name='\udfff'), 'name'),
        (service(state='OK'), 'services[0].state'),
        (service(state=None), 'services[0].state'),
        (service(state=[]), 'services[0].state'),
        (service(failures=-1), 'services[0].failures'),
        (service(failures=True), 'services[0].failures'),
        (service(failures=1.5), 'services[0].failures'),
        (service(failures=2**31), 'services[0].failures'),
        (service(failures='1'), 'services[0].failures'),
        ({'metrics': None}, 'metrics must be a list'),
        ({'metrics': [{'name': 'm', 'value': 1}] * 33}, 'metrics must be a list of at most 32'),
        ({'metrics': [1]}, 'metrics[0] must be an object'),
        (measured(name='a b'), 'metrics[0].name must be'),
        (measured(name='größe'), 'metrics[0].name'),
        (measured(name='a/b'), 'metrics[0].name'),
        (measured(name='x' * 65), 'metrics[0].name'),
        (measured(name='m\n'), 'metrics[0].name'),
        (measured(name=''), 'metrics[0].name'),
        (measured(name=1), 'metrics[0].name'),
        (measured(value=None), 'metrics[0].value must be a finite number'),
        (measured(value='1'), 'metrics[0].value'),
        (measured(value=True), 'metrics[0].value'),
        (measured(value=float('nan')), 'metrics[0].value'),
        (measured(value=float('-inf')), 'metrics[0].value'),
        (measured(value=10**400), 'metrics[0].value'),
        (measured(unit='x' * 33), 'metrics[0].unit must be'),
        (measured(unit='a\x00'), 'metrics[0].unit'),
        (measured(unit='\ud800'), 'metrics[0].unit'),
        (measured(unit=1), 'metrics[0].unit'),
        (measured(age=-1), 'metrics[0].age must be seconds'),
        (measured(age=86401), 'metrics[0].age'),
        (measured(age='1'), 'metrics[0].age'),
    ],
)
def test_a_wrong_field_is_refused_by_its_name(data, told):
    with pytest.raises(InvalidRequest) as e:
        heartbeat.parse_report(json.dumps(data).encode())
    assert told in e.value.detail


@pytest.mark.parametrize(
    'body',
    [
        b'{',
        b'\xff\xfe\x00',
        b'\x80',
        b'{"boot_id": 1e999',
        b'[' * 100_000,
        b'{"a":' * 50_000,
        b'9' * 10_000,
        b'nope',
    ],
)
def test_what_is_no_json_is_refused(body):
    with pytest.raises(InvalidRequest):
        heartbeat.parse_report(body)


TEXT = st.text(st.characters() | st.sampled_from('\x00\ud800'))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
REPORTS = st.fixed_dictionaries(
    {}, optional={'boot_id': JSON, 'agent': JSON, 'services': JSON | st.lists(JSON)}
)


@given(st.binary() | (JSON | REPORTS).map(lambda data: json.dumps(data).encode()))
def test_any_body_is_a_report_or_an_invalid_request(body):
    try:
        report = heartbeat.parse_report(body)
    except InvalidRequest:
        return
    for text in (report.boot_id or '', report.agent or '', *(s.name for s in report.services)):
        text.encode()  # every database takes it
        assert '\x00' not in text
        assert len(text) <= 64


def test_the_resource_of_a_guest_is_its_own_and_always_the_same():
    # By sha1sum over namespace and name, with the bits of version 5 and the variant set.
    assert heartbeat.resource_id(SERVER_ID) == '8f71db38-c6d4-5927-869c-4bda24e79566'
    assert heartbeat.resource_id(SERVER_ID) != SERVER_ID


# ---- missed


def missed(**changes):
    values = {
        'last_seen': 1000.0,
        'enrolled_at': 0.0,
        'interval': 10.0,
        'boot_grace': 120.0,
        'listening_since': 0.0,
        'now': 1000.0,
    }
    return heartbeat.missed(**(values | changes))


@pytest.mark.parametrize(
    ('now', 'count'),
    [
        (1000, 0),
        (1010, 0),
        (1010.9, 0),  # late, within the slack of 1 s
        (1011, 1),
        (1020.9, 1),
        (1021, 2),
        (1031, 3),
        (4601, 360),
    ],
)
def test_a_beat_is_missed_when_interval_and_slack_have_passed(now, count):
    assert missed(now=now) == count


@pytest.mark.parametrize(
    ('now', 'count'), [(100, 0), (130, 0), (130.9, 0), (131, 1), (141, 2), (151, 3)]
)
def test_a_guest_never_heard_is_counted_from_the_end_of_its_boot_grace(now, count):
    assert missed(last_seen=None, now=now) == count


@pytest.mark.parametrize(
    ('listening_since', 'count'), [(0, 9), (1000, 9), (1050, 4), (1095, 0), (1100, 0), (2000, 0)]
)
def test_silence_counts_only_while_somebody_listened(listening_since, count):
    assert missed(now=1100, listening_since=listening_since) == count


def test_a_clock_set_back_counts_from_when_it_was_noticed():
    # Last heard at 1000, then the clock went back to 500, where listening began anew.
    assert missed(now=500, listening_since=500) == 0
    assert missed(now=531, listening_since=500) == 3


def test_a_clock_set_forward_makes_nobody_silent():
    assert missed(now=5000, listening_since=5000) == 0
    assert missed(now=5010, listening_since=5000) == 0


@pytest.mark.parametrize(('interval', 'slack'), [(1, 1), (10, 1), (60, 6), (600, 60)])
def test_the_slack_is_a_tenth_of_the_interval_and_never_under_a_second(interval, slack):
    assert heartbeat.slack(interval) == slack


TIMES = st.floats(0, 4e9)
INTERVALS = st.floats(1, 3600)
GRACES = st.floats(0, 86400)
ANY = {
    'last_seen': st.none() | TIMES,
    'enrolled_at': TIMES,
    'interval': INTERVALS,
    'boot_grace': GRACES,
    'listening_since': TIMES,
    'now': TIMES,
}


@given(st.fixed_dictionaries(ANY))
def test_never_a_negative_number_is_missed(values):
    assert heartbeat.missed(**values) >= 0


@given(st.fixed_dictionaries(ANY), st.floats(0, 1))
def test_nothing_is_missed_within_an_interval_after_a_beat(values, part):
    now = values['now'] + part * values['interval']
    assert heartbeat.missed(**(values | {'last_seen': values['now'], 'now': now})) == 0


@given(st.fixed_dictionaries(ANY), st.floats(0, 1e6))
def test_silence_only_grows(values, later):
    last = values['last_seen']
    now = max(values['now'], last or 0)
    first = heartbeat.missed(**(values | {'now': now}))
    assert heartbeat.missed(**(values | {'now': now + later})) >= first


@given(st.fixed_dictionaries(ANY))
def test_no_more_is_missed_than_fits_into_the_time_listened(values):
    listened = max(0.0, values['now'] - values['listening_since'])
    assert heartbeat.missed(**values) <= listened / values['interval']


@given(st.fixed_dictionaries(ANY), st.floats(0, 1e6))
def test_who_listens_shorter_counts_no_more(values, later):
    shorter = values | {'listening_since': values['listening_since'] + later}
    assert heartbeat.missed(**shorter) <= heartbeat.missed(**values)
