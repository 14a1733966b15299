"""The ladder, by tables: from what was tried and what is known to what is done next."""

from dataclasses import replace

import pytest

from aodh_ha.rules import escalation, guards
from aodh_ha.rules.evidence import Activity, Host, Incident, InstanceAction, Past
from aodh_ha.rules.heartbeat import Service
from aodh_ha.rules.policy import ACTIONS, DEAD_HOST, Step
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

WEB = Service('web', 'ok', 0)
DB = Service('db', 'ok', 0)


def failing(**changes):
    values = {
        'failures': 3,
        'failing_since': T - 30,
        'last_seen': T + 5,
        'services': (Service('web', 'failed', 3),),
    }
    return samples.guest(**(values | changes))


def healed(*services, **changes):
    return failing(failures=0, failing_since=None, services=services or (WEB,), **changes)


def test_a_beat_that_still_reports_the_failure_ends_nothing():
    assert decide(guest=failing(), trigger='service') == NeedEvidence()
    sent = attempt(SOFT, SENT, T + 1)
    assert isinstance(decide([sent], failing(), now=T + 6, trigger='service'), Wait)


def test_a_beat_that_reports_every_service_healthy_does():
    found = decide(guest=healed(), trigger='service')
    assert found == Finish(RECOVERED, 'heard again by itself')
    sent = attempt(SOFT, SENT, T + 1)
    assert decide([sent], healed(), now=T + 6, trigger='service').status == SUCCEEDED


def test_a_report_from_before_the_action_does_not():
    sent = attempt(SOFT, SENT, T + 7)
    assert isinstance(decide([sent], healed(), now=T + 8, trigger='service'), Wait)


KNEW_WEB = {'services': {'web': 'failed', 'db': 'ok'}}


@pytest.mark.parametrize(
    ('services', 'back'),
    [
        ((WEB,), True),
        ((WEB, DB), True),
        ((WEB, Service('db', 'unknown', 0)), True),  # it had not failed
        ((), False),  # the agent has just started, and tells of none yet
        ((DB,), False),
        ((Service('web', 'unknown', 0), DB), False),
    ],
)
def test_a_service_is_back_only_when_it_is_reported_well_itself(services, back):
    guest = failing(failures=0, failing_since=None, services=services)
    sent = attempt(SOFT, SENT, T + 1, evidence=KNEW_WEB)
    found = decide([sent], guest, now=T + 6, trigger='service')
    assert isinstance(found, Conclude if back else Wait)
    found = decide([sent], guest, now=T + 91.1, trigger='service')
    assert found.status == (SUCCEEDED if back else UNVERIFIED)
    done = replace(sent, status=UNVERIFIED)
    assert isinstance(
        decide([done], guest, now=T + 92, trigger='service'), Finish if back else NeedEvidence
    )


@pytest.mark.parametrize('tried', [[], [attempt(SOFT, UNVERIFIED, T + 1, evidence=KNEW_WEB)]])
def test_nothing_is_done_to_a_guest_that_reports_no_failing_service(tried):
    fresh = failing(failures=0, failing_since=None, services=(), last_seen=T + 95)
    seen = samples.evidence(missed=0, last_seen=T + 95)
    found = decide(tried, fresh, seen, now=T + 96, trigger='service')
    assert isinstance(found, Wait)
    assert 'no service is reported to fail' in found.reason
    later = replace(fresh, last_seen=T + 200)
    found = decide(tried, later, replace(seen, last_seen=T + 200), now=T + 201, trigger='service')
    assert found == Finish(LEFT_ALONE, 'it does not report the service any more that had failed')


# ---- the ladder's bounds


def test_a_step_that_never_reaches_the_cloud_is_given_up_and_no_harsher_one_taken():
    tries = [attempt(SOFT, ABANDONED, T + n, n + 1, detail='lost') for n in range(5)]
    found = decide(tries[:4], evidence=seen(), now=T + 10)
    assert (found.step, found.number) == (SOFT, 5)
    found = decide(tries, evidence=seen(), now=T + 10)
    assert found == Finish(FAILED, 'server.reboot soft never reached the cloud: lost')


def test_a_recovery_that_nobody_could_finish_in_a_day_is_a_persons():
    found = decide(evidence=seen(), now=T + escalation.EXPIRY + 1)
    assert (found.status, found.reason) == (FAILED, 'not finished in 24 hours: the alarm fired')


# ---- steps that apply or do not


def first(action, evidence, guest=None, now=T + 1, fencing='forced_down', **step):
    policy = samples.policy(steps=(Step(action, **step),), preserve=frozenset(), fencing=fencing)
    return decide(guest=guest, evidence=evidence, now=now, policy=policy)


DEAD = Host('host1', up=False)
FENCED = Host('host1', up=False, forced_down=True)
ALIVE = Host('host1', up=True)
EVERY = [a for a in ACTIONS if a.startswith(('server.', 'stack.'))]


def on(host, **changes):
    return samples.evidence(host=host, holdings=samples.holdings(), **changes)


@pytest.mark.parametrize('action', EVERY)
def test_on_a_dead_host_nothing_but_what_leaves_it_is_done_whatever_the_policy_says(action):
    found = first(action, on(FENCED, member=samples.member()), when='always')
    assert isinstance(found, Act if action in DEAD_HOST else Wait)
    if action not in DEAD_HOST:
        assert found.guard == 'host'


@pytest.mark.parametrize('action', DEAD_HOST)
def test_nothing_leaves_a_dead_host_that_is_not_fenced(action):
    seen = on(DEAD, member=samples.member())
    found = first(action, seen, when='always')
    assert isinstance(found, Wait)
    assert found.guard == 'fencing'
    assert 'openstack compute service set --down host1 nova-compute' in found.reason
    found = first(action, seen, when='always', fencing='ipmi')
    assert (found.hook, found.host) == ('ipmi', 'host1')
    cut = Incident('i', 'host', 'host1', 'dead', T, fenced_at=T)
    fenced = replace(seen, incident=cut)
    assert isinstance(first(action, fenced, when='always', fencing='ipmi'), Act)
    assert isinstance(first(action, fenced, when='always'), Wait), 'the operator asks for Nova'


def test_a_server_on_a_live_host_is_never_evacuated():
    late = T + guards.HOST_DOUBT
    found = first('server.evacuate', on(ALIVE), now=late, when='always')
    assert found == Finish(FAILED, 'no step of the policy is of use here')


def test_a_step_for_a_dead_host_is_waited_for_until_nova_can_know():
    """One guest alone on its host is missed before Nova misses the host."""
    ladder = (samples.LADDER.steps[HARD], Step('server.evacuate'))
    policy = samples.policy(steps=ladder, preserve=frozenset())
    tried = [attempt(0, UNVERIFIED, T)]
    early, late = T + guards.HOST_DOUBT - 1, T + guards.HOST_DOUBT
    found = decide(tried, evidence=on(ALIVE), now=early, policy=policy)
    assert (found.guard, found.seconds) == ('host', 1.0)
    assert isinstance(decide(tried, evidence=on(FENCED), now=early, policy=policy), Act)
    assert decide(tried, evidence=on(ALIVE), now=late, policy=policy).status == FAILED
    # Whose policy has none, or has tried it, is not kept waiting.
    assert decide(tried, evidence=on(ALIVE), now=early, policy=policy_of(HARD)).status == FAILED
    tried.append(attempt(1, UNVERIFIED, T))
    assert decide(tried, evidence=on(ALIVE), now=early, policy=policy).status == FAILED


def policy_of(step):
    return samples.policy(steps=(samples.LADDER.steps[step],), preserve=frozenset())


@pytest.mark.parametrize('action', [a for a in ACTIONS if ACTIONS[a].in_stack])
def test_what_heat_has_to_do_is_refused_without_a_stack(action):
    found = first(action, on(ALIVE))
    assert found == Refuse(0, 1, 'no stack has the server')
    assert isinstance(first(action, on(ALIVE, member=samples.member())), Act)


OFF = {'vm_state': 'stopped', 'status': 'SHUTOFF'}
FOUND_OFF = (InstanceAction('stop', 'req-1', None, '2020-01-01T00:00:00'),)


def test_a_server_found_off_by_nobodys_order_is_started():
    seen = samples.evidence(samples.server(**OFF), actions=FOUND_OFF)
    assert isinstance(first('server.start', seen), Act)
    assert first('server.reboot', seen, type='hard').status == LEFT_ALONE
    assert first('server.start', samples.evidence()).status == FAILED, 'it is on'


def test_a_guest_whose_disk_works_gets_gentle_steps_only():
    busy = samples.evidence(activity=Activity(disk_bytes=10_000.0))
    assert isinstance(decide(evidence=busy), Act)
    found = decide([attempt(SOFT, UNVERIFIED, T)], evidence=busy, now=T + 100)
    assert found.status == FAILED
    assert 'only gentle steps' in found.reason
    anything = samples.policy(suspect='any')
    found = decide([attempt(SOFT, UNVERIFIED, T)], evidence=busy, now=T + 100, policy=anything)
    assert found.step == HARD


# ---- what is waited for


def test_a_delay_and_a_backoff_that_doubles_are_waited_for():
    step = Step('server.reboot', 'soft', 3, 90.0, delay=30.0, backoff=10.0)
    policy = samples.policy(steps=(step,))

    def left(history, now):
        found = decide(history, evidence=seen(), now=now, policy=policy)
        return found.seconds if isinstance(found, Wait) else 0

    assert left([], T + 25) == 5
    assert left([], T + 30) == 0
    one = attempt(0, UNVERIFIED, T + 30, finished_at=T + 120)
    two = attempt(0, UNVERIFIED, T + 130, 2, finished_at=T + 220)
    assert left([one], T + 125) == 5
    assert left([one], T + 130) == 0
    assert left([one, two], T + 235) == 5
    assert left([one, two], T + 240) == 0


def test_a_step_waits_for_a_persons_approval_of_it_or_of_a_later_one():
    policy = samples.policy(steps=(Step('server.rebuild', approval=True),))
    for approved, acts in ((None, False), (0, True), (3, True)):
        found = decide(evidence=seen(), policy=policy, approved_step=approved)
        assert isinstance(found, Act if acts else Wait)
        assert acts or found.guard == 'approval'


def test_a_step_taken_too_often_is_refused_and_the_ladder_goes_on():
    step = Step('server.reboot', 'soft', intensity=(2, 3600.0))
    policy = samples.policy(steps=(step,))
    often = tuple(Past(f'r{n}', 'server.reboot soft', T - 900 * n - 1) for n in range(4))
    found = decide(evidence=samples.evidence(past=often), policy=policy)
    assert found == Refuse(0, 1, 'taken 4 times in 3600s, which is the most')
    assert isinstance(decide(evidence=samples.evidence(past=often[:1]), policy=policy), Act)


def test_a_guest_that_was_recovered_too_often_is_left_to_a_person():
    often = tuple(Past(f'r{n}', 'server.reboot soft', T - 600 * n - 1) for n in range(5))
    found = decide(evidence=samples.evidence(past=often))
    assert found.status == FAILED
    assert 'recovered 5 times in 3600s' in found.reason
    well_since = (Past('r0', 'server.reboot soft', T - 1900), *often[3:])
    assert isinstance(decide(evidence=samples.evidence(past=well_since)), Act)


def test_a_dry_run_says_what_it_would_have_done():
    policy = replace(samples.LADDER, dry_run=True)
    would = attempt(SOFT, SENT, T, dry_run=True)
    found = decide([would], samples.guest(last_seen=T + 20), now=T + 21, policy=policy)
    assert (found.status, 'was not made' in found.reason) == (UNVERIFIED, True)
    tried = [attempt(n, UNVERIFIED, T, dry_run=True) for n in range(3)]
    found = decide(tried, evidence=seen(), now=T + 900, policy=policy)
    assert found.status == FAILED
    assert found.reason.startswith('dry run, nothing was done; it would have been: server.reboot')
