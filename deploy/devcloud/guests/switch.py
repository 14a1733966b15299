"""The guests' network: an HTTP forward proxy on loopback that can cut a guest off.

    switch.py --port PORT --state STATE --metadata PORT --secret SECRET

Guests speak through it as http://<uuid>@127.0.0.1:PORT. As long as the file
STATE/data/net/<uuid>.cut or STATE/data/net/all.cut exists, their packets get lost:
connections stay open and nothing comes through. What they ask of the port of --metadata gets the
headers of Neutron's metadata agent.
"""

import argparse
import base64
import binascii
import pathlib
import re
import select
import socket
import socketserver
import sys
import time
import urllib.parse

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
from guests import metadata  # noqa: E402

HEAD_LIMIT = 64 * 1024
IDLE = 120.0  # seconds without a byte after which a connection is given up
LOOK = 0.25  # seconds between looks whether the guest has been cut off


def cut_files(state: pathlib.Path, guest: str) -> list[pathlib.Path]:
    """The files of which either cuts this guest off."""
    return [state / 'data' / 'net' / f'{name}.cut' for name in (guest or 'nobody', 'all')]


def read_head(client: socket.socket) -> tuple[bytes, bytes]:
    """The request's head and what came of its body already; empty if the client left."""
    data = b''
    while b'\r\n\r\n' not in data:
        chunk = client.recv(16384)
        if not chunk or len(data) > HEAD_LIMIT:
            return b'', b''
        data += chunk
    head, _, rest = data.partition(b'\r\n\r\n')
    return head, rest


def who(head: bytes) -> str:
    """The guest that speaks, by the user name of its proxy address."""
    found = re.search(rb'\r\nproxy-authorization:[ \t]*basic[ \t]+(\S+)', head, re.IGNORECASE)
    try:
        name = base64.b64decode(found.group(1)).decode().partition(':')[0] if found else ''
    except (binascii.Error, UnicodeDecodeError):
        return ''
    return name if re.fullmatch(r'[\w-]{1,64}', name) else ''


def forwarded(head: bytes) -> tuple[tuple[str, int], bytes | None]:
    """The target's address and the head to send there; no head for CONNECT."""
    lines = head.decode('latin-1').split('\r\n')
    method, target, version = lines[0].split(' ')
    if method == 'CONNECT':
        host, _, port = target.rpartition(':')
        return (host.strip('[]'), int(port)), None
    parts = urllib.parse.urlsplit(target)
    if parts.scheme != 'http' or not parts.hostname:
        raise ValueError('not an absolute http address')
    path = urllib.parse.urlunsplit(('', '', parts.path or '/', parts.query, ''))
    # One request a connection: what follows is then passed on without a look.
    kept = [x for x in lines[1:] if not re.match(r'(proxy-\S+|connection):', x, re.IGNORECASE)]
    text = '\r\n'.join([f'{method} {path} {version}', *kept, 'Connection: close', '', ''])
    return (parts.hostname, parts.port or 80), text.encode('latin-1')


class Handler(socketserver.BaseRequestHandler):
    server: 'Switch'

    def is_cut(self, guest: str) -> bool:
        return any(path.exists() for path in cut_files(self.server.state, guest))

    def wait_while_cut(self, guest: str) -> bool:
        """Hold the connection; False when the client gave it up."""
        while self.is_cut(guest):
            if select.select([self.request], [], [], LOOK)[0]:
                if not self.request.recv(1, socket.MSG_PEEK):
                    return False
                time.sleep(LOOK)
        return True

    def handle(self) -> None:
        self.request.settimeout(IDLE)
        try:
            head, rest = read_head(self.request)
            if not head:
                return
            guest = who(head)
            if not self.wait_while_cut(guest):
                return
            try:
                address, text = forwarded(head)
                if text and address[1] == self.server.metadata:
                    text = metadata.headed(text, self.server.state, guest, self.server.secret)
                upstream = socket.create_connection(address, timeout=10)
            except (OSError, ValueError) as e:
                self.request.sendall(
                    f'HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\n\r\n{e}\n'.encode()
                )
                return
            with upstream:
                if text is None:
                    self.request.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')
                upstream.sendall((text or b'') + rest)
                self.relay(guest, upstream)
        except OSError:
            pass  # either end left: the other one learns it by our closing

    def relay(self, guest: str, upstream: socket.socket) -> None:
        """Pass bytes both ways until one end closes, none comes, or the guest is cut off."""
        other = {self.request: upstream, upstream: self.request}
        last = time.monotonic()
        while time.monotonic() - last < IDLE:
            ready = select.select(list(other), [], [], LOOK)[0]
            if not self.wait_while_cut(guest):
                return
            for end in ready:
                data = end.recv(65536)
                if not data:
                    return
                other[end].sendall(data)
                last = time.monotonic()


class Switch(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, port: int, state: pathlib.Path, metadata: int = 0, secret: str = '') -> None:
        self.state = state
        self.metadata = metadata
        self.secret = secret
        super().__init__(('127.0.0.1', port), Handler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--port', type=int, required=True)
    parser.add_argument('--state', type=pathlib.Path, required=True)
    parser.add_argument('--metadata', type=int, default=0)
    parser.add_argument('--secret', default='')
    arguments = parser.parse_args()
    given = (arguments.port, arguments.state, arguments.metadata, arguments.secret)
    with Switch(*given) as switch:
        switch.serve_forever()


if __name__ == '__main__':
    main()
