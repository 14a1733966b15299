"""What the engine relies on in a cloud; run against the fake and against the real Nova client.

A module that imports the tests (``from tests.unit.recovery.cloud_contract import *``) has the
fixtures ``nova`` (a Cloud), ``server`` (a running Server of it), ``settle`` (waits until that has
no task) and ``stop`` (stops it, as its owner would).
"""

import uuid

import pytest

from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.rules.evidence import InstanceAction, Server

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
