"""What is said about the guests, and when nothing is said."""

import pytest

from aodh_ha.db import gateways, guests
from aodh_ha.db.models import metadata
from aodh_ha.exceptions import DatabaseAway
from aodh_ha.publishers import samples
from aodh_ha.publishers.samples import Collector
from aodh_ha.rules.alarm import HEARTBEAT, MISSED, SERVICE_FAILURES, TRIGGERS
from aodh_ha.rules.guest import PENDING, REFUSED

NOW = 1_764_000_000.0


def volumes(found, meter):
    return {s.server_id: s.volume for s in found if s.meter == meter}


def beat(database, server_id, count):
    with database.write() as connection:
        assert guests.write_life(connection, server_id, NOW, count, 'agent')


def test_a_healthy_guest_has_zero_missed_heartbeats_and_zero_failures(database, enroll, listen):
    enroll(1)
    listen()
    found = Collector(database).collect(NOW)
    assert {s.meter: s.volume for s in found} == {MISSED: 0, SERVICE_FAILURES: 0}


def test_silent_and_never_seen_guests_are_published_with_what_they_missed(database, enroll, listen):
    healthy = enroll(1)
    silent = enroll(2, last_seen=NOW - 52)
    never = enroll(3, last_seen=None, beats=0, enrolled_at=NOW - 120 - 42)
    in_grace = enroll(4, last_seen=None, beats=0, enrolled_at=NOW - 100)
    listen()
    assert volumes(Collector(database).collect(NOW), MISSED) == {
        healthy.server_id: 0,
        silent.server_id: 5,
        never.server_id: 4,
        in_grace.server_id: 0,
    }


def test_failed_services_are_published(database, enroll, listen):
    one = enroll(1, failures=4, failing_since=NOW - 40)
    listen()
    assert volumes(Collector(database).collect(NOW), SERVICE_FAILURES) == {one.server_id: 4}


@pytest.mark.parametrize('status', [PENDING, REFUSED])
def test_a_guest_that_is_not_enrolled_is_not_published(database, enroll, listen, status):
    enroll(1, status=status)
    listen()
    assert Collector(database).collect(NOW) == []


def test_nothing_at_all_is_published_when_no_gateway_ever_listened(database, enroll):
    enroll(1, last_seen=NOW - 500)
    assert Collector(database).collect(NOW) == []


def test_only_what_was_received_is_published_while_no_gateway_listens(database, enroll, listen):
    one = enroll(1)
    listen()
    collector = Collector(database)
    assert volumes(collector.collect(NOW), MISSED) == {one.server_id: 0}
    deaf = collector.collect(NOW + 60)
    assert [(s.meter, s.volume) for s in deaf] == [(HEARTBEAT, 0)]


def test_a_guest_heard_by_ceilometer_is_silent_only_while_ceilometer_listened(
    database, enroll, listen
):
    by_agent = enroll(1, last_seen=NOW - 100)
    by_ceilometer = enroll(2, last_seen=NOW - 100, seen_by='ceilometer:guest.heartbeat.notified')
    listen()
    collector = Collector(database)
    assert volumes(collector.collect(NOW), MISSED) == {by_agent.server_id: 9}
    with database.write() as connection:
        gateways.tick(connection, 'ceilometer:host:7', NOW, None)
    assert volumes(collector.collect(NOW), MISSED)[by_ceilometer.server_id] == 0
    for n in range(1, 8):
        with database.write() as connection:
            gateways.tick(connection, 'ceilometer:host:7', NOW + 5 * n, 5.0)
    assert volumes(collector.collect(NOW + 35), MISSED) == {by_ceilometer.server_id: 3}


def test_heartbeats_are_counted_since_the_last_look(database, enroll, listen):
    one, other = enroll(1), enroll(2)
    listen()
    collector = Collector(database)
    assert volumes(collector.collect(NOW), HEARTBEAT) == {}
    beat(database, one.server_id, 3)
    assert volumes(collector.collect(NOW + 1), HEARTBEAT) == {one.server_id: 3, other.server_id: 0}
    assert volumes(collector.collect(NOW + 2), HEARTBEAT) == {one.server_id: 0, other.server_id: 0}


def test_heartbeats_that_came_while_no_gateway_listened_are_not_lost(database, enroll, listen):
    one = enroll(1)
    listen()
    collector = Collector(database)
    collector.collect(NOW)
    assert volumes(collector.collect(NOW + 60), HEARTBEAT) == {one.server_id: 0}
    beat(database, one.server_id, 2)
    listen(NOW + 61)
    assert volumes(collector.collect(NOW + 61), HEARTBEAT) == {one.server_id: 2}


def test_what_another_worker_may_have_counted_is_not_counted_again(database, enroll, listen):
    one = enroll(1)
    listen()
    mine, others = Collector(database, memory=15), Collector(database, memory=15)
    for collector, now in ((mine, NOW), (others, NOW + 20), (others, NOW + 25)):
        collector.collect(now)
        beat(database, one.server_id, 3)
    listen(NOW + 30)
    assert volumes(mine.collect(NOW + 30), HEARTBEAT) == {}
    beat(database, one.server_id, 1)
    assert volumes(mine.collect(NOW + 35), HEARTBEAT) == {one.server_id: 1}


def test_a_guest_that_was_forgotten_and_enrolled_again_starts_anew(database, enroll, listen):
    one = enroll(1, beats=100)
    listen()
    collector = Collector(database)
    collector.collect(NOW)
    with database.write() as connection:
        guests.forget(connection, one.server_id)
    assert collector.collect(NOW + 1) == []
    enroll(1, beats=107)
    assert volumes(collector.collect(NOW + 2), HEARTBEAT) == {}


def test_a_count_that_began_again_is_never_negative(database, enroll, listen):
    one = enroll(1, beats=100)
    listen()
    collector = Collector(database)
    collector.collect(NOW)
    with database.write() as connection:
        guests.forget(connection, one.server_id)
    enroll(1, beats=2)
    assert volumes(collector.collect(NOW + 1), HEARTBEAT) == {one.server_id: 2}


def test_every_page_of_guests_is_read(database, enroll, listen, monkeypatch):
    monkeypatch.setattr(samples, 'PAGE', 2)
    enrolled = {enroll(n).server_id for n in range(1, 6)}
    listen()
    assert set(volumes(Collector(database).collect(NOW), MISSED)) == enrolled


def test_a_sample_carries_all_that_gnocchi_and_ceilometer_need(database, enroll, listen):
    one = enroll(1)
    listen()
    sample = next(s for s in Collector(database).collect(NOW) if s.meter == MISSED)
    assert (sample.type, sample.unit, sample.timestamp) == ('gauge', 'heartbeat', NOW)
    assert (sample.server_id, sample.project_id, sample.name) == (
        one.server_id,
        one.project_id,
        'guest 1',
    )
    assert sample.resource_id == one.resource_id != one.server_id


def test_every_meter_that_an_alarm_watches_is_published(database, enroll, listen):
    enroll(1)
    listen()
    assert {s.meter for s in Collector(database).collect(NOW)} >= set(TRIGGERS.values())


def test_a_database_that_is_away_is_said(database):
    metadata.drop_all(database.engine)
    with pytest.raises(DatabaseAway):
        Collector(database).collect(NOW)
