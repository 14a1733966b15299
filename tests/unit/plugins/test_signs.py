"""Which samples are signs of life, of whom and when."""

from types import SimpleNamespace

import pytest

from aodh_ha.db import guests
from aodh_ha.plugins.ceilometer.signs import Sign, record, signs
from aodh_ha.rules.guest import PENDING
from aodh_ha.rules.heartbeat import resource_id

NOW = 1_764_000_000.0
NOW_TEXT = '2025-11-24T16:00:00+00:00'
METER = 'guest.heartbeat'
SERVER = '00000000-0000-0000-0000-000000000001'
OTHER = '00000000-0000-0000-0000-000000000002'
NEVER = 1_763_000_000.0


def sample(**changes):
    plain = {
        'name': METER,
        'type': 'gauge',
        'volume': 1,
        'resource_id': SERVER,
        'timestamp': NOW_TEXT,
        'resource_metadata': {},
    }
    return SimpleNamespace(**(plain | changes))


def read(*samples):
    return signs(samples, {METER}, NOW)


def test_a_sample_of_a_server_is_a_sign_of_its_life():
    assert read(sample()) == [Sign(SERVER, NOW, 1, METER)]


@pytest.mark.parametrize(
    'changes',
    [
        {'name': 'cpu'},
        {'volume': 0},
        {'volume': -1},
        {'volume': 'many'},
        {'volume': None},
        {'volume': float('nan')},
        {'volume': float('inf')},
        {'resource_id': 'not-a-uuid'},
        {'resource_id': None},
        {'resource_metadata': None, 'resource_id': f'{SERVER}-eth0'},
        {'timestamp': '2025-11-24T15:58:59'},
        {'timestamp': 'yesterday'},
        {'timestamp': None},
    ],
)
def test_any_other_sample_is_not(changes):
    assert read(sample(**changes)) == []


@pytest.mark.parametrize(
    ('timestamp', 'at'),
    [
        ('2025-11-24T15:59:10', NOW - 50),
        ('2025-11-24T16:59:30.5+01:00', NOW - 29.5),
        ('2025-11-24T15:59:30Z', NOW - 30),
        ('2025-11-24T16:30:00', NOW),
    ],
)
def test_time_is_utc_unless_it_says_so_and_never_in_the_future(timestamp, at):
    assert [s.at for s in read(sample(timestamp=timestamp))] == [at]


def test_a_disk_or_port_stands_for_its_instance():
    disk = sample(resource_id=f'{OTHER}-vda', resource_metadata={'instance_id': SERVER})
    assert [s.server_id for s in read(disk)] == [SERVER]


def test_a_delta_counts_heartbeats_and_a_gauge_is_one():
    assert [s.count for s in read(sample(type='delta', volume=4))] == [4]
    assert [s.count for s in read(sample(type='gauge', volume=4))] == [1]
    assert [s.count for s in read(sample(type='delta', volume=0.5))] == [1]
    assert [s.count for s in read(sample(type='delta', volume=1e300))] == [1000]


def test_several_samples_of_one_server_become_one_sign_in_a_fixed_order():
    samples = [sample(resource_id=OTHER), sample(timestamp='2025-11-24T15:59:50'), sample()]
    assert read(*samples) == [Sign(SERVER, NOW, 2, METER), Sign(OTHER, NOW, 1, METER)]


def test_signs_are_recorded_for_enrolled_guests_only(database, enroll):
    one = enroll(1, last_seen=NEVER, beats=0)
    waiting = enroll(2, last_seen=None, beats=0, status=PENDING)
    stranger = sample(resource_id='00000000-0000-0000-0000-000000000099')
    found = read(sample(), sample(resource_id=waiting.server_id), stranger)
    with database.write() as connection:
        assert record(connection, found) == 1
    with database.read() as connection:
        heard = guests.get(connection, one.server_id)
        assert (heard.last_seen, heard.beats, heard.seen_by) == (NOW, 1, f'ceilometer:{METER}')
        assert guests.get(connection, waiting.server_id).last_seen is None


def test_an_old_sign_does_not_make_a_guest_older(database, enroll):
    one = enroll(1, last_seen=NOW - 1)
    with database.write() as connection:
        record(connection, read(sample(timestamp='2025-11-24T15:59:30')))
    with database.read() as connection:
        assert guests.get(connection, one.server_id).last_seen == NOW - 1


def test_what_we_publish_ourselves_is_no_sign_of_life(database, enroll):
    one = enroll(1, last_seen=NEVER, beats=0)
    metadata = {'server_id': one.server_id, 'display_name': one.name}
    ours = sample(resource_id=resource_id(one.server_id), resource_metadata=metadata)
    with database.write() as connection:
        assert record(connection, read(ours)) == 0
    with database.read() as connection:
        assert guests.get(connection, one.server_id).last_seen == NEVER
