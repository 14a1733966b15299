"""What the engine relies on in a cloud; run against the fake and against the real clients.

A module that imports the tests (``from tests.unit.recovery.cloud_contract import *``) has the
fixtures ``nova`` (a Cloud), ``server`` (a running Server of it, in no stack), ``settle`` (waits
until that has no task), ``stop`` (stops it, as its owner would), ``busy`` (lets Nova be at work
on it), ``member`` (of a stack with servers ``web`` and ``db``, as ``web``), ``at_work`` (called
with a member, whose stack Heat is at work on then), ``ended`` (waits until Heat is not at work,
and gives the member as it is then), ``mark`` (called with a member, the name of a resource and a
reason, marks that unhealthy) and ``update`` (lets a member's stack be updated as it is, as its
owner would).
"""

import json
import uuid
from dataclasses import replace

import pytest

from aodh_ha.exceptions import ActionRefused, NotFound, NotNow
from aodh_ha.rules.evidence import Activity, InstanceAction, Server
from aodh_ha.rules.holdings import IMAGE, MARKED_BY_US, Holdings, Mark, Member

NOWHERE = '00000000-0000-4000-8000-00000000dead'


def test_a_server_is_shown_as_it_is(nova, server):
    found = nova.server(server.id)
    assert isinstance(found, Server)
    assert (found.id, found.project_id, found.name) == (server.id, server.project_id, server.name)
    assert (found.vm_state, found.status, found.task_state) == ('active', 'ACTIVE', None)
    assert found.power_state == 1
    assert found.locked is False
    assert uuid.UUID(found.image_id)
    assert found.host
    assert found.zone
    assert 0 < found.created_at <= found.launched_at


def test_a_server_that_does_not_exist_is_not_found(nova):
    with pytest.raises(NotFound):
        nova.server(NOWHERE)
    with pytest.raises(NotFound):
        nova.instance_actions(NOWHERE)


def test_an_action_on_a_server_that_does_not_exist_is_refused(nova, server):
    with pytest.raises(ActionRefused):
        nova.reboot(NOWHERE, 'hard')
    with pytest.raises(ActionRefused):
        nova.rebuild(NOWHERE, server.image_id)


def test_who_we_are_stays_the_same(nova):
    assert nova.user_id()
    assert nova.user_id() == nova.user_id()


@pytest.mark.parametrize('kind', ['soft', 'hard'])
def test_a_reboot_is_the_newest_action_and_ours_by_its_request_id(nova, server, settle, kind):
    before = nova.instance_actions(server.id)
    request_id = nova.reboot(server.id, kind)
    after = nova.instance_actions(server.id)
    assert after[1:] == before
    newest = after[0]
    assert isinstance(newest, InstanceAction)
    assert (newest.action, newest.request_id) == ('reboot', request_id)
    assert newest.user_id == nova.user_id()
    settle()
    assert nova.server(server.id).vm_state == 'active'


def test_a_rebuild_keeps_the_server_and_is_logged_as_such(nova, server, settle):
    request_id = nova.rebuild(server.id, server.image_id)
    newest = nova.instance_actions(server.id)[0]
    assert (newest.action, newest.request_id) == ('rebuild', request_id)
    assert newest.user_id == nova.user_id()
    settle()
    found = nova.server(server.id)
    assert (found.vm_state, found.image_id) == ('active', server.image_id)


def test_the_first_action_of_a_server_is_its_creation(nova, server):
    assert nova.instance_actions(server.id)[-1].action == 'create'


def test_what_cannot_be_done_now_is_refused_with_a_reason(nova, server, stop):
    stop()
    assert nova.server(server.id).vm_state == 'stopped'
    before = nova.instance_actions(server.id)
    with pytest.raises(ActionRefused) as e:
        nova.reboot(server.id, 'soft')
    assert '409' in e.value.detail
    assert nova.instance_actions(server.id) == before


def newest(nova, server):
    """The newest action: its name, its request id, and whether it was ours."""
    action = nova.instance_actions(server.id)[0]
    return action.action, action.request_id, action.user_id == nova.user_id()


def test_a_host_is_up_and_has_its_servers(nova, server):
    host = nova.host(server.host)
    assert (host.name, host.up, host.forced_down, host.disabled) == (
        server.host,
        True,
        False,
        False,
    )
    assert host.zone == server.zone
    assert server.id in [s.id for s in nova.servers_on(server.host)]


def test_the_servers_of_a_project_are_found_and_of_all_projects(nova, server):
    for project_id in (server.project_id, None):
        assert server.id in [s.id for s in nova.servers_of(project_id)]
    assert nova.servers_of('0' * 32) == []


def test_a_server_that_is_there_or_never_was_is_not_deleted(nova, server):
    assert not nova.deleted(server.id)
    assert not nova.deleted('00000000-0000-4000-8000-00000000dead')


def test_a_host_that_does_not_exist_is_not_found_and_has_no_servers(nova):
    with pytest.raises(NotFound):
        nova.host('nowhere')
    assert nova.servers_on('nowhere') == []


def test_a_server_alone_holds_its_root_disk_and_is_in_no_stack(nova, server):
    assert nova.member(server) is None
    held = nova.holdings(server, None)
    assert isinstance(held, Holdings)
    assert (held.root_disk, held.volumes) == (IMAGE, ())
    assert Holdings.from_dict(held.as_dict()) == held


def test_what_is_good_to_know_is_there_or_empty_but_never_an_error(nova, server):
    assert isinstance(nova.console(server.id, 5), str)
    assert len(nova.console(server.id, 5).splitlines()) <= 5
    assert isinstance(nova.diagnostics(server.id), dict)
    assert isinstance(nova.activity(server.id, server.created_at), Activity | None)
    assert nova.console(NOWHERE) == ''
    assert nova.diagnostics(NOWHERE) == {}
    assert nova.activity(NOWHERE, server.created_at) is None


def test_a_server_that_is_off_is_started(nova, server, stop, settle):
    with pytest.raises(ActionRefused, match='409'):
        nova.start(server.id)
    stop()
    request_id = nova.start(server.id)
    assert newest(nova, server) == ('start', request_id, True)
    settle()
    assert nova.server(server.id).vm_state == 'active'


def test_nobody_is_evacuated_from_a_host_that_is_up(nova, server):
    before = nova.instance_actions(server.id)
    with pytest.raises(ActionRefused, match='400'):
        nova.evacuate(server.id)
    assert nova.instance_actions(server.id) == before


def test_a_migrated_server_waits_on_another_host_to_be_confirmed(nova, server, settle):
    with pytest.raises(ActionRefused, match='409'):
        nova.confirm_resize(server.id)
    request_id = nova.migrate(server.id)
    assert newest(nova, server) == ('migrate', request_id, True)
    settle()
    moved = nova.server(server.id)
    assert (moved.vm_state, moved.status) == ('resized', 'VERIFY_RESIZE')
    assert moved.host != server.host
    request_id = nova.confirm_resize(server.id)
    assert newest(nova, server) == ('confirmResize', request_id, True)
    settle()
    found = nova.server(server.id)
    assert (found.vm_state, found.host) == ('active', moved.host)


def test_an_image_is_made_of_a_server_that_goes_on(nova, server, settle):
    request_id = nova.snapshot(server.id, 'contract')
    assert newest(nova, server) == ('createImage', request_id, True)
    settle()
    assert nova.server(server.id).vm_state == 'active'


def test_while_nova_is_at_work_it_is_not_now(nova, server, busy, settle):
    busy()
    before = nova.instance_actions(server.id)
    for action in (
        lambda: nova.rebuild(server.id, server.image_id),
        lambda: nova.migrate(server.id),
        lambda: nova.snapshot(server.id, 'contract'),
        lambda: nova.reboot(server.id, 'soft'),
    ):
        with pytest.raises(NotNow, match='409'):
            action()
    assert nova.instance_actions(server.id) == before
    settle()


# ---- stacks


def ids(member):
    """The servers of a stack, by the names of their resources."""
    return {name: server_id for server_id, name in member.siblings}


def test_a_member_knows_its_stack_and_its_siblings(nova, member):
    assert isinstance(member, Member)
    assert (member.resource_name, member.busy) == ('web', False)
    assert set(ids(member)) == {'web', 'db'}
    other = nova.member(nova.server(ids(member)['db']))
    assert (other.resource_name, other.siblings) == ('db', member.siblings)
    assert (other.root_id, other.root_name) == (member.root_id, member.root_name)
    assert nova.stack_member_again(member) == member
    assert nova.stack_member_again(other) == other


def test_a_replaced_server_has_a_new_id_under_the_old_name_and_holds_the_same(nova, member, ended):
    old = ids(member)
    project = nova.server(old['web']).project_id
    held = nova.holdings(nova.server(old['web']), member)
    assert nova.stack_events(member, member) == []
    nova.replace(member, ['web'], 'contract')
    after = ended(member)
    noted = nova.stack_events(member, after)
    of_root = [(e.path, e.status) for e in noted if e.of_root]
    name = member.root_name
    assert of_root == [(name, 'UPDATE_IN_PROGRESS'), (name, 'UPDATE_COMPLETE')]
    assert after.last_event in {e.id for e in noted}
    assert after.status.endswith('_COMPLETE')
    assert (after.updated_at, after.last_event) != (member.updated_at, member.last_event)
    assert (after.root_id, after.resource_name) == (member.root_id, 'web')
    new = ids(after)
    assert new['web'] != old['web']
    assert new['db'] == old['db']
    with pytest.raises(NotFound):
        nova.server(old['web'])
    server = nova.server(new['web'])
    assert (server.project_id, server.vm_state) == (project, 'active')
    assert nova.member(server) == after
    assert nova.holdings(server, after) == held


def test_a_cancelled_update_fails_and_the_stack_can_be_updated_again(nova, member, at_work, ended):
    at_work(member)
    nova.cancel_stack(member)
    failed = ended(member)
    assert failed.status == 'UPDATE_FAILED'
    nova.cancel_stack(failed)
    assert nova.stack_member_again(failed).status == 'UPDATE_FAILED'
    nova.replace(failed, ['web'], 'contract')
    after = ended(failed)
    assert after.status == 'UPDATE_COMPLETE'
    assert ids(after)['web'] != ids(failed)['web']


def test_a_server_that_is_well_is_not_deleted_for_its_replacement(nova, member):
    names = {name: i for i, name in member.siblings}
    nova.delete_replaced(member, ['web', 'nobody'])
    assert nova.server(names['web']).status == 'ACTIVE'
    assert nova.stack_member_again(member) == member


def test_what_the_stack_has_not_is_not_replaced(nova, member):
    for names in (['web', 'nothing'], []):
        with pytest.raises(ActionRefused):
            nova.replace(member, names, 'contract')
    assert nova.stack_member_again(member) == member


def test_what_is_marked_is_replaced_unless_the_mark_is_taken_back(
    nova, member, mark, update, ended
):
    mark(member, 'web', f'{MARKED_BY_US}contract')
    mark(member, 'db', 'a person has seen it fail')
    (found,) = nova.marked(member)
    assert isinstance(found, Mark)
    assert (found.path, found.name) == ('web', 'web')
    assert found.stack == f'{member.root_name}/{member.root_id}'
    assert found.reason == f'{MARKED_BY_US}contract'
    for _ in range(2):
        nova.unmark(member, found, 'it is well')
    assert nova.marked(member) == []
    update(member)
    after = ended(member)
    assert after.status == 'UPDATE_COMPLETE'
    old, new = ids(member), ids(after)
    assert new['web'] == old['web']
    assert new['db'] != old['db'], 'that mark was not ours'


def test_what_was_left_marked_is_not_replaced_with_the_next(nova, member, mark, ended):
    mark(member, 'db', f'{MARKED_BY_US}left by another')
    nova.replace(member, ['web'], 'contract')
    after = ended(member)
    assert after.status == 'UPDATE_COMPLETE'
    old, new = ids(member), ids(after)
    assert new['web'] != old['web']
    assert new['db'] == old['db']
    assert nova.marked(after) == []


def test_a_stack_that_is_not_there_has_no_marks(nova, member):
    assert nova.marked(replace(member, root_id=NOWHERE)) == []


def test_while_heat_is_at_work_a_stack_is_not_disturbed(nova, member, at_work, ended):
    at_work(member)
    now = nova.stack_member_again(member)
    assert now.busy
    for action in (
        lambda: nova.replace(member, ['web'], 'contract'),
        lambda: nova.rebuild_stack(member),
        lambda: nova.recreate_stack(member),
    ):
        with pytest.raises(NotNow):
            action()
    assert ended(member).root_id == member.root_id


def test_a_rebuilt_stack_has_other_servers_only(nova, member, ended):
    nova.rebuild_stack(member)
    after = ended(member)
    assert after.status.endswith('_COMPLETE')
    old, new = ids(member), ids(after)
    assert set(new) == set(old)
    assert not set(new.values()) & set(old.values())
    assert after.root_id == member.root_id


def test_a_recreated_stack_is_another_of_the_same_name(nova, member, ended):
    definition = nova.stack_definition(member)
    assert json.loads(json.dumps(definition)) == definition
    nova.recreate_stack(member, definition)
    after = ended(member)
    assert after.status == 'CREATE_COMPLETE'
    assert (after.root_name, after.resource_name) == (member.root_name, 'web')
    assert after.root_id != member.root_id
    assert set(ids(after)) == {'web', 'db'}
    assert not set(ids(after).values()) & set(ids(member).values())
    # As a worker does that takes over: it finds what was done, and does nothing.
    assert nova.recreate_stack(member, definition) is None
    assert nova.stack_member_again(member) == after
