"""When silence is a storm, what is said of it, and what it is not taken for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.rules import storm
from aodh_ha.rules.guest import PENDING
from aodh_ha.testing import START
from tests import samples

NOW = START
HEARD = NOW - 5
SILENT = NOW - 60
"""Last heard then, a guest with 10 s and 3 missed is silent since NOW - 29."""


def guests(number, last_seen=HEARD, first=0, **changes):
    values = {'last_seen': last_seen, 'host': 'host1', 'zone': 'nova'} | changes
    return [samples.guest(server_id=f'server-{n}', **values) for n in range(first, first + number)]


def survey(some, now=NOW, down=(), listening=None, **changes):
    heard = {'agent': START - 86400, 'ceilometer': START - 86400} | (listening or {})
    values = {'share': 0.3, 'window': 60.0, 'minimum': 5} | changes
    return storm.survey(some, heard, down, now, **values)


SPREAD = [
    *guests(10, host='host1', first=100),
    *guests(10, host='host2', zone='west', first=200),
    *guests(10, host='host3', zone='west', first=300),
]


def silent(number, first=0, **changes):
    return guests(number, SILENT, first, **changes)


# ---- how many


@pytest.mark.parametrize(
    ('fell', 'heard', 'is_storm'),
    [(0, 10, False), (4, 0, False), (5, 0, True), (5, 11, True), (5, 12, False), (30, 70, True)],
)
def test_a_storm_is_a_share_of_the_guests_and_some_number(fell, heard, is_storm):
    found = survey([*silent(fell), *guests(heard, first=500)])
    assert bool(found.storm) == is_storm
    assert (found.guests, found.silent, found.recent) == (fell + heard, fell, fell)


def test_no_guests_are_no_storm():
    assert survey([]) == storm.Fleet()
    assert not survey([], minimum=0).storm


def test_guests_that_failed_one_by_one_are_no_storm():
    slowly = [g for n in range(10) for g in guests(1, SILENT - 40 * n, n)]
    found = survey(slowly)
    assert (found.silent, found.recent, found.storm) == (10, 2, '')


@pytest.mark.parametrize('window', [1, 60, 3600])
def test_a_storm_lasts_as_long_as_they_are_silent_and_not_as_the_window(window):
    for later in (0, window, 10 * window):
        assert survey([*silent(5), *guests(5, NOW + later, 50)], NOW + later, window=window).storm


def test_nothing_holds_recoveries_longer_than_they_live():
    assert survey(silent(10), NOW + storm.MEMORY - 60).storm
    assert not survey(silent(10), NOW + storm.MEMORY).storm


def test_a_storm_ends_when_enough_of_them_are_heard_again():
    assert not survey([*silent(4), *guests(6, NOW, 50)], NOW + 5).storm


def test_what_a_person_has_closed_is_over_and_what_falls_silent_later_is_not():
    assert not survey(silent(10), since=NOW).storm
    again = guests(10, NOW + 30)
    assert survey(again, NOW + 90, since=NOW).storm


def test_a_silence_that_was_looked_into_and_left_alone_counts_no_more():
    """A person who stops a third of the servers raises no storm for the others."""
    found = survey([*silent(10), *guests(10, first=50)], excused=[f'server-{n}' for n in range(8)])
    assert (found.silent, found.recent, found.storm) == (10, 2, '')


def test_guests_of_a_host_that_is_known_to_be_down_are_no_storm_and_no_part_of_the_share():
    everybody = [*silent(10, host='dead'), *SPREAD]
    assert survey(everybody).storm
    found = survey(everybody, down=['dead'])
    assert (found.guests, found.silent, found.recent, found.storm) == (30, 0, 0, '')


def test_a_guest_that_is_not_enrolled_is_none():
    assert survey(silent(10, status=PENDING)).guests == 0


# ---- since when


def test_after_an_outage_of_the_gateway_the_silence_begins_with_its_return():
    """Guests from before it that nobody hears now fell silent together: the network, then."""
    slowly = [g for n in range(10) for g in guests(1, SILENT - 300 * n, n)]
    assert not survey(slowly).storm
    assert survey(slowly, NOW + 60, listening={'agent': NOW}).storm


def test_of_a_way_that_nobody_listens_to_nothing_is_known():
    found = survey(silent(10), listening={'agent': None})
    assert found.guests == 0
    assert not found.storm


def test_a_way_that_is_not_even_known_is_not_listened_to():
    assert storm.survey(silent(10), {}, (), NOW, share=0.3, window=60, minimum=5).guests == 0


@pytest.mark.parametrize(
    ('changes', 'listening', 'at'),
    [
        ({'last_seen': NOW - 60}, 0.0, NOW - 60 + 31),
        ({'last_seen': NOW - 60}, NOW - 40, NOW - 40 + 31),
        ({'last_seen': NOW - 60, 'interval': 20.0, 'missed_limit': 2}, 0.0, NOW - 60 + 42),
        ({'last_seen': None, 'enrolled_at': NOW - 300}, 0.0, NOW - 300 + 120 + 31),
        ({'last_seen': None, 'enrolled_at': NOW - 100}, 0.0, None),
        ({'last_seen': NOW - 60}, None, None),
        ({'last_seen': NOW - 60}, NOW - 20, None),
        ({'last_seen': NOW + 10_000}, NOW - 60, NOW),  # the clock was set back
    ],
)
def test_when_a_guest_fell_silent(changes, listening, at):
    assert storm.silent_at(samples.guest(**changes), listening, NOW) == at


@given(
    st.floats(START - 3600, START),
    st.floats(1, 120),
    st.integers(1, 10),
    st.floats(START - 3600, START),
)
def test_a_guest_is_silent_from_the_moment_it_missed_as_many_as_it_may(
    last_seen, interval, limit, listening
):
    guest = samples.guest(last_seen=last_seen, interval=interval, missed_limit=limit)
    at = storm.silent_at(guest, listening, NOW)
    if at is None:
        assert guest.missed(NOW, listening) < limit
        return
    assert guest.missed(at + 0.01, listening) == limit
    assert guest.missed(at - 0.01, listening) == limit - 1


@given(st.lists(st.floats(0, 1000), max_size=30), st.floats(0.1, 500))
def test_a_cluster_is_the_most_within_any_window(times, window):
    looks = [storm.Look(samples.guest(), START + t) for t in times]
    found = storm.cluster(looks, window)
    most = max((sum(t <= u <= t + window for u in times) for t in times), default=0)
    assert abs(len(found) - most) <= sum(abs(u - t - window) < 1e-5 for t in times for u in times)
    if found:
        assert found[-1].silent_at - found[0].silent_at <= window + 1e-5


# ---- the cause


def test_guests_of_one_host_point_to_the_host():
    found = survey([*silent(20, host='bad'), *SPREAD])
    assert found.cause == 'host bad'
    assert found.storm == (
        '20 of 50 guests (40%) fell silent within 60s: they are on host bad, which Nova says is '
        'up: see whether it is, and when it is dead, "openstack compute service set --down bad '
        'nova-compute". Nothing is done to them; see "aodh-ha incident show"'
    )


def test_a_whole_host_is_a_storm_however_large_the_cloud():
    found = survey([*silent(5, host='bad'), *guests(500, first=1000)])
    assert found.cause == 'host bad'
    assert found.storm.startswith('5 of 5 guests on host bad (100%) fell silent')
    one_heard = guests(1, host='bad', first=50)
    assert not survey([*silent(5, host='bad'), *one_heard, *guests(500, first=1000)]).storm


def test_guests_of_several_hosts_in_one_zone_point_to_the_zone():
    fell = [*silent(6, host='a', zone='east'), *silent(6, 10, host='b', zone='east')]
    found = survey([*fell, *SPREAD])
    assert found.cause == 'zone east'
    assert 'in zone east: see to its power' in found.storm


def test_a_share_of_a_zone_is_a_storm():
    found = survey([*silent(5, zone='east'), *guests(5, first=50, zone='east'), *SPREAD])
    assert found.storm.startswith('5 of 10 guests in zone east (50%)')


def test_when_nobody_is_heard_one_way_the_gateway_is_cut_off():
    every = [*silent(5, host='a'), *silent(5, 10, host='b', zone='west')]
    found = survey(every)
    assert found.cause == 'way agent'
    assert 'not one guest is heard by the gateway: see whether guests can reach it' in found.storm
    told = [*silent(5, seen_by='ceilometer:cpu'), *guests(25, first=50, host='host2')]
    found = survey(told)
    assert found.storm.startswith('5 of 5 guests heard by ceilometer (100%)')


def test_one_more_that_failed_by_itself_hides_no_cause():
    found = survey([*silent(19, host='bad'), *silent(1, 50, host='host2'), *SPREAD])
    assert found.cause == 'host bad'


def test_what_has_nothing_in_common_is_said_to_have_no_cause():
    found = survey([*silent(10), *silent(10, 50, host='host2', zone='west'), *SPREAD])
    assert found.cause == 'unknown'
    assert 'they are on 2 hosts: no cause is known' in found.storm


def test_guests_of_whom_nobody_knows_where_they_are_point_to_no_host():
    found = survey([*silent(20, host='', zone=''), *SPREAD])
    assert found.cause == 'unknown'


# ---- the counts


def test_the_silent_are_counted_by_host_zone_way_and_group():
    some = [
        *silent(2, host='a', zone='east', group_name='web'),
        *guests(1, first=10, host='a', zone='east', group_name='web'),
        *guests(3, first=20, host='b', zone='west', seen_by='ceilometer:cpu'),
    ]
    found = survey(some, group='web')
    assert found.by_host == {'a': (2, 3), 'b': (0, 3)}
    assert found.by_zone == {'east': (2, 3), 'west': (0, 3)}
    assert found.by_way == {'agent': (2, 3), 'ceilometer': (0, 3)}
    assert found.group == (2, 3)
    assert survey(some).group == (0, 0)
    assert survey(some, group='db').group == (0, 0)
