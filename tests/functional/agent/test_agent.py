"""The agent against gateways that answer well, badly, wrongly or not at all."""

import ast
import json
import logging
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
import zipapp
from typing import Any

import pytest

import aodh_ha.agent
from aodh_ha.agent import beater as beater_module
from aodh_ha.agent import config, identity
from aodh_ha.agent.checks import Service
from aodh_ha.agent.probes import Http, Tcp
from aodh_ha.agent.state import BLOCK, Sequence
from aodh_ha.agent.transport import TransportError, exchange

from .conftest import GUEST, KEY, LOG, Gateway, Start, closed_port, serve, wait_for

FOLDER = pathlib.Path(aodh_ha.agent.__file__).parent


def test_a_heartbeat_is_signed_and_says_what_the_contract_says(
    gateway: Gateway, start: Start
) -> None:
    start(gateway)
    wait_for(lambda: len(gateway.beats) >= 3)
    beat = gateway.beats[0]
    assert (beat['guest'], beat['generation'], beat['boot_id']) == (GUEST, '1', 'boot-1')
    assert (beat['agent'], beat['services']) == (aodh_ha.agent.__version__, [])
    assert [b['sequence'] for b in gateway.beats[:3]] == ['1', '2', '3']
    assert gateway.refused == []
    assert gateway.paths[0] == '/v1/heartbeats'


def test_the_interval_is_the_gateways(make_gateway: Any, start: Start) -> None:
    gateway = make_gateway(interval=0.1)
    began = time.monotonic()
    start(gateway, interval='3600s')
    wait_for(lambda: len(gateway.beats) >= 4)
    assert time.monotonic() - began > 3 * 0.09


def test_a_reply_without_the_guests_signature_is_not_obeyed(
    make_gateway: Any, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = make_gateway(sign=False, interval=3600.0)
    caplog.set_level(logging.INFO)
    start(gateway)
    wait_for(lambda: len(gateway.beats) >= 3)
    assert 'not signed with the key of this guest' in caplog.text


def test_a_forged_sequence_or_time_is_not_obeyed(make_gateway: Any, start: Start) -> None:
    forged = {'code': 'replayed_sequence', 'last_sequence': 10**12}
    gateway = make_gateway()
    answers = [(409, json.dumps({'errors': [forged]}).encode(), {})]
    gateway.answer = lambda: answers.pop() if answers else None
    start(gateway)
    wait_for(lambda: gateway.beats)
    assert gateway.beats[0]['sequence'] == '2'


def test_after_a_lost_state_folder_the_sequence_jumps_forward(
    make_gateway: Any, start: Start
) -> None:
    gateway = make_gateway(last_sequence=5000)
    start(gateway)
    wait_for(lambda: gateway.beats)
    assert gateway.beats[0]['sequence'] == '5001'
    assert gateway.refused == ['replayed_sequence']


def test_sequence_numbers_never_repeat_after_a_kill(tmp_path: pathlib.Path) -> None:
    first = Sequence(str(tmp_path), LOG)
    used = [first.next() for _ in range(BLOCK + 5)]
    again = Sequence(str(tmp_path), LOG)
    assert again.next() > max(used)
    again.jump(3)
    assert again.next() > max(used) + 1


def test_a_state_folder_that_cannot_be_written_silences_nobody(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path
) -> None:
    (tmp_path / 'file').write_text('')
    start(gateway, state_dir=str(tmp_path / 'file' / 'state'))
    wait_for(lambda: len(gateway.beats) >= 2)


def test_a_wrong_wall_clock_is_put_right_by_the_gateway(make_gateway: Any, start: Start) -> None:
    gateway = make_gateway(skew=-7200.0)
    start(gateway)
    wait_for(lambda: len(gateway.beats) >= 2)
    assert gateway.refused == ['clock_skew']


def test_a_jump_of_the_wall_clock_changes_nothing(
    gateway: Gateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(gateway)
    wait_for(lambda: gateway.beats)
    real = time.time
    monkeypatch.setattr(
        'aodh_ha.agent.clock.time',
        type('Jumped', (), {'time': lambda: real() - 3600, 'monotonic': time.monotonic}),
    )
    seen = len(gateway.beats)
    wait_for(lambda: len(gateway.beats) >= seen + 3)
    assert gateway.refused == []


def test_another_gateway_takes_over_and_stays(
    make_gateway: Any, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beater_module, 'REQUEST_TIMEOUT', 1.0)
    hung = socket.create_server(('127.0.0.1', 0))
    mute = f'http://127.0.0.1:{hung.getsockname()[1]}'
    busy = make_gateway(answer=lambda: (503, b'{}', {'Retry-After': '1'}))
    good = make_gateway()
    start(closed_port(), mute, busy, good)
    wait_for(lambda: len(good.beats) >= 3)
    assert len(busy.paths) == 1
    hung.close()


def test_a_gateway_that_comes_back_is_heard_of_soon(gateway: Gateway, start: Start) -> None:
    answers = [(500, b'<html>', {})] * 3
    gateway.answer = lambda: answers.pop() if answers else None
    start(gateway, interval='0.4s')
    wait_for(lambda: gateway.beats, 4)


@pytest.mark.parametrize(
    'body', [b'x' * 200_000, b'[' * 50_000, b'{"errors": 5}', b'\xff', b'[]', b'{"interval": -1}']
)
def test_a_senseless_reply_harms_nothing(gateway: Gateway, start: Start, body: bytes) -> None:
    answers = [(202, body, {}), (400, body, {})]
    gateway.answer = lambda: answers.pop() if answers else None
    start(gateway)
    wait_for(lambda: gateway.beats)


def test_an_exchange_has_one_time_limit_for_all_of_it() -> None:
    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        try:
            while True:
                connection.sendall(b'x')
                time.sleep(0.02)
        except OSError:
            pass

    server = socket.create_server(('127.0.0.1', 0))
    threading.Thread(target=drip, args=(server,), daemon=True).start()
    began = time.monotonic()
    with pytest.raises(TransportError, match=r'too long|timed out'):
        exchange('GET', f'http://127.0.0.1:{server.getsockname()[1]}/', timeout=0.2)
    assert time.monotonic() - began < 1
    server.close()


def test_the_key_is_read_again_when_the_gateway_refuses_it_or_the_file_changes(
    gateway: Gateway, start: Start, tmp_path: pathlib.Path
) -> None:
    metadata = tmp_path / 'meta_data.json'

    def write(**meta: str) -> None:
        new = tmp_path / 'new'
        new.write_text(json.dumps({'uuid': GUEST, 'meta': meta}))
        new.replace(metadata)

    write()
    start(metadata=str(metadata))
    write(aodh_ha_gateways=gateway.url, aodh_ha_key='old', aodh_ha_generation='1')
    wait_for(lambda: 'bad_signature' in gateway.refused)
    write(aodh_ha_gateways=gateway.url, aodh_ha_key=KEY, aodh_ha_generation='2')
    wait_for(lambda: gateway.beats)
    assert gateway.beats[0]['generation'] == '2'


@pytest.mark.parametrize('generation', [2, 2**53 + 1])
def test_a_newer_key_is_looked_for_whatever_its_number(
    make_gateway: Any, start: Start, monkeypatch: pytest.MonkeyPatch, generation: int
) -> None:
    monkeypatch.setattr(identity, 'LOOK_AGAIN', 0)
    gateway = make_gateway(interval=0.1)
    meta = {'aodh_ha_gateways': gateway.url, 'aodh_ha_key': KEY, 'aodh_ha_generation': '1'}
    document = {'uuid': GUEST, 'meta': meta}
    server = serve(lambda *_: (200, json.dumps(document).encode(), {}))
    start(metadata=server.url + '/openstack/latest/meta_data.json')
    wait_for(lambda: gateway.beats)
    meta['aodh_ha_generation'] = str(generation)
    gateway.generation = generation
    wait_for(lambda: gateway.beats[-1]['generation'] == str(generation))


def test_credentials_come_from_the_metadata_service_too(gateway: Gateway, start: Start) -> None:
    meta = {'aodh_ha_gateways': gateway.url, 'aodh_ha_key': 'old'}
    document = {'uuid': GUEST, 'meta': meta}
    server = serve(lambda *_: (200, json.dumps(document).encode(), {}))
    start(metadata=server.url + '/openstack/latest/meta_data.json')
    wait_for(lambda: gateway.refused)
    meta['aodh_ha_key'] = KEY
    wait_for(lambda: gateway.beats)
    server.shutdown()
    server.server_close()


def test_a_services_failure_is_told_at_once_and_so_is_its_return(
    make_gateway: Any, start: Start
) -> None:
    status = [200]
    web = serve(lambda *_: (status[0], b'', {}))
    gateway = make_gateway(interval=30.0)
    service = Service('web', Http(web.url + '/health'), interval=0.02, timeout=1, failures=3)
    start(gateway, services=[service])

    def told() -> Any:
        services = gateway.beats[-1]['services'] if gateway.beats else []
        return services[0]['state'] if services else None

    status[0] = 500
    wait_for(lambda: told() == 'failed')
    assert gateway.beats[-1]['services'][0]['name'] == 'web'
    assert gateway.beats[-1]['services'][0]['failures'] >= 3
    status[0] = 200
    wait_for(lambda: told() == 'ok')
    assert gateway.beats[-1]['services'][0]['failures'] == 0
    web.shutdown()
    web.server_close()


def test_a_hanging_service_does_not_stop_the_heartbeats(gateway: Gateway, start: Start) -> None:
    hung = socket.create_server(('127.0.0.1', 0))
    url = f'http://127.0.0.1:{hung.getsockname()[1]}/'
    service = Service('web', Http(url), interval=0.02, timeout=0.05, failures=2)
    start(gateway, services=[service])
    wait_for(lambda: gateway.beats and gateway.beats[-1]['services'])
    wait_for(lambda: gateway.beats[-1]['services'][0]['state'] == 'failed')
    seen = len(gateway.beats)
    wait_for(lambda: len(gateway.beats) >= seen + 3)
    hung.close()


def test_a_tcp_service_is_checked_by_connecting(gateway: Gateway) -> None:
    address = gateway.url[len('http://') :]
    assert Service('db', Tcp(address)).ask() == ''
    assert 'refused' in Service('db', Tcp(closed_port()[len('http://') :])).ask()


def test_heartbeats_go_through_the_proxy_of_the_environment_and_checks_do_not(
    gateway: Gateway, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = serve(gateway.reply)
    monkeypatch.setenv('http_proxy', proxy.url.replace('//', '//guest-1@'))
    start(gateway)
    wait_for(lambda: gateway.beats)
    assert gateway.paths[0] == gateway.url + '/v1/heartbeats'
    assert gateway.headers[0]['Proxy-Authorization'] == 'Basic Z3Vlc3QtMTo='
    seen = len([p for p in gateway.paths if p.endswith('/health')])
    Service('web', Http(gateway.url + '/health')).ask()
    assert [p for p in gateway.paths if p.endswith('/health')][seen:] == ['/health']
    proxy.shutdown()
    proxy.server_close()


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('[agent]\ninterwal = 1', 'interwal'),
        ('[agent]\ninterval = 10 parsecs', '[agent] interval'),
        ('[service:web]\ninterval = 2', 'write one of http = ..., tcp'),
        ('[service:web]\ntcp = nowhere', 'host:port'),
        ('[service:web]\ntcp = a:1\nfailures = 0', 'whole number'),
        ('[service:web]\nurl = http://a', 'known are'),
        ('[agent', 'agent.conf'),
        ('[service:]\ntcp = a:1', 'write a name'),
        (f'[service:{"x" * 65}]\ntcp = a:1', 'write a name'),
        (''.join(f'[service:{n}]\ntcp = a:1\n' for n in range(65)), 'at most 64'),
    ],
)
def test_a_wrong_setting_is_named_with_its_cure(
    tmp_path: pathlib.Path, text: str, said: str
) -> None:
    (tmp_path / 'agent.conf').write_text(text)
    with pytest.raises(config.ConfigError) as e:
        config.load(str(tmp_path / 'agent.conf'), {})
    assert said in str(e.value)


def test_the_environment_wins_over_the_file(tmp_path: pathlib.Path) -> None:
    file = tmp_path / 'agent.conf'
    file.write_text('[agent]\ninterval = 1m\nkey = in-file\n[service:web]\nhttp = http://h/%20\n')
    settings = config.load(str(file), {'AODH_HA_KEY': 'in-env'})
    assert (settings.interval, settings.key) == (60.0, 'in-env')
    assert settings.services[0].options['http'] == 'http://h/%20'


@pytest.mark.parametrize('form', ['folder', 'zipapp', 'package'])
def test_the_agent_runs_alone_and_ends_on_sigterm_without_telling_its_key(
    gateway: Gateway, tmp_path: pathlib.Path, form: str
) -> None:
    command = [sys.executable, '-S', str(FOLDER)]
    if form == 'zipapp':
        zipapp.create_archive(FOLDER, tmp_path / 'agent.pyz')
        command[-1] = str(tmp_path / 'agent.pyz')
    elif form == 'package':
        command[-1:] = ['-m', 'aodh_ha.agent']
    environ = {
        'PATH': os.environ['PATH'],
        'PYTHONPATH': str(FOLDER.parents[1]) if form == 'package' else '',
        'AODH_HA_GATEWAYS': gateway.url,
        'AODH_HA_GUEST': GUEST,
        'AODH_HA_KEY': KEY,
        'AODH_HA_STATE_DIR': str(tmp_path / 'state'),
        'AODH_HA_BOOT_ID': 'boot-7',
    }
    with subprocess.Popen(
        [*command, '--verbose'], env=environ, stderr=subprocess.PIPE, text=True
    ) as p:
        try:
            wait_for(lambda: len(gateway.beats) >= 2)
        finally:
            p.send_signal(signal.SIGTERM)
        _, err = p.communicate(timeout=5)
    assert p.returncode == 0, err
    assert gateway.beats[0]['boot_id'] == 'boot-7'
    assert 'heard by' in err
    assert KEY not in err


def test_a_guest_is_spared_what_the_agent_does_not_need(
    gateway: Gateway, tmp_path: pathlib.Path
) -> None:
    """OpenSSL, the mail parser of http.client and the like are more than all the rest of it."""
    (tmp_path / 'agent.conf').write_text(
        f'[service:web]\nhttp = {gateway.url}/health\nrestart = true\n[service:db]\ntcp = a:1\n'
    )
    watch = """
import os, sys, threading
from aodh_ha.agent.main import main
class Log(list):
    def write(self, text):
        if 'heard by' in text and 'not heard' not in text:
            memory = [l.split()[1] for l in open('/proc/self/status') if l.startswith('VmRSS')]
            print(memory[0], *sorted(sys.modules), flush=True)
            os._exit(0)
        return len(text)
    def flush(self): pass
sys.stderr = Log()
main()
"""
    environ = {
        'PYTHONPATH': str(FOLDER.parents[1]),
        'AODH_HA_CONFIG': str(tmp_path / 'agent.conf'),
        'AODH_HA_GATEWAYS': gateway.url,
        'AODH_HA_GUEST': GUEST,
        'AODH_HA_KEY': KEY,
        'AODH_HA_STATE_DIR': str(tmp_path / 'state'),
        'http_proxy': gateway.url,
    }

    def run(text: str) -> list[str]:
        command = [sys.executable, '-S', '-c', text]
        return subprocess.run(
            command, env=environ, capture_output=True, text=True, timeout=20, check=True
        ).stdout.split()

    memory, *modules = run(watch)
    heavy = {'ssl', '_hashlib', 'hashlib', 'http.client', 'email', 'subprocess', 'urllib.request'}
    assert heavy.isdisjoint(modules)
    (bare,) = run("print(*[l.split()[1] for l in open('/proc/self/status') if 'VmRSS' in l])")
    assert int(memory) - int(bare) < 7 * 1024  # kB; 8 MB is Python itself, and 15 the limit


def test_the_agent_stands_alone_on_python_3_6() -> None:
    for path in FOLDER.glob('*.py'):
        tree = ast.parse(path.read_text(), feature_version=(3, 6))
        for node in ast.walk(tree):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.level < 2, path
                names = [node.module or ''] if not node.level else []
            for name in names:
                top = name.partition('.')[0]
                known = {*sys.stdlib_module_names, 'aodh_ha_agent', '_sha2'}  # 3.12 has it
                assert top in known, (path, name)
