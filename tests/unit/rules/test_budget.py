"""How much may be done at once, and how often for one guest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.rules import budget
from aodh_ha.rules.budget import SCOPES, Limits, Load
from aodh_ha.rules.evidence import Past
from aodh_ha.rules.policy import Budget
from aodh_ha.testing import START
from tests import samples

NOW = START


def policy(**changes):
    return samples.policy(budget=Budget(**changes))


def over(load, limits=Limits(), **mine):  # noqa: B008 - it is frozen
    return budget.over(policy(**mine), limits, load)


def test_without_limits_there_is_always_room():
    many = dict.fromkeys(SCOPES, 1000)
    assert over(Load(many, many, 10)) == ''


@pytest.mark.parametrize('scope', SCOPES)
@pytest.mark.parametrize(('now', 'room'), [(0, True), (2, True), (3, False), (4, False)])
def test_the_operators_limits_count_those_in_flight_in_their_scope(scope, now, room):
    found = over(Load({scope: now}), Limits({scope: 3}))
    assert found == ('' if room else f'{now} of 3 recoveries at once are under way ({scope})')
    elsewhere = {s: 1000 for s in SCOPES if s != scope}
    assert over(Load(elsewhere), Limits({scope: 3})) == ''


@pytest.mark.parametrize(('now', 'room'), [(1, True), (2, False)])
def test_the_policys_limit_counts_those_under_it(now, room):
    found = over(Load({'policy': now, 'all': 9}), concurrent=2)
    assert found == ('' if room else '2 of 2 recoveries at once are under way (policy ladder)')


@pytest.mark.parametrize(
    ('share', 'guests', 'allowed'),
    [(0.1, 100, 10), (0.1, 109, 10), (0.1, 9, 1), (0.1, 0, 1), (1.0, 7, 7), (0.34, 3, 1)],
)
def test_a_share_is_rounded_down_but_one_is_always_allowed(share, guests, allowed):
    assert budget.concurrent(policy(concurrent_share=share), guests) == allowed
    under = {'guests_under_policy': guests}
    assert over(Load({'policy': allowed - 1}, **under), concurrent_share=share) == ''
    assert over(Load({'policy': allowed}, **under), concurrent_share=share)


def test_so_many_in_a_window_are_used_up():
    rate = Limits(per_window=(20, 600.0))
    assert over(Load(in_window={'all': 19}), rate) == ''
    found = over(Load(in_window={'all': 20}), rate)
    assert found == '20 of 20 recoveries in 600s are used up (all)'
    found = over(Load(in_window={'policy': 2, 'all': 5}), rate, per_window=(2, 60.0))
    assert found == '2 of 2 recoveries in 60s are used up (policy)'


def test_who_has_a_higher_priority_goes_first():
    assert over(Load(waiting_before=2)) == '2 of higher priority go first'


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5), st.integers(1, 5))
def test_never_more_at_once_than_any_limit(asks, most, mine):
    """Recoveries begin (True) and end (False) at random; who is over waits."""
    flying = 0
    for begins in asks:
        if not begins:
            flying = max(0, flying - 1)
        elif not over(
            Load({'all': flying, 'policy': flying}), Limits({'all': most}), concurrent=mine
        ):
            flying += 1
        assert flying <= min(most, mine)


# ---- one guest


def past(*ago, step='server.reboot soft'):
    return [Past(f'r{n}', step, NOW - seconds) for n, seconds in enumerate(ago)]


@pytest.mark.parametrize(
    ('ago', 'kept'),
    [
        ((), 0),
        ((10,), 1),
        ((1799,), 1),
        ((1800,), 0),
        ((3000, 1500), 2),
        ((3400, 1500), 1),  # it was well for more than half an hour in between
        ((5000, 3300, 1600), 3),
    ],
)
def test_a_guest_that_was_well_for_long_begins_anew(ago, kept):
    assert len(budget.since_reset(past(*ago), 1800.0, NOW)) == kept
    assert len(budget.since_reset(past(*ago)[::-1], 1800.0, NOW)) == kept, 'in whatever order'


def test_what_counts_comes_back_oldest_first():
    assert budget.since_reset(past(20, 10), 1800.0, NOW) == past(20, 10)


def test_recoveries_that_acted_are_counted_once_each_and_without_the_one_in_question():
    some = [
        Past('a', 'server.reboot soft', NOW - 1000),
        Past('a', 'server.reboot hard', NOW - 900),
        Past('b', 'server.reboot soft', NOW - 500),
        Past('me', 'server.reboot soft', NOW - 10),
    ]

    def acted(window):
        return budget.acted_recoveries(some, 1800.0, NOW, window, 'me')

    assert (acted(3600.0), acted(950.0), acted(600.0), acted(100.0)) == (2, 2, 1, 0)


def test_a_step_is_counted_by_its_name_within_its_window():
    some = past(1000, 500, 10) + past(400, step='server.reboot hard')
    soft = [budget.times(some, 'server.reboot soft', 1800.0, NOW, w) for w in (3600, 600, 100, 1)]
    assert soft == [3, 2, 1, 0]
    assert budget.times(some, 'server.reboot hard', 1800.0, NOW, 3600) == 1
