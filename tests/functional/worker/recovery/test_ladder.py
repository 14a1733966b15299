"""What a policy asks of a step, what holds it back, and how a person is told."""

from dataclasses import replace

import pytest

from aodh_ha.db import incidents, orders, queue, silences
from aodh_ha.exceptions import CloudAway, NotNow
from aodh_ha.recovery.evidence import Settings as Storms
from aodh_ha.recovery.following import LONG
from aodh_ha.recovery.waiting import AWAY
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Activity, Silence
from aodh_ha.rules.holdings import Holdings, Port, Volume
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, QUEUED, RECOVERED
from aodh_ha.testing import DROPPED, START
from tests.samples import OTHER_ID, PROJECT, SERVER_ID, pending

NO_STORMS = Storms(minimum=1000)
SOFT, HARD = 'server.reboot soft', 'server.reboot hard'


def policy(*steps, more=''):
    lines = ''.join(f'  - {{{s}}}\n' for s in steps)
    return f'name: one\nsteps:\n{lines}{more}\n'


def held(world, recovery):
    """What held it back, each time anew: the guards and their sentences."""
    return [message for kind, message in world.trail(recovery) if kind == 'held']


# ---- what a step asks for


def test_a_guest_must_stay_well_for_as_long_as_the_step_says(world):
    world.heals_after('reboot hard')
    recovery = world.alarm(document=policy('action: server.reboot, type: hard, hold: 30s'))
    ended = world.run(recovery)
    (attempt,) = world.history(ended)
    assert (ended.status, attempt.status) == (RECOVERED, 'succeeded')
    assert 30 <= ended.finished_at - attempt.heard_at <= 32
    assert world.kinds(ended) == [*('opened', 'intended', 'sent', 'heard', 'succeeded'), RECOVERED]


def test_a_guest_that_falls_silent_again_within_it_goes_up_the_ladder(world):
    world.heals_after('reboot soft')
    document = policy(
        'action: server.reboot, type: soft, hold: 300s', 'action: server.reboot, type: hard'
    )
    recovery = world.alarm(document=document)
    world.run(recovery, lambda: world.history(recovery) and world.history(recovery)[0].heard_at)
    world.healed_at.clear()
    world.heals_after('reboot hard')
    ended = world.run(world.get(recovery))
    assert ended.status == RECOVERED
    assert world.tried(ended) == [(SOFT, 'unverified'), (HARD, 'succeeded')]


def test_a_delay_and_a_backoff_are_waited_for(world):
    recovery = world.alarm(
        document=policy(
            'action: server.reboot, type: hard, attempts: 3, delay: 20s, backoff: 30s, verify: 5s'
        )
    )
    world.run(recovery)
    first, second, third = (a.intended_at for a in world.history(recovery))
    assert 20 <= first - START <= 31
    assert 35 <= second - first <= 46
    assert 65 <= third - second <= 76
    assert set(held(world, recovery)) == {'before server.reboot hard'}


def test_a_step_that_a_person_must_approve_waits_for_it_and_one_is_told_once(world):
    world.heals_after('reboot hard')
    recovery = world.alarm(document=policy('action: server.reboot, type: hard, approval: true'))
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 120)
    waiting = world.get(recovery)
    assert (world.taken(), waiting.guard) == ([], 'approval')
    assert [kind for kind, _ in world.told()] == ['approval']
    assert len(held(world, recovery)) == 1
    with world.database.write() as c:
        orders.approve(c, waiting, queue.history(c, recovery.id), None, world.clock(), 'me')
    ended = world.run(world.get(recovery))
    assert (ended.status, world.taken()) == (RECOVERED, ['reboot hard'])


@pytest.mark.parametrize('whole', [True, False])
def test_a_dry_run_goes_through_all_but_the_actions(world, whole):
    world.make_engine(dry_run=whole)
    document = policy(
        *('action: server.reboot, type: hard, verify: 5s, snapshot: true',),
        *('action: hook, name: page, verify: 5s', 'action: notify, verify: 5s'),
        more='' if whole else 'dry_run: true',
    )
    ended = world.run(world.alarm(document=document))
    assert ended.status == FAILED
    assert 'dry run' in ended.reason
    assert [a.dry_run for a in world.history(ended)] == [True] * 3
    assert world.tried(ended) == [(a, 'unverified') for a in (HARD, 'hook page', 'notify')]
    assert (world.taken(), world.hooks.runs, world.nova.images) == ([], [], [])
    assert 'dry_run' in world.kinds(ended)
    assert 'intended' not in world.kinds(ended)


def test_a_dry_run_of_an_evacuation_fences_nobody(world):
    world.nova.kill_host('host1')
    document = policy('action: server.evacuate, verify: 5s', more='fencing: cut\ndry_run: true')
    ended = world.run(world.alarm(document=document), limit=60)
    assert world.tried(ended) == [('server.evacuate', 'unverified')]
    assert (world.taken(), world.hooks.runs) == ([], [])


def test_an_image_is_made_first_and_waited_for(world):
    world.heals_after('rebuild')
    real = world.nova.snapshot

    def slow(server_id, name):
        request_id = real(server_id, name)
        world.nova.change(server_id, task_state='image_uploading')
        return request_id

    world.nova.snapshot = slow
    recovery = world.alarm(document=policy('action: server.rebuild, snapshot: true'))
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 60)
    assert world.taken() == ['createImage']
    world.nova.change(SERVER_ID, task_state=None)
    ended = world.run(world.get(recovery))
    assert (ended.status, world.taken()) == (RECOVERED, ['createImage', 'rebuild'])
    ((_, name),) = world.nova.images
    assert 'before server.rebuild' in name


def test_without_an_image_the_step_is_not_taken(world):
    world.nova.refuse['snapshot'] = 'Nova answered 403: quota'
    recovery = world.run(world.alarm(document=policy('action: server.rebuild, snapshot: true')))
    assert world.tried(recovery) == [('server.rebuild', 'refused')]
    assert 'quota' in world.history(recovery)[0].detail
    assert world.taken() == []


def test_an_image_that_comes_to_nothing_is_no_image(world):
    real = world.nova.snapshot

    def broken(server_id, name):
        request_id = real(server_id, name)
        log = world.nova._log[server_id]
        log[0] = replace(log[0], failed=True)
        return request_id

    world.nova.snapshot = broken
    recovery = world.run(world.alarm(document=policy('action: server.rebuild, snapshot: true')))
    assert world.tried(recovery) == [('server.rebuild', 'refused')]
    assert 'no image' in world.history(recovery)[0].detail
    assert world.taken() == ['createImage']


@pytest.mark.parametrize('own', [True, False])
def test_what_the_operator_allows_projects_no_more_is_not_taken(world, own):
    world.make_engine(allowed=frozenset({'server.reboot'}))
    document = policy(
        'action: server.rebuild, verify: 5s', f'action: {HARD.replace(" ", ", type: ")}'
    )
    ended = world.run(world.alarm(document=document, own=own))
    tried = [('server.rebuild', 'refused' if own else 'unverified'), (HARD, 'unverified')]
    assert world.tried(ended) == tried
    assert ('rebuild' in world.taken()) is not own
    if own:
        assert 'allows no server.rebuild' in world.history(ended)[0].detail


def test_a_step_is_taken_no_oftener_than_it_may(world):
    document = policy(
        'action: server.reboot, type: hard, verify: 5s, intensity: 1 in 1h',
        more='budget: {per_guest: 50 in 1h}',
    )
    first = world.run(world.alarm(document=document))
    world.beat()
    world.pass_time(60)
    second = world.run(world.alarm(document=document))
    assert second.id != first.id
    assert world.tried(second) == [(HARD, 'refused')]


def test_a_guest_that_is_only_suspect_gets_the_gentle_steps(world):
    world.nova.activities[SERVER_ID] = Activity(0.1, 1e6, 0.0)
    recovery = world.run(world.alarm())
    assert (recovery.status, world.taken()) == (FAILED, ['reboot soft'])
    assert 'still work' in recovery.reason


def test_a_guest_that_keeps_failing_is_given_up(world):
    document = policy(
        'action: server.reboot, type: hard, verify: 60s', more='budget: {per_guest: 2 in 1h}'
    )
    world.heals_after('reboot hard', 2)
    for _ in range(2):
        assert world.run(world.alarm(document=document)).status == RECOVERED
        world.healed_at.clear()
        world.pass_time(60)
    ended = world.run(world.alarm(document=document))
    assert (ended.status, len(world.taken())) == (FAILED, 2)
    assert 'recovered 2 times' in ended.reason


# ---- services, hooks, people


def test_what_the_guest_could_not_restart_is_known_at_once(world):
    from aodh_ha.db import commands

    world.beat(failures=3)
    recovery = world.alarm(
        'service',
        policy('action: service.restart, verify: 300s', 'action: notify, verify: 1s'),
    )

    def agent():
        with world.database.write() as c:
            for command in pending(c, SERVER_ID, world.clock()):
                commands.finish(c, SERVER_ID, command.id, False, 'no such unit', world.clock())

    real = world.tick

    def tick():
        real()
        agent()
        if world.clock() % 5 < 1:
            world.beat(failures=3)

    world.tick = tick
    ended = world.run(recovery)
    first = world.history(ended)[0]
    assert (first.status, first.detail) == (
        'unverified',
        'service.restart web failed: no such unit',
    )
    assert first.finished_at - first.sent_at < 20


def test_the_operators_hook_is_told_what_it_is_about(world):
    recovery = world.alarm(document=policy('action: hook, name: page, verify: 1s'))
    world.run(recovery)
    ((name, facts),) = world.hooks.runs
    assert (name, facts['server_id'], facts['host']) == ('page', SERVER_ID, 'host1')
    assert facts['attempt'] == '1'
    assert all(isinstance(v, str) for v in facts.values())


@pytest.mark.parametrize(('name', 'why'), [('page', 'it broke'), ('missing', 'no such hook')])
def test_a_hook_that_fails_is_refused_and_the_ladder_goes_on(world, name, why):
    world.hooks.fails = 'it broke'
    world.heals_after('reboot hard')
    document = policy(f'action: hook, name: {name}', 'action: server.reboot, type: hard')
    recovery = world.run(world.alarm(document=document))
    assert world.tried(recovery) == [(f'hook {name}', 'refused'), (HARD, 'succeeded')]
    assert why in world.history(recovery)[0].detail


@pytest.mark.parametrize(('exhausted', 'hook'), [('notify', ''), ('page', 'page')])
def test_when_no_step_helped_a_person_is_told(world, exhausted, hook):
    from aodh_ha.db import notifications

    document = policy(
        'action: server.reboot, type: hard, verify: 5s', more=f'on_exhausted: {exhausted}'
    )
    recovery = world.run(world.alarm(document=document))
    with world.database.read() as c:
        (told,) = notifications.find(c)
    assert (told.kind, told.recovery_id, told.hook) == ('exhausted', recovery.id, hook)
    assert recovery.reason in told.message


def test_nobody_is_told_of_what_healed_or_was_left_alone(world):
    world.nova.change(SERVER_ID, locked=True)
    world.run(world.alarm())
    assert world.told() == []


# ---- what holds it back


def silence(world, **values):
    given = {
        **{'id': '00000000-0000-4000-8000-00000000000a', 'project_id': PROJECT},
        **{'scope': 'guest', 'value': SERVER_ID, 'author': 'me', 'reason': 'new kernel'},
        **{'starts_at': START - 10, 'ends_at': START + 120},
    }
    with world.database.write() as c:
        silences.add(c, Silence(**(given | values)))


@pytest.mark.parametrize(
    'values',
    [
        {},
        {'scope': 'project', 'value': PROJECT},
        {'scope': 'host', 'value': 'host1', 'project_id': ''},
        {'scope': 'all', 'value': '', 'project_id': ''},
    ],
)
def test_in_a_maintenance_window_nothing_is_done_and_afterwards_it_is(world, values):
    silence(world, **values)
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm())
    assert recovery.status == RECOVERED
    assert world.nova.taken[0].at >= START + 120
    assert held(world, recovery)[0].startswith('maintenance of ')
    assert len(held(world, recovery)) == 1


@pytest.mark.parametrize(
    'values',
    [
        {'ends_at': START - 1},
        {'starts_at': START + 500, 'ends_at': START + 600},
        {'project_id': 'b' * 32},
        {'scope': 'host', 'value': 'host2', 'project_id': ''},
        {'scope': 'host', 'value': 'host1'},
        {'scope': 'all', 'value': ''},
        {'scope': 'group', 'value': ''},
    ],
)
def test_a_window_of_others_or_of_another_time_holds_nobody(world, values):
    silence(world, **values)
    world.heals_after('reboot soft')
    assert world.run(world.alarm()).finished_at < START + 60


def test_who_opted_out_is_left_alone(world):
    world.nova.change(SERVER_ID, metadata={'aodh_ha:opt_out': 'true'})
    ended = world.run(world.alarm())
    assert (ended.status, world.taken()) == (LEFT_ALONE, [])


def test_each_reason_to_wait_is_in_the_trail_once(world):
    world.nova.change(SERVER_ID, task_state='rebuilding')
    recovery = world.alarm()
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 60)
    silence(world, ends_at=world.clock() + 60)
    world.nova.change(SERVER_ID, task_state=None)
    world.heals_after('reboot soft')
    world.run(world.get(recovery))
    busy, maintenance = held(world, recovery)
    assert 'rebuilding' in busy
    assert 'maintenance' in maintenance
    assert world.get(recovery).guard == ''


def test_what_is_busy_is_tried_later_and_not_passed_over(world):
    real, tries = world.nova.reboot, []

    def busy(server_id, kind):
        tries.append(world.clock())
        if len(tries) < 3:
            raise NotNow('Nova answered 409: task_state rebooting')
        return real(server_id, kind)

    world.nova.reboot = busy
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm())
    assert world.tried(recovery) == [*[(SOFT, 'abandoned')] * 2, (SOFT, 'succeeded')]
    assert tries[1] - tries[0] >= AWAY
    assert tries[2] - tries[1] > tries[1] - tries[0]


def test_a_sign_of_life_in_the_last_moment_makes_no_hot_loop(world):
    """Nova's answer takes its time, and each time a beat comes meanwhile that is not enough."""
    world.beat(failures=3)
    recovery = world.alarm('service')
    pauses = []

    def healthy_for_a_moment(server_id):
        world.clock.advance(0.01)
        world.beat()

    world.nova.on_read = healthy_for_a_moment
    for _ in range(3):
        pause = world.engine.advance(recovery)
        if pause is None:
            break
        pauses.append(pause.seconds)
    assert all(p > 0 for p in pauses)
    assert world.taken() == []


def test_a_silent_guest_whose_last_report_was_good_is_recovered_all_the_same(world):
    """Its service was well when it was heard last: that says nothing about it now."""
    world.beat()
    world.pass_time(60)
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm('service'))
    assert (recovery.status, world.taken()) == (RECOVERED, ['reboot soft'])


def test_a_step_does_not_fail_while_nobody_listens(world):
    recovery = world.alarm()
    world.run(recovery, lambda: world.taken())
    world.listening = False
    world.clock.advance(6)
    held_by = world.claim() or recovery
    begin = world.clock()
    world.run(held_by, lambda: world.clock() > begin + 300)
    assert world.tried(recovery) == [(SOFT, 'sent')]
    assert world.get(recovery).guard == 'deaf'


def test_a_long_verification_leaves_the_slot_to_others(world):
    recovery = world.alarm(document=policy('action: server.reboot, type: hard, verify: 10m'))
    world.run(recovery, lambda: world.taken())
    sent = world.clock()
    statuses = set()

    def look():
        statuses.add((world.clock() > sent + LONG + 2, world.get(recovery).status))
        return world.clock() > sent + LONG + 60

    world.run(recovery, look)
    assert (True, QUEUED) in statuses
    assert (False, QUEUED) not in statuses
    world.beat()
    assert world.run(world.get(recovery)).status == RECOVERED


# ---- what was kept

KEPT = Holdings(
    'image',
    (Volume('11111111-aaaa-4000-8000-000000000001', '/dev/vdb'),),
    (Port('22222222-aaaa-4000-8000-000000000002', 'fa:16:3e:00:00:01', ('10.0.0.5',)),),
)


def test_after_a_step_it_is_proved_that_all_was_kept(world):
    world.nova.kept[SERVER_ID] = KEPT
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm())
    (attempt,) = world.history(recovery)
    assert attempt.proof['differences'] == []
    assert Holdings.from_dict(attempt.proof['before']) == KEPT
    assert Holdings.from_dict(attempt.proof['after']) == KEPT


@pytest.mark.parametrize('helped', [True, False])
def test_what_is_gone_against_all_expectation_stops_the_ladder_and_calls_a_person(world, helped):
    world.nova.kept[SERVER_ID] = KEPT
    if helped:
        world.heals_after('reboot soft')
    real = world.nova.reboot

    def careless(server_id, kind):
        world.nova.kept[SERVER_ID] = replace(KEPT, volumes=())
        return real(server_id, kind)

    world.nova.reboot = careless
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    assert '11111111' in recovery.reason
    assert world.taken() == ['reboot soft'], 'no further step'
    assert [kind for kind, _ in world.told()] == ['loss']
    (attempt,) = world.history(recovery)
    assert attempt.status == ('succeeded' if helped else 'unverified')


def test_what_comes_back_a_little_later_is_no_loss(world):
    world.nova.kept[SERVER_ID] = replace(KEPT, volumes=())
    real = world.nova.holdings
    world.nova.kept[SERVER_ID] = KEPT
    world.heals_after('reboot soft')
    recovery = world.alarm()
    world.run(recovery, lambda: world.taken())
    late = world.clock() + 12

    def attached_late(server, member):
        found = real(server, member)
        return found if world.clock() > late else replace(found, volumes=())

    world.nova.holdings = attached_late
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.history(recovery)[0].proof['differences'] == []


def test_a_server_that_is_not_done_with_yet_is_compared_later(world):
    world.nova.kept[SERVER_ID] = KEPT
    world.heals_after('rebuild')
    recovery = world.alarm(document=policy('action: server.rebuild'))
    world.run(recovery, lambda: world.taken())
    world.nova.change(SERVER_ID, task_state='rebuild_spawning')
    world.nova.kept[SERVER_ID] = replace(KEPT, volumes=())
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 60)
    assert world.get(recovery).finished_at is None
    world.nova.change(SERVER_ID, task_state=None)
    world.nova.kept[SERVER_ID] = KEPT
    assert world.run(world.get(recovery)).status == RECOVERED


# ---- hosts that die


def evacuation(**more):
    lines = '\n'.join(f'{k}: {v}' for k, v in more.items())
    return policy('action: server.reboot, type: hard', 'action: server.evacuate', more=lines)


def test_a_dead_host_is_an_incident_and_its_guests_are_evacuated_not_rebooted(world):
    world.nova.kill_host('host1', forced_down=True)
    world.heals_after('evacuate')
    ended = world.run(world.alarm(document=evacuation()))
    assert (ended.status, world.taken()) == (RECOVERED, ['evacuate'])
    with world.database.read() as c:
        (incident,) = incidents.find(c)
    assert (incident.kind, incident.name) == ('host', 'host1')
    assert ended.incident_id == incident.id
    assert [kind for kind, _ in world.told()] == ['host']


def test_ten_guests_of_a_dead_host_have_one_incident_and_a_person_is_told_once(world):
    ids = [SERVER_ID] + [world.enroll(f'{n:08x}{SERVER_ID[8:]}') for n in range(9)]
    world.nova.kill_host('host1', forced_down=True)
    world.heals_after('evacuate')
    for server_id in ids:
        recovery = world.alarm(document=evacuation(), server_id=server_id)
        with world.database.write() as c:
            queue.release(c, recovery, world.clock(), 0, '')
    world.run_all()
    assert world.taken() == ['evacuate'] * 10
    with world.database.read() as c:
        assert len(incidents.find(c)) == 1
        assert {r.status for r in queue.find(c)} == {RECOVERED}
        assert len({r.incident_id for r in queue.find(c)}) == 1
    assert [kind for kind, _ in world.told()] == ['host']


def test_nobody_is_evacuated_before_the_host_is_fenced(world):
    world.nova.kill_host('host1')
    recovery = world.alarm(document=evacuation())
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 120)
    assert (world.taken(), world.get(recovery).guard) == ([], 'fencing')
    assert sorted(kind for kind, _ in world.told()) == ['fencing', 'host']
    world.nova.kill_host('host1', forced_down=True)
    world.heals_after('evacuate')
    assert world.run(world.get(recovery)).status == RECOVERED


def test_the_operators_hook_fences_once_for_all_guests_of_a_host(world):
    ids = [SERVER_ID] + [world.enroll(f'{n:08x}{SERVER_ID[8:]}') for n in range(4)]
    world.nova.kill_host('host1')
    world.heals_after('evacuate')
    for server_id in ids:
        recovery = world.alarm(document=evacuation(fencing='cut'), server_id=server_id)
        with world.database.write() as c:
            queue.release(c, recovery, world.clock(), 0, '')
    world.run_all()
    assert world.taken() == ['evacuate'] * 5
    ((name, facts),) = world.hooks.runs
    assert (name, facts['kind'], facts['host']) == ('cut', 'fence', 'host1')
    with world.database.read() as c:
        (incident,) = incidents.find(c)
    assert incident.fenced_by == 'hook cut'


@pytest.mark.parametrize('fencing', ['forced_down', 'cut'])
def test_that_a_host_is_not_fenced_is_told_once_for_all_its_guests(world, fencing):
    world.hooks.fails = 'no answer from the power switch'
    ids = [SERVER_ID] + [world.enroll(f'{n:08x}{SERVER_ID[8:]}') for n in range(4)]
    world.nova.kill_host('host1')
    for server_id in ids:
        recovery = world.alarm(document=evacuation(fencing=fencing), server_id=server_id)
        with world.database.write() as c:
            queue.release(c, recovery, world.clock(), 0, '')
    world.run_all(lambda: world.clock() > START + 60)
    assert world.taken() == []
    assert {r.guard for r in world.active()} == {'fencing'}
    assert sorted(kind for kind, _ in world.told()) == ['fencing', 'host']


@pytest.mark.parametrize('hook', ['cut', 'missing'])
def test_while_fencing_fails_it_is_tried_again_and_nobody_evacuated(world, hook):
    world.hooks.fails = 'no answer from the power switch'
    world.nova.kill_host('host1')
    recovery = world.alarm(document=evacuation(fencing=hook))
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 100)
    assert world.taken() == []
    assert world.get(recovery).guard == 'fencing'
    assert sorted(kind for kind, _ in world.told()) == ['fencing', 'host']
    if hook == 'cut':
        assert 5 <= len(world.hooks.runs) <= 11


def test_after_a_cold_migration_the_old_host_is_let_go(world):
    world.heals_after('migrate')
    recovery = world.run(world.alarm(document=policy('action: server.migrate')))
    assert (recovery.status, world.taken()) == (RECOVERED, ['migrate', 'confirmResize'])
    assert world.nova.server(SERVER_ID).vm_state == 'active'


def test_a_migration_that_did_not_help_is_confirmed_too_and_the_ladder_goes_on(world):
    world.heals_after('reboot hard')
    document = policy('action: server.migrate, verify: 20s', 'action: server.reboot, type: hard')
    recovery = world.run(world.alarm(document=document))
    assert recovery.status == RECOVERED
    assert world.taken() == ['migrate', 'confirmResize', 'reboot hard']


def test_a_confirmation_that_breaks_off_is_made_again(world):
    world.heals_after('migrate')
    recovery = world.alarm(document=policy('action: server.migrate'))
    world.run(recovery, lambda: world.taken())
    world.nova.lose_answer = DROPPED
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 30)
    assert world.get(recovery).finished_at is None
    world.nova.lose_answer = None
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.taken() == ['migrate', 'confirmResize']


def test_a_confirmation_that_never_comes_through_holds_nobody_for_ever(world):
    world.heals_after('migrate')
    recovery = world.alarm(document=policy('action: server.migrate, verify: 30s'))
    world.run(recovery, lambda: world.taken())
    world.nova.change(SERVER_ID, task_state='stuck')
    assert world.run(world.get(recovery)).status == RECOVERED
    assert world.taken() == ['migrate']


def test_a_reboot_that_helped_waits_for_no_comparison(world):
    world.heals_after('reboot soft')
    recovery = world.alarm()
    world.run(recovery, lambda: world.taken())

    def away(*_):
        raise CloudAway('Neutron: no answer')

    world.nova.holdings = away
    ended = world.run(recovery)
    assert ended.status == RECOVERED
    assert ended.finished_at < START + 20
    assert world.history(ended)[0].proof['after'] is None


def test_a_rebuild_that_ends_in_error_is_not_waited_for(world):
    world.nova.on_action = lambda taken: world.nova.change(
        SERVER_ID, vm_state='error', status='ERROR', fault='No valid host was found.'
    )
    recovery = world.run(world.alarm(document=policy('action: server.rebuild, verify: 10m')))
    (attempt,) = world.history(recovery)
    assert attempt.detail == 'the server is in ERROR: No valid host was found.'
    assert attempt.finished_at - attempt.sent_at < 10


# ---- storms


def test_in_a_storm_nobody_is_touched_and_a_person_is_told_once(world):
    ids = [SERVER_ID]
    for n in range(9):
        ids.append(world.enroll(f'{n:08x}{SERVER_ID[8:]}', host=f'host{n}', zone=f'zone{n % 3}'))
    for server_id in ids[:5]:
        recovery = world.alarm(server_id=server_id)
        with world.database.write() as c:
            queue.release(c, recovery, world.clock(), 0, '')
    begin = world.clock()
    world.run_all(lambda: world.clock() > begin + 120)
    assert world.taken() == []
    active = world.active()
    assert {r.guard for r in active} == {'storm'}
    assert [kind for kind, _ in world.told()] == ['storm']
    with world.database.read() as c:
        (incident,) = incidents.find(c)
    assert incident.kind == 'storm'
    assert {r.incident_id for r in active} == {incident.id}
    world.heals.update({'reboot soft': 2})
    with world.database.write() as c:
        reason = f'{incident.reason}; closed by user me'
        incidents.close(c, incident.id, world.clock(), reason)
    world.run_all()
    assert sorted(set(world.taken())) == ['reboot soft']
    assert len(world.taken()) == 5


def test_a_storm_is_seen_although_the_cloud_takes_long_to_answer(world):
    """The gateway ticks meanwhile: by the time of the question it would seem to be none."""
    for n in range(5):
        world.enroll(f'{n:08x}{SERVER_ID[8:]}', host=f'host{n}')
    recovery = world.alarm()
    world.nova.on_read = lambda _: world.pass_time(8)
    world.run(recovery, lambda: world.get(recovery).guard == 'storm')
    assert world.taken() == []


def test_what_waits_in_a_storm_asks_the_cloud_nothing(world):
    ids = [SERVER_ID]
    for n in range(5):
        ids.append(world.enroll(f'{n:08x}{SERVER_ID[8:]}', host=f'host{n}'))
    recovery = world.alarm()
    read = []
    world.nova.on_read = read.append
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 300)
    assert world.get(recovery).guard == 'storm'
    assert len(read) == 1
    for server_id in ids[1:]:
        world.beat(server_id=server_id)
        world.healed_at[server_id] = world.clock()
    world.heals_after('reboot soft')
    assert world.run(world.get(recovery)).status == RECOVERED


# ---- the budget


def several(world, number, document, **changes):
    """As many guests, each with a recovery that nobody has claimed yet."""
    ids = [SERVER_ID]
    for n in range(number - 1):
        ids.append(world.enroll(f'{n:08x}{SERVER_ID[8:]}', host=f'host{n}', **changes))
    for server_id in ids:
        recovery = world.alarm(document=document, server_id=server_id)
        with world.database.write() as c:
            queue.release(c, recovery, world.clock(), 0, '')
    return ids


def test_no_more_are_recovered_at_once_than_the_budget_allows(world):
    world.make_engine(limits=Limits({'all': 2}), storm=NO_STORMS)
    several(world, 6, policy('action: server.reboot, type: hard'))
    most = []

    def look(taken):
        world.acted(taken)
        most.append(sum(r.admitted_at is not None for r in world.active()))

    world.nova.on_action = look
    world.heals_after('reboot hard', 20)
    world.run_all()
    assert len(world.taken()) == 6
    assert max(most) == 2
    with world.database.read() as c:
        assert {r.status for r in queue.find(c)} == {RECOVERED}


def test_what_waits_for_the_budget_asks_the_cloud_once(world):
    world.make_engine(limits=Limits({'all': 1}), storm=NO_STORMS)
    several(world, 2, policy('action: server.reboot, type: hard, verify: 100s'))
    read = []
    world.nova.on_read = read.append
    world.run_all(lambda: world.clock() > START + 90)
    (waiting,) = [r for r in world.active() if r.admitted_at is None]
    assert waiting.guard == 'budget'
    assert read.count(waiting.server_id) <= 2


def test_telling_a_person_needs_no_budget(world):
    world.make_engine(limits=Limits({'all': 0}))
    recovery = world.alarm(document=policy('action: notify, verify: 5s'))
    world.run(recovery)
    assert 'step' in [kind for kind, _ in world.told()]


def test_two_workers_keep_to_one_budget(world):
    world.make_engine(limits=Limits({'project': 1}), storm=NO_STORMS)
    several(world, 4, policy('action: server.reboot, type: hard'))
    world.heals_after('reboot hard', 10)
    engines = [world.engine]
    world.make_engine()
    engines.append(world.engine)

    class Both:
        turn = 0

        def advance(self, recovery):
            Both.turn += 1
            return engines[Both.turn % 2].advance(recovery)

    world.engine = Both()
    flying = []
    world.nova.on_action = lambda taken: (
        world.acted(taken),
        flying.append(sum(r.admitted_at is not None for r in world.active())),
    )
    world.run_all()
    assert len(world.taken()) == 4
    assert set(flying) == {1}


# ---- servers that Heat replaces


def test_a_server_is_not_replaced_for_ever(world):
    """Its id changes each time; what was done to it before counts on."""
    world.boot(OTHER_ID)
    world.nova.stack('s', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID})
    document = policy('action: server.replace', more='budget: {per_guest: 2 in 1h}')
    here = SERVER_ID
    for _ in range(2):
        recovery = world.alarm(document=document, server_id=here)
        world.run(recovery, lambda r=recovery, h=here: world.get(r).server_id != h)
        here = world.get(recovery).server_id
        world.pass_time(2)
        world.beat(server_id=here)
        assert world.run(world.get(recovery)).status == RECOVERED
        world.pass_time(150)
    ended = world.run(world.alarm(document=document, server_id=here))
    assert (ended.status, len(world.taken())) == (FAILED, 2)
    assert 'recovered 2 times' in ended.reason
