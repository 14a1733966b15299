"""Events of services: kept while nobody hears of them, and what a heartbeat holds of them."""

import json
import os
import pathlib
import time
from typing import Any

import pytest

from aodh_ha.agent import beater as beater_module
from aodh_ha.agent import events as events_module
from aodh_ha.agent import log as log_module
from aodh_ha.agent import systemd
from aodh_ha.agent.beater import BODY_LIMIT, Beater
from aodh_ha.agent.events import AT_ONCE, KEPT, Events
from aodh_ha.agent.probes import Tcp

from .conftest import LOG, Gateway, Start, serve, wait_for


def test_events_outlive_the_agent_and_a_reboot(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Events(str(tmp_path), 'boot-1', LOG)
    first.add('web', 'failed', 'HTTP\x00 500')
    assert not (tmp_path / 'events').exists()  # a gateway may be about to hear of it
    first.keep()
    again = Events(str(tmp_path), 'boot-1', LOG)
    (told,) = again.untold()
    assert (told['service'], told['state'], told['detail']) == ('web', 'failed', 'HTTP  500')
    assert 0 <= float(str(told['ago'])) < 5
    clock = {'time': lambda: time.time() + 90, 'monotonic': lambda: 1.0}
    monkeypatch.setattr(events_module, 'time', type('Later', (), clock))
    (told,) = Events(str(tmp_path), 'boot-2', LOG).untold()
    assert 90 <= float(str(told['ago'])) < 95
    again.told([str(told['id'])])
    assert again.untold() == []
    assert (tmp_path / 'events').read_text() == ''


def test_the_oldest_events_are_dropped_and_that_is_said(
    tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture
) -> None:
    events = Events(str(tmp_path), 'boot-1', LOG)
    for n in range(KEPT + 3):
        events.add(f's{n}', 'ok')
    told = events.untold()
    assert (len(told), told[0]['service']) == (AT_ONCE, 's3')
    assert '3 events of services were dropped' in caplog.text
    events.keep()
    assert len((tmp_path / 'events').read_text().splitlines()) == KEPT


@pytest.mark.parametrize('text', ['{', '[]\n', '[1,2]\n{}\n', '\xff', '["a"]'])
def test_a_broken_file_of_events_is_none(tmp_path: pathlib.Path, text: str) -> None:
    (tmp_path / 'events').write_text(text, encoding='latin-1')
    assert Events(str(tmp_path), 'boot-1', LOG).untold() == []


def test_events_that_cannot_be_kept_are_told_all_the_same(tmp_path: pathlib.Path) -> None:
    (tmp_path / 'file').touch()
    events = Events(str(tmp_path / 'file'), 'boot-1', LOG)
    events.add('web', 'ok')
    events.keep()
    assert len(events.untold()) == 1


class Full:
    """As much as there can be of everything."""

    def report(self) -> dict[str, Any]:
        return {'name': 'ü' * 40, 'state': 'failed', 'failures': 10**6}

    def untold(self) -> list[dict[str, Any]]:
        return [{'id': f'{n:016x}', 'detail': 'ü' * 90} for n in range(32)]

    def waiting(self) -> list[dict[str, Any]]:
        return [{'name': f'm{n}', 'unit': 'ü' * 32} for n in range(32)]


def test_what_does_not_fit_waits_but_no_service_is_left_out() -> None:
    full: Any = Full()
    beater = Beater(full, full, [full] * 45, 1.0, 'b', LOG, events=full, outbox=full)
    text, sent = beater.body()
    told = json.loads(text)
    assert len(text) <= BODY_LIMIT
    assert len(told['services']) == 45
    assert told.get('metrics', []) == sent.metrics == []
    assert told['events'] == sent.events
    assert 0 < len(sent.events) < 32


def test_events_that_the_gateway_takes_for_wrong_do_not_silence_the_guest(
    make_gateway: Any, start: Start
) -> None:
    gateway: Gateway = make_gateway()
    plain = gateway.reply

    def picky(path: str, headers: Any, body: bytes) -> Any:
        if b'"events"' in body:
            sequence = headers['Authorization'].partition('sequence="')[2].partition('"')[0]
            return gateway.error(400, {'code': 'bad_request', 'detail': 'no'}, sequence)
        return plain(path, headers, body)

    other = serve(picky)
    beater = start(other.url)
    beater._events = Events('', 'boot-1', LOG)
    beater._events.add('web', 'failed')
    wait_for(lambda: 'bad_request' in gateway.refused)
    wait_for(lambda: len(gateway.beats) > 2)
    assert beater._events.untold() == []
    assert gateway.refused == ['bad_request']
    other.shutdown()
    other.server_close()


def test_many_events_are_told_soon(make_gateway: Any, start: Start) -> None:
    gateway: Gateway = make_gateway(interval=3600.0)
    beater = start(gateway)
    wait_for(lambda: gateway.beats)
    beater._events = Events('', 'boot-1', LOG)
    for _ in range(3 * AT_ONCE):
        beater._events.add('web', 'ok')
    beater.changed()
    wait_for(lambda: not beater._events.left)
    assert len(gateway.beats) >= 4


def test_heartbeats_that_do_not_move_are_stuck(
    gateway: Gateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beater_module, 'STUCK_AFTER', 0.3)
    hold = os.pipe()
    monkeypatch.setattr(beater_module, 'exchange', lambda *_, **__: os.read(hold[0], 1))
    beater = start(gateway)
    assert not beater.stuck
    wait_for(lambda: beater.stuck)
    beater.stop()
    os.write(hold[1], b'x')
    wait_for(lambda: not beater.stuck)


def test_a_long_interval_is_not_stuck(gateway: Gateway, start: Start, monkeypatch: Any) -> None:
    # Longer than a busy machine holds a thread up, and shorter than the interval.
    monkeypatch.setattr(beater_module, 'STUCK_AFTER', 1.0)
    gateway.interval = 1.5
    beater = start(gateway)
    seen = []
    wait_for(lambda: seen.append(beater.stuck) or len(gateway.beats) > 2)
    assert not any(seen)


def test_nobody_is_told_where_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ('', 'relative', '/nowhere/socket'):
        monkeypatch.setenv('NOTIFY_SOCKET', address)
        systemd.notify('READY=1')
    monkeypatch.setenv('WATCHDOG_USEC', '30000000')
    monkeypatch.setenv('WATCHDOG_PID', '1')
    assert systemd.watchdog() == 0.0
    monkeypatch.setenv('WATCHDOG_PID', str(os.getpid()))
    assert systemd.watchdog() == 30.0


def test_the_journal_gets_levels_and_people_get_times(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_module.logger(False).warning('%s is\n%d %%', 'web', 5)
    assert capsys.readouterr().err[20:] == 'WARNING web is\n5 %\n'
    monkeypatch.setenv('JOURNAL_STREAM', '8:1')
    log = log_module.logger(False)
    log.debug('nothing')
    try:
        raise ValueError('100 % wrong')
    except ValueError:
        log.exception('command %s', 'x')
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == '<3>command x'
    assert all(line.startswith('<3>') for line in lines)
    assert lines[-1] == '<3>ValueError: 100 % wrong'


def test_a_port_is_read_as_it_is_written() -> None:
    assert vars(Tcp('[::1]:80')) == {'_host': '::1', '_port': 80}
