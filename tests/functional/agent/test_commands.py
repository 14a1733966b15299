"""Commands from the gateway: done once, only where the guest allows them, and answered."""

import json
import logging
import pathlib
import time
from typing import Any

import pytest

from aodh_ha.agent.checks import Service
from aodh_ha.agent.commands import AT_ONCE, DETAIL
from aodh_ha.agent.probes import Http, Tcp
from aodh_ha.agent.restarts import Restarter
from aodh_ha.agent.state import Memory

from .conftest import GUEST, LOG, Gateway, Start, closed_port, order, serve, wait_for


class Web:
    """A service that can be restarted: each restart is a line in a file."""

    def __init__(self, folder: pathlib.Path, command: str = 'echo restarted >> {}') -> None:
        self.file = folder / 'restarts'
        self.service = Service(
            'web',
            Tcp(closed_port()[len('http://') :]),
            interval=3600,
            restarter=Restarter(['sh', '-c', command.format(self.file)], timeout=5),
        )

    @property
    def restarts(self) -> int:
        return len(self.file.read_text().splitlines()) if self.file.exists() else 0


@pytest.fixture
def web(tmp_path: pathlib.Path) -> Web:
    return Web(tmp_path)


def result(gateway: Gateway, command: dict[str, Any]) -> dict[str, Any]:
    """The first result of the command that the gateway gets."""
    return wait_for(lambda: next((r for r in gateway.results if r['id'] == command['id']), None))


def beats(gateway: Gateway, more: int = 3) -> None:
    """So many more heartbeats have come, each answered with what the gateway hands out."""
    seen = len(gateway.beats)
    wait_for(lambda: len(gateway.beats) >= seen + more)


def test_a_service_is_restarted_once_however_often_it_is_asked_for(
    gateway: Gateway, start: Start, web: Web
) -> None:
    command = order()
    gateway.commands = [command]
    start(gateway, services=[web.service])
    found = result(gateway, command)
    assert found['ok'] is True
    assert found['detail'].startswith('restarted')
    assert 'refused' not in found
    beats(gateway)  # the gateway still asks, as if it had never got the result
    assert web.restarts == 1
    gateway.commands = []
    beats(gateway)
    assert 'results' not in gateway.beats[-1]


def test_a_result_is_told_until_it_was_heard(make_gateway: Any, start: Start, web: Web) -> None:
    gateway = make_gateway(interval=0.5)
    command = order()
    gateway.commands = [command]
    refusing: list[int] = []

    def answer() -> tuple[int, bytes, dict[str, str]] | None:
        if gateway.beats and len(refusing) < 2:
            refusing.append(1)
            return 503, b'{}', {}
        return None

    gateway.answer = answer
    start(gateway, services=[web.service])
    assert result(gateway, command)['ok'] is True
    assert len(refusing) == 2
    assert web.restarts == 1


def test_what_was_done_before_the_agent_was_restarted_is_not_done_again(
    make_gateway: Any, start: Start, web: Web
) -> None:
    command = order()
    first = make_gateway(commands=[command])
    agent = start(first, services=[web.service])
    result(first, command)
    agent.stop()
    second = make_gateway(commands=[command], last_sequence=first.last_sequence)
    start(second, services=[web.service])
    assert result(second, command)['ok'] is True
    assert web.restarts == 1


def test_a_command_that_was_cut_off_in_the_middle_is_not_done_again(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    command = order()
    Memory(str(tmp_path / 'state'), LOG).begin(command['id'])  # and there the power went off
    gateway.commands = [command]
    start(gateway, services=[web.service])
    found = result(gateway, command)
    assert (found['ok'], web.restarts) == (False, 0)
    assert 'may have been done' in found['detail']


def test_a_command_in_a_forged_reply_is_not_carried_out(
    make_gateway: Any, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    gateway = make_gateway(sign=False, commands=[order()])
    start(gateway, services=[web.service])
    beats(gateway)
    gateway.sign, gateway.commands = True, [order('report')]
    result(gateway, gateway.commands[0])  # so the agent would have had the time
    assert web.restarts == 0


def test_an_old_reply_that_is_played_back_is_not_obeyed(
    make_gateway: Any, start: Start, web: Web
) -> None:
    """A rebuilt guest counts from 1 again: the signature of an old reply is right once more."""
    gateway = make_gateway(commands=[order()], played_back=-86400)
    start(gateway, services=[web.service])
    beats(gateway)
    gateway.played_back, gateway.commands = 0, [order('report')]
    result(gateway, gateway.commands[0])  # so the agent would have had the time
    assert web.restarts == 0


@pytest.mark.parametrize(
    ('command', 'said'),
    [
        (order('shell', service='web'), 'knows no shell'),
        (order(service='mysqld'), 'no service mysqld is watched here'),
        (order(service='bare'), '[service:bare] of this guest has neither restart nor unit'),
        (order('check', service='mysqld'), 'no service mysqld'),
        (order(seconds=0), 'its time was over'),
        (order(seconds=-5.5), 'its time was over'),
    ],
)
def test_what_this_guest_does_not_allow_is_refused_with_the_reason(
    gateway: Gateway, start: Start, web: Web, command: dict[str, Any], said: str
) -> None:
    gateway.commands = [command]
    bare = Service('bare', Tcp('127.0.0.1:1'), interval=3600)
    start(gateway, services=[web.service, bare])
    found = result(gateway, command)
    assert (found['ok'], found['refused']) == (False, True)
    assert said in found['detail']
    assert web.restarts == 0


def test_a_command_whose_turn_comes_too_late_is_refused(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path
) -> None:
    slow = Web(tmp_path, 'echo restarted >> {}; sleep 0.5')
    first, second = order(), order(seconds=0.2)
    gateway.commands = [first, second]
    start(gateway, services=[slow.service])
    assert result(gateway, second)['refused'] is True
    assert result(gateway, first)['ok'] is True
    assert slow.restarts == 1


@pytest.mark.parametrize(
    'command',
    [
        5,
        {},
        [],
        order() | {'id': 'x'},
        order() | {'id': 7},
        order() | {'kind': None},
        order() | {'kind': 'x' * 65},
        order() | {'arguments': {'service': 7}},
        order() | {'expires_in': None},
        order() | {'expires_in': True},
        order() | {'expires_in': 1e300},
        order() | {'expires_in': float('nan')},
    ],
)
def test_what_is_no_command_harms_nothing(
    gateway: Gateway, start: Start, web: Web, command: Any
) -> None:
    good = order('report')
    gateway.commands = [command, good]
    start(gateway, services=[web.service])
    assert result(gateway, good)['ok'] is True
    assert [r['id'] for r in gateway.results if r['id'] != good['id']] == []
    assert web.restarts == 0


@pytest.mark.parametrize('told', [5, 'x', {}, None, {'a': 1}])
def test_commands_that_are_no_list_harm_nothing(gateway: Gateway, start: Start, told: Any) -> None:
    gateway.commands = told
    start(gateway)
    beats(gateway)


@pytest.mark.parametrize(
    ('command', 'said'),
    [
        ('exit 3', 'exit status 3'),
        ('kill -9 $$', 'signal 9'),
        ('sleep 60', 'not done within'),
    ],
)
def test_a_restart_that_does_not_work_is_a_failure_not_a_refusal(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path, command: str, said: str
) -> None:
    web = Web(tmp_path, command)
    assert web.service.restarter is not None
    web.service.restarter.timeout = 0.3
    gateway.commands = [order()]
    start(gateway, services=[web.service])
    found = result(gateway, gateway.commands[0])
    assert found['ok'] is False
    assert 'refused' not in found
    assert said in found['detail']


def test_heartbeats_go_on_while_a_service_is_restarted(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path
) -> None:
    go_on = tmp_path / 'go-on'
    web = Web(tmp_path, f'while [ ! -e {go_on} ]; do sleep 0.02; done')
    gateway.commands = [order()]
    start(gateway, services=[web.service])
    wait_for(lambda: gateway.beats)
    beats(gateway, 5)
    assert gateway.results == []
    go_on.touch()
    assert result(gateway, gateway.commands[0])['ok'] is True


def test_a_check_is_done_now_and_its_outcome_told(gateway: Gateway, start: Start) -> None:
    status = [200]
    server = serve(lambda *_: (status[0], b'', {}))
    service = Service('web', Http(server.url), interval=3600, failures=1)
    start(gateway, services=[service])
    wait_for(lambda: gateway.beats and gateway.beats[-1]['services'][0]['state'] == 'ok')
    status[0] = 500
    command = order('check')
    gateway.commands = [command]
    found = result(gateway, command)
    assert (found['ok'], found['detail']) == (True, 'HTTP 500')
    wait_for(lambda: gateway.beats[-1]['services'][0]['state'] == 'failed')
    server.shutdown()
    server.server_close()


def test_a_restarted_service_is_checked_at_once(
    make_gateway: Any, start: Start, tmp_path: pathlib.Path
) -> None:
    up = tmp_path / 'up'
    server = serve(lambda *_: (200 if up.exists() else 500, b'', {}))
    restarter = Restarter(['touch', str(up)])
    service = Service('web', Http(server.url), interval=3600, failures=1, restarter=restarter)
    gateway = make_gateway()
    start(gateway, services=[service])
    wait_for(lambda: gateway.beats and gateway.beats[-1]['services'][0]['state'] == 'failed')
    gateway.commands = [order()]
    assert result(gateway, gateway.commands[0])['detail'] == 'restarted'
    wait_for(lambda: gateway.beats[-1]['services'][0]['state'] == 'ok')
    server.shutdown()
    server.server_close()


def test_a_report_is_sent_at_once(make_gateway: Any, start: Start) -> None:
    command = order('report') | {'arguments': {}}
    gateway = make_gateway(interval=30.0, commands=[command])
    start(gateway)
    assert result(gateway, command)['ok'] is True


def test_many_results_leave_room_for_the_services(gateway: Gateway, start: Start) -> None:
    gateway.commands = [order('ß' * 60, service='ü' * 64) for _ in range(3 * AT_ONCE)]
    services = [Service(f'{n}' * 30, Tcp('127.0.0.1:1'), interval=3600) for n in range(40, 90)]
    start(gateway, services=services)
    for command in gateway.commands:
        assert len(result(gateway, command)['detail']) <= DETAIL
    assert max(len(b.get('results', [])) for b in gateway.beats) == AT_ONCE
    assert min(len(b['services']) for b in gateway.beats) == len(services)


def test_no_text_of_a_result_can_make_the_gateway_refuse_the_heartbeat(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path
) -> None:
    web = Web(tmp_path)
    assert web.service.restarter is not None
    web.service.restarter.command = ['/no\udcff\nsuch']  # as an undecodable file name is read
    gateway.commands = [order()]
    start(gateway, services=[web.service])
    detail = result(gateway, gateway.commands[0])['detail']
    assert detail.isprintable()
    detail.encode()


def test_a_state_folder_that_cannot_be_written_hinders_no_restart(
    gateway: Gateway, start: Start, web: Web, tmp_path: pathlib.Path
) -> None:
    (tmp_path / 'file').write_text('')
    gateway.commands = [order()]
    start(gateway, services=[web.service], state_dir=str(tmp_path / 'file' / 'state'))
    assert result(gateway, gateway.commands[0])['ok'] is True
    beats(gateway)
    assert web.restarts == 1


# ---- what is remembered


def test_the_memory_is_bounded_and_keeps_the_newest(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Memory, 'KEPT', 5)
    memory = Memory(str(tmp_path), LOG)
    ids = [order()['id'] for _ in range(Memory.KEPT + 3)]
    for id in ids:
        memory.begin(id)
        memory.end(id, True, 'x' * DETAIL, False)
    again = Memory(str(tmp_path), LOG)
    assert [r['id'] for r in again.untold()] == ids[3:]
    again.told(ids)
    assert Memory(str(tmp_path), LOG).untold() == []
    assert Memory(str(tmp_path), LOG).tell_again(ids[-1])
    assert not Memory(str(tmp_path), LOG).tell_again(ids[0])


@pytest.mark.parametrize(
    'text', ['', 'x', '[1]\n', '[]\n', '{"a": 1}\n', '\udcff', json.dumps([[]] * 6), '\0' * 99]
)
def test_a_memory_that_was_spoilt_is_an_empty_one(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / 'commands').write_bytes(text.encode('utf-8', 'surrogateescape'))
    memory = Memory(str(tmp_path), LOG)
    assert memory.untold() == []
    memory.begin(GUEST)
    assert Memory(str(tmp_path), LOG).untold()[0]['id'] == GUEST


def test_what_is_done_is_in_the_log(
    gateway: Gateway, start: Start, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    gateway.commands = [order()]
    start(gateway, services=[web.service])
    result(gateway, gateway.commands[0])
    assert f'command {gateway.commands[0]["id"]}: service.restart web' in caplog.text
    assert 'done: restarted' in caplog.text


def test_a_command_counts_from_its_request_not_from_its_arrival(
    make_gateway: Any, start: Start, web: Web
) -> None:
    """A reply that was held up on its way must not live longer for it."""
    command = order(seconds=0.2)
    gateway = make_gateway(commands=[command])
    held = []

    def answer() -> None:
        if not held:
            held.append(time.monotonic())
            end = time.monotonic() + 0.3
            wait_for(lambda: time.monotonic() > end)

    gateway.answer = answer
    start(gateway, services=[web.service])
    wait_for(lambda: gateway.results)
    assert gateway.results[0]['detail'] == 'its time was over'
    assert web.restarts == 0
