"""One recovery from alarm to end, on a real SQLite file with a Nova in memory."""

import pytest

from aodh_ha.db import guests, queue
from aodh_ha.exceptions import LeaseLost
from aodh_ha.recovery.doing import SETTLE
from aodh_ha.recovery.engine import Engine
from aodh_ha.rules.recovery import FAILED, INTENDED, LEFT_ALONE, RECOVERED, RUNNING, SENT
from aodh_ha.testing import DONE, DROPPED
from tests.samples import OTHER_PROJECT, SERVER_ID

SOFT, HARD, REBUILD = 'server.reboot soft', 'server.reboot hard', 'server.rebuild'
LADDER = [(SOFT, 'unverified'), (HARD, 'unverified'), (REBUILD, 'unverified')]


# ---- the ladder


def test_a_soft_reboot_that_fails_is_followed_by_a_hard_one_that_heals(world):
    world.heals_after('reboot hard')
    recovery = world.run(world.alarm())
    assert (recovery.status, recovery.reason) == (RECOVERED, f'by {HARD}')
    assert world.tried(recovery) == [(SOFT, 'unverified'), (HARD, 'succeeded')]
    assert world.taken() == ['reboot soft', 'reboot hard']
    soft, hard = world.nova.taken
    assert 9 <= hard.at - soft.at <= 11
    assert recovery.finished_at - hard.at <= 7
    kinds = [kind for kind, _ in world.trail(recovery)]
    assert kinds == [
        *('opened', 'intended', 'sent', 'unverified'),
        *('intended', 'sent', 'succeeded', 'recovered'),
    ]


def test_what_nothing_heals_has_failed_with_the_reason_and_is_not_tried_again(world):
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    assert recovery.reason.endswith(f'{SOFT} unverified, {HARD} unverified, {REBUILD} unverified')
    assert world.tried(recovery) == LADDER
    assert world.alarm().id == recovery.id  # the alarm is repeated
    assert world.claim() is None
    assert world.taken() == ['reboot soft', 'reboot hard', 'rebuild']


def test_each_attempt_keeps_the_evidence_that_was_taken_for_it(world):
    recovery = world.run(world.alarm())
    times = [a.evidence['taken_at'] for a in world.history(recovery)]
    assert times == [a.intended_at for a in world.history(recovery)]
    assert len(set(times)) == 3
    first = world.history(recovery)[0].evidence
    assert first['heartbeats_missed'] == 5
    assert first['silent_for'] == 60
    assert first['server']['vm_state'] == 'active'


def test_the_request_id_of_nova_is_kept_with_the_attempt(world):
    recovery = world.run(world.alarm())
    ids = [t.request_id for t in world.nova.taken]
    assert [a.request_id for a in world.history(recovery)] == ids


def test_what_nova_refuses_is_passed_over_at_once(world):
    world.nova.change(SERVER_ID, vm_state='error', status='ERROR')
    world.heals_after('reboot hard')
    recovery = world.run(world.alarm())
    assert recovery.status == RECOVERED
    assert world.tried(recovery) == [(SOFT, 'refused'), (HARD, 'succeeded')]
    assert '409' in world.history(recovery)[0].detail


def test_a_volume_backed_server_is_never_rebuilt(world):
    world.nova.change(SERVER_ID, image_id=None)
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    assert world.tried(recovery) == [*LADDER[:2], (REBUILD, 'refused')]
    assert world.taken() == ['reboot soft', 'reboot hard']


@pytest.mark.parametrize(('moment', 'acted'), [(0, 0), (4, 1), (10, 2), (17, 2), (40, 3)])
def test_a_guest_that_is_heard_at_any_time_ends_it_with_no_further_action(world, moment, acted):
    begin = world.clock()
    recovery = world.alarm()
    world.run(recovery, lambda: world.clock() >= begin + moment)
    assert len(world.nova.taken) == acted
    world.pass_time(0.5)
    world.beat()
    assert world.run(recovery).status == RECOVERED
    assert len(world.nova.taken) == acted


def test_a_step_that_was_given_up_once_can_still_be_refused(world):
    recovery = world.alarm()
    world.run(recovery, lambda: len(world.nova.taken) == 2)
    world.nova.lose_answer = DROPPED
    world.run(recovery, lambda: world.tried(recovery)[-1] == (REBUILD, 'abandoned'))
    world.nova.change(SERVER_ID, image_id=None)
    assert world.run(recovery).status == FAILED
    assert world.tried(recovery)[2:] == [(REBUILD, 'abandoned'), (REBUILD, 'refused')]


# ---- Nova is away, or its answer is lost


def test_while_nova_is_away_a_recovery_waits_and_no_attempt_is_counted(world):
    recovery = world.alarm()
    world.nova.away = True
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 300)
    assert world.history(recovery) == []
    assert 'Nova: no answer' in world.get(recovery).reason
    world.nova.away = False
    world.heals_after('reboot soft')
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.tried(recovery) == [(SOFT, 'succeeded')]


def test_a_lost_answer_to_what_nova_did_is_found_in_its_log_and_not_repeated(world):
    world.heals_after('reboot soft')
    world.nova.lose_answer = DONE
    recovery = world.run(world.alarm())
    assert recovery.status == RECOVERED
    assert world.taken() == ['reboot soft']
    (only,) = world.history(recovery)
    assert only.request_id == world.nova.taken[0].request_id
    assert ('sent', f"{SOFT}: found in Nova's log") in world.trail(recovery)


def test_a_lost_request_is_given_up_after_a_while_and_then_made_once(world):
    world.heals_after('reboot soft')
    world.nova.lose_answer = DROPPED
    recovery = world.alarm()
    begin = world.clock()
    world.run(recovery, lambda: len(world.history(recovery)) == 1 and not world.nova.away)
    world.nova.lose_answer = None
    world.run(recovery, lambda: world.tried(recovery)[0][1] == 'abandoned')
    assert SETTLE <= world.clock() - begin <= SETTLE + 5
    assert world.taken() == []
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.tried(recovery) == [(SOFT, 'abandoned'), (SOFT, 'succeeded')]
    assert world.taken() == ['reboot soft']


def test_what_appears_in_novas_log_late_is_still_ours(world):
    """The request sat in Nova's socket while the worker had given up waiting for the answer."""
    recovery = world.alarm()
    world.nova.lose_answer = DROPPED
    world.run(recovery, lambda: len(world.history(recovery)) == 1)
    world.nova.lose_answer = None
    world.pass_time(SETTLE - 5)
    late = world.nova.reboot(SERVER_ID, 'soft')
    world.run(recovery, lambda: world.history(recovery)[0].status == SENT)
    assert world.history(recovery)[0].request_id == late
    assert world.taken() == ['reboot soft']


def test_what_the_owner_did_meanwhile_is_not_taken_for_ours(world):
    recovery = world.alarm()
    world.nova.lose_answer = DROPPED
    world.run(recovery, lambda: len(world.history(recovery)) == 1)
    world.nova.others(SERVER_ID, 'reboot')
    world.run(recovery, lambda: world.history(recovery)[0].status != INTENDED)
    assert world.history(recovery)[0].status == 'abandoned'


def test_an_action_of_ours_from_before_is_not_taken_for_this_one(world):
    world.nova.others(SERVER_ID, 'reboot', world.nova.user_id())
    recovery = world.alarm()
    world.nova.lose_answer = DROPPED
    world.run(recovery, lambda: len(world.history(recovery)) == 1)
    world.run(recovery, lambda: world.history(recovery)[0].status != INTENDED)
    assert world.history(recovery)[0].status == 'abandoned'


# ---- the worker dies


class Killed(BaseException):
    """As by kill -9: nothing of ours runs after it."""


@pytest.mark.parametrize('before', [True, False])
def test_a_worker_that_dies_around_the_call_is_taken_over_and_nova_acts_once(world, before):
    recovery = world.alarm()
    real = world.nova.reboot

    def dies(server_id, kind):
        if not before:
            real(server_id, kind)
        raise Killed

    world.nova.reboot = dies
    with pytest.raises(Killed):
        world.engine.advance(recovery)
    world.nova.reboot = real
    assert [a.status for a in world.history(recovery)] == [INTENDED]
    world.heals_after('reboot soft')
    if not before:
        world.healed_at[SERVER_ID] = world.clock() + 20

    world.engine = Engine(world.database, world.nova, world.clock)
    world.worker = 'another'
    assert world.claim() is None, 'its lease still runs'
    world.pass_time(15.1)
    ended = world.run(world.claim())
    assert ended.status == RECOVERED
    assert world.taken() == ['reboot soft']
    assert (world.history(recovery)[0].status == 'abandoned') == before


def test_a_worker_that_lost_its_lease_changes_nothing_and_sends_nothing(world):
    slow = world.alarm()
    world.pass_time(16)
    world.worker = 'another'
    fast = world.claim()
    assert fast.fence == slow.fence + 1
    with pytest.raises(LeaseLost):
        world.engine.advance(slow)
    assert world.taken() == []
    assert world.history(slow) == []
    world.advance(fast)
    assert world.taken() == ['reboot soft']


# ---- between decision and action


def test_a_guest_heard_between_decision_and_action_is_not_touched(world):
    recovery = world.alarm()
    world.clock.advance(1)
    heard = []

    def beat_while_nova_is_asked(server_id):
        if not heard:
            heard.append(True)
            world.beat()

    world.nova.on_read = beat_while_nova_is_asked
    assert world.run(recovery).status == RECOVERED
    assert heard
    assert world.taken() == []
    assert world.history(recovery) == []


def test_a_guest_heard_while_an_answer_is_awaited_gets_no_second_action(world):
    recovery = world.alarm()
    world.nova.lose_answer = DONE
    world.advance(recovery)
    world.beat()  # newer than the action; that it was made is not yet known
    world.run(recovery, lambda: world.history(recovery)[0].status == SENT)
    world.pass_time(5)
    world.beat()
    assert world.run(recovery).status == RECOVERED
    assert world.taken() == ['reboot soft']


# ---- what a person wants


@pytest.mark.parametrize(
    ('changes', 'why'),
    [
        ({'vm_state': 'stopped', 'status': 'SHUTOFF'}, 'it is stopped'),
        ({'vm_state': 'paused'}, 'it is paused'),
        ({'locked': True}, 'its owner locked it'),
        ({'vm_state': 'shelved_offloaded'}, 'it is shelved'),
        ({'project_id': OTHER_PROJECT}, 'another project'),
    ],
)
@pytest.mark.parametrize('step', [0, 1, 2])
def test_what_a_person_wants_so_is_left_alone_at_every_step(world, changes, why, step):
    recovery = world.alarm()
    world.run(recovery, lambda: len(world.nova.taken) == step)
    world.nova.change(SERVER_ID, **changes)
    if changes.get('vm_state') == 'stopped':
        world.nova.others(SERVER_ID, 'stop')
    ended = world.run(recovery)
    assert ended.status == LEFT_ALONE
    assert why in ended.reason
    assert len(world.nova.taken) == step


def test_a_server_that_was_deleted_is_left_alone(world):
    recovery = world.alarm()
    world.nova.delete(SERVER_ID)
    ended = world.run(recovery)
    assert (ended.status, ended.reason) == (LEFT_ALONE, 'Nova has no such server any more')


def test_a_server_that_is_deleted_after_an_action_was_sent_is_left_alone(world):
    recovery = world.alarm()
    world.run(recovery, lambda: world.nova.taken)
    world.nova.delete(SERVER_ID)
    assert world.run(recovery).status == LEFT_ALONE
    assert world.taken() == ['reboot soft']


def test_a_server_that_is_deleted_while_an_answer_is_lost_is_left_alone(world):
    recovery = world.alarm()
    world.nova.lose_answer = DONE
    world.advance(recovery)
    world.nova.delete(SERVER_ID)
    assert world.run(recovery).status == LEFT_ALONE


def test_a_stopped_server_is_looked_at_again_while_the_alarm_lasts_and_then_healed(world):
    world.nova.change(SERVER_ID, vm_state='stopped')
    world.nova.others(SERVER_ID, 'stop')
    recovery = world.run(world.alarm())
    assert recovery.status == LEFT_ALONE
    world.pass_time(queue.RECHECK - 10)
    assert world.alarm().status == LEFT_ALONE
    world.nova.change(SERVER_ID, vm_state='active')
    world.pass_time(20)
    world.heals_after('reboot soft')
    again = world.alarm()
    assert (again.id, again.status) == (recovery.id, RUNNING)
    assert world.run(again).status == RECOVERED


def test_while_nova_is_busy_with_the_server_nothing_is_done(world):
    world.nova.change(SERVER_ID, task_state='rebuilding')
    recovery = world.alarm()
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 120)
    assert world.taken() == []
    assert 'rebuilding' in world.get(recovery).reason
    world.nova.change(SERVER_ID, task_state=None)
    world.heals_after('reboot soft')
    assert world.run(world.get(recovery)).status == RECOVERED


# ---- services


def test_a_failed_service_is_healed_only_when_every_service_is_reported_well(world):
    world.beat(failures=3)
    recovery = world.alarm('service')
    world.run(recovery, lambda: len(world.nova.taken) == 1)
    for _ in range(3):
        world.pass_time(1)
        world.beat(failures=4)  # it beats, and its service still fails
        assert world.advance(recovery) is not None
        assert world.get(recovery).status == RUNNING
    world.pass_time(1)
    world.beat()
    ended = world.run(recovery)
    assert (ended.status, world.taken()) == (RECOVERED, ['reboot soft'])


def test_a_service_that_goes_on_failing_goes_up_the_ladder(world):
    world.beat(failures=3)
    recovery = world.alarm('service')
    real = world.tick

    def tick():
        real()
        if world.clock() % 10 < 1:
            world.beat(failures=5)

    world.tick = tick
    assert world.run(recovery).status == FAILED
    assert world.taken() == ['reboot soft', 'reboot hard', 'rebuild']


# ---- our own outages


def test_while_no_gateway_listens_nothing_is_done(world):
    recovery = world.alarm()
    world.listening = False
    world.clock.advance(6)
    begin = world.clock()
    recovery = world.claim() or recovery
    world.run(recovery, lambda: world.clock() > begin + 300)
    assert world.taken() == []
    assert 'no gateway listens' in world.get(recovery).reason


def test_after_an_outage_of_the_gateway_a_guest_has_the_time_to_be_heard(world):
    """The soft reboot healed it, while nobody listened; a hard one would now only do harm."""
    recovery = world.alarm()
    world.run(recovery, lambda: world.nova.taken)
    world.listening = False
    world.clock.advance(200)  # longer than the soft reboot is verified
    world.listening = True
    world.tick()
    recovery = world.claim()
    back = world.clock()
    world.run(recovery, lambda: world.clock() > back + 25)
    assert world.taken() == ['reboot soft']
    world.beat()
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.taken() == ['reboot soft']


def test_a_guest_that_stays_silent_after_the_outage_is_gone_on_with(world):
    recovery = world.alarm()
    world.run(recovery, lambda: world.nova.taken)
    world.listening = False
    world.clock.advance(200)
    world.listening = True
    world.tick()
    back = world.clock()
    world.run(world.claim(), lambda: len(world.nova.taken) == 2)
    assert 30 <= world.clock() - back <= 40


# ---- the guest goes


def test_a_guest_that_is_forgotten_ends_its_recovery_at_once(world):
    recovery = world.alarm()
    world.run(recovery, lambda: world.nova.taken)
    with world.database.write() as c:
        queue.end_of_guest(c, SERVER_ID, world.clock(), 'the guest was forgotten')
        guests.forget(c, SERVER_ID)
    with pytest.raises(LeaseLost):
        world.engine.advance(recovery)
    ended = world.get(recovery)
    assert (ended.status, ended.reason) == (LEFT_ALONE, 'the guest was forgotten')
    assert world.claim() is None
    assert world.taken() == ['reboot soft']


def test_a_guest_that_is_gone_from_the_table_is_left_alone(world):
    recovery = world.alarm()
    with world.database.write() as c:
        guests.forget(c, SERVER_ID)
    assert world.run(recovery).status == LEFT_ALONE
    assert world.taken() == []
