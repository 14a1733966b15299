"""Guests that send heartbeats as fast as they are answered, over some kept connections.

On bare sockets: a client library would take more of a core than the gateway does.
"""

import json
import selectors
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from aodh_ha import keys
from aodh_ha.rules import heartbeat

BODY = json.dumps(
    {
        'boot_id': '6c1f0c0e-6f0c-4a41-9b0e-2f6f3f0c8f11',
        'agent': '0.1.0',
        'services': [{'name': 'web', 'state': 'ok', 'failures': 0}],
    }
).encode()
"""What a guest with one service sends."""


@dataclass
class Answers:
    """What came back."""

    seconds: float = 0.0
    statuses: dict[bytes, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)
    """Seconds from the last byte sent to the last one read."""

    @property
    def rate(self) -> float:
        """Heartbeats accepted in a second."""
        return self.statuses.get(b'202', 0) / self.seconds


def requests(
    master: bytes, guests: Iterable[str], sequence: int, now: float | None = None
) -> list[bytes]:
    """One signed heartbeat of each guest, as its agent sends it."""
    at = int(time.time() if now is None else now)
    found = []
    for guest in guests:
        key = keys.guest_key(master, guest, 1)
        signature = heartbeat.sign(key, 'POST', '/v1/heartbeats', guest, 1, at, sequence, BODY)
        head = (
            'POST /v1/heartbeats HTTP/1.1\r\nHost: 127.0.0.1\r\n'
            f'Authorization: {heartbeat.SCHEME} guest="{guest}", generation="1", time="{at}", '
            f'sequence="{sequence}", signature="{signature}"\r\n'
            'Content-Type: application/json\r\nUser-Agent: aodh-ha-agent/0.1.0\r\n'
            f'Content-Length: {len(BODY)}\r\n\r\n'
        )
        found.append(head.encode() + BODY)
    return found


def send(port: int, waiting: list[bytes], connections: int, seconds: float) -> Answers:
    """Send until the time is over, or all requests are answered."""
    answers = Answers()
    selector = selectors.DefaultSelector()
    queue = iter(waiting)
    began = time.perf_counter()

    def start(connection: socket.socket) -> bool:
        request = next(queue, None)
        if request is None or time.perf_counter() - began > seconds:
            return False
        connection.sendall(request)
        sent[connection] = time.perf_counter()
        read[connection] = b''
        return True

    sent: dict[socket.socket, float] = {}
    read: dict[socket.socket, bytes] = {}
    busy = 0
    opened = [socket.create_connection(('127.0.0.1', port)) for _ in range(connections)]
    for connection in opened:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ)
    began = time.perf_counter()
    busy = sum(map(start, opened))
    while busy:
        for ready, _ in selector.select(30):
            connection: socket.socket = ready.fileobj  # type: ignore[assignment]
            data = connection.recv(65536)
            if not data:
                raise ConnectionError(f'the gateway hung up after {read[connection]!r}')
            read[connection] += data
            head, end, body = read[connection].partition(b'\r\n\r\n')
            if not end or len(body) < _length(head):
                continue
            status = head[9:12]
            answers.statuses[status] = answers.statuses.get(status, 0) + 1
            answers.latencies.append(time.perf_counter() - sent[connection])
            busy -= not start(connection)
    answers.seconds = time.perf_counter() - began
    for connection in opened:
        connection.close()
    return answers


def _length(head: bytes) -> int:
    lower = head.lower()
    at = lower.find(b'content-length:')
    return int(lower[at + 15 :].split(b'\r\n', 1)[0]) if at >= 0 else 0
