"""Each way to ask a service, and the settings that name it."""

import os
import pathlib
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from aodh_ha.agent import config, tls
from aodh_ha.agent.checks import Service, Watch
from aodh_ha.agent.probes import Command, FileAge, Http, Process, Unit

from .conftest import LOG, serve, wait_for

Load = Callable[[str], Service]


@pytest.fixture
def load(tmp_path: pathlib.Path) -> Load:
    """The service [service:x] with these lines."""

    def load(text: str) -> Service:
        file = tmp_path / 'agent.conf'
        file.write_text('[service:x]\n' + text)
        return config.load(str(file), {}).services[0]

    return load


def test_a_page_has_its_status_and_text() -> None:
    server = serve(lambda path, *_: (int(path[1:4]), 'gut: ß'.encode(), {}))
    try:
        assert Http(server.url + '/302').ask(5) == ''
        assert Http(server.url + '/404').ask(5) == 'HTTP 404'
        wanted = ((200, 200), (404, 404))
        assert Http(server.url + '/404', wanted, 'gut: ß').ask(5) == ''
        assert Http(server.url + '/302', wanted).ask(5) == 'HTTP 302'
        assert 'without "bad"' in Http(server.url + '/200', body='bad').ask(5)
    finally:
        server.shutdown()
        server.server_close()


def test_a_certificate_is_verified_unless_the_settings_say_no(tmp_path: pathlib.Path) -> None:
    key, cert = tmp_path / 'key', tmp_path / 'cert'
    words = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
    names = ['-addext', 'subjectAltName=DNS:localhost']
    subprocess.run(
        ['openssl', 'req', '-x509', *words, *names, '-keyout', key, '-out', cert],
        check=True,
        capture_output=True,
    )
    server = serve(lambda *_: (200, b'', {}))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f'https://localhost:{server.server_address[1]}'
    try:
        assert 'certificate' in Service('x', Http(url)).ask()
        assert Service('x', Http(url, verify=False)).ask() == ''
        assert Service('x', Http(url, ca_file=str(cert))).ask() == ''
        other = url.replace('localhost', '127.0.0.1')
        assert 'certificate' in Service('x', Http(other, ca_file=str(cert))).ask()
        # Read once, since that takes long, and again when the file is another one.
        first = tls._trust(str(cert), True)
        assert tls._trust(str(cert), True) is first
        os.utime(cert, (1, 1))
        assert tls._trust(str(cert), True) is not first
    finally:
        server.shutdown()
        server.server_close()


def test_a_process_is_found_by_its_command_line_while_it_lives(tmp_path: pathlib.Path) -> None:
    mark = f'mark-{os.getpid()}-{tmp_path.name}'
    code = 'import sys; sys.stdin.read()'
    probe = Process(f'sys.stdin.read.. {mark}$')
    assert probe.ask(1) == 'no process runs whose command line fits'
    with subprocess.Popen([sys.executable, '-S', '-c', code, mark], stdin=subprocess.PIPE) as p:
        wait_for(lambda: probe.ask(1) == '')
        assert probe.ask(1) == ''
        p.kill()
        # Not waited for: a process that is dead and not buried does not run.
        wait_for(lambda: probe.ask(1) != '')
    # This one's own command line does not count.
    own = pathlib.Path('/proc/self/cmdline').read_text().split('\0')[0]
    assert Process(f'{own}.*{mark}').ask(1)


def test_a_pid_file_names_a_process_that_lives_and_fits(tmp_path: pathlib.Path) -> None:
    file = tmp_path / 'x.pid'
    assert 'No such file' in Service('x', Process(pid_file=str(file))).ask()
    file.write_text('no number\n')
    assert 'no process number' in Process(pid_file=str(file)).ask(1)
    with subprocess.Popen(['sleep', '60']) as p:
        file.write_text(f'{p.pid}\n')
        wait_for(lambda: Process('^sleep 60$', str(file)).ask(1) == '')
        assert Process(pid_file=str(file)).ask(1) == ''
        # The number was given to another process.
        assert Process('^web', str(file)).ask(1).endswith('runs as wanted')
        p.kill()
        wait_for(lambda: Process(pid_file=str(file)).ask(1) != '')


def test_a_command_tells_what_it_said(tmp_path: pathlib.Path) -> None:
    assert Command(['true']).ask(5) == ''
    assert Command(['false']).ask(5) == 'false: exit status 1'
    assert Command(['sh', '-c', 'echo no >&2; echo  disk; exit 3']).ask(5) == (
        'sh: exit status 3: no disk'
    )
    assert Command(['sh', '-c', 'kill -9 $$']).ask(5) == 'sh: signal 9'
    assert 'No such file' in Command(['/nowhere/at-all']).ask(5)
    # Much output holds nothing up, and is not kept; what is left running ends.
    assert len(Command(['sh', '-c', 'head -c 1000000 /dev/zero | tr "\\0" x; exit 1']).ask(5)) < 250
    child = tmp_path / 'child'
    assert Command(['sh', '-c', f'sleep 60 & echo $! > {child}']).ask(5) == ''
    stat = pathlib.Path('/proc') / child.read_text().strip() / 'stat'
    wait_for(lambda: not stat.exists() or stat.read_text().split()[2] == 'Z')


def test_a_unit_is_asked_of_systemd(tmp_path: pathlib.Path, monkeypatch: Any, load: Load) -> None:
    systemctl = tmp_path / 'systemctl'
    systemctl.write_text('#!/bin/sh\necho "$*" > "$0.asked"\necho failed\nexit 3\n')
    systemctl.chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path}:{os.environ["PATH"]}')
    service = load('unit = web@1.service')
    assert isinstance(service.probe, Unit)
    assert service.ask() == 'systemctl: exit status 3: failed'
    assert (tmp_path / 'systemctl.asked').read_text() == 'is-active web@1.service\n'
    assert service.restarter is not None
    assert service.restarter.command == ['systemctl', 'restart', 'web@1.service']
    assert load('unit = web\nrestart = no').restarter is None
    other = load('unit = web\nrestart = sudo systemctl restart web')
    assert isinstance(other.probe, Unit)
    assert other.restarter is not None
    assert other.restarter.command[0] == 'sudo'
    assert isinstance(load('unit = web\ntcp = localhost:80').probe, config.Tcp)


def test_a_file_is_written_again_and_again(tmp_path: pathlib.Path) -> None:
    file = tmp_path / 'alive'
    assert 'No such file' in Service('x', FileAge(str(file), 60)).ask()
    file.touch()
    assert FileAge(str(file), 60).ask(1) == ''
    os.utime(file, (1, time.time() - 90))
    assert 'not written for 9' in FileAge(str(file), 60).ask(1)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('', '[service:x]: write one of http = ..., tcp = ...,'),
        ('http = http://a\ntcp = b:1', '[service:x]: write one of'),
        ('process = a\ntcp = b:1', '[service:x]: write one of'),
        ('process = (', '[service:x] process = (: missing )'),
        ('http = a', '[service:x] http = a: write a URL'),
        ('http = http://a\nexpect_status = ok', 'expect_status = ok: write statuses'),
        ('http = http://a\nverify = perhaps', 'verify = perhaps: write yes or no'),
        ('tcp = a:1\nexpect_body = x', 'expect_body = x: write also http = ...'),
        ('tcp = a:70000', 'tcp = a:70000: write host:port'),
        ('command = a\nmax_age = 5m', 'max_age = 5m: write also file = ...'),
        ('file = /a\nmax_age = old', '[service:x] max_age = old: write a time'),
        ("command = sh 'a", "[service:x] command = sh 'a: No closing quotation"),
        ('tcp = a:1\nbefore = true', 'before = true: write also restart = COMMAND'),
        ('unit = a\nhook_timeout = 3', 'hook_timeout = 3: write also before or after'),
        ('unit = a\nrestart = no\nrestart_attempts = 1', 'write also restart = COMMAND'),
        ('unit = a\nbefore = "x', '[service:x] before = "x: No closing quotation'),
        ('unit = a\ndepends_on = y', 'depends_on = y: there is no [service:y]'),
        ('unit = a\ndepends_on = x', 'depends_on = x: it depends on itself'),
        ('unit = a\ndepends_on = y\n[service:y]\nunit = b\ndepends_on = x', 'itself in the end'),
        ('unit = a\n[service: x]\nunit = b', '[service:x]: it is there twice'),
        ('unit = a\n[serwice:y]\nunit = b', '[serwice:y]: unknown'),
        ('unit = a\n[agent]\nstatistics_interval = 0', '[agent] statistics_interval = 0'),
    ],
)
def test_a_wrong_setting_names_section_option_and_cure(load: Load, text: str, said: str) -> None:
    with pytest.raises(config.ConfigError) as e:
        load(text)
    assert said in str(e.value)


# ---- services that depend on others


class Asked:
    """A probe that answers what it is told to."""

    def __init__(self, wrong: str = '') -> None:
        self.wrong = wrong
        self.times = 0

    def ask(self, _timeout: float) -> str:
        self.times += 1
        return self.wrong


def pair(**options: Any) -> tuple[Watch, Asked, Watch, Asked]:
    database, web = Asked(), Asked()
    first = Watch(Service('db', database, failures=2), lambda: None, LOG)
    service = Service('web', web, failures=2, depends_on=('db',), **options)
    second = Watch(service, lambda: None, LOG)
    second.depend({'db': first, 'web': second})
    return first, database, second, web


def test_a_failure_counts_while_what_it_depends_on_is_well() -> None:
    db, database, web, probe = pair()
    db.check()
    probe.wrong = 'away'
    web.check()
    assert database.times == 1
    web.check()
    assert database.times == 2  # looked at before the last one counts
    assert web.report() == {'name': 'web', 'state': 'failed', 'failures': 2}


def test_a_failure_does_not_count_when_a_look_shows_what_it_depends_on_to_be_ill() -> None:
    db, database, web, probe = pair()
    db.check(), web.check()
    probe.wrong = database.wrong = 'away'
    for _ in range(4):
        web.check()
    assert web.report() == {'name': 'web', 'state': 'ok', 'failures': 0}
    database.wrong = ''
    db.check()
    web.check()
    assert web.report()['failures'] == 1
    web.check()
    assert web.report()['state'] == 'failed'


def test_a_service_has_its_start_period_after_what_it_depends_on_came_back() -> None:
    db, _, web, probe = pair(start_period=3600)
    web._lenient_until = 0.0  # that of the agent's own start is over
    db.check()
    probe.wrong = 'away'
    for _ in range(3):
        web.check()
    assert web.report()['failures'] == 0


def test_nobody_waits_for_a_dependency_that_is_being_restarted() -> None:
    db, database, web, probe = pair()
    db.check(), web.check()
    probe.wrong = 'away'
    with db._turn:  # as a restart holds it
        for _ in range(3):
            web.check()
    assert (web.report()['state'], database.times) == ('ok', 1)
