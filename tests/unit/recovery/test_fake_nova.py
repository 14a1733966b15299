"""The fake that we ship keeps the contract, and misbehaves as it is told."""

import pytest

from aodh_ha.exceptions import ActionRefused, CloudAway, NotNow, OutcomeUnknown
from aodh_ha.testing import DONE, DROPPED, START, Clock, FakeCloud
from tests.samples import PROJECT, SERVER_ID
from tests.unit.recovery.cloud_contract import *  # noqa: F403


@pytest.fixture
def nova():
    return FakeCloud(Clock())


@pytest.fixture
def server(nova):
    return nova.add(SERVER_ID, PROJECT)


@pytest.fixture
def settle():
    return lambda: None


@pytest.fixture
def stop(nova, server):
    return lambda: nova.change(server.id, vm_state='stopped', status='SHUTOFF')


def test_while_it_is_away_nothing_is_answered_and_nothing_done(nova, server):
    nova.away = True
    for read in (nova.server, nova.instance_actions):
        with pytest.raises(CloudAway):
            read(server.id)
    with pytest.raises(CloudAway):
        nova.user_id()
    with pytest.raises(OutcomeUnknown):
        nova.reboot(server.id, 'hard')
    assert nova.taken == []


@pytest.mark.parametrize(('lost', 'done'), [(DONE, 1), (DROPPED, 0)])
def test_a_lost_answer_leaves_open_whether_it_was_done(nova, server, lost, done):
    nova.lose_answer = lost
    with pytest.raises(OutcomeUnknown):
        nova.rebuild(server.id, server.image_id)
    assert len(nova.taken) == done
    assert len(nova.instance_actions(server.id)) == 1 + done


@pytest.mark.parametrize('name', ['reboot', 'server.reboot soft'])
def test_it_refuses_what_it_is_told_to(nova, server, name):
    nova.refuse[name] = 'Nova answered 403: no'
    with pytest.raises(ActionRefused, match='403'):
        nova.reboot(server.id, 'soft')
    assert nova.taken == []


def test_no_rebuild_while_another_task_runs(nova, server):
    nova.change(server.id, task_state='rebooting')
    with pytest.raises(NotNow, match='409'):
        nova.rebuild(server.id, server.image_id)


def test_a_clock_stands_until_it_is_advanced():
    clock = Clock()
    assert clock() == clock() == START
    assert clock.advance(2.5) == clock() == START + 2.5
    assert clock.advance(-10) == START - 7.5
