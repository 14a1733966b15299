"""Each step's call on the cloud."""

import pytest

from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.actions import ACTIONS
from aodh_ha.rules import policy
from aodh_ha.rules.policy import Step
from aodh_ha.testing import Clock, FakeCloud
from tests.samples import PROJECT, SERVER_ID


@pytest.fixture
def nova():
    nova = FakeCloud(Clock())
    nova.add(SERVER_ID, PROJECT)
    return nova


def test_there_is_one_for_every_step_that_a_policy_may_have():
    assert set(ACTIONS) == set(policy.ACTIONS)


@pytest.mark.parametrize(
    ('step', 'action', 'kind'),
    [
        (Step('server.reboot', 'soft'), 'reboot', 'soft'),
        (Step('server.reboot', 'hard'), 'reboot', 'hard'),
        (Step('server.rebuild'), 'rebuild', None),
    ],
)
def test_it_calls_nova_once_and_knows_its_name_in_the_log(nova, step, action, kind):
    server = nova.server(SERVER_ID)
    request_id = ACTIONS[step.action].act(nova, server, step)
    (taken,) = nova.taken
    assert (taken.action, taken.kind, taken.request_id) == (action, kind, request_id)
    assert ACTIONS[step.action].logged_as == nova.instance_actions(SERVER_ID)[0].action


def test_a_server_without_an_image_is_not_rebuilt(nova):
    server = nova.change(SERVER_ID, image_id=None)
    with pytest.raises(ActionRefused):
        ACTIONS['server.rebuild'].act(nova, server, Step('server.rebuild'))
    assert nova.taken == []
