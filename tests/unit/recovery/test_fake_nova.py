"""The fake that we ship keeps the contract, and misbehaves as it is told."""

import pytest

from aodh_ha.exceptions import ActionRefused, CloudAway, NotNow, OutcomeUnknown
from aodh_ha.testing import DONE, DROPPED, START, Clock, FakeCloud
from tests.samples import PROJECT, SERVER_ID
from tests.unit.recovery.cloud_contract import *  # noqa: F403

WEB, DB = '00000000-0000-4000-8000-000000000010', '00000000-0000-4000-8000-000000000020'


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


@pytest.fixture
def busy(nova, server):
    return lambda: nova.change(server.id, task_state='rebooting_hard')


@pytest.fixture
def member(nova):
    nova.add(WEB, PROJECT)
    nova.add(DB, PROJECT)
    nova.stack('shop', PROJECT, {'web': WEB, 'db': DB})
    return nova.member(nova.server(WEB))


@pytest.fixture
def at_work(nova):
    def at_work(member):
        nova.stack_takes = True
        nova.rebuild_stack(member)

    return at_work


@pytest.fixture
def mark(nova):
    return lambda member, name, reason: nova.mark(member.root_id, name, reason)


@pytest.fixture
def update(nova):
    return lambda member: nova.update_stack(member.root_id)


@pytest.fixture
def ended(nova):
    def ended(member):
        if nova.stack_takes and nova.stack_member_again(member).busy:
            nova.finish_stack(nova.stack_member_again(member).root_id)
        return nova.stack_member_again(member)

    return ended


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


def test_servers_of_a_dead_host_stay_active_until_they_are_evacuated(nova, server):
    nova.kill_host('host1')
    assert not nova.host('host1').up
    found = nova.server(server.id)
    assert (found.status, found.host, found.host_status) == ('ACTIVE', 'host1', 'DOWN')
    nova.evacuate(server.id)
    found = nova.server(server.id)
    assert (found.host, found.host_status, found.vm_state) == ('host2', 'UP', 'active')
    assert nova.instance_actions(server.id)[0].action == 'evacuate'
    nova.revive_host('host1')
    assert nova.host('host1').up


def test_where_no_other_host_is_up_the_server_ends_in_error(nova, server):
    nova.kill_host('host1', forced_down=True)
    nova.kill_host('host2')
    nova.evacuate(server.id)
    found = nova.server(server.id)
    assert (found.vm_state, found.host) == ('error', 'host1')
    assert found.fault


@pytest.mark.parametrize('lost', [DONE, DROPPED])
def test_a_recreation_whose_answer_is_lost_goes_on_when_it_is_asked_again(nova, member, lost):
    definition = nova.stack_definition(member)
    nova.lose_answer = lost
    with pytest.raises(OutcomeUnknown):
        nova.recreate_stack(member, definition)
    nova.lose_answer = None
    nova.recreate_stack(member, definition)
    again = nova.stack_member_again(member)
    assert again.root_id != member.root_id
    assert list(nova.stacks) == [again.root_id]
    assert [t.action for t in nova.taken].count('create_stack') == 1
