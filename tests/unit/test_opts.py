"""The configuration: what is wrong in it is told at the start, with what to write instead."""

import pytest
from oslo_config import generator

from aodh_ha import opts
from aodh_ha.exceptions import ConfigurationError
from aodh_ha.rules.policy import ACTIONS, Budget


def load(tmp_path, text=''):
    file = tmp_path / 'aodh-ha.conf'
    file.write_text(text)
    return opts.load(['--config-file', str(file)])


def test_guests_are_told_the_gateways_or_where_aodh_calls(tmp_path):
    file = tmp_path / 'aodh-ha.conf'
    file.write_text('[webhook]\npublic_url = https://ha.example.org:8787/\n')
    assert opts.gateways(opts.load(['--config-file', str(file)])) == ['https://ha.example.org:8787']
    file.write_text('[webhook]\ngateways = http://a:1/, http://b:2\n')
    assert opts.gateways(opts.load(['--config-file', str(file)])) == ['http://a:1', 'http://b:2']


def test_the_defaults_bound_what_is_done_at_once_and_forbid_what_loses_data(tmp_path):
    conf = load(tmp_path)
    limits = opts.limits(conf)
    assert limits.concurrent == {'all': 20}
    assert limits.per_window == (100, 600.0)
    actions, most = opts.bounds(conf)
    assert set(ACTIONS) - actions == {'server.evacuate', 'server.migrate', 'stack.recreate'}
    assert most == Budget(per_guest=None)


def test_limits_are_read_by_scope_and_0_or_nothing_means_none(tmp_path):
    conf = load(
        tmp_path,
        '[budget]\nconcurrent = 0\nconcurrent_per_host = 2\nconcurrent_per_stack = 1\n'
        'concurrent_per_zone = 7\nconcurrent_per_project = 5\nconcurrent_per_group = 3\n'
        'per_window =\n',
    )
    limits = opts.limits(conf)
    assert limits.concurrent == {'host': 2, 'stack': 1, 'zone': 7, 'project': 5, 'group': 3}
    assert limits.per_window is None


def test_bounds_of_projects_policies_are_read(tmp_path):
    conf = load(
        tmp_path,
        '[policies]\nallowed_actions = notify, server.reboot\nmost_concurrent = 4\n'
        'most_per_window = 20 in 10m\nmost_per_guest = 3 in 1h\n',
    )
    actions, most = opts.bounds(conf)
    assert actions == {'notify', 'server.reboot'}
    assert (most.concurrent, most.per_window, most.per_guest) == (4, (20, 600.0), (3, 3600.0))


def test_hooks_are_read_by_name(tmp_path):
    conf = load(
        tmp_path,
        '[hooks]\nnames = fence, page\n[hook:fence]\ncommand = /bin/fence --now\n'
        '[hook:page]\nurl = https://pager.example.org/x\ntimeout = 5\n'
        'for_projects = true\n[notifications]\nhook = page\n',
    )
    assert opts.hooks_for_projects(conf) == ['page']
    assert conf['hook:fence'].command == '/bin/fence --now'
    assert (conf['hook:page'].url, conf['hook:page'].timeout) == ('https://pager.example.org/x', 5)


@pytest.mark.parametrize(
    ('text', 'told'),
    [
        ('[budget]\nper_window = 20 per 10m', r'\[budget\] per_window = 20 per 10m: .*3 in 1h'),
        ('[budget]\nper_window = 20 in 10', r'per_window = 20 in 10: .*with its unit'),
        ('[policies]\nmost_per_guest = 0 in 1h', r'most_per_guest = 0 in 1h: must be from 1'),
        ('[policies]\nallowed_actions = reboot', r"no action 'reboot'; known are .*server.reboot"),
        ('[hooks]\nnames = fence', r'\[hook:fence\] must have either a command or a url'),
        (
            '[hooks]\nnames = fence\n[hook:fence]\ncommand = a\nurl = http://b/',
            r'\[hook:fence\] must have either',
        ),
        ('[hooks]\nnames = fence\n[hook:fence]\ncommand = a "b', r'\[hook:fence\] command: No clo'),
        ('[hooks]\nnames = fence\n[hook:fence]\nurl = file:///etc/passwd', 'url'),
        ('[hooks]\nnames = f\n[hook:f]\ncommand = a\ntimeout = soon', 'timeout'),
        ('[hooks]\nnames = forced_down\n', 'cannot be a name'),
        ('[hooks]\nnames = notify\n', 'cannot be a name'),
        ('[hooks]\nnames = a b\n', 'cannot be a name'),
        ('[notifications]\nhook = page', r'add page to \[hooks\] names'),
        ('[guards]\nstorm_share = 101', 'storm_share'),
        ('[worker]\nreconcile_interval = 0.5', 'reconcile_interval'),
    ],
)
def test_what_is_wrong_is_told_at_the_start(tmp_path, text, told):
    with pytest.raises(ConfigurationError, match=told):
        load(tmp_path, text)


def test_the_sample_of_the_configuration_has_every_group(tmp_path):
    file = tmp_path / 'sample.conf'
    generator.main(['--namespace', 'aodh_ha', '--output-file', str(file)])
    sample = file.read_text()
    for group in [*opts.GROUPS, 'hook:name', opts.SERVICE_GROUP]:
        assert f'\n[{group}]\n' in sample, group
