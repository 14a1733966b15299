"""The agent's HTTP: what it sends, and what it takes for a reply, against raw sockets."""

import hashlib
import hmac
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from aodh_ha.agent import signing, tls
from aodh_ha.agent.transport import Address, TransportError, exchange, proxy_for

Peer = Callable[..., 'Raw']


class Raw:
    """A server that takes one request per connection and answers with these bytes."""

    def __init__(self, answer: bytes, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._context = context
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.url = f'{"https" if context else "http"}://127.0.0.1:{self.port}'
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            if self._context:
                connection = self._context.wrap_socket(connection, server_side=True)
            request = connection.recv(65536)
            if request.startswith(b'CONNECT '):
                self._tunnel(connection, request)
                return
            self.requests.append(request)
            connection.sendall(self._answer)
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            connection.close()

    def _tunnel(self, near: socket.socket, request: bytes) -> None:
        self.requests.append(request)
        host, _, port = request.split()[1].decode().rpartition(':')
        far = socket.create_connection((host.strip('[]'), int(port)))
        near.sendall(b'HTTP/1.1 200 Connection established\r\n\r\n')

        def copy(one: socket.socket, other: socket.socket) -> None:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=copy, args=(far, near), daemon=True)
        back.start()
        copy(near, far)
        back.join(5)
        far.close()


@pytest.fixture
def peer() -> Iterator[Peer]:
    made: list[Raw] = []

    def make(answer: bytes, context: ssl.SSLContext | None = None) -> Raw:
        made.append(Raw(answer, context))
        return made[-1]

    yield make
    for each in made:
        each.listener.shutdown(socket.SHUT_RDWR)
        each.listener.close()


OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'


@pytest.mark.parametrize(
    ('answer', 'body'),
    [
        (OK, b'ok'),
        (OK + b'and more', b'ok'),
        (b'HTTP/1.0 200 OK\r\n\r\nup to the end', b'up to the end'),
        (b'HTTP/1.1 200\r\ncontent-length:\t2 \r\n\r\nok', b'ok'),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
            b'2\r\nok\r\nA;x=y\r\n, and more\r\n0\r\n\r\n',
            b'ok, and more',
        ),
        (b'HTTP/1.1 204 No Content\r\n\r\n', b''),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', b''),
    ],
)
def test_a_reply_is_read_in_every_form(peer: Peer, answer: bytes, body: bytes) -> None:
    reply = exchange('GET', peer(answer).url)
    assert 200 <= reply.status < 300
    assert reply.body == body


@pytest.mark.parametrize(
    'answer',
    [
        b'',
        b'HTTP/1.1 200 OK\r\n',
        b'HTTP/1.1 2000 OK\r\n\r\n',
        b'HTTP/1.1 abc\r\n\r\n',
        b'HTTP/1.1 100 Continue\r\n\r\n',
        b'220 mail.example.org ESMTP\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok',
        b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok',
        b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\nok',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n',
        b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n',
        b'HTTP/1.1 200 OK\r\n' + b'X: y\r\n' * 20_000 + b'\r\n',
        b'HTTP/1.1 200 OK\r\n\r\n' + b'x' * 70_000,
        b'\xff' * 70_000,
    ],
)
def test_what_is_no_whole_reply_is_none(peer: Peer, answer: bytes) -> None:
    with pytest.raises(TransportError):
        exchange('GET', peer(answer).url, timeout=2)


def test_a_request_says_what_a_server_needs(peer: Peer) -> None:
    server = peer(OK)
    exchange('POST', server.url + '/v1/x?y=%20#z', b'{}', {'X-A': 'b'})
    head, _, body = server.requests[0].partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    assert lines[0] == 'POST /v1/x?y=%20 HTTP/1.1'
    assert sorted(lines[1:]) == [
        'Connection: close',
        'Content-Length: 2',
        f'Host: 127.0.0.1:{server.port}',
        'X-A: b',
    ]
    assert body == b'{}'


def test_no_header_can_bring_another(peer: Peer) -> None:
    server = peer(OK)
    with pytest.raises(TransportError):
        exchange('GET', server.url, headers={'X': 'a\r\nY: b'})
    assert server.requests == []


@pytest.mark.parametrize(
    ('url', 'found'),
    [
        ('http://h', ('h', 80, '/', 'h')),
        ('https://h.example:8443/a/b?c', ('h.example', 8443, '/a/b?c', 'h.example:8443')),
        ('http://[::1]:80/x', ('::1', 80, '/x', '[::1]:80')),
        ('http://u:p%40@h?q', ('h', 80, '/?q', 'h')),
    ],
)
def test_an_address_is_taken_apart(url: str, found: tuple[str, int, str, str]) -> None:
    address = Address(url)
    assert (address.host, address.port, address.target, address.netloc) == found


@pytest.mark.parametrize(
    'url',
    ['', 'h', 'ftp://h/', 'http://', 'http:///x', 'http://h:x/', 'http://h:123456/', 'http://h/ x',
     'http://h/\r\nX: y', 'http://hö/', 'socks5://u:secret@h'],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(TransportError) as e:
        exchange('GET', url, timeout=0.2, proxied=False)
    assert 'secret' not in str(e.value)


PROXIES = [
    {},
    {'http_proxy': 'http://p:1'},
    {'HTTP_PROXY': 'http://p:1', 'no_proxy': ''},
    {'https_proxy': 'http://p:1'},
    {'http_proxy': 'http://p:1', 'no_proxy': '*'},
    {'http_proxy': 'http://p:1', 'no_proxy': 'example.org'},
    {'http_proxy': 'http://p:1', 'no_proxy': 'b.test, .example.org'},
    {'http_proxy': 'http://p:1', 'NO_PROXY': 'gw.example.org:87'},
    {'http_proxy': 'http://p:1', 'no_proxy': 'ample.org,,'},
    {'http_proxy': 'http://p:1', 'no_proxy': 'GW.Example.Org'},
]


@pytest.mark.parametrize('environ', PROXIES)
@pytest.mark.parametrize('host', ['gw.example.org', 'example.org', '10.0.0.1'])
def test_proxies_are_found_as_urllib_finds_them(
    environ: dict[str, str], host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    expected = urllib.request.getproxies().get('http', '')
    if urllib.request.proxy_bypass(f'{host}:87'):
        expected = ''
    assert proxy_for('http', host, 87) == expected


def test_the_metadata_service_is_behind_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('http_proxy', 'http://p:1')
    assert proxy_for('http', '169.254.169.254', 80) == ''


# ---- TLS


@pytest.fixture(scope='module')
def certificate(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    file = tmp_path_factory.mktemp('tls') / 'server.pem'
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
         '-nodes', '-days', '2', '-subj', '/CN=gateway', '-addext', 'subjectAltName=IP:127.0.0.1',
         '-keyout', str(file), '-out', str(file.with_suffix('.crt'))],
        check=True, capture_output=True,
    )  # fmt: skip
    file.write_text(file.read_text() + file.with_suffix('.crt').read_text())
    return file


@pytest.fixture
def context(certificate: pathlib.Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def test_a_gateways_certificate_is_verified(
    peer: Peer, context: ssl.SSLContext, certificate: pathlib.Path
) -> None:
    server = peer(OK, context)
    ca = str(certificate.with_suffix('.crt'))
    assert exchange('GET', server.url, ca_file=ca).body == b'ok'
    with pytest.raises(TransportError, match='CERTIFICATE_VERIFY_FAILED'):
        exchange('GET', server.url)
    with pytest.raises(TransportError, match=r'(?i)mismatch'):
        exchange('GET', server.url.replace('127.0.0.1', 'localhost'), ca_file=ca)
    assert len(server.requests) == 1


@pytest.mark.parametrize('place', ['folder', 'file', 'file beside a folder that lacks it'])
def test_an_authority_of_the_systems_is_found_wherever_it_lies(
    place: str,
    peer: Peer,
    context: ssl.SSLContext,
    certificate: pathlib.Path,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, file, own = tmp_path / 'certs', tmp_path / 'all.pem', certificate.with_suffix('.crt')
    other = tmp_path / 'other.crt'
    other.write_text(ssl.DER_cert_to_PEM_cert(ssl.create_default_context().get_ca_certs(True)[0]))
    if place != 'file':
        folder.mkdir()
        shutil.copy(own if place == 'folder' else other, folder)
        subprocess.run(['openssl', 'rehash', folder], check=True)
    if place != 'folder':
        shutil.copy(own, file)
    monkeypatch.setenv('SSL_CERT_DIR', str(folder))
    monkeypatch.setenv('SSL_CERT_FILE', str(file))
    monkeypatch.setattr(tls, '_known', {})
    server = peer(OK, context)
    assert exchange('GET', server.url).body == b'ok'
    assert exchange('GET', server.url).body == b'ok'
    (trust,) = tls._known.values()
    assert trust.all_read is (place != 'folder')
    # Whoever lies in neither place is not trusted, and neither is another name.
    with pytest.raises(TransportError, match=r'(?i)mismatch'):
        exchange('GET', server.url.replace('127.0.0.1', 'localhost'))
    for known in (*folder.glob('*'), file):
        known.unlink(missing_ok=True)
    monkeypatch.setattr(tls, '_known', {})
    with pytest.raises(TransportError, match='CERTIFICATE_VERIFY_FAILED'):
        exchange('GET', server.url)
    assert len(server.requests) == 2


def test_tls_goes_through_a_proxy_end_to_end(
    peer: Peer,
    context: ssl.SSLContext,
    certificate: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server, proxy = peer(OK, context), peer(b'')
    monkeypatch.setenv('https_proxy', f'http://guest:s%40@127.0.0.1:{proxy.port}')
    ca = str(certificate.with_suffix('.crt'))
    assert exchange('GET', server.url + '/x', ca_file=ca).body == b'ok'
    assert server.requests[0].startswith(b'GET /x HTTP/1.1\r\n')
    assert b'Proxy-Authorization' not in server.requests[0]
    assert proxy.requests[0].startswith(f'CONNECT 127.0.0.1:{server.port} HTTP/1.1'.encode())
    assert b'Proxy-Authorization: Basic Z3Vlc3Q6c0A=' in proxy.requests[0]


def test_a_proxy_that_refuses_is_said(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = socket.create_server(('127.0.0.1', 0))
    port = listener.getsockname()[1]

    def refuse() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 407 Proxy Authentication Required\r\n\r\n')
        connection.close()

    threading.Thread(target=refuse, daemon=True).start()
    monkeypatch.setenv('https_proxy', f'127.0.0.1:{port}')
    with pytest.raises(TransportError, match='HTTP 407'):
        exchange('GET', 'https://gateway.example:8787/')
    listener.close()


def test_a_tls_handshake_that_hangs_ends_in_time() -> None:
    listener = socket.create_server(('127.0.0.1', 0))
    began = time.monotonic()
    with pytest.raises(TransportError):
        exchange('GET', f'https://127.0.0.1:{listener.getsockname()[1]}/', timeout=0.3)
    assert time.monotonic() - began < 2
    listener.close()


# ---- signatures


@pytest.mark.parametrize('key', ['k', 'k' * 43, 'k' * 64, 'k' * 65, 'k' * 200])
def test_signatures_are_those_of_the_standard_library(key: str) -> None:
    body = b'{"a": 1}'
    digest = hashlib.sha256(body).hexdigest()
    text = '\n'.join(['POST', '/p', 'g', '1', '2', '3', digest])
    expected = hmac.new(key.encode(), text.encode(), 'sha256').hexdigest()
    header = signing.authorization(key, 'POST', '/p', 'g', '1', 2, 3, body)
    assert header.endswith(f'signature="{expected}"')
    reply = hmac.new(key.encode(), f'reply\n202\n3\n{digest}'.encode(), 'sha256').hexdigest()
    assert signing.reply_is_genuine(key, 202, 3, body, f' {reply} ')
    for wrong in ('', 'x', reply[:-1], reply.upper(), 'ß' * 64, '\udcff'):
        assert not signing.reply_is_genuine(key, 202, 3, body, wrong)
    assert not signing.reply_is_genuine(key, 202, 4, body, reply)
    assert not signing.reply_is_genuine(key, 200, 3, body, reply)
    assert not signing.reply_is_genuine(key, 202, 3, body + b' ', reply)
