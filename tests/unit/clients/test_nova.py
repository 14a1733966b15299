"""What an answer of Nova's means for an action."""

import types

import pytest
from novaclient import exceptions

from aodh_ha.clients.nova import Nova
from aodh_ha.exceptions import ActionRefused, NotNow, OutcomeUnknown

SERVER = '00000000-0000-0000-0000-000000000001'


def answering(status):
    """A Nova that answers every reboot with this status."""

    def reboot(*_):
        raise exceptions.from_response(
            types.SimpleNamespace(status_code=status, headers={}), {'error': {'message': 'no'}}, '/'
        )

    nova = object.__new__(Nova)
    nova._client = types.SimpleNamespace(servers=types.SimpleNamespace(reboot=reboot))
    return nova


@pytest.mark.parametrize('status', [400, 403, 404, 409])
def test_a_no_of_nova_refuses_the_action(status):
    with pytest.raises(ActionRefused, match=str(status)):
        answering(status).reboot(SERVER, 'soft')


@pytest.mark.parametrize('status', [401, 429])
def test_a_bad_token_and_a_rate_limit_are_no_refusal(status):
    with pytest.raises(NotNow):
        answering(status).reboot(SERVER, 'hard')


@pytest.mark.parametrize('status', [500, 502, 503])
def test_what_says_nothing_about_the_action_leaves_it_open(status):
    with pytest.raises(OutcomeUnknown):
        answering(status).reboot(SERVER, 'hard')
