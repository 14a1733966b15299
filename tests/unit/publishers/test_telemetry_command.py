"""aodh-ha telemetry prepare, from its options to what it prints."""

import pathlib

import pytest
import yaml

from aodh_ha.cmd.telemetry import Definitions, Prepare
from aodh_ha.db import metrics
from aodh_ha.exceptions import ConfigurationError
from aodh_ha.rules.heartbeat import Metric
from tests.unit.publishers.test_gnocchi import METRICS, POLICIES, POLICY, TYPE, TYPES, URL, missing

ROOT = pathlib.Path(__file__).parents[3]


def run(*arguments, command=Prepare):
    command = command(None, None)
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


def test_the_definitions_for_ceilometer_are_of_the_names_in_use(tmp_path, database, enroll, capsys):
    one, other = enroll(1).server_id, enroll(2).server_id
    with database.write() as connection:
        found = [Metric('Queue.length', 1.0), Metric('10', 1.0)]
        metrics.record(connection, one, found, 1_764_000_000.0)
        metrics.record(connection, other, found[:1], 1_764_000_000.0)
    file = tmp_path / 'aodh-ha.conf'
    url = database.engine.url.render_as_string(hide_password=False)
    file.write_text(f'[database]\nconnection = {url}\n')
    run(f'--config-file={file}', command=Definitions)
    ours = ROOT / 'deploy/ceilometer/gnocchi_resources_aodh_ha.yaml'
    above, attributes, below = ours.read_text().partition('    attributes:')
    merged = yaml.safe_load(above + capsys.readouterr().out + attributes + below)
    declared = merged['resources'][0]['metrics']
    for name in ('10', 'Queue.length'):
        policy = declared[f'guest.metric.{name}']
        assert policy == declared['guest.metric.CPUUtilization']


def test_it_fails_when_what_is_there_differs(config, requests_mock):
    requests_mock.get(POLICIES + POLICY['name'], json=POLICY | {'back_window': 1})
    with pytest.raises(ConfigurationError, match='back_window 1 instead of 0'):
        run(config)


def test_it_needs_no_openstack_credentials_of_the_caller():
    assert Prepare.auth_required is False
