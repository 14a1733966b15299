"""What holds a recovery back."""

import pytest

from aodh_ha.rules import guards
from aodh_ha.rules.recovery import LEFT_ALONE, Finish, Wait
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


@pytest.mark.parametrize(
    'task',
    ['rebuilding', 'migrating', 'powering-off', 'deleting', 'image_snapshot', 'resize_prep'],
)
def test_while_nova_is_busy_with_a_server_it_is_waited_for(task):
    found = guards.busy(samples.server(task_state=task), None)
    assert isinstance(found, Wait)
    assert task in found.reason
    assert found.seconds > 0


def test_a_server_without_a_task_is_not_waited_for():
    assert guards.busy(samples.server(task_state=None), 1.0) is None


@pytest.mark.parametrize('task', guards.REBOOTING)
def test_a_reboot_is_waited_for_while_it_can_still_end(task):
    limit = guards.REBOOT_LIMIT
    assert isinstance(guards.busy(samples.server(task_state=task), limit), Wait)
    assert isinstance(guards.busy(samples.server(task_state=task), None), Wait)
    assert guards.busy(samples.server(task_state=task), limit + 1) is None
    for host in ('DOWN', 'UNKNOWN', 'MAINTENANCE'):
        assert guards.busy(samples.server(task_state=task, host_status=host), 1.0) is None


def test_a_rebuild_of_ours_on_a_dead_host_does_not_hold_the_ladder_for_ever():
    dead = samples.server(task_state='rebuilding', host_status='DOWN')
    assert guards.busy(dead, 1.0) is None
    assert isinstance(guards.busy(dead, None), Wait), 'somebody else has begun it'


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
