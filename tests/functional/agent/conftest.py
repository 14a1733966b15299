"""A small gateway that checks the agent's signatures by its own reading of the protocol."""

import hashlib
import hmac
import json
import logging
import os
import pathlib
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

import pytest

from aodh_ha.agent import config, identity
from aodh_ha.agent.beater import Alarm, Beater
from aodh_ha.agent.checks import Service, Watch
from aodh_ha.agent.commands import Commands
from aodh_ha.agent.state import Memory, Sequence
from tests.waiting import wait_for as wait_for

GUEST = '6c1f0c0e-6f0c-4a41-9b0e-2f6f3f0c8f11'
KEY = 'a-key-that-must-never-be-logged'
LOG = logging.getLogger('aodh-ha-agent')
Start = Callable[..., Beater]


@dataclass
class Gateway:
    """What a gateway knows, and how it is told to answer."""

    key: str = KEY
    interval: float = 0.05
    # In every reply, as a gateway does until it has the result.
    commands: list[dict[str, Any]] = field(default_factory=list)
    results: list[dict[str, Any]] = field(default_factory=list)
    skew: float = 0.0  # how far its clock is ahead of this machine's, seconds
    sign: bool = True
    played_back: int = 0  # seconds between the reply's heartbeat and this one
    last_sequence: int = 0
    generation: int | None = None  # of the newest key, told in every reply
    more_keys: dict[str, str] = field(default_factory=dict)  # by generation
    answer: Callable[[], tuple[int, bytes, dict[str, str]] | None] = lambda: None
    beats: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ''

    def reply(self, path: str, headers: Any, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        self.paths.append(path)
        self.headers.append(dict(headers))
        given = self.answer()
        if given:
            return given
        found = dict(re.findall(r'(\w+)="([^"]*)"', headers['Authorization']))
        assert headers['Authorization'].startswith('AODH-HA-HMAC-SHA256 ')
        text = '\n'.join(
            [
                'POST',
                '/v1/heartbeats',
                found['guest'],
                found['generation'],
                found['time'],
                found['sequence'],
                hashlib.sha256(body).hexdigest(),
            ]
        )
        key = self.more_keys.get(found['generation'], self.key)
        right = hmac.new(key.encode(), text.encode(), 'sha256').hexdigest()
        if not hmac.compare_digest(right, found['signature']):
            return self.error(401, {'code': 'bad_signature'}, None)
        now = time.time() + self.skew
        if abs(int(found['time']) - now) > 30:
            return self.error(401, {'code': 'clock_skew', 'server_time': now}, found['sequence'])
        if int(found['sequence']) <= self.last_sequence:
            told = {'code': 'replayed_sequence', 'last_sequence': self.last_sequence}
            return self.error(409, told, found['sequence'])
        self.last_sequence = int(found['sequence'])
        self.beats.append({**json.loads(body), **found, 'at': time.monotonic()})
        self.results += self.beats[-1].get('results', [])
        told = {
            'interval': self.interval,
            'server_time': now,
            'sequence': self.last_sequence,
            'time': int(found['time']) + self.played_back,
            'commands': self.commands,
        }
        if self.generation is not None:
            told['generation'] = self.generation
        return self.signed(202, json.dumps(told).encode(), found['sequence'], key)

    def error(
        self, status: int, error: dict[str, Any], sequence: str | None
    ) -> tuple[int, bytes, dict[str, str]]:
        self.refused.append(error['code'])
        return self.signed(status, json.dumps({'errors': [error]}).encode(), sequence)

    def signed(
        self, status: int, body: bytes, sequence: str | None, key: str | None = None
    ) -> tuple[int, bytes, dict[str, str]]:
        if sequence is None or not self.sign:
            return status, body, {}
        text = f'reply\n{status}\n{sequence}\n{hashlib.sha256(body).hexdigest()}'
        signature = hmac.new((key or self.key).encode(), text.encode(), 'sha256').hexdigest()
        return status, body, {'X-Aodh-HA-Signature': signature}


def serve(reply: Callable[[str, Any, bytes], tuple[int, bytes, dict[str, str]]]) -> Any:
    """An HTTP server in a thread; its address stands in `.url`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get('Content-Length') or 0)
            status, body, headers = reply(self.path, self.headers, self.rfile.read(length))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        url = ''

        def server_bind(self) -> None:
            TCPServer.server_bind(self)  # HTTPServer's asks the resolver for a name

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(('127.0.0.1', 0), Handler)
    server.url = f'http://127.0.0.1:{server.server_address[1]}'
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    return server


def order(kind: str = 'service.restart', seconds: float = 60.0, **arguments: Any) -> dict[str, Any]:
    """A command as a gateway hands it out."""
    return {
        'id': str(uuid.uuid4()),
        'kind': kind,
        'arguments': arguments or {'service': 'web'},
        'expires_in': seconds,
    }


def closed_port() -> str:
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return f'http://127.0.0.1:{s.getsockname()[1]}'


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith('_proxy') or name.startswith('AODH_HA_'):
            monkeypatch.delenv(name)


@pytest.fixture
def start(tmp_path: pathlib.Path) -> Iterator[Start]:
    """Starts the heartbeat loop in a thread, and ends it after the test."""
    running: list[tuple[Beater, threading.Thread]] = []

    def begin(
        *gateways: Gateway | str, services: list[Service] | None = None, **options: str
    ) -> Beater:
        agent = {'interval': '0.05', 'state_dir': str(tmp_path / 'state'), **options}
        if gateways:
            urls = [g if isinstance(g, str) else g.url for g in gateways]
            agent.update(gateways=','.join(urls), guest=GUEST, key=KEY)
        settings = config.Settings(agent, [])
        alarm = Alarm()
        watches = [Watch(s, alarm.ring, LOG) for s in services or []]
        beater = Beater(
            identity.Source(settings, LOG),
            Sequence(settings.state_dir, LOG),
            watches,
            settings.interval,
            'boot-1',
            LOG,
            alarm=alarm,
            commands=Commands(watches, Memory(settings.state_dir, LOG), alarm.ring, LOG),
        )
        beater.shortest_gap = 0.0
        thread = threading.Thread(target=beater.run, daemon=True)
        running.append((beater, thread))
        for watch in watches:
            watch.start()
        thread.start()
        return beater

    yield begin
    for beater, _ in running:
        beater.stop()
        for watch in beater.watches:
            watch.stop()
    for _, thread in running:
        thread.join(2)
        assert not thread.is_alive()


@pytest.fixture
def make_gateway() -> Iterator[Callable[..., Gateway]]:
    servers = []

    def make(**kw: Any) -> Gateway:
        gateway = Gateway(**kw)
        server = serve(gateway.reply)
        servers.append(server)
        gateway.url = server.url
        return gateway

    yield make
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def gateway(make_gateway: Callable[..., Gateway]) -> Gateway:
    return make_gateway()
