"""What holds a recovery back."""

import pytest

from aodh_ha.rules import guards
from aodh_ha.rules.recovery import LEFT_ALONE, UNVERIFIED, Finish, Wait
from tests import samples
from tests.samples import OTHER_PROJECT, START


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
