"""The plugins as Ceilometer calls them.

What they do is tested without Ceilometer too: test_signs.py and publishers/test_samples.py.
"""

import configparser
import functools
import logging
import pathlib

import pytest
import yaml

pytest.importorskip('ceilometer', reason="install the extra 'ceilometer'")

from ceilometer import publisher as ceilometer_publisher
from ceilometer.polling import plugin_base
from oslo_config import cfg
from oslo_utils import netutils

from aodh_ha.agent import haproxy, push, stats
from aodh_ha.db import gateways, guests, metrics
from aodh_ha.db.models import metadata
from aodh_ha.plugins.ceilometer import pollster, publisher
from aodh_ha.rules.alarm import archive_policy
from aodh_ha.rules.heartbeat import Metric, resource_id

NOW = 1_764_000_000.0
ROOT = pathlib.Path(__file__).parents[3]
DEPLOY = ROOT / 'deploy/ceilometer'
POLLSTERS = {
    'guest.heartbeat': pollster.HeartbeatPollster,
    'guest.heartbeat.missed': pollster.MissedPollster,
    'guest.service.failures': pollster.ServiceFailuresPollster,
    'guest.watch': pollster.WatchPollster,
    'guest.metric': pollster.MetricPollster,
}


def configuration(tmp_path, text):
    file = tmp_path / 'ceilometer.conf'
    file.write_text(text)
    made = cfg.ConfigOpts()
    made([f'--config-file={file}'], project='ceilometer')
    return made


@pytest.fixture
def conf(database, tmp_path):
    url = database.engine.url.render_as_string(hide_password=False)
    return configuration(tmp_path, f'[aodh_ha]\nconnection = {url}\n')


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The time by the agent's clock; a list of one, to be changed."""
    now = [NOW]

    @functools.cache
    def source(url):
        return pollster.Source(url, clock=lambda: now[0])

    monkeypatch.setattr(pollster, 'source', source)
    return now


def poll(pollsters, cache=None):
    cache = {} if cache is None else cache
    return {m: list(p.get_samples(None, cache, ['aodh-ha'])) for m, p in pollsters.items()}


@pytest.fixture
def pollsters(conf):
    return {meter: cls(conf) for meter, cls in POLLSTERS.items()}


def test_each_pollster_yields_its_own_meter_for_every_guest(pollsters, enroll, listen, clock):
    healthy, silent = enroll(1, failures=2), enroll(2, last_seen=NOW - 52)
    listen()
    poll(pollsters)
    with_heartbeats = poll(pollsters)
    volumes = {
        meter: {s.resource_id: s.volume for s in found if s.name == meter}
        for meter, found in with_heartbeats.items()
        if meter not in ('guest.metric', 'guest.watch')
    }
    assert volumes == {
        'guest.heartbeat': {healthy.resource_id: 0, silent.resource_id: 0},
        'guest.heartbeat.missed': {healthy.resource_id: 0, silent.resource_id: 5},
        'guest.service.failures': {healthy.resource_id: 2, silent.resource_id: 0},
    }


def test_a_sample_says_whose_it_is(pollsters, enroll, listen):
    one = enroll(1)
    listen()
    (sample,) = poll(pollsters)['guest.heartbeat.missed']
    assert (sample.type, sample.unit) == ('gauge', 'heartbeat')
    assert (sample.resource_id, sample.project_id) == (resource_id(one.server_id), one.project_id)
    assert sample.resource_metadata == {'server_id': one.server_id, 'display_name': 'guest 1'}
    assert sample.get_iso_timestamp().timestamp() == NOW


def measure(database, server_id, *found, at=NOW):
    with database.write() as connection:
        metrics.record(connection, server_id, found, at)


def test_what_a_guest_measured_is_polled_once_by_its_own_name(pollsters, enroll, database, clock):
    one = enroll(1)
    measure(database, one.server_id, Metric('CPUUtilization', 12.5, 'Percent'), Metric('x', 1.0))
    first, *others = [poll(pollsters)['guest.metric'] for _ in range(3)]
    assert others == [[], []]
    found = {s.name: (s.type, s.unit, s.volume, s.resource_id) for s in first}
    assert found == {
        'guest.metric.CPUUtilization': ('gauge', 'Percent', 12.5, one.resource_id),
        'guest.metric.x': ('gauge', '', 1.0, one.resource_id),
    }
    clock[0] = NOW + 60
    measure(database, one.server_id, Metric('x', 1.0), at=NOW + 60)
    assert [s.name for s in poll(pollsters)['guest.metric']] == ['guest.metric.x']


def test_what_a_guest_measured_keeps_its_time_through_ceilometers_agent(
    pollsters, enroll, listen, database
):
    one = enroll(1)
    listen()
    measure(database, one.server_id, Metric('late', 1.0, age=3600.0))
    polled = poll(pollsters)
    # As PollingTask does with each sample, and then the way through the message queue.
    for s in (*polled['guest.metric'], *polled['guest.heartbeat.missed']):
        s.set_timestamp('2025-11-24T16:00:00')
    (late,) = polled['guest.metric']
    assert late.as_dict()['timestamp'] == '2025-11-24T15:00:00'
    (missed,) = polled['guest.heartbeat.missed']
    assert missed.timestamp == '2025-11-24T16:00:00'


def test_the_pollsters_share_one_look_at_the_database(pollsters, enroll, listen, database):
    one = enroll(1)
    listen()
    poll(pollsters)
    with database.write() as connection:
        guests.write_life(connection, one.server_id, NOW, 3, 'agent')
    # In any order, and the delta is neither lost to another pollster nor counted twice.
    cache = {}
    poll({'guest.heartbeat.missed': pollsters['guest.heartbeat.missed']}, cache)
    (heartbeat,) = poll(pollsters, cache)['guest.heartbeat']
    assert heartbeat.volume == 3
    (heartbeat,) = poll(pollsters)['guest.heartbeat']
    assert heartbeat.volume == 0


def test_nothing_is_polled_while_no_gateway_listens(pollsters, enroll, listen, clock):
    enroll(1)
    listen()
    clock[0] = NOW + 60
    assert not any(poll(pollsters).values())


def test_polling_goes_on_after_the_database_was_away(pollsters, enroll, listen, database, caplog):
    metadata.drop_all(database.engine)
    for _ in range(3):
        assert not any(poll(pollsters).values())
    errors = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 1
    assert 'database is away' in errors[0].getMessage()
    metadata.create_all(database.engine)
    enroll(1)
    listen()
    assert poll(pollsters)['guest.heartbeat.missed']
    assert 'lost in the meantime: 3' in caplog.text


def test_a_missing_connection_is_told_and_ends_that_pollster_only(tmp_path, caplog):
    with pytest.raises(plugin_base.ExtensionLoadError):
        pollster.MissedPollster(configuration(tmp_path, ''))
    assert '[aodh_ha] connection is missing' in caplog.text


def test_discovery_finds_the_database_without_saying_where_it_is(conf):
    discovery = pollster.Discovery(conf)
    assert discovery.discover(None) == ['aodh-ha']
    assert discovery.group_id == 'global'


def sample(conf, **changes):
    values = {
        'name': 'guest.heartbeat',
        'type': 'delta',
        'unit': 'heartbeat',
        'volume': 1,
        'user_id': None,
        'project_id': 'p',
        'resource_id': '00000000-0000-0000-0000-000000000001',
        'timestamp': '2025-11-24T15:59:59',
    }
    return pollster.ceilometer_sample.Sample(**(values | changes))


def open_publisher(conf, url):
    return publisher.SignOfLifePublisher(conf, netutils.urlsplit(url), clock=lambda: NOW)


def seen(database):
    with database.read() as connection:
        return guests.get(connection, '00000000-0000-0000-0000-000000000001').last_seen


def test_the_publisher_records_signs_of_life(conf, enroll, database):
    enroll(1, last_seen=None)
    open_publisher(conf, 'aodhha://').publish_samples([sample(conf)])
    assert seen(database) == NOW - 1


def test_the_publisher_takes_the_meters_of_its_url_and_no_others(conf, enroll, database):
    enroll(1, last_seen=None)
    made = open_publisher(conf, 'aodhha://?meter=cpu&meter=disk.device.write.bytes')
    made.publish_samples([sample(conf)])
    assert seen(database) is None
    made.publish_samples([sample(conf, name='disk.device.write.bytes')])
    assert seen(database) == NOW - 1


def test_the_publisher_never_hears_what_the_pollsters_say(
    conf, pollsters, enroll, listen, database
):
    enroll(1, last_seen=NOW - 500)
    listen()
    poll(pollsters)
    with database.write() as connection:
        guests.write_life(connection, '00000000-0000-0000-0000-000000000001', NOW - 400, 3, 'agent')
    ours = [s for found in poll(pollsters).values() for s in found]
    assert any(s.volume for s in ours if s.name == 'guest.heartbeat')
    meters = '&'.join(f'meter={m}' for m in POLLSTERS)
    open_publisher(conf, f'aodhha://?{meters}').publish_samples(ours)
    assert seen(database) == NOW - 400


def test_the_publisher_swallows_and_counts_what_it_cannot_record(conf, enroll, database, caplog):
    metadata.drop_all(database.engine)
    made = open_publisher(conf, 'aodhha://')
    for _ in range(2):
        made.publish_samples([sample(conf)])
    assert caplog.text.count('database is away') == 1
    metadata.create_all(database.engine)
    enroll(1, last_seen=None)
    made.publish_samples([sample(conf)])
    assert seen(database) == NOW - 1
    assert 'lost in the meantime: 2' in caplog.text


def test_every_batch_tells_that_ceilometer_hears_guests(conf, enroll, database):
    enroll(1, last_seen=None)
    made = open_publisher(conf, 'aodhha://?meter=guest.heartbeat.notified')
    made.publish_samples([sample(conf, name='guest.heartbeat', volume=0)])
    with database.read() as connection:
        assert gateways.listening_since(connection, NOW, 'ceilometer') == NOW
        assert gateways.listening_since(connection, NOW) is None
    assert seen(database) is None


def test_events_are_no_signs_of_life(conf, enroll, database):
    enroll(1, last_seen=None)
    open_publisher(conf, 'aodhha://').publish_events([object()])
    assert seen(database) is None


def test_ceilometer_finds_the_plugins_by_their_entry_points(conf):
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    groups = setup['options.entry_points']
    named = dict(line.split(' = ') for line in groups['ceilometer.poll.central'].split('\n')[1:])
    module = 'aodh_ha.plugins.ceilometer.pollster'
    assert named == {meter: f'{module}:{cls.__name__}' for meter, cls in POLLSTERS.items()}
    assert groups['ceilometer.discover.central'].strip() == f'aodh_ha = {module}:Discovery'
    made = ceilometer_publisher.get_publisher(
        conf, 'aodhha://?meter=a&meter=b', 'ceilometer.sample.publisher'
    )
    assert made.meters == {'a', 'b'}


def test_the_configuration_we_ship_fits_the_plugins():
    (source,) = yaml.safe_load((DEPLOY / 'polling.yaml').read_text())['sources']
    assert set(source['meters']) == set(POLLSTERS)
    file = yaml.safe_load((DEPLOY / 'gnocchi_resources_aodh_ha.yaml').read_text())
    (resource,) = file['resources']
    assert resource['resource_type'] == 'aodh_ha_guest'
    ours = {m for m in resource['metrics'] if not m.startswith('guest.metric.')}
    assert ours == set(POLLSTERS) - {'guest.metric'}
    policies = {name: m['archive_policy_name'] for name, m in resource['metrics'].items()}
    assert policies == {name: archive_policy(name) for name in policies}
    (metric,) = yaml.safe_load((DEPLOY / 'meters.d/guest_heartbeat.yaml').read_text())['metric']
    pipeline = yaml.safe_load((DEPLOY / 'pipeline.yaml').read_text())
    # The polled one comes every interval, and so tells that this way of hearing guests works.
    assert pipeline['sources'][0]['meters'] == [metric['name'], 'guest.heartbeat']
    assert pipeline['sinks'][0]['publishers'] == [f'aodhha://?meter={metric["name"]}']
    # Gnocchi would file it under the server's UUID, which Ceilometer's instance resource has.
    assert metric['name'] not in POLLSTERS


def test_every_metric_that_the_agent_has_by_itself_is_declared_for_ceilometer():
    found = stats.Statistics(['load', 'memory', 'swap'], logging.getLogger()).due()
    found += stats.disk('/', '')
    csv = '# pxname,type,status,check_duration,req_tot,'
    csv += ','.join(f'hrsp_{n}xx' for n in range(2, 6))
    found += haproxy.parse(csv + '\na,0,OPEN,,1,1,1,1,1\nb,1,UP,,1,1,1,1,1\n')
    names = {m['name'] for m in found} | {push.DROPPED, 'CPUUtilization'}
    file = yaml.safe_load((DEPLOY / 'gnocchi_resources_aodh_ha.yaml').read_text())
    declared = set(file['resources'][0]['metrics'])
    assert {m for m in declared if 'metric' in m} == {f'guest.metric.{n}' for n in names}
