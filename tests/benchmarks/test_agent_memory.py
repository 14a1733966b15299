"""What the agent keeps resident in a guest, without and with TLS, and what Python takes of it.

The certificate of the gateway is verified against a system's worth of authorities: those of
this machine, and the one that signed it, laid out as Debian and Red Hat lay them out.
"""

import os
import pathlib
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functional.agent.conftest import GUEST, KEY, Gateway, serve
from tests.waiting import wait_for

REPOSITORY = pathlib.Path(__file__).parents[2]
BUNDLE = pathlib.Path('/etc/ssl/certs/ca-certificates.crt')
PYTHON = '/usr/bin/python3'
BEATS = 60
KINDS = ('VmRSS', 'RssAnon', 'RssFile', 'Pss')
SERVICES = """
[agent]
statistics = cpu, load, memory, swap, disk
statistics_interval = 1
[service:web]
tcp = 127.0.0.1:{port}
restart = true
[service:page]
http = {url}/health
verify = no
[service:init]
pid_file = /proc/1/stat
[service:python]
process = python
[service:settings]
file = {settings}
max_age = 1h
"""


def openssl(folder: pathlib.Path, *arguments: str) -> None:
    subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope='module')
def authorities(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the gateway's certificate, and those of all authorities."""
    folder = tmp_path_factory.mktemp('authorities')
    openssl(folder, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
            '-subj', '/CN=authority', '-keyout', 'ca.key', '-out', 'ca.crt')  # fmt: skip
    openssl(folder, 'req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=gateway',
            '-keyout', 'server.key', '-out', 'server.csr')  # fmt: skip
    (folder / 'names').write_text('subjectAltName=IP:127.0.0.1\n')
    openssl(folder, 'x509', '-req', '-in', 'server.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key',
            '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'server.crt')  # fmt: skip
    own = (folder / 'ca.crt').read_text()
    (folder / 'bundle.crt').write_text(BUNDLE.read_text() + own)
    shutil.copytree(BUNDLE.parent, folder / 'hashed')
    shutil.copy(folder / 'ca.crt', folder / 'hashed')
    openssl(folder, 'rehash', 'hashed')
    return folder


@pytest.fixture
def gateway(request: pytest.FixtureRequest, authorities: pathlib.Path) -> Iterator[Gateway]:
    gateway = Gateway(interval=0.1)
    server = serve(gateway.reply)
    gateway.url = server.url
    if request.param == 'https':
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authorities / 'server.crt', authorities / 'server.key')
        server.socket = context.wrap_socket(server.socket, server_side=True)
        gateway.url = server.url.replace('http:', 'https:')
    yield gateway
    server.shutdown()
    server.server_close()


def memory(pid: int) -> dict[str, int]:
    """What the kernel says of the process, in kB."""
    found = {}
    for file in ('status', 'smaps_rollup'):
        for line in pathlib.Path(f'/proc/{pid}/{file}').read_text().splitlines():
            name, _, rest = line.partition(':')
            if name in KINDS:
                found[name] = int(rest.split()[0])
    return found


def row(what: str, found: dict[str, int]) -> str:
    return f'{what:44}' + ''.join(f'{found[k] / 1024:9.1f}' for k in KINDS)


def python(code: str, environ: dict[str, str]) -> dict[str, int]:
    """What Python takes for the code, as the agent runs it."""
    with subprocess.Popen(
        [PYTHON, '-S', '-c', code + '\nprint(flush=True); input()'],
        env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        found = memory(process.pid)
        process.communicate(b'\n')
    return found


def agent(gateway: Gateway, environ: dict[str, str], folder: pathlib.Path) -> dict[str, int]:
    """What the zipapp holds after its heartbeats, with services and statistics."""
    build = REPOSITORY / 'deploy' / 'agent' / 'build'
    subprocess.run([build, folder], check=True, capture_output=True)
    settings = folder / 'agent.conf'
    port = gateway.url.rpartition(':')[2]
    settings.write_text(SERVICES.format(port=port, url=gateway.url, settings=settings))
    own = {
        'AODH_HA_CONFIG': str(settings),
        'AODH_HA_GATEWAYS': gateway.url,
        'AODH_HA_GUEST': GUEST,
        'AODH_HA_KEY': KEY,
        'AODH_HA_STATE_DIR': str(folder / 'state'),
    }
    with subprocess.Popen([folder / 'aodh-ha-agent'], env=environ | own) as process:
        try:
            wait_for(lambda: len(gateway.beats) >= BEATS, 60, 'heartbeats')
            return memory(process.pid)
        finally:
            process.terminate()


@pytest.mark.skipif(not BUNDLE.exists(), reason='no authorities as Debian has them')
@pytest.mark.parametrize('gateway', ['http', 'https'], indirect=True)
def test_memory_of_the_agent(
    gateway: Gateway, authorities: pathlib.Path, tmp_path: pathlib.Path, report: Callable[..., Any]
) -> None:
    environ = {
        'PATH': os.environ['PATH'],
        'MALLOC_ARENA_MAX': '1',  # as the unit has it
        'SSL_CERT_FILE': str(authorities / 'bundle.crt'),
        'SSL_CERT_DIR': str(authorities / 'hashed'),
    }
    code, address = '', gateway.url.rpartition('/')[2].split(':')
    found = {'Python alone': python(code, environ)}
    code = 'import configparser, functools, json, re, select, signal, socket, threading\n'
    found["with the agent's modules of the library"] = floor = python(code, environ)
    if gateway.url.startswith('https'):
        code += 'import ssl\n'
        found['and ssl'] = python(code, environ)
        code += f'context = ssl.create_default_context(capath="{authorities / "hashed"}")\n'
        found['and a context'] = python(code, environ)
        code += f'peer = socket.create_connection(("{address[0]}", {address[1]}))\n'
        code += 'context.wrap_socket(peer, server_hostname="127.0.0.1")\n'
        found['and one verified handshake'] = floor = python(code, environ)
    found[f'the agent after {BEATS} heartbeats'] = held = agent(gateway, environ, tmp_path)
    head = f'{"MB, " + gateway.url.partition(":")[0]:44}' + ''.join(f'{k:>9}' for k in KINDS)
    report('\n'.join([head, *(row(*f) for f in found.items())]))
    # What is the agent's own: its code, its threads, and what its heartbeats leave behind.
    assert held['VmRSS'] - floor['VmRSS'] < 4 * 1024
    if not gateway.url.startswith('https'):
        assert held['VmRSS'] < 15 * 1024
