"""How much one guest may send."""

import pytest

from aodh_ha.testing import Clock
from webhook import pace
from webhook.pace import Pace


@pytest.fixture
def clock():
    return Clock()


def sent(limit, times, guest='a'):
    return sum(limit.allows(guest) for _ in range(times))


def test_so_many_at_once_and_then_at_the_rate(clock):
    limit = Pace(5, clock)
    assert sent(limit, 1000) == 20
    clock.advance(1)
    assert sent(limit, 1000) == 5
    clock.advance(3600)
    assert sent(limit, 1000) == 20


def test_a_guest_at_its_interval_is_never_limited(clock):
    limit = Pace(5, clock)
    for _ in range(200):
        assert limit.allows('a')
        clock.advance(0.2)


def test_what_one_sends_is_nothing_to_another(clock):
    limit = Pace(5, clock)
    sent(limit, 1000, 'flood')
    assert sent(limit, 3, 'other') == 3


def test_zero_is_no_limit(clock):
    assert sent(Pace(0, clock), 1000) == 1000


def test_who_is_quiet_is_forgotten(clock, monkeypatch):
    monkeypatch.setattr(pace, 'MOST', 10)
    limit = Pace(5, clock)
    for n in range(10):
        limit.allows(str(n))
    clock.advance(10)
    sent(limit, 1000, 'flood')
    limit.allows('one more')
    assert len(limit._levels) == 2
    assert not limit.allows('flood')
