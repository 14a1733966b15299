"""What a heartbeat proves of the action before it."""

from dataclasses import replace

import pytest

from aodh_ha.rules import escalation, verification
from aodh_ha.rules.heartbeat import Service
from aodh_ha.rules.policy import ACTIONS, Step
from aodh_ha.rules.recovery import (
    RECOVERED,
    SENT,
    SUCCEEDED,
    UNVERIFIED,
    Act,
    Conclude,
    Finish,
    Heard,
    NeedEvidence,
    Wait,
)
from aodh_ha.rules.verification import ECHO, ECHOED, HEARD, OLD_BOOT, SILENT
from aodh_ha.testing import START
from tests import samples

T = START
SOFT, HARD, REBUILD = range(3)


def sent(step=SOFT, at=T, boot_id='boot-1', **changes):
    return samples.attempt(step, SENT, at, **({'evidence': {'boot_id': boot_id}} | changes))


def guest(heard=None, boot_id='boot-1', **changes):
    values = {'last_seen': T - 60 if heard is None else T + heard, 'boot_id': boot_id}
    return samples.guest(**(values | changes))


def decide(history, seen, now, listening_since=0.0, evidence=None, **recovery):
    return escalation.decide(
        samples.recovery(**recovery), history, seen, evidence, T + now, listening_since
    )


def with_step(**values):
    return samples.policy(steps=(Step('server.reboot', 'soft', 1, 90.0, **values),))


# ---- another boot


@pytest.mark.parametrize(
    ('before', 'now', 'heard', 'life'),
    [
        ('boot-1', 'boot-1', None, SILENT),
        ('boot-1', 'boot-2', 1, HEARD),
        ('boot-1', 'boot-1', 1, ECHOED),
        ('boot-1', 'boot-1', ECHO, ECHOED),
        ('boot-1', 'boot-1', ECHO + 1, OLD_BOOT),
        (None, 'boot-1', 1, HEARD),  # an agent that tells none, or Ceilometer
        ('boot-1', None, 1, HEARD),
    ],
)
def test_what_a_heartbeat_after_a_reboot_is_worth(before, now, heard, life):
    history = [sent(boot_id=before)]
    assert verification.life(guest(heard, now), samples.recovery(), history) == life


@pytest.mark.parametrize('action', ACTIONS)
def test_another_boot_is_asked_of_every_action_that_boots_the_guest_and_of_no_other(action):
    recovery = samples.recovery(policy=samples.policy(steps=(Step(action),)))
    found = verification.life(guest(1), recovery, [sent()])
    assert found == (ECHOED if ACTIONS[action].boots else HEARD)
    assert ACTIONS[action].boots == (action not in ('service.restart', 'notify', 'hook'))


def test_what_follows_a_reboot_does_not_make_its_last_heartbeat_a_proof():
    steps = (Step('server.reboot', 'soft'), Step('notify'))
    recovery = samples.recovery(policy=samples.policy(steps=steps))
    history = [replace(sent(), status=UNVERIFIED), sent(1, T + 5)]
    assert verification.life(guest(6), recovery, history) == ECHOED
    assert verification.life(guest(6, 'boot-2'), recovery, history) == HEARD


def test_a_heartbeat_of_the_boot_before_verifies_no_reboot():
    found = decide([sent()], guest(1), 2)
    assert isinstance(found, Wait)
    found = decide([sent()], guest(1), 90)
    assert (type(found), found.status) == (Conclude, UNVERIFIED)
    found = decide([sent()], guest(1, 'boot-2'), 2)
    assert (type(found), found.status) == (Conclude, SUCCEEDED)


def test_a_guest_that_goes_on_with_its_old_boot_is_heard_and_nothing_harsher_follows():
    alive = guest(ECHO + 1)
    found = decide([sent()], alive, ECHO + 2)
    assert (found.status, found.reason) == (
        UNVERIFIED,
        'heard again by itself: it has not booted since',
    )
    done = replace(sent(), status=UNVERIFIED)
    found = decide([done], alive, ECHO + 2)
    assert found == Finish(
        RECOVERED, 'heard again by itself: it has not booted since server.reboot soft'
    )


def test_a_guest_heard_last_by_its_old_boot_is_given_the_time_to_be_heard_or_silent():
    """Its step is over sooner than that; a harsher one would hit a guest that may be well."""
    done = replace(sent(), status=UNVERIFIED)
    due = samples.evidence(missed=5)
    end = ECHO + 31  # three intervals of 10 s, and the slack
    for now in (11, 40, end - 0.1):
        found = decide([done], guest(10), now, evidence=due)
        assert isinstance(found, Wait)
        assert 0 < found.seconds <= end - now + 1e-6
    assert decide([done], guest(10), end) == NeedEvidence()
    assert isinstance(decide([done], guest(10), end, evidence=due), Act)


# ---- nobody listens


def test_a_step_is_not_unverified_while_nobody_listens():
    found = decide([sent()], guest(), 1000, listening_since=None)
    assert (type(found), found.guard) == (Wait, 'deaf')


@pytest.mark.parametrize(
    ('listening', 'now', 'ends'),
    [(0, 89, False), (0, 90, True), (80, 90, False), (80, 110, False), (80, 111, True)],
)
def test_after_an_outage_of_the_gateway_a_guest_has_the_time_to_be_heard(listening, now, ends):
    found = decide([sent()], guest(), now, listening_since=T + listening)
    assert isinstance(found, Conclude if ends else Wait)


def test_what_was_heard_counts_also_when_nobody_listens_now():
    found = decide([sent()], guest(5, 'boot-2'), 6, listening_since=None)
    assert found.status == SUCCEEDED


# ---- hold and health


def test_a_step_with_a_hold_has_helped_when_the_guest_stayed_well_for_it():
    policy = with_step(hold=60.0)
    waiting = sent()
    assert decide([waiting], guest(20, 'boot-2'), 21, policy=policy) == Heard(waiting)
    heard = replace(waiting, heard_at=T + 21)
    found = decide([heard], guest(80, 'boot-2'), 80, policy=policy)
    assert isinstance(found, Wait)
    found = decide([heard], guest(80, 'boot-2'), 81, policy=policy)
    assert found.status == SUCCEEDED
    found = decide([heard], guest(40, 'boot-2'), 72, policy=policy)
    assert (found.status, found.reason) == (UNVERIFIED, 'it fell silent again within 60s')


def test_what_nobody_heard_within_the_hold_is_no_health_and_no_silence():
    policy = with_step(hold=60.0)
    heard = sent(heard_at=T + 21)
    found = decide([heard], guest(40, 'boot-2'), 200, listening_since=None, policy=policy)
    assert (type(found), found.guard) == (Wait, 'deaf')
    found = decide([heard], guest(199, 'boot-2'), 200, listening_since=T + 190, policy=policy)
    assert isinstance(found, Wait)
    found = decide([heard], guest(249, 'boot-2'), 250, listening_since=T + 190, policy=policy)
    assert found.status == SUCCEEDED


def test_a_guest_that_fell_silent_in_the_hold_must_be_heard_anew():
    policy = with_step(hold=60.0)
    relapsed = sent(heard_at=T + 21, finished_at=T + 80)
    relapsed = replace(relapsed, status=UNVERIFIED)
    assert decide([relapsed], guest(50, 'boot-2'), 81, policy=policy) == NeedEvidence()
    found = decide([relapsed], guest(85, 'boot-2'), 86, policy=policy)
    assert isinstance(found, Finish)


@pytest.mark.parametrize(
    ('services', 'well'),
    [
        ((), False),  # it had some
        ((Service('web', 'ok', 0),), True),
        ((Service('web', 'ok', 0), Service('db', 'ok', 0)), True),
        ((Service('web', 'ok', 0), Service('db', 'unknown', 0)), False),
        ((Service('web', 'failed', 1),), False),
        ((Service('db', 'ok', 0),), False),
    ],
)
def test_a_step_that_asks_for_health_has_helped_when_every_service_is_well(services, well):
    waiting = sent(evidence={'boot_id': 'boot-1', 'services': {'web': 'ok'}})
    back = guest(5, 'boot-2', services=services, failures=sum(s.failures for s in services))
    found = decide([waiting], back, 6, policy=with_step(healthy=True))
    assert isinstance(found, Conclude if well else Wait)
    found = decide([waiting], back, 91, policy=with_step(healthy=True))
    assert found.status == (SUCCEEDED if well else UNVERIFIED)
    assert well or 'reports its services well' in found.reason


def test_a_guest_without_services_is_healthy_by_being_heard():
    found = decide([sent()], guest(5, 'boot-2'), 6, policy=with_step(healthy=True))
    assert found.status == SUCCEEDED
