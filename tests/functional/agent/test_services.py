"""The services of a guest: unknown at first, then well or failed, and restarted where told."""

import pathlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from aodh_ha.agent import config
from aodh_ha.agent.checks import Service, Watch
from aodh_ha.agent.probes import Http, Tcp
from aodh_ha.agent.restarts import Restarter

from .conftest import LOG, Gateway, Start, serve, wait_for


class Web:
    """An HTTP service that is well while the file `up` exists."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.up = folder / 'up'
        self.checks = 0
        self.server = serve(self._reply)

    def _reply(self, *_: Any) -> tuple[int, bytes, dict[str, str]]:
        self.checks += 1
        return 200 if self.up.exists() else 500, b'', {}

    def service(self, **options: Any) -> Service:
        return Service('web', Http(self.server.url), **{'interval': 0.02, 'failures': 3} | options)


@pytest.fixture
def web(tmp_path: pathlib.Path) -> Iterator[Web]:
    web = Web(tmp_path)
    yield web
    web.server.shutdown()
    web.server.server_close()


def states(gateway: Gateway) -> list[str]:
    """The service's states in the order of the heartbeats, each change once."""
    found: list[str] = []
    for beat in gateway.beats:
        state = beat['services'][0]['state']
        if not found or found[-1] != state:
            found.append(state)
    return found


def restarts(file: pathlib.Path) -> int:
    return len(file.read_text().splitlines()) if file.exists() else 0


def counted(folder: pathlib.Path, more: str = '', **options: Any) -> Restarter:
    """A restarter that writes a line for each restart, and then does `more`."""
    command = f'echo x >> {folder}/restarts; {more}'
    return Restarter(['sh', '-c', command], timeout=5, **options)


# ---- not known at first


def test_a_service_is_unknown_until_its_first_check_went_well(
    make_gateway: Any, start: Start, web: Web
) -> None:
    gateway = make_gateway(interval=0.02)
    watched = web.service(failures=10_000)
    start(gateway, services=[watched])
    wait_for(lambda: len(gateway.beats) > 3 and web.checks > 3)
    assert states(gateway) == ['unknown']
    web.up.touch()
    wait_for(lambda: states(gateway) == ['unknown', 'ok'])


def test_a_service_is_unknown_until_it_failed_often_enough(
    make_gateway: Any, start: Start, web: Web
) -> None:
    gateway = make_gateway(interval=0.01)
    start(gateway, services=[web.service(interval=0.2, failures=3)])
    wait_for(lambda: states(gateway) == ['unknown', 'failed'])
    assert web.checks == 3


def test_a_service_that_hangs_from_the_start_is_failed_in_the_end() -> None:
    watch = Watch(Service('web', Tcp('127.0.0.1:1'), interval=0.01, timeout=0.01), print, LOG)
    assert watch.report()['state'] == 'unknown'
    wait_for(lambda: watch.report()['state'] == 'failed')  # its check never ends: none was begun


def test_failed_checks_of_the_start_period_do_not_count(web: Web) -> None:
    watch = Watch(web.service(start_period=3600, failures=1), lambda: None, LOG)
    for _ in range(3):
        assert watch.check() == 'HTTP 500'
    assert watch.report() == {'name': 'web', 'state': 'unknown', 'failures': 0}
    web.up.touch()
    watch.check()
    assert watch.report()['state'] == 'ok'


@pytest.mark.parametrize('name', ['\udcff', 'a' * 64 + '.example', '..', 'ß' * 70, ''])
def test_a_host_name_that_is_none_is_a_failed_check(name: str) -> None:
    assert Service('db', Tcp(f'{name}:1'), timeout=0.5).ask()


# ---- restarted by the agent itself


def test_a_service_is_restarted_here_before_anybody_is_told(
    make_gateway: Any, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    web.up.touch()
    gateway = make_gateway(interval=0.01)
    restarter = counted(tmp_path, f'touch {web.up}', attempts=3)
    start(gateway, services=[web.service(restarter=restarter)])
    wait_for(lambda: states(gateway)[-1:] == ['ok'])
    web.up.unlink()
    wait_for(lambda: restarts(tmp_path / 'restarts') == 1 and web.up.exists())
    checks = web.checks
    wait_for(lambda: web.checks > checks + 3)
    # The first check may end before the first heartbeat or after it.
    assert states(gateway) in (['unknown', 'ok'], ['ok'])
    assert restarts(tmp_path / 'restarts') == 1
    assert restarter.left() == 2


def test_a_service_that_restarts_do_not_heal_is_reported(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    restarter = counted(tmp_path, attempts=2)
    start(gateway, services=[web.service(restarter=restarter)])
    wait_for(lambda: states(gateway) == ['unknown', 'failed'])
    assert restarts(tmp_path / 'restarts') == 2
    assert web.checks >= 9  # three before each restart, and three after the last
    assert gateway.beats[-1]['services'][0]['failures'] >= 3


def test_a_restart_that_fails_is_tried_again_with_the_next_check(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    restarter = counted(tmp_path, 'exit 1', attempts=2)
    start(gateway, services=[web.service(restarter=restarter, interval=0.1)])
    wait_for(lambda: states(gateway) == ['unknown', 'failed'])
    assert restarts(tmp_path / 'restarts') == 2
    assert web.checks == 5


def test_restarts_are_counted_in_their_window(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    restarter = counted(tmp_path, attempts=1, window=0.3)
    start(gateway, services=[web.service(restarter=restarter)])
    wait_for(lambda: states(gateway)[-1:] == ['failed'])
    wait_for(lambda: restarts(tmp_path / 'restarts') >= 3)
    assert states(gateway) == ['unknown', 'failed']  # and stays so until it is well


def test_a_restart_that_was_not_asked_for_is_not_done(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    start(gateway, services=[web.service(restarter=counted(tmp_path))])
    wait_for(lambda: states(gateway)[-1:] == ['failed'])
    checks = web.checks
    wait_for(lambda: web.checks > checks + 5)
    assert restarts(tmp_path / 'restarts') == 0


def test_a_long_restart_is_neither_a_failure_nor_an_overdue_check(
    tmp_path: pathlib.Path,
) -> None:
    go_on = tmp_path / 'go-on'
    restarter = counted(tmp_path, f'while [ ! -e {go_on} ]; do sleep 0.02; done', attempts=1)
    service = Service(
        'web', Tcp('127.0.0.1:1'), interval=0.01, timeout=0.01, failures=2, restarter=restarter
    )
    watch = Watch(service, lambda: None, LOG)
    watch.start()
    wait_for(lambda: restarts(tmp_path / 'restarts') == 1)
    seen = set()
    end = threading.Event()

    def look() -> bool:
        seen.add(str(watch.report()['state']))
        return end.wait(0.3) or True  # long enough for many checks to be overdue

    look(), look()
    assert seen == {'unknown'}
    go_on.touch()
    wait_for(lambda: watch.report()['state'] == 'failed')


def test_a_restart_that_was_ordered_during_a_check_is_one_restart(tmp_path: pathlib.Path) -> None:
    file, begun, end = tmp_path / 'restarts', threading.Event(), threading.Event()

    def hang(*_: Any) -> tuple[int, bytes, dict[str, str]]:
        begun.set()
        end.wait(5)
        return 500, b'', {}

    server = serve(hang)
    restarter = counted(tmp_path)
    service = Service('web', Http(server.url), interval=3600, failures=1, restarter=restarter)
    watch = Watch(service, lambda: None, LOG)
    watch.start()
    begun.wait(5)
    order = threading.Thread(target=watch.restart)
    order.start()
    end.set()
    order.join(5)
    wait_for(lambda: restarts(file) == 1)
    watch.check()  # its turn comes after those before it
    assert restarts(file) == 1
    server.shutdown()
    server.server_close()


# ---- the command itself


def test_a_restarted_service_can_be_stopped_and_knows_no_key(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It must not inherit the signals that the agent's threads block."""
    monkeypatch.setenv('AODH_HA_KEY', 'secret')
    out = tmp_path / 'out'
    restarter = Restarter(['sh', '-c', f'grep SigBlk /proc/self/status > {out}; env >> {out}'])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        assert restarter.run(LOG) == ''
        assert signal.SIGTERM in signal.pthread_sigmask(signal.SIG_BLOCK, [])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    lines = out.read_text().splitlines()
    assert int(lines[0].split()[1], 16) == 0
    assert 'secret' not in out.read_text()


def test_a_service_that_keeps_the_commands_output_open_holds_nothing_up() -> None:
    assert Restarter(['sh', '-c', 'sleep 3 & exit 0'], timeout=2).run(LOG) == ''


def test_a_restart_command_that_hangs_is_ended_with_its_children(tmp_path: pathlib.Path) -> None:
    pid = tmp_path / 'pid'
    command = ['sh', '-c', f'sleep 60 & echo $! > {pid}; wait']
    assert 'not done within 0.3 s' in Restarter(command, timeout=0.3).run(LOG)
    process = pathlib.Path('/proc') / pid.read_text().strip() / 'stat'
    wait_for(lambda: not process.exists() or process.read_text().split()[2] == 'Z')


def test_a_command_that_is_not_there_is_said() -> None:
    assert 'No such file' in Restarter(['/nowhere/systemctl', 'restart', 'web']).run(LOG)


# ---- its settings


def load(tmp_path: pathlib.Path, text: str) -> Restarter | None:
    file = tmp_path / 'agent.conf'
    file.write_text(f'[service:web]\ntcp = localhost:80\n{text}\n')
    return config.load(str(file), {}).services[0].restarter


def test_a_restart_is_a_command_or_a_unit(tmp_path: pathlib.Path) -> None:
    assert load(tmp_path, '') is None
    command = load(tmp_path, "restart = sudo service 'my web' restart\nrestart_timeout = 9s")
    assert command is not None
    assert command.command == ['sudo', 'service', 'my web', 'restart']
    assert (command.timeout, command.attempts) == (9.0, 0)
    unit = load(tmp_path, 'unit = web@1.service\nrestart_attempts = 3\nrestart_window = 5m')
    assert unit is not None
    assert unit.command == ['systemctl', 'restart', 'web@1.service']
    assert (unit.timeout, unit.attempts, unit.window) == (60.0, 3, 300.0)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('unit = --force', 'a unit of systemd'),
        ('unit = a b', 'a unit of systemd'),
        ("restart = sh -c 'x", 'No closing quotation'),
        ('restart_attempts = 3', 'write also restart'),
        ('restart = a\nrestart_attempts = -1', 'whole number from 0'),
        ('restart = a\nrestart_attempts = ²', 'whole number from 0'),
        ('restart = a\nrestart_window = 0', 'restart_window'),
        ('restart = a\nrestart_timeout = soon', 'restart_timeout'),
        ('start_period = x', 'start_period'),
    ],
)
def test_a_wrong_restart_setting_is_named(tmp_path: pathlib.Path, text: str, said: str) -> None:
    with pytest.raises(config.ConfigError) as e:
        load(tmp_path, text)
    assert said in str(e.value)
