"""One HTTP exchange with a limit on its time and on its size.

By hand, on sockets: http.client loads ssl and the mail parser whether they are
needed or not, 6 MB of the 15 MB that this program may take in a guest.
"""

import os
import re
import socket
import time

from .tls import MoreTrusted, secured

LIMIT = 64 * 1024
URL = re.compile(r'^(https?)://(?:([^/?#]*)@)?(\[[0-9a-fA-F:.%]+\]|[^/?#@:\[\]]+)(?::(\d{1,5}))?')
HEADER = re.compile(r'^([!#-\'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*$')
PORTS = {'http': 80, 'https': 443}


class TransportError(Exception):
    """No usable reply: refused, cut, too slow, too large, or not HTTP."""


class Reply:
    """An HTTP reply that was read in full; the names of `headers` are in lower case."""

    def __init__(self, status: int, headers: 'dict[str, str]', body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: str) -> str:
        """The header's value, or an empty string."""
        return self.headers.get(name.lower(), '')


def shown(url: str) -> str:
    """The URL for a log: a password in it must not get there."""
    return re.sub(r'//[^/]*@', '//***@', url)


class Address:
    """The parts of an http or https URL; raises TransportError for anything else."""

    def __init__(self, url: str) -> None:
        found = URL.match(url)
        if not found or not re.match(r'^[!-~]+$', url):
            raise TransportError('not an http(s) address: ' + shown(url))
        self.scheme, user, host, port = found.groups()
        self.user = user or ''
        self.host = host.strip('[]')
        self.port = int(port or PORTS[self.scheme])
        rest = url[found.end() :].partition('#')[0]
        if rest and rest[0] not in '/?':
            raise TransportError('not an http(s) address: ' + shown(url))
        self.target = rest if rest.startswith('/') else '/' + rest
        # As it was written: a port that was left out is not sent either.
        self.netloc = host + (':' + port if port else '')


def proxy_for(scheme: str, host: str, port: int) -> str:
    """The proxy that the environment names for this host, as urllib sees it; '' for none."""
    if host.startswith('169.254.'):
        return ''  # link-local: Nova's metadata service is never behind a proxy
    name = scheme + '_proxy'
    proxy = os.environ.get(name, os.environ.get(name.upper(), ''))
    direct = os.environ.get('no_proxy', os.environ.get('NO_PROXY', ''))
    host = host.lower()
    for each in direct.lower().split(','):
        each = each.strip()
        suffix = '.' + each.lstrip('.')
        if each == '*' or (
            each and any(('.' + h).endswith(suffix) for h in (host, '{}:{}'.format(host, port)))
        ):
            return ''
    return proxy


def _proxy_headers(proxy: Address) -> 'dict[str, str]':
    if not proxy.user:
        return {}
    import base64
    from urllib.parse import unquote_to_bytes

    user, _, password = proxy.user.partition(':')
    pair = unquote_to_bytes(user) + b':' + unquote_to_bytes(password)
    return {'Proxy-Authorization': 'Basic ' + base64.b64encode(pair).decode()}


def connect(host: str, port: int, timeout: float) -> 'socket.socket':
    """A TCP connection; raises OSError, or UnicodeError for a name that is none."""
    try:
        # As bytes: the resolver's IDNA tables cost a megabyte.
        name = host.encode('ascii')  # type: bytes | str
    except UnicodeError:
        name = host
    return socket.create_connection((name, port), timeout=timeout)  # type: ignore[arg-type]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TransportError('the exchange took too long')
    return left


def _send(sock: 'socket.socket', deadline: float, lines: 'list[str]', body: bytes) -> None:
    sock.settimeout(_left(deadline))
    sock.sendall('\r\n'.join(lines + ['', '']).encode('latin-1', 'replace') + body)


def _receive(sock: 'socket.socket', deadline: float) -> bytes:
    # Each recv gets only the time that is left: a peer that sends a byte a second
    # must not hold the heartbeats up for longer than one that is silent.
    sock.settimeout(_left(deadline))
    return sock.recv(16384)


def _head(sock: 'socket.socket', deadline: float) -> 'tuple[int, dict[str, str], bytes]':
    """Status, headers, and what of the body came with them."""
    data = b''
    while b'\r\n\r\n' not in data:
        chunk = _receive(sock, deadline)
        if not chunk:
            raise TransportError('the connection was closed without a reply')
        data += chunk
        if len(data) > LIMIT:
            raise TransportError('the head of the reply is larger than {} bytes'.format(LIMIT))
    head, _, rest = data.partition(b'\r\n\r\n')
    lines = head.decode('latin-1').split('\r\n')
    found = re.match(r'^HTTP/1\.\d ([2-5]\d\d)(?: |$)', lines[0])
    if not found:
        raise TransportError('not an HTTP reply')
    headers = {}  # type: dict[str, str]
    for line in lines[1:]:
        header = HEADER.match(line)
        if header:
            headers.setdefault(header.group(1).lower(), header.group(2))
    return int(found.group(1)), headers, rest


def _unchunked(data: bytes) -> 'bytes | None':
    """The body that was sent in chunks; None while there is more to come."""
    parts = []  # type: list[bytes]
    at = 0
    while True:
        end = data.find(b'\r\n', at)
        if end < 0:
            return None
        found = re.match(rb'^[0-9a-fA-F]{1,8}(?=[ \t;]|$)', data[at:end])
        if not found:
            raise TransportError('the chunks of the reply have no length')
        size = int(found.group(), 16)
        if not size:
            return b''.join(parts)
        if len(data) < end + 2 + size + 2:
            return None
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 2 + size + 2


def _read(sock: 'socket.socket', deadline: float, limit: int) -> Reply:
    status, headers, data = _head(sock, deadline)
    if status in (204, 304):
        return Reply(status, headers, b'')
    chunked = headers.get('transfer-encoding', '').lower() == 'chunked'
    length = headers.get('content-length', '')
    if length and not re.match(r'^\d{1,9}$', length):
        raise TransportError('the reply has no valid length')
    while True:
        if chunked:
            body = _unchunked(data)
            if body is not None:
                return Reply(status, headers, body)
        elif length and len(data) >= int(length):
            return Reply(status, headers, data[: int(length)])
        if len(data) > limit:
            raise TransportError('the reply is larger than {} bytes'.format(limit))
        more = _receive(sock, deadline)
        if not more and (chunked or length):
            raise TransportError('the connection was closed in the middle of the reply')
        if not more:
            return Reply(status, headers, data)
        data += more


def _tunnel(sock: 'socket.socket', deadline: float, to: Address, proxy: Address) -> None:
    host = '[{}]'.format(to.host) if ':' in to.host else to.host
    there = '{}:{}'.format(host, to.port)
    headers = dict(_proxy_headers(proxy), Host=there)
    lines = ['CONNECT {} HTTP/1.1'.format(there)]
    _send(sock, deadline, lines + ['{}: {}'.format(*h) for h in headers.items()], b'')
    status, _, _ = _head(sock, deadline)
    if status != 200:
        raise TransportError('the proxy answers HTTP {}'.format(status))


def _opened(
    to: Address, proxy: 'Address | None', deadline: float, ca_file: str, verify: bool
) -> 'socket.socket':
    """A connection on which the request can be sent; raises what `connect` and `secured` do."""
    sock = connect((proxy or to).host, (proxy or to).port, _left(deadline))
    try:
        if to.scheme == 'https':
            if proxy is not None:
                _tunnel(sock, deadline, to, proxy)
            sock.settimeout(_left(deadline))
            return secured(sock, to.host, ca_file, verify)
    except BaseException:
        sock.close()
        raise
    return sock


def exchange(
    method: str,
    url: str,
    body: bytes = b'',
    headers: 'dict[str, str] | None' = None,
    timeout: float = 5.0,
    limit: int = LIMIT,
    proxied: bool = True,
    ca_file: str = '',
    verify: bool = True,
) -> Reply:
    """Send one request and read the reply; `timeout` in seconds for all of it.

    The time limit does not cover the resolver, which has its own.
    Raises TransportError. No redirect is followed: a signed request belongs
    to the address that it was signed for.
    """
    deadline = time.monotonic() + timeout
    to = Address(url)
    found = proxy_for(to.scheme, to.host, to.port) if proxied else ''
    proxy = Address(found if '//' in found else 'http://' + found) if found else None
    sent = {'Host': to.netloc, 'Connection': 'close'}
    if body:
        sent['Content-Length'] = str(len(body))
    sent.update(headers or {})
    if any(end in text for pair in sent.items() for text in pair for end in '\r\n'):
        raise TransportError('a header has more than one line')
    target = to.target
    if proxy is not None and to.scheme == 'http':
        target = 'http://' + to.netloc + target
        sent.update(_proxy_headers(proxy))
    sock = None  # type: socket.socket | None
    try:
        try:
            sock = _opened(to, proxy, deadline, ca_file, verify)
        except MoreTrusted:
            sock = _opened(to, proxy, deadline, ca_file, verify)
        lines = ['{} {} HTTP/1.1'.format(method, target)]
        _send(sock, deadline, lines + ['{}: {}'.format(*h) for h in sent.items()], body)
        return _read(sock, deadline, limit)
    except (OSError, ValueError) as e:
        raise TransportError('{}: {}'.format(type(e).__name__, e)) from e
    finally:
        if sock is not None:
            sock.close()
