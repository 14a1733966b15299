"""One HTTP exchange with a limit on its time and on its size."""

import http.client
import io
import os
import re
import socket
import time
import urllib.parse

LIMIT = 64 * 1024


class TransportError(Exception):
    """No usable reply: refused, cut, too slow, too large, or not HTTP."""


class Reply:
    """An HTTP reply that was read in full."""

    def __init__(self, status: int, headers: 'http.client.HTTPMessage', body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def header(self, name: str) -> str:
        """The header's value, or an empty string."""
        return str(self.headers.get(name, '') or '')


class _Received:
    """What HTTPResponse needs of a socket, over bytes that were read already."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, mode: str) -> 'io.BytesIO':
        return io.BytesIO(self._data)


def proxy_for(scheme: str, host: str) -> 'str | None':
    """The proxy that the environment names for this host, as urllib sees it.

    urllib.request costs 2 MB of memory: a guest without a proxy is spared it.
    """
    if not any(name.lower().endswith('_proxy') for name in os.environ):
        return None
    if host.startswith('169.254.'):
        return None  # link-local: Nova's metadata service is never behind a proxy
    from urllib.request import getproxies, proxy_bypass

    proxy = getproxies().get(scheme)
    return None if not proxy or proxy_bypass(host) else proxy


def _proxy_headers(proxy: 'urllib.parse.SplitResult') -> 'dict[str, str]':
    if not proxy.username:
        return {}
    import base64

    pair = '{}:{}'.format(
        urllib.parse.unquote(proxy.username), urllib.parse.unquote(proxy.password or '')
    )
    return {'Proxy-Authorization': 'Basic ' + base64.b64encode(pair.encode()).decode()}


def _read(sock: 'socket.socket', deadline: float, limit: int) -> bytes:
    """Everything up to the end of the reply.

    Each recv gets only the time that is left: a peer that sends a byte a
    second must not hold the heartbeats up for longer than one that is silent.
    """
    data = b''
    length = None  # type: int | None
    while length is None or len(data) < length:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TransportError('the reply took too long')
        sock.settimeout(left)
        chunk = sock.recv(16384)
        if not chunk:
            break
        data += chunk
        if len(data) > limit:
            raise TransportError('the reply is larger than {} bytes'.format(limit))
        if length is None and b'\r\n\r\n' in data:
            head = data.index(b'\r\n\r\n') + 4
            found = re.search(rb'\r\ncontent-length:[ \t]*(\d{1,9})\r\n', data[:head].lower())
            if found:
                length = head + int(found.group(1))
    return data


def exchange(
    method: str,
    url: str,
    body: bytes = b'',
    headers: 'dict[str, str] | None' = None,
    timeout: float = 5.0,
    limit: int = LIMIT,
    proxied: bool = True,
    ca_file: str = '',
) -> Reply:
    """Send one request and read the reply; `timeout` in seconds for all of it.

    The time limit does not cover the resolver, which has its own.
    Raises TransportError. No redirect is followed: a signed request belongs
    to the address that it was signed for.
    """
    deadline = time.monotonic() + timeout
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ('http', 'https') or not parts.hostname:
        raise TransportError('not an http(s) address: ' + url)
    sent = {'Connection': 'close', 'Host': parts.netloc.rpartition('@')[2]}
    sent.update(headers or {})
    target = (parts.path or '/') + ('?' + parts.query if parts.query else '')
    host, port = parts.hostname, parts.port
    found = proxy_for(parts.scheme, host) if proxied else None
    proxy = urllib.parse.urlsplit(found if '//' in found else '//' + found) if found else None
    connection = None  # type: http.client.HTTPConnection | None
    try:
        if proxy is not None and proxy.hostname:
            host, port = proxy.hostname, proxy.port or 8080
        if parts.scheme == 'https':
            import ssl

            context = ssl.create_default_context(cafile=ca_file or None)
            connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
            if proxy is not None:
                connection.set_tunnel(
                    parts.hostname, parts.port or 443, headers=_proxy_headers(proxy)
                )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=timeout)
            if proxy is not None:
                target = 'http://{}{}'.format(sent['Host'], target)
                sent.update(_proxy_headers(proxy))
        connection.request(method, target, body=body or None, headers=sent)
        data = _read(connection.sock, deadline, limit)
        if not data:
            raise TransportError('the connection was closed without a reply')
        response = http.client.HTTPResponse(_Received(data), method=method)  # type: ignore[arg-type]
        response.begin()
        return Reply(response.status, response.headers, response.read())
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise TransportError('{}: {}'.format(type(e).__name__, e)) from e
    finally:
        if connection is not None:
            connection.close()
