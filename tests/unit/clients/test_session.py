"""The service's session: bounded in time, and able to enter another project."""

import pytest

from aodh_ha.clients.session import call_limit, service_session, with_timeout
from aodh_ha.exceptions import ConfigurationError
from tests.samples import PROJECT
from tests.unit.clients.conftest import NOVA


def test_an_action_may_need_a_token_and_itself(session):
    assert session.timeout == (5, 20)
    assert call_limit(session) == 2 * (5 + 20)
    assert call_limit(with_timeout(session, 3)) == 2 * (3 + 3)


def test_the_time_limit_reaches_the_wire(wire, session):
    wire.mock.get(NOVA, json={})
    session.get(NOVA)
    assert {r.timeout for r in wire.mock.request_history} == {(5, 20)}


def test_another_project_takes_the_place_of_the_configured_one(conf, wire):
    wire.mock.get(NOVA, json={})
    service_session(conf, PROJECT).get(NOVA)
    (asked,) = wire.sent('POST', '/v3/auth/tokens')
    assert asked.json()['auth']['scope'] == {'project': {'id': PROJECT}}
    assert asked.json()['auth']['identity']['password']['user']['name'] == 'aodh-ha'


def test_a_read_may_be_repeated_with_a_new_token(wire, session):
    wire.mock.get(NOVA, [{'status_code': 401}, {'json': {}}])
    assert session.get(NOVA).status_code == 200
    assert wire.tokens == 2


def test_credentials_of_one_project_cannot_enter_another(conf):
    conf.set_override('auth_type', 'admin_token', group='service_credentials')
    with pytest.raises(ConfigurationError, match='one project'):
        service_session(conf, PROJECT)


def test_without_credentials_it_says_which_are_missing(conf):
    conf.set_override('auth_type', None, group='service_credentials')
    with pytest.raises(ConfigurationError, match='auth_type is missing'):
        service_session(conf)


def test_nothing_is_sent_before_it_is_needed(wire, session):
    assert session
    assert wire.mock.request_history == []
