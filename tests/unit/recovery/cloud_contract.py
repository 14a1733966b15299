"""What the engine relies on in a cloud; run against the fake and against the real Nova client.

A module that has a fixture ``cloud`` (a Cloud), ``server`` (a running Server of that cloud),
``settle`` (waits until the server has no task) and ``fields`` (what may differ) imports the tests
by ``from tests.unit.recovery.cloud_contract import *``.
"""

import uuid

import pytest

from aodh_ha.exceptions import ActionRefused, NotFound
from aodh_ha.rules.recovery import InstanceAction, Server

NOWHERE = '00000000-0000-4000-8000-00000000dead'


def test_a_server_is_shown_as_it_is(cloud, server):
    found = cloud.server(server.id)
    assert isinstance(found, Server)
    assert (found.id, found.project_id, found.name) == (server.id, server.project_id, server.name)
    assert (found.vm_state, found.status, found.task_state) == ('active', 'ACTIVE', None)
    assert found.power_state == 1
    assert found.locked is False
    assert uuid.UUID(found.image_id)
    assert found.host


def test_a_server_that_does_not_exist_is_not_found(cloud):
    with pytest.raises(NotFound):
        cloud.server(NOWHERE)
    with pytest.raises(NotFound):
        cloud.instance_actions(NOWHERE)


def test_an_action_on_a_server_that_does_not_exist_is_refused(cloud, server):
    with pytest.raises(ActionRefused):
        cloud.reboot(NOWHERE, 'hard')
    with pytest.raises(ActionRefused):
        cloud.rebuild(NOWHERE, server.image_id)


def test_who_we_are_stays_the_same(cloud):
    assert cloud.user_id()
    assert cloud.user_id() == cloud.user_id()


@pytest.mark.parametrize('kind', ['soft', 'hard'])
def test_a_reboot_is_the_newest_action_and_ours_by_its_request_id(cloud, server, settle, kind):
    before = cloud.instance_actions(server.id)
    request_id = cloud.reboot(server.id, kind)
    after = cloud.instance_actions(server.id)
    assert after[1:] == before
    newest = after[0]
    assert isinstance(newest, InstanceAction)
    assert (newest.action, newest.request_id) == ('reboot', request_id)
    assert newest.user_id == cloud.user_id()
    settle()
    assert cloud.server(server.id).vm_state == 'active'


def test_a_rebuild_keeps_the_server_and_is_logged_as_such(cloud, server, settle):
    request_id = cloud.rebuild(server.id, server.image_id)
    newest = cloud.instance_actions(server.id)[0]
    assert (newest.action, newest.request_id) == ('rebuild', request_id)
    assert newest.user_id == cloud.user_id()
    settle()
    found = cloud.server(server.id)
    assert (found.vm_state, found.image_id) == ('active', server.image_id)


def test_the_first_action_of_a_server_is_its_creation(cloud, server):
    assert cloud.instance_actions(server.id)[-1].action == 'create'


def test_what_cannot_be_done_now_is_refused_with_a_reason(cloud, server, stop):
    stop()
    assert cloud.server(server.id).vm_state == 'stopped'
    before = cloud.instance_actions(server.id)
    with pytest.raises(ActionRefused) as e:
        cloud.reboot(server.id, 'soft')
    assert '409' in e.value.detail
    assert cloud.instance_actions(server.id) == before
