"""The ladder, by tables: from what was tried and what is known to what is done next."""

from dataclasses import replace

import pytest

from aodh_ha.rules import escalation
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import (
    ABANDONED,
    FAILED,
    LEFT_ALONE,
    RECOVERED,
    REFUSED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Conclude,
    Finish,
    NeedEvidence,
    Refuse,
    Wait,
)
from aodh_ha.testing import START
from tests import samples
from tests.samples import attempt

T = START
SOFT, HARD, REBUILD = range(3)


def decide(history=(), guest=None, evidence=None, now=T + 1, **recovery):
    return escalation.decide(
        samples.recovery(**recovery), list(history), guest or samples.guest(), evidence, now
    )


def seen(**server):
    return samples.evidence(samples.server(**server))


# ---- the ladder


@pytest.mark.parametrize(
    ('history', 'step', 'number'),
    [
        ([], SOFT, 1),
        ([attempt(SOFT, UNVERIFIED, T)], HARD, 1),
        ([attempt(SOFT, REFUSED, T)], HARD, 1),
        ([attempt(SOFT, ABANDONED, T)], SOFT, 2),
        ([attempt(SOFT, ABANDONED, T), attempt(SOFT, UNVERIFIED, T + 30, 2)], HARD, 1),
        ([attempt(SOFT, UNVERIFIED, T), attempt(HARD, UNVERIFIED, T + 90)], REBUILD, 1),
        ([attempt(SOFT, UNVERIFIED, T), attempt(HARD, ABANDONED, T + 90)], HARD, 2),
        # A higher step was begun: what is below is not taken again.
        ([attempt(SOFT, ABANDONED, T), attempt(HARD, UNVERIFIED, T + 90)], REBUILD, 1),
    ],
)
def test_the_next_step_follows_from_what_was_tried(history, step, number):
    found = decide(history, evidence=seen(), now=T + 300)
    assert isinstance(found, Act)
    assert (found.step, found.number) == (step, number)


def test_a_step_is_tried_as_often_as_the_policy_says():
    twice = samples.policy(steps=(Step('server.reboot', 'soft', 2, 90.0), samples.LADDER.steps[1]))
    first, second = attempt(0, UNVERIFIED, T), attempt(0, UNVERIFIED, T + 90, 2)
    found = decide([first], evidence=seen(), now=T + 200, policy=twice)
    assert (found.step, found.number) == (0, 2)
    found = decide([first, second], evidence=seen(), now=T + 200, policy=twice)
    assert (found.step, found.number) == (1, 1)


def test_when_every_step_was_tried_it_has_failed_and_says_what_was_tried():
    history = [
        attempt(SOFT, REFUSED, T),
        attempt(HARD, UNVERIFIED, T),
        attempt(REBUILD, UNVERIFIED, T),
    ]
    found = decide(history, evidence=seen(), now=T + 900)
    assert found == Finish(
        FAILED,
        'every step was tried without a heartbeat: server.reboot soft refused, '
        'server.reboot hard unverified, server.rebuild unverified',
    )


def test_a_decision_to_act_says_what_it_is_based_on():
    found = decide([attempt(SOFT, UNVERIFIED, T)], evidence=seen(status='ERROR'), now=T + 100)
    assert found.reason == (
        '5 heartbeats missed, Nova says ERROR after server.reboot soft (unverified)'
    )


@pytest.mark.parametrize('held', [None, samples.holdings()])
def test_a_step_that_would_destroy_what_is_kept_is_refused_and_then_passed(held):
    history = [attempt(SOFT, UNVERIFIED, T), attempt(HARD, UNVERIFIED, T)]
    policy = samples.policy(preserve=frozenset({'root_disk'}))
    evidence = samples.evidence(holdings=held)
    found = decide(history, evidence=evidence, now=T + 300, policy=policy)
    assert isinstance(found, Refuse)
    assert found.step == REBUILD
    found = decide(
        [*history, attempt(REBUILD, REFUSED, T + 300)],
        evidence=evidence,
        now=T + 301,
        policy=policy,
    )
    assert isinstance(found, Finish)
    assert found.status == FAILED


# ---- evidence


def test_nothing_is_done_without_evidence():
    assert decide() == NeedEvidence()
    assert decide([attempt(SOFT, UNVERIFIED, T)], now=T + 100) == NeedEvidence()


def test_a_server_that_is_gone_is_left_alone():
    found = decide(evidence=replace(samples.evidence(), server=None))
    assert found == Finish(LEFT_ALONE, 'Nova has no such server any more')


def test_a_persons_will_comes_before_everything_that_would_be_done():
    for history in ([], [attempt(SOFT, UNVERIFIED, T)]):
        found = decide(history, evidence=seen(vm_state='stopped'), now=T + 100)
        assert isinstance(found, Finish)
        assert found.status == LEFT_ALONE


def test_a_busy_nova_is_waited_for():
    assert isinstance(decide(evidence=seen(task_state='rebuilding')), Wait)


@pytest.mark.parametrize('missed', [0, 2])
def test_a_guest_is_not_touched_until_it_missed_its_beats_while_somebody_listened(missed):
    evidence = samples.evidence(missed=missed, listening_since=T - 25)
    assert isinstance(decide(evidence=evidence), Wait)
    tried = [attempt(n, UNVERIFIED, T) for n in range(3)]
    assert isinstance(decide(tried, evidence=evidence, now=T + 900), Wait)


# ---- verification


def test_a_sent_step_is_waited_for_until_its_time_is_over():
    waiting = attempt(SOFT, SENT, T)
    for now in (T, T + 1, T + 89.9):
        found = decide([waiting], now=now)
        assert isinstance(found, Wait)
        assert 0 < found.seconds <= min(escalation.POLL, T + 90 - now)
    found = decide([waiting], now=T + 90)
    assert isinstance(found, Conclude)
    assert (found.attempt, found.status) == (waiting, UNVERIFIED)


def test_no_evidence_shortens_the_wait_for_a_sent_step():
    assert isinstance(decide([attempt(SOFT, SENT, T)], evidence=seen(), now=T + 1), Wait)


def test_a_heartbeat_after_the_action_verifies_it_also_when_its_time_is_over():
    waiting = attempt(SOFT, SENT, T)
    heard = samples.guest(last_seen=T + 20)
    for now in (T + 21, T + 91):
        found = decide([waiting], heard, now=now)
        assert isinstance(found, Conclude)
        assert found.status == SUCCEEDED


def test_a_heartbeat_from_before_the_action_verifies_nothing():
    late = attempt(SOFT, SENT, T + 50)
    heard = samples.guest(last_seen=T + 49)
    assert isinstance(decide([late], heard, now=T + 51), Wait)
    assert isinstance(decide([late], heard, now=T + 140), Conclude)
    assert decide([late], heard, now=T + 140).status == UNVERIFIED


def test_a_verified_step_ends_the_recovery():
    done = attempt(SOFT, SUCCEEDED, T)
    found = decide([done], samples.guest(last_seen=T + 20), now=T + 21)
    assert found == Finish(RECOVERED, 'by server.reboot soft')


def test_a_guest_that_comes_back_by_itself_ends_it_and_nothing_is_done():
    found = decide(guest=samples.guest(last_seen=T + 1), evidence=seen(), now=T + 2)
    assert found == Finish(RECOVERED, 'heard again by itself')


@pytest.mark.parametrize('status', [REFUSED, ABANDONED])
def test_a_step_that_was_never_taken_does_not_count_as_an_action(status):
    # The guest beat after the alarm, before the step that was not taken.
    history = [attempt(SOFT, status, T + 50)]
    found = decide(history, samples.guest(last_seen=T + 10), now=T + 60)
    assert found == Finish(RECOVERED, 'heard again by itself')


def test_the_beat_that_began_the_silence_is_no_sign_of_life():
    assert decide(guest=samples.guest()) == NeedEvidence()
    # Its time can be newer than the recovery: the clock was set back in between.
    future = samples.guest(last_seen=T + 500)
    found = decide(guest=future, episode=future.episode('heartbeat'))
    assert found == NeedEvidence()


def test_a_guest_never_heard_is_not_heard():
    never = samples.guest(last_seen=None)
    assert decide(guest=never, episode=never.episode('heartbeat')) == NeedEvidence()


# ---- services


def failing(**changes):
    return samples.guest(**({'failures': 3, 'failing_since': T - 30, 'last_seen': T + 5} | changes))


def test_a_beat_that_still_reports_the_failure_ends_nothing():
    assert decide(guest=failing(), trigger='service') == NeedEvidence()
    sent = attempt(SOFT, SENT, T + 1)
    assert isinstance(decide([sent], failing(), now=T + 6, trigger='service'), Wait)


def test_a_beat_that_reports_every_service_healthy_does():
    healed = failing(failures=0, failing_since=None)
    assert decide(guest=healed, trigger='service') == Finish(RECOVERED, 'heard again by itself')
    sent = attempt(SOFT, SENT, T + 1)
    assert decide([sent], healed, now=T + 6, trigger='service').status == SUCCEEDED


def test_a_report_from_before_the_action_does_not():
    healed = failing(failures=0, last_seen=T + 5)
    sent = attempt(SOFT, SENT, T + 7)
    assert isinstance(decide([sent], healed, now=T + 8, trigger='service'), Wait)
