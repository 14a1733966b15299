"""aodh-ha telemetry prepare, from its options to what it prints."""

import pytest

from aodh_ha.cmd.telemetry import Prepare
from aodh_ha.exceptions import ConfigurationError
from tests.unit.publishers.test_gnocchi import METRICS, POLICIES, POLICY, TYPE, TYPES, URL, missing


def run(*arguments):
    command = Prepare(None, None)
    command.take_action(command.get_parser('prepare').parse_args(arguments))


@pytest.fixture
def config(tmp_path):
    file = tmp_path / 'aodh-ha.conf'
    file.write_text(f'[service_credentials]\nauth_type = none\nendpoint = {URL}\n')
    return f'--config-file={file}'


def test_it_prints_what_it_created_and_what_was_there(config, requests_mock, capsys):
    no_type = missing('Resource type', TYPE['name'])
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY)
    requests_mock.get(POLICIES + METRICS['name'], json=METRICS)
    requests_mock.get(TYPES + TYPE['name'], [no_type, {'json': TYPE}])
    requests_mock.post(TYPES, status_code=201, json=TYPE)
    run(config)
    assert capsys.readouterr().out.splitlines() == [
        'archive policy aodh-ha-heartbeat: exists already',
        'archive policy aodh-ha-metric: exists already',
        'resource type aodh_ha_guest: created',
    ]


def test_it_fails_when_what_is_there_differs(config, requests_mock):
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY | {'back_window': 1})
    with pytest.raises(ConfigurationError, match='back_window 1 instead of 0'):
        run(config)


def test_it_needs_no_openstack_credentials_of_the_caller():
    assert Prepare.auth_required is False
