"""Whether anybody listened."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.rules import gateway
from aodh_ha.rules.gateway import AGENT, CEILOMETER, GAPS, Gateway

GAP = GAPS[AGENT]
GATE = Gateway('g', alive_at=1000.0, listening_since=100.0)


def test_the_first_tick_ever_begins_the_listening():
    assert gateway.tick(None, 'g', now=5.0, monotonic_step=None) == Gateway('g', 5.0, 5.0)
    assert gateway.tick(None, 'g', now=5.0, monotonic_step=0.5) == Gateway('g', 5.0, 5.0)


@pytest.mark.parametrize(
    ('now', 'monotonic_step', 'goes_on'),
    [
        (1000.5, 0.5, True),
        (1005.0, 5.0, True),
        (1005.1, 5.1, False),  # this process was stopped, or the database away
        (1600.0, 600.0, False),
        (1002.0, 0.5, True),  # ntpd slews
        (1003.1, 0.5, False),  # the clock was set forward
        (4600.0, 0.5, False),
        (998.1, 0.5, True),
        (997.9, 0.5, False),  # the clock was set back
        (1000.5, 600.0, False),  # set back over a gap: the wall clock hides it
    ],
)
def test_a_gap_or_a_jump_of_the_clock_begins_the_listening_anew(now, monotonic_step, goes_on):
    after = gateway.tick(GATE, 'g', now=now, monotonic_step=monotonic_step)
    assert after == Gateway('g', now, 100.0 if goes_on else now)


@pytest.mark.parametrize('now', [999.0, 1000.0, 1001.0, 1600.0])
def test_a_restart_begins_the_listening_anew_however_quick_it_was(now):
    after = gateway.tick(GATE, 'g', now=now, monotonic_step=None)
    assert after == Gateway('g', now, now)


@pytest.mark.parametrize(('age', 'listens'), [(0, 1), (5.0, 1), (5.1, 0), (-5.0, 1), (-5.1, 0)])
def test_a_gateway_listens_while_its_last_tick_is_fresh(age, listens):
    since = gateway.listening_since([GATE], 1000.0 + age)
    assert since == (100.0 if listens else None)


def test_the_gateway_that_listens_longest_counts_and_dead_ones_do_not():
    dead = Gateway('dead', alive_at=900.0, listening_since=1.0)
    young = Gateway('young', alive_at=1000.0, listening_since=990.0)
    assert gateway.listening_since([dead, young, GATE], 1000.0) == 100.0
    assert gateway.listening_since([dead, young], 1000.0) == 990.0
    assert gateway.listening_since([dead], 1000.0) is None
    assert gateway.listening_since([], 1000.0) is None


@given(
    st.lists(
        st.tuples(st.floats(-100, 100), st.none() | st.floats(0, 100)), min_size=1, max_size=20
    )
)
def test_nobody_ever_listened_longer_than_since_the_last_gap(steps):
    now, record, began = 1000.0, None, None
    for wall, monotonic in steps:
        now += wall
        broken = record is None or monotonic is None or abs(wall) > 2 * GAP or monotonic > GAP
        record = gateway.tick(record, 'g', now=now, monotonic_step=monotonic)
        began = now if broken else began
        assert record.alive_at == now
        assert record.listening_since >= min(began, now) - 2 * GAP * len(steps)
        if broken:
            assert record.listening_since == now


def test_each_way_of_hearing_guests_listens_for_itself():
    webhook = Gateway('host:8787', alive_at=1000.0, listening_since=100.0)
    ceilometer = Gateway('ceilometer:host:7', alive_at=1000.0, listening_since=900.0)
    assert gateway.listening_since([webhook, ceilometer], 1001.0) == 100.0
    assert gateway.listening_since([webhook, ceilometer], 1001.0, CEILOMETER) == 900.0
    assert gateway.listening_since([webhook], 1001.0, CEILOMETER) is None


def test_ceilometer_may_pause_for_longer_than_the_webhook():
    gap = GAPS[CEILOMETER]
    before = Gateway('ceilometer:host:7', alive_at=1000.0, listening_since=900.0)
    after = gateway.tick(before, before.name, now=1000.0 + gap, monotonic_step=gap)
    assert after.listening_since == 900.0
    late = gateway.tick(before, before.name, now=1001.0 + gap, monotonic_step=gap + 1)
    assert late.listening_since == 1001.0 + gap
    assert gateway.listening_since([before], 1000.5 + gap, CEILOMETER) is None
