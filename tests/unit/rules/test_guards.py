"""What holds a recovery back."""

from datetime import UTC, datetime

import pytest

from aodh_ha.rules import guards
from aodh_ha.rules.evidence import Fleet, Host, InstanceAction, Silence
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import LEFT_ALONE, UNVERIFIED, Finish, Wait
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT, START


def intent(**changes):
    seen = samples.server(**changes)
    return guards.intent(seen, samples.recovery(), samples.evidence(seen))


@pytest.mark.parametrize(
    ('changes', 'why'),
    [
        ({'vm_state': 'stopped'}, 'stopped'),
        ({'vm_state': 'paused'}, 'paused'),
        ({'vm_state': 'suspended'}, 'suspended'),
        ({'vm_state': 'shelved'}, 'shelved'),
        ({'vm_state': 'shelved_offloaded'}, 'shelved'),
        ({'vm_state': 'rescued'}, 'rescued'),
        ({'vm_state': 'resized'}, 'resize'),
        ({'vm_state': 'soft-delete'}, 'deleted'),
        ({'vm_state': 'deleted'}, 'deleted'),
        ({'vm_state': 'building'}, 'being built'),
        ({'locked': True}, 'locked'),
        ({'project_id': OTHER_PROJECT}, 'another project'),
        ({'vm_state': 'stopped', 'task_state': 'powering-on'}, 'stopped'),
    ],
)
def test_what_a_person_wants_so_is_left_alone_with_the_reason(changes, why):
    found = intent(**changes)
    assert isinstance(found, Finish)
    assert found.status == LEFT_ALONE
    assert why in found.reason


@pytest.mark.parametrize(
    'changes',
    [{}, {'vm_state': 'error', 'status': 'ERROR'}, {'task_state': 'rebooting'}, {'power_state': 4}],
)
def test_a_server_that_nobody_wanted_so_is_not(changes):
    assert intent(**changes) is None


SOFT, HARD, REBUILD = range(3)


def busy(task, after=None, step=SOFT, host='UP'):
    """``after``: seconds since our last action, of this step of the ladder."""
    seen = samples.server(task_state=task, host_status=host)
    acted = [] if after is None else [samples.attempt(step, UNVERIFIED, START)]
    return guards.busy(seen, acted, samples.recovery(), START + (after or 0))


FOREIGN = ['migrating', 'powering-off', 'deleting', 'image_snapshot', 'resize_prep']


@pytest.mark.parametrize('task', [*FOREIGN, 'rebuilding', 'rebooting'])
def test_while_nova_is_busy_with_a_server_it_is_waited_for(task):
    found = busy(task)
    assert isinstance(found, Wait)
    assert (found.guard, task in found.reason) == ('busy', True)
    assert found.seconds > 0


def test_a_server_without_a_task_is_not_waited_for():
    assert busy(None, 1.0) is None


@pytest.mark.parametrize('task', guards.REBOOTING)
def test_a_reboot_is_waited_for_while_it_can_still_end(task):
    limit = guards.REBOOT_LIMIT
    assert isinstance(busy(task, limit), Wait)
    assert busy(task, limit + 1) is None
    for host in ('DOWN', 'UNKNOWN', 'MAINTENANCE'):
        assert busy(task, 1.0, host=host) is None
        assert busy(task, None, host=host) is None, 'whoever began it'


@pytest.mark.parametrize('task', guards.REBUILDING)
def test_a_rebuild_of_ours_does_not_hold_the_ladder_for_ever(task):
    limit = guards.REBUILD_LIMIT
    assert busy(task, 1.0, REBUILD, 'DOWN') is None
    assert isinstance(busy(task, limit, REBUILD), Wait)
    assert busy(task, limit + 1, REBUILD) is None


@pytest.mark.parametrize('host', ['UP', 'DOWN'])
@pytest.mark.parametrize('after', [None, 1.0, 86400.0])
@pytest.mark.parametrize(
    ('task', 'step'),
    [*((t, s) for t in FOREIGN for s in (SOFT, REBUILD)), ('rebuilding', SOFT)],
)
def test_what_our_last_action_did_not_begin_is_somebody_elses_and_waited_for(
    task, step, after, host
):
    assert isinstance(busy(task, after, step, host), Wait)


def test_the_reboot_of_somebody_else_after_our_rebuild_is_waited_for():
    assert isinstance(busy('rebooting', 86400.0, REBUILD), Wait)


@pytest.mark.parametrize(
    ('trigger', 'missed', 'last_seen', 'listening_since', 'waits'),
    [
        ('heartbeat', 3, START - 60, 0.0, False),
        ('heartbeat', 2, START - 60, START - 25, True),
        ('heartbeat', 0, START - 60, START, True),
        ('heartbeat', 0, None, START, True),
        ('heartbeat', 0, START - 1, 0.0, True),  # it beat just before the recovery was opened
        ('service', 0, START - 1, 0.0, False),
        ('service', 0, START - 60, START - 5, True),  # what it reported is from before
        ('service', 3, START - 60, START - 40, False),
    ],
)
def test_nothing_is_decided_until_somebody_listened_long_enough(
    trigger, missed, last_seen, listening_since, waits
):
    evidence = samples.evidence(missed=missed, last_seen=last_seen, listening_since=listening_since)
    found = guards.unheard(evidence, samples.guest(), trigger)
    assert isinstance(found, Wait) if waits else found is None


# ---- what else holds a recovery back


def hold(evidence, now=START + 1, history=(), guest=None, **recovery):
    return guards.hold(
        samples.recovery(**recovery), list(history), guest or samples.guest(), evidence, now
    )


def test_a_guest_that_nothing_holds_back_may_be_helped():
    assert hold(samples.evidence()) is None


def test_a_server_whose_metadata_opt_out_is_left_alone():
    found = hold(samples.evidence(opted_out=True))
    assert found == Finish(LEFT_ALONE, 'its metadata says aodh_ha:opt_out')


def window(**changes):
    values = {'scope': 'host', 'value': 'host1', 'starts_at': START, 'ends_at': START + 60}
    values |= {'id': 's', 'project_id': PROJECT, 'author': 'eva', 'reason': 'disks'} | changes
    return Silence(**values)


def test_a_maintenance_window_is_waited_for_with_its_author_and_reason():
    found = hold(samples.evidence(silences=(window(),)))
    assert found == Wait(10.0, 'maintenance of host host1 by eva: disks', 'silence')
    found = hold(samples.evidence(silences=(window(scope='all', value='', reason=''),)))
    assert found.reason == 'maintenance of all by eva'


@pytest.mark.parametrize(('left', 'seconds'), [(60, 10.0), (5, 5.0), (0.2, 1.0), (-5, 1.0)])
def test_the_end_of_a_window_is_looked_for_in_time(left, seconds):
    silenced = samples.evidence(silences=(window(ends_at=START + 1 + left),))
    assert hold(silenced).seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    ('status', 'waits'),
    [
        ('UPDATE_IN_PROGRESS', True),
        ('CREATE_IN_PROGRESS', True),
        ('UPDATE_COMPLETE', False),
        ('UPDATE_FAILED', False),
    ],
)
def test_heat_is_waited_for_and_not_fought(status, waits):
    found = hold(samples.evidence(member=samples.member(status=status)))
    assert found == (Wait(10.0, f'the stack shop is {status}', 'stack') if waits else None)


def test_a_storm_holds_all_but_the_guests_of_a_host_that_is_known_to_be_down():
    storm = Fleet(storm='9 of 10 guests fell silent')
    found = hold(samples.evidence(fleet=storm))
    assert found == Wait(10.0, '9 of 10 guests fell silent', 'storm')
    assert hold(samples.evidence(fleet=storm, host=Host('host1', up=False))) is None


@pytest.mark.parametrize(
    ('counts', 'now', 'waits'),
    [
        ((2, 2), 1, True),
        ((2, 2), 59, True),
        ((2, 2), 60, False),
        ((1, 2), 1, False),
        ((1, 1), 1, False),  # a host with one guest tells nothing
        (None, 1, False),
    ],
)
def test_when_all_of_a_host_are_silent_nova_has_the_time_to_find_it_down(counts, now, waits):
    fleet = Fleet(by_host={'host1': counts} if counts else {'host2': (5, 5)})
    found = hold(samples.evidence(fleet=fleet), START + now)
    assert bool(found) == waits
    assert not waits or (found.guard, found.seconds <= 5) == ('host', True)
    down = samples.evidence(fleet=fleet, host=Host('host1', up=False))
    assert hold(down, START + now) is None


def action(name, ago, user_id='its-owner'):
    at = datetime.fromtimestamp(START - ago, UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')
    return InstanceAction(name, 'req-1', user_id, at)


@pytest.mark.parametrize('name', guards.CHANGES)
def test_what_somebody_else_has_just_done_gives_the_guest_its_boot_grace(name):
    found = hold(samples.evidence(actions=(action(name, 20),), user_id='us'), START)
    assert isinstance(found, Wait)
    assert (found.guard, found.reason) == (
        'recent_change',
        f'its boot grace after a {name} lasts',
    )


@pytest.mark.parametrize(
    ('changes', 'seconds'),
    [
        ((action('reboot', 119),), 1.0),
        ((action('reboot', 120),), None),
        ((action('reboot', 20, 'us'),), None),  # our own is what we wait for anyway
        ((action('reboot', 20, 'us'), action('rebuild', 30)), 10.0),
        ((action('lock', 20),), None),
        ((action('reboot', -500),), None),  # Nova's clock is ahead
        ((InstanceAction('reboot', 'req-1', 'x', 'soon'),), None),
    ],
)
def test_boot_grace_ends(changes, seconds):
    found = hold(samples.evidence(actions=changes, user_id='us'), START)
    assert (found and found.seconds) == (seconds and pytest.approx(seconds))


def test_a_person_who_stops_comes_before_everything_else():
    everything = samples.evidence(
        samples.server(locked=True, task_state='rebuilding'),
        silences=(window(),),
        fleet=Fleet(storm='storm'),
        missed=0,
    )
    assert hold(everything).reason == 'its owner locked it'


FOUND_OFF = samples.server(vm_state='stopped')


@pytest.mark.parametrize(
    ('actions', 'by_a_person'),
    [
        ((), True),
        ((action('stop', 50, 'eva'),), True),
        ((action('stop', 50, None),), False),
        ((action('reboot', 10), action('stop', 50, None)), False),
        ((action('stop', 10, None), action('stop', 50, 'eva')), False),
        ((action('create', 10),), False),
        ((action('start', 10), action('stop', 50, 'eva')), False),
    ],
)
def test_who_stopped_a_server_stands_in_novas_log(actions, by_a_person):
    evidence = samples.evidence(FOUND_OFF, actions=actions)
    assert guards.stopped_by_a_person(evidence.actions) == by_a_person
    start = samples.policy(steps=(Step('server.start'),))
    found = guards.intent(FOUND_OFF, samples.recovery(policy=start), evidence)
    assert (found is not None) == by_a_person
    found = guards.intent(FOUND_OFF, samples.recovery(), evidence)
    assert found.status == LEFT_ALONE
    assert ('no server.start' in found.reason) != by_a_person


def test_every_wait_names_its_guard():
    assert len(set(guards.GUARDS)) == len(guards.GUARDS)
    for guard in ('silence', 'stack', 'storm', 'host', 'recent_change', 'busy', 'unheard'):
        assert guard in guards.GUARDS
