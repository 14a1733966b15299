"""How the agent follows the file of its settings, and its command line."""

import logging
import os
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from aodh_ha.agent.main import Agent, main

from .conftest import LOG

WEB = '[service:web]\ncommand = true\n'
Write = Callable[[str], None]


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / 'agent.conf'


@pytest.fixture
def write(file: pathlib.Path) -> Write:
    times = iter(range(1, 1000))

    def write(text: str) -> None:
        file.write_text(text)
        at = next(times)
        os.utime(file, (at, at))  # another time for each, however fast this goes

    return write


@pytest.fixture
def begin(file: pathlib.Path, tmp_path: pathlib.Path) -> Callable[..., Agent]:
    """Start the agent (again), in this boot or another one."""

    def make(boot: str = 'b') -> Agent:
        environ = {'AODH_HA_BOOT_ID': boot, 'AODH_HA_STATE_DIR': str(tmp_path / 'state')}
        environ['AODH_HA_METADATA'] = str(tmp_path / 'none')
        return Agent(str(file), environ, LOG)

    return make


@pytest.fixture
def agent(write: Write, begin: Callable[..., Agent]) -> Agent:
    write(WEB)
    return begin()


def names(agent: Agent) -> list[str]:
    found = [w.name for w in agent.watches]
    assert found == [w.name for w in agent.beater.watches]
    return found


def test_a_file_that_is_being_written_is_not_read(agent: Agent, write: Write) -> None:
    write('')
    agent.look()
    write(WEB + '[service:db]\ncommand = tr')
    agent.look()
    write(WEB + '[service:db]\ncommand = true\n')
    agent.look()
    assert names(agent) == ['web']
    agent.look()
    assert names(agent) == ['web', 'db']
    assert agent.watches[1].service.options['command'] == 'true'


def test_a_file_that_is_gone_changes_nothing_and_is_said_once(
    agent: Agent, file: pathlib.Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    file.unlink()
    for _ in range(5):
        agent.look()
    agent.reload()  # and not for a signal either
    assert names(agent) == ['web']
    assert caplog.text.count('the old settings stay: the file') == 2
    write('')
    agent.look(), agent.look()
    assert names(agent) == []


def test_only_what_changed_begins_anew(agent: Agent, write: Write) -> None:
    write(WEB + '[service:db]\ncommand = true\n')
    agent.reload()
    web, db = agent.watches
    web.check()
    write('[agent]\ninterval = 3s\n' + WEB + '[service:db]\ncommand = true\ndepends_on = web\n')
    agent.reload()
    assert agent.watches[0] is web
    assert web.report()['state'] == 'ok'
    assert agent.watches[1] is not db
    assert agent.watches[1]._needs == [web]
    assert agent.beater.interval == 3.0
    agent.beater.interval = 7.0  # as a gateway says
    write(WEB + '[agent]\ninterval = 3s\n')
    agent.reload()
    assert agent.beater.interval == 7.0
    assert db._stopped


def test_used_attempts_last_as_long_as_the_guest_is_not_rebooted(
    write: Write, begin: Callable[..., Agent], tmp_path: pathlib.Path
) -> None:
    restarted = '[service:web]\ncommand = false\nrestart = true\nrestart_attempts = 3\n'

    def left(agent: Agent) -> int:
        restarter = agent.watches[0].service.restarter
        assert restarter
        return restarter.left()

    write(restarted)
    first = begin()
    for _ in range(2):
        first.watches[0]._due = True
        first.watches[0]._restart_here()
    assert left(first) == 1
    assert left(begin()) == 1
    assert left(begin('another boot')) == 3
    for broken in ('', '[]', '["b", [3]]', '["b", {"web": ["x"]}]', '["b", {"web": 3}]'):
        (tmp_path / 'state/restarts').write_text(broken)
        assert left(begin()) == 3
    write(restarted.replace('3', '2'))
    first.reload()
    assert left(first) == 2  # who has changed begins anew


def test_a_stopped_watch_says_and_restarts_nothing(agent: Agent, caplog: Any) -> None:
    caplog.set_level(logging.INFO)
    (web,) = agent.watches
    web.stop()
    web.check()
    web._due = True
    web._restart_here()
    assert 'service web' not in caplog.text


@pytest.mark.parametrize(
    ('broken', 'said'),
    [
        ('[service:web]\n', '[service:web]: write one of'),
        (WEB + '[agent]\nstatistics = cpu,weather\n', 'statistics = weather'),
        (WEB + '[agent]\nkey = a"b\nguest = g\ngateways = http://g\n', '[agent] guest, key'),
        ('[service', 'agent.conf'),
    ],
)
def test_broken_settings_are_said_and_the_old_ones_stay(
    agent: Agent, write: Write, broken: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    (web,) = agent.watches
    outbox = agent.beater.outbox
    write(broken)
    agent.reload()
    assert 'the old settings stay' in caplog.text
    assert said in caplog.text
    assert agent.watches == [web]
    assert agent.beater.outbox is outbox


def test_statistics_begin_anew_when_their_settings_change(agent: Agent, write: Write) -> None:
    first = agent.beater.outbox
    write(WEB + '[service:db]\ncommand = true\n')
    agent.reload()
    assert agent.beater.outbox is first
    write(WEB + '[agent]\nstatistics = load\n')
    agent.reload()
    assert agent.beater.outbox is not first
    assert agent.beater.outbox is not None
    assert [m['name'] for m in agent.beater.outbox.waiting()] == ['LoadAverage']


def test_settings_are_checked_without_running(
    file: pathlib.Path, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(WEB)
    assert main(['--check', '--config', str(file)]) == 0
    assert capsys.readouterr().out == '1 services\n'
    write('[service:web]\ntcp = a')
    assert main(['--check', f'--config={file}']) == 2
    assert '[service:web] tcp = a: write host:port' in capsys.readouterr().err
    write('[agent]\nstatistics = weather')
    assert main(['--check', f'--config={file}']) == 2
    assert 'weather: unknown' in capsys.readouterr().err
    assert main(['--wrong']) == 2
    assert main(['--config']) == 2
    assert 'usage:' in capsys.readouterr().err
