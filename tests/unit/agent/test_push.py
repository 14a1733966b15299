"""Values that others give to the agent, and their way into its heartbeats."""

import json
import logging
import os
import tempfile
from types import SimpleNamespace

import pytest

from aodh_ha.agent import push
from aodh_ha.agent.push import MOST, Outbox, SpoolError, put
from aodh_ha.rules import heartbeat

LOG = logging.getLogger('aodh-ha-agent')


@pytest.fixture
def now(monkeypatch):
    clock = SimpleNamespace(now=500.0, time=1_800_000_000.0, boot='boot-1')
    monkeypatch.setattr(push, 'uptime', lambda: clock.now)
    monkeypatch.setattr(push, 'this_boot', lambda: clock.boot)
    monkeypatch.setattr(push.time, 'time', lambda: clock.time)
    return clock


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path)


def outbox(folder, statistics=None):
    return Outbox(folder, LOG, statistics)


def told(box):
    return [(m['name'], m['value']) for m in box.waiting()]


def spooled(folder):
    return sorted(os.listdir(os.path.join(folder, 'push')))


def test_a_pushed_value_goes_out_with_its_age_until_it_was_told(folder, now):
    assert put(folder, 'Queue.length', 7, 'Jobs')
    now.now += 12.3
    box = outbox(folder)
    wanted = [{'name': 'Queue.length', 'value': 7.0, 'unit': 'Jobs', 'age': 12.3}]
    assert box.waiting() == wanted
    now.now += 10
    metrics = box.waiting()
    assert metrics[0]['age'] == 22.3, 'the gateway did not answer; a restart would read it again'
    box.told(metrics)
    assert box.waiting() == []
    assert spooled(folder) == []


def test_what_goes_out_is_what_the_gateway_takes(folder, now):
    put(folder, 'x' * 64, -1e308, '°' * 32)
    (metric,) = outbox(folder).waiting()
    body = json.dumps({'metrics': [metric]}).encode()
    assert heartbeat.parse_report(body).metrics[0].value == -1e308


def test_several_values_of_a_name_go_in_their_order(folder, now):
    for value in (1, 2, 3):
        now.now += 0.001
        put(folder, 'm', value)
    assert told(outbox(folder)) == [('m', 1.0), ('m', 2.0), ('m', 3.0)]


def test_a_heartbeat_carries_so_many_and_the_rest_goes_with_the_next(folder, now):
    for n in range(40):
        now.now += 1
        put(folder, f'm{n}', n)
    box = outbox(folder)
    first = box.waiting()
    assert [m['name'] for m in first] == [f'm{n}' for n in range(32)]
    box.told(first)
    assert [n for n, _ in told(box)] == [f'm{n}' for n in range(32, 40)]


def test_the_spool_is_bounded_the_oldest_goes_and_is_counted(folder, now):
    kept = []
    for n in range(MOST + 3):
        now.now += 1
        kept.append(put(folder, f'm{n}', n))
    assert kept == [True] * MOST + [False] * 3
    names = [n for n in spooled(folder) if n.endswith('.json')]
    assert len(names) == MOST
    box, seen = outbox(folder), []
    while metrics := box.waiting():
        seen += [(m['name'], m['value']) for m in metrics]
        box.told(metrics)
    assert seen == [(f'm{n}', float(n)) for n in range(3, MOST + 3)] + [('MetricsDropped', 3)]
    assert spooled(folder) == []


def test_a_value_of_before_a_reboot_has_its_age_from_the_wall_clock(folder, now):
    put(folder, 'm', 1)
    now.now, now.boot = 20.0, 'boot-2'
    now.time += 3600
    assert outbox(folder).waiting()[0]['age'] == 3600.0
    now.time -= 7200  # set back meanwhile: it is not of the future
    assert outbox(folder).waiting()[0]['age'] == 0.0


def test_what_is_older_than_a_day_is_never_told(folder, now, caplog):
    put(folder, 'm', 1)
    now.now += 86401
    assert outbox(folder).waiting() == []
    assert 'more than a day old' in caplog.text
    assert spooled(folder) == []


def junk(folder, name, text):
    spool = os.path.join(folder, 'push')
    os.makedirs(spool, exist_ok=True)
    with open(os.path.join(spool, name), 'wb') as f:
        f.write(text)


@pytest.mark.parametrize(
    'text',
    [
        b'',
        b'{"name": "m"',
        b'\xff',
        b'[]',
        b'[' * 5000,
        b'{"name":"a b","value":1,"unit":"","boot":"","uptime":0,"time":0}',
        b'{"name":"m","value":NaN,"unit":"","boot":"boot-1","uptime":0,"time":0}',
        b'{"name":"m","value":true,"unit":"","boot":"boot-1","uptime":0,"time":0}',
        b'{"name":"m","value":1,"unit":"","boot":"boot-1","uptime":"x","time":0}',
        b'{"name":"m","value":1,"unit":"","boot":"boot-1","uptime":NaN,"time":0}',
        b'{"name":"m","value":1,"unit":null,"boot":"boot-1","uptime":0,"time":0}',
        b'{"name":"m","value":1,"unit":"' + b'x' * 2000 + b'"}',
    ],
)
def test_junk_in_the_spool_keeps_nothing_else_out(folder, now, caplog, text):
    junk(folder, '0.json', text)
    put(folder, 'good', 1)
    assert told(outbox(folder)) == [('good', 1.0)]
    assert '0.json is left out' in caplog.text
    assert len(spooled(folder)) == 1


def test_a_link_and_a_pipe_in_the_spool_are_not_followed(folder, now, tmp_path):
    junk(folder, 'x', b'')
    secret = tmp_path / 'secret'
    secret.write_text('{"name":"m","value":1,"unit":"","boot":"boot-1","uptime":0,"time":0}')
    os.symlink(secret, os.path.join(folder, 'push', '0.json'))
    os.mkfifo(os.path.join(folder, 'push', '1.json'))
    assert outbox(folder).waiting() == []
    assert secret.exists()


def test_what_cannot_be_deleted_is_told_once(folder, now, monkeypatch, caplog):
    put(folder, 'm', 1)
    box = outbox(folder)

    def unlink(path):
        raise PermissionError(1, 'Operation not permitted')

    monkeypatch.setattr(os, 'unlink', unlink)
    metrics = box.waiting()
    box.told(metrics)
    assert box.waiting() == []
    assert 'cannot be deleted' in caplog.text


class Measured:
    def __init__(self, *rounds):
        self.rounds = list(rounds)

    def due(self):
        return self.rounds.pop(0) if self.rounds else []


def one(name, value, **more):
    return {'name': name, 'value': value, 'unit': ''} | more


def test_of_what_was_measured_the_newest_value_is_kept_until_it_was_told(folder, now):
    box = outbox('', Measured([one('a', 1), one('b', 2, age=3.0)], [one('a', 5)]))
    assert [(m['name'], m['value'], m['age']) for m in box.waiting()] == [
        ('a', 1, 0.0),
        ('b', 2, 3.0),
    ]
    now.now += 60
    metrics = box.waiting()
    assert [(m['name'], m['value'], m['age']) for m in metrics] == [('b', 2, 63.0), ('a', 5, 0.0)]
    box.told(metrics)
    assert box.waiting() == []


def test_neither_what_was_measured_nor_what_was_pushed_keeps_the_other_out(folder, now):
    for n in range(40):
        now.now += 1
        put(folder, f'p{n}', n)
    box = outbox(folder, Measured([one(f's{n}', n) for n in range(50)]))
    names = [m['name'] for m in box.waiting()]
    assert names == [f's{n}' for n in range(24)] + [f'p{n}' for n in range(8)]


def test_no_state_folder_no_spool(folder, now):
    assert outbox('').waiting() == []
    assert outbox(os.path.join(folder, 'missing')).waiting() == []
    with pytest.raises(SpoolError, match='run the agent once, or name its state folder'):
        put(os.path.join(folder, 'missing'), 'm', 1)


def as_user(uid, work):
    """What work returns in a process of this user."""
    pid = os.fork()
    if not pid:
        code = 99
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            code = work()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root to be somebody else')
def test_root_pushes_to_an_agent_that_is_somebody_else_and_a_stranger_does_not(now):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own is closed for others
        os.chown(folder, 65534, 65534)
        put(folder, 'm', 1)

        def stranger():
            try:
                put(folder, 'm', 1)
            except SpoolError as e:
                return 'push as root or as the user of the agent' in str(e)
            return 2

        def agent():
            box = outbox(folder)
            metrics = box.waiting()
            box.told(metrics)
            return len(metrics)

        assert as_user(1, stranger) == 1
        assert as_user(65534, agent) == 1
        assert spooled(folder) == []


# ---- the command


def test_the_command_leaves_a_value(folder, now, capsys):
    arguments = ['--metric', 'm', '--value=2.5', '--units', 'Jobs', '--state-dir', folder]
    assert push.main(arguments, {}) == 0
    assert told(outbox(folder)) == [('m', 2.5)]
    assert capsys.readouterr() == ('', '')


def test_the_command_finds_the_state_folder_as_the_agent_does(folder, now, tmp_path):
    config = tmp_path / 'agent.conf'
    config.write_text(f'[agent]\nstate_dir = {folder}\n')
    assert push.main(['--metric', 'a', '--value', '1'], {'AODH_HA_STATE_DIR': folder}) == 0
    assert push.main(['--metric', 'b', '--value', '1', '--config', str(config)], {}) == 0
    assert push.main(['--metric', 'c', '--value', '1'], {'AODH_HA_CONFIG': str(config)}) == 0
    assert len(outbox(folder).waiting()) == 3


@pytest.mark.parametrize(
    ('arguments', 'words'),
    [
        ([], 'write --metric NAME and --value NUMBER'),
        (['--metric', 'm'], 'write --metric NAME and --value NUMBER'),
        (['--metric', 'm', '--value', '1,5'], '--value 1,5: write a number'),
        (['--metric', 'm', '--value', 'nan'], 'finite'),
        (['--metric', 'a b', '--value', '1'], 'a name has 1 to 64'),
        (['--metric', 'm\n', '--value', '1'], 'a name has 1 to 64'),
        (['--metric', 'm', '--value', '1', '--unit', 'x' * 33], 'a unit has at most 32'),
        (['--metric', 'm', '--value'], 'usage:'),
        (['--what', 'm'], 'usage:'),
        (['m'], 'usage:'),
    ],
)
def test_wrong_arguments_are_named(arguments, words, folder, capsys):
    assert push.main([*arguments], {'AODH_HA_STATE_DIR': folder}) == 2
    assert words in capsys.readouterr().err
    assert os.listdir(folder) == []


def test_a_spool_that_cannot_be_written_is_told(folder, now, capsys):
    junk(folder, 'x', b'')
    assert push.main(['--metric', 'm', '--value', '1', '--state-dir', '/nonexistent'], {}) == 1
    assert 'aodh-ha-agent push: /nonexistent' in capsys.readouterr().err


def test_the_usage_is_told(capsys):
    assert push.main(['--help'], {}) == 0
    assert capsys.readouterr().out.startswith('usage: aodh-ha-agent push --metric')
