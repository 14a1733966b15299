"""The real agent and real services: killed, depending on one another, and while no gateway answers.

Also how it follows its settings, and what systemd is told.
"""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

import aodh_ha.agent
from tests.functional.agent.conftest import GUEST, KEY, Gateway, make_gateway
from tests.functional.http.processes import alive, free_port
from tests.waiting import wait_for

AGENT = pathlib.Path(aodh_ha.agent.__file__).parent
__all__ = ['make_gateway']  # a fixture

SERVICE = """
import os, socket, sys, time
folder, name, *needs = sys.argv[1:]
for need in needs:  # as a server that cannot start without its database
    try:
        socket.create_connection(('127.0.0.1', int(open(folder + '/' + need + '.port').read())))
    except OSError:
        open(folder + '/restarts', 'a').write('in-vain\\n')
        sys.exit(1)
open(folder + '/' + name + '.pid.new', 'w').write(str(os.getpid()))
os.rename(folder + '/' + name + '.pid.new', folder + '/' + name + '.pid')
s = socket.create_server(('127.0.0.1', int(open(folder + '/' + name + '.port').read())))
s.listen(50)
while True:
    s.accept()[0].close()
"""


class Guest:
    """A folder with services that are processes, and the agent that watches them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.log = folder / 'agent.log'
        (folder / 'service.py').write_text(SERVICE)
        self.started: set[int] = set()

    def restart(self, name: str, *needs: str) -> str:
        """A command that starts the service in the background, and counts that."""
        words = ' '.join([str(self.folder), name, *needs])
        run = f'{sys.executable} -S {self.folder}/service.py {words}'
        return f"sh -c 'echo {name} >> {self.folder}/restarts; {run} 2>/dev/null &'"

    def section(self, name: str, *needs: str, check: str = '', **options: str) -> str:
        """Its settings; checked by its port, ten times a second."""
        port = self.folder / f'{name}.port'
        if not port.exists():
            port.write_text(str(free_port()))
        check = check or f'tcp = 127.0.0.1:{port.read_text()}'
        values = {
            'interval': '0.1',
            'failures': '2',
            'restart': self.restart(name, *needs),
            'restart_attempts': '5',
            'start_period': '0.5',
            **options,
        }
        lines = [f'{k} = {v}' for k, v in values.items()]
        return '\n'.join([f'[service:{name}]', check, *lines, ''])

    def configure(self, *sections: str, **agent: str) -> None:
        lines = [f'{k} = {v}' for k, v in agent.items()]
        new = self.folder / 'agent.conf.new'
        new.write_text('\n'.join(['[agent]', *lines, *sections, '']))
        new.replace(self.folder / 'agent.conf')

    @contextlib.contextmanager
    def agent(
        self, *gateways: str, program: list[str] | None = None, **environ: str
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The agent while it runs."""
        given = {
            'PATH': os.environ['PATH'],
            'AODH_HA_CONFIG': str(self.folder / 'agent.conf'),
            'AODH_HA_GATEWAYS': ','.join(gateways),
            'AODH_HA_GUEST': GUEST,
            'AODH_HA_KEY': KEY,
            'AODH_HA_STATE_DIR': str(self.folder / 'state'),
            **environ,
        }
        with self.log.open('ab') as log:
            command = [sys.executable, '-S', *(program or [str(AGENT)])]
            process = subprocess.Popen(command, env=given, stderr=log)
        try:
            wait_for(lambda: 'starts' in self.said(), 10, 'the agent to start')
            yield process
        finally:
            process.kill()
            process.wait(10)

    def said(self) -> str:
        return self.log.read_text()

    def pid(self, name: str) -> int:
        """The service's process once it runs."""

        def found() -> int:
            try:
                pid = int((self.folder / f'{name}.pid').read_text())
            except FileNotFoundError:
                return 0
            self.started.add(pid)
            return pid if alive(pid) else 0

        return wait_for(found, 10, f'{name} to run')

    def kill(self, name: str) -> int:
        pid = self.pid(name)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not alive(pid), 5, 'the end of it')
        return pid

    def restarts(self) -> list[str]:
        file = self.folder / 'restarts'
        return file.read_text().split() if file.exists() else []

    def close(self) -> None:
        """End the services, which outlive their agent."""
        for file in self.folder.glob('*.pid'):
            self.started.add(int(file.read_text()))
        for pid in self.started:
            command = pathlib.Path(f'/proc/{pid}/cmdline')
            with contextlib.suppress(OSError):
                if str(self.folder) in command.read_text():
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture
def guest(tmp_path: pathlib.Path) -> Iterator[Guest]:
    guest = Guest(tmp_path)
    yield guest
    guest.close()


def closed() -> str:
    return f'http://127.0.0.1:{free_port()}'


def states(gateway: Gateway) -> dict[str, str]:
    return {s['name']: s['state'] for s in gateway.beats[-1]['services']} if gateway.beats else {}


def events(gateway: Gateway) -> list[tuple[str, str]]:
    """Service and what happened, each once, in the order in which they were told."""
    found = {
        e['id']: (e['service'], e['state']) for b in gateway.beats for e in b.get('events', [])
    }
    return list(found.values())


def test_a_killed_service_is_restarted_while_no_gateway_answers_and_told_of_later(
    guest: Guest, make_gateway: Any
) -> None:
    web = guest.section('web')
    guest.configure(web, interval='0.2')
    gone = closed()
    with guest.agent(gone) as agent:
        guest.pid('web')
        before = guest.kill('web')
        began = time.monotonic()
        assert guest.pid('web') != before
        assert time.monotonic() - began < 3
        # In vain from now on: it fails, and the agent is killed before anybody has heard of it.
        vain = web.replace(guest.restart('web'), 'false').replace('attempts = 5', 'attempts = 1')
        guest.configure(vain, interval='0.2')
        agent.send_signal(signal.SIGHUP)
        wait_for(lambda: 'settings read again' in guest.said(), 5, 'its settings')
        guest.kill('web')
        kept = guest.folder / 'state' / 'events'
        wait_for(lambda: kept.exists() and '"failed"' in kept.read_text(), 10, 'the events')
    gateway = make_gateway(interval=0.1)
    with guest.agent(gateway.url):
        wait_for(lambda: ('web', 'failed') in events(gateway), 10, 'the events')
        wait_for(lambda: not kept.read_text(), 5, 'the file to be empty')
    told = [e for b in gateway.beats for e in b.get('events', [])]
    assert events(gateway)[:2] == [('web', 'restarted'), ('web', 'restarted')]
    assert told[0]['ago'] > told[1]['ago'] > 0
    failed = next(e for e in told if e['state'] == 'failed')
    assert 'refused' in failed['detail']


def test_what_depends_on_a_failed_service_is_left_alone_until_that_is_back(
    guest: Guest, make_gateway: Any
) -> None:
    gateway = make_gateway(interval=0.1)
    # The dependent is checked more often: it notices first.
    database = guest.section('db', interval='0.4')
    guest.configure(database, guest.section('web', 'db', depends_on='db'))
    with guest.agent(gateway.url):
        wait_for(lambda: states(gateway) == {'db': 'ok', 'web': 'ok'}, 10, 'both')
        beats = len(gateway.beats)
        before = guest.kill('db'), guest.kill('web')
        assert guest.pid('web') != before[1]
        assert guest.pid('db') != before[0]
        wait_for(lambda: 'web: restarted by the agent' in guest.said(), 5, 'its log')
    # Each of them, and the dependent never while it could not start.
    assert guest.restarts()[0] == 'db'
    assert set(guest.restarts()) == {'db', 'web'}
    assert 'not counted, since db is not well' in guest.said()
    seen = {s['state'] for b in gateway.beats[beats:] for s in b['services']}
    assert seen == {'ok'}  # each was restarted before anybody had to be told


def test_a_process_and_a_pid_file_are_checked_as_they_are_killed(
    guest: Guest, make_gateway: Any
) -> None:
    gateway = make_gateway(interval=0.1)
    by_name = guest.section('one', check=f'process = {guest.folder}/service.py .* one$')
    by_file = guest.section('two', check=f'pid_file = {guest.folder}/two.pid')
    guest.configure(by_name, by_file)
    with guest.agent(gateway.url):
        for name in ('one', 'two'):
            guest.pid(name)
            wait_for(lambda name=name: states(gateway).get(name) == 'ok', 5, 'a state')
            before = guest.kill(name)
            assert guest.pid(name) != before


def test_changed_settings_are_followed_and_broken_ones_are_not(
    guest: Guest, make_gateway: Any
) -> None:
    gateway = make_gateway(interval=0.1)
    sleeper = (
        f'[service:sleeper]\ncommand = sh -c "echo x >> {guest.folder}/asked"\ninterval = 0.1\n'
    )
    late = f'[service:late]\ncommand = mkdir {guest.folder}/once\ninterval = 3600\nfailures = 1\n'
    guest.configure(late, sleeper)
    # It looks at its file as often as it tells the watchdog that it is alive.
    with guest.agent(gateway.url, WATCHDOG_USEC='300000') as agent:
        wait_for(lambda: states(gateway) == {'late': 'ok', 'sleeper': 'ok'}, 10, 'both')
        guest.configure(late, sleeper, '[service:late]\ncommand = ')
        agent.send_signal(signal.SIGHUP)
        wait_for(lambda: 'the old settings stay' in guest.said(), 5, 'the complaint')
        assert 'late' in guest.said().rpartition('the old settings stay')[2]
        beats = len(gateway.beats)
        wait_for(lambda: len(gateway.beats) > beats + 1, 5, 'heartbeats')
        assert states(gateway) == {'late': 'ok', 'sleeper': 'ok'}
        # Without a signal. One that did not change keeps its state: it is not asked again
        # for an hour, and would fail then.
        guest.configure(late, '[service:other]\ncommand = false\nfailures = 1\n')
        wait_for(lambda: 'other' in states(gateway), 10, 'the new settings')
        wait_for(lambda: states(gateway)['other'] == 'failed', 5, 'its state')
        assert states(gateway) == {'late': 'ok', 'other': 'failed'}
        asked = guest.folder / 'asked'
        asked.unlink()
        beats = len(gateway.beats)
        wait_for(lambda: len(gateway.beats) > beats + 5, 5, 'heartbeats')
        assert not asked.exists()  # who is not there any more is not checked either


def test_a_hung_command_is_ended_with_all_that_it_started(guest: Guest, make_gateway: Any) -> None:
    gateway = make_gateway(interval=0.1)
    child = guest.folder / 'child'
    guest.configure(
        f"[service:hung]\ncommand = sh -c 'sleep 300 & echo $! > {child}; wait'\n"
        'timeout = 0.3\ninterval = 60\nfailures = 1\n'
    )
    with guest.agent(gateway.url):
        wait_for(lambda: states(gateway) == {'hung': 'failed'}, 10, 'the time limit')
        wait_for(lambda: not alive(int(child.read_text())), 5, 'its child to end')
    assert 'not done within 0.3 s' in guest.said()


def test_hooks_are_run_around_a_restart(guest: Guest, make_gateway: Any) -> None:
    gateway = make_gateway(interval=0.1)
    said = guest.folder / 'said'
    hook = f"sh -c 'echo $AODH_HA_EVENT $AODH_HA_SERVICE >> {said}; exit 1'"
    web = guest.section('web', before=hook, after=hook)
    guest.configure(web)
    with guest.agent(gateway.url):
        guest.pid('web')
        wait_for(lambda: states(gateway) == {'web': 'ok'}, 10, 'the service')
        wait_for(lambda: 'after' in said.read_text(), 5, 'both')
    assert said.read_text().splitlines()[:2] == ['before web', 'after web']
    assert 'hook before: sh: exit status 1' in guest.said()


def test_systemd_hears_that_the_agent_is_ready_and_alive_until_it_ends(
    guest: Guest, make_gateway: Any
) -> None:
    gateway = make_gateway(interval=0.1)
    path = str(guest.folder / 'notify')
    guest.configure()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(5)
        with guest.agent(gateway.url, NOTIFY_SOCKET=path, WATCHDOG_USEC='300000') as agent:
            heard = []
            while heard.count('WATCHDOG=1') < 3 or not any('heard by' in h for h in heard):
                heard.append(systemd.recv(4096).decode())
            assert heard[0] == 'READY=1'
            agent.terminate()
            assert agent.wait(5) == 0
            while heard[-1] != 'STOPPING=1':
                heard.append(systemd.recv(4096).decode())


STUCK = """
import threading
from aodh_ha.agent import beater, main
beater.STUCK_AFTER = 0.5
beater.exchange = lambda *_, **__: threading.Event().wait()  # as a resolver that hangs
main.main()
"""


def test_systemd_is_told_no_more_when_the_heartbeats_are_stuck(guest: Guest) -> None:
    path = str(guest.folder / 'notify')
    guest.configure()
    environ = {'NOTIFY_SOCKET': path, 'PYTHONPATH': str(AGENT.parents[1])}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(1)  # ten times as long as between two of its messages

        def hear() -> str:
            try:
                return systemd.recv(4096).decode()
            except TimeoutError:
                return ''

        with guest.agent(
            'http://gateway', program=['-c', STUCK], WATCHDOG_USEC='300000', **environ
        ):
            assert (hear(), hear()) == ('READY=1', 'WATCHDOG=1')
            for _ in range(1000):
                if not hear():
                    break
            else:
                pytest.fail('it is told still')
            assert 'the heartbeats are stuck' in guest.said()


def test_a_new_key_of_the_vendor_data_is_taken_without_a_gap(
    guest: Guest, make_gateway: Any
) -> None:
    drive = guest.folder / 'openstack' / 'latest'
    drive.mkdir(parents=True)
    (drive / 'meta_data.json').write_text(json.dumps({'uuid': GUEST}))
    gateway = make_gateway(interval=0.1, key='first', generation=1)

    def vendor(key: str, generation: int) -> None:
        told = {
            'aodh_ha_gateways': gateway.url,
            'aodh_ha_key': key,
            'aodh_ha_generation': str(generation),
        }
        new = drive / 'new'
        new.write_text(json.dumps({'static': {'x': 1}, 'aodh-ha': told}))
        new.replace(drive / 'vendor_data2.json')

    vendor('first', 1)
    guest.configure(metadata=str(drive / 'meta_data.json'))
    with guest.agent(AODH_HA_KEY='', AODH_HA_GUEST='', AODH_HA_GATEWAYS=''):
        wait_for(lambda: len(gateway.beats) > 2, 10, 'heartbeats')
        gateway.more_keys['2'] = 'second'
        gateway.generation = 2
        vendor('second', 2)
        wait_for(lambda: gateway.beats[-1]['generation'] == '2', 10, 'the new key')
    assert gateway.refused == []
