"""gunicorn's threads, of which a request takes one only when it has arrived whole.

gunicorn gives a connection to a thread as soon as its first byte is there, and as many slow senders
as there are threads keep everybody out. Here the poller waits: the kernel holds what has come so
far and says when there is more of it.
"""

import re
import socket
import time
from collections import deque
from functools import partial
from selectors import EVENT_READ
from typing import Any

from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers.gthread import ThreadWorker

PATIENCE = 10.0
"""Seconds that a request may take to arrive. A guest gives up after 5."""

MOST = 256 * 1024
"""Bytes of a request that are waited for, more than our doors take. What is larger gets a thread
at once, to be refused by its length, and the rest of PATIENCE to be read by it."""

_LENGTH = re.compile(rb'^content-length:[ \t]*(\d{1,12})[ \t]*\r?$', re.IGNORECASE | re.MULTILINE)
_CHUNKED = re.compile(rb'^transfer-encoding:', re.IGNORECASE | re.MULTILINE)
_EXPECT = re.compile(rb'^expect:', re.IGNORECASE | re.MULTILINE)


def missing(data: bytes) -> int:
    """How many bytes, at least, this beginning of a request lacks; 0: a thread may have it.

    That is so, too, for what will not be read whole, or is no request at all.
    """
    head, end, body = data.partition(b'\r\n\r\n')
    if len(data) >= MOST:
        return 0
    if not end:
        return 1
    if _EXPECT.search(head):
        return 0  # it waits for our answer before it sends its body
    if _CHUNKED.search(head):
        return 0 if body.endswith(b'0\r\n\r\n') else 1
    length = _LENGTH.search(head)
    wanted = int(length[1]) if length else 0
    return 0 if wanted > MOST else max(0, wanted - len(body))


class _Reader(SocketUnreader):  # type: ignore[misc]
    """Reads a request that is not there whole, and takes its sender for gone after a while."""

    def __init__(self, sock: socket.socket, until: float) -> None:
        super().__init__(sock)
        self.until = until

    def chunk(self, size_hint: int | None = None) -> bytes:
        """See Unreader."""
        try:
            self.sock.settimeout(max(0.01, self.until - time.monotonic()))
            return bytes(super().chunk(size_hint))
        except TimeoutError:
            return b''
        finally:
            self.sock.settimeout(None)


class Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's gthread; ``enqueue_req`` and ``murder_pending`` run in its main thread."""

    pending_conns: deque[Any]

    def enqueue_req(self, conn: Any) -> None:
        """Give the connection to a thread, or wait for the rest of its request."""
        unreader = getattr(conn.parser, 'unreader', None)
        # Its next request, or a part of it, may have been read together with the last one.
        begun = unreader.buf.getvalue() if unreader is not None else b''
        now = time.monotonic()
        conn.arrives_until = getattr(conn, 'arrives_until', None) or now + PATIENCE
        lacks = _lacks(conn.sock, begun)
        if not lacks:
            conn.data_ready = True
            super().enqueue_req(conn)
        elif now >= conn.arrives_until:
            self._give_up(conn)
        else:
            conn.sock.setblocking(False)
            conn.timeout = conn.arrives_until
            self.pending_conns.append(conn)
            readable = partial(self.on_pending_socket_readable, conn)
            self.poller.register(conn.sock, EVENT_READ, readable)

    def handle(self, conn: Any) -> Any:
        """Carry out its request, in a thread."""
        until, conn.arrives_until = conn.arrives_until, None
        conn.init()
        unreader = getattr(conn.parser, 'unreader', None)
        if isinstance(unreader, _Reader):
            unreader.until = until
        elif isinstance(unreader, SocketUnreader):
            conn.parser.unreader = _Reader(conn.sock, until)
        return super().handle(conn)

    def murder_pending(self) -> None:
        """Close what did not arrive in time; they do not stand in the order of their times."""
        now = time.monotonic()
        for conn in [c for c in self.pending_conns if c.timeout <= now]:
            self.pending_conns.remove(conn)
            self.poller.unregister(conn.sock)
            self._give_up(conn)

    def _give_up(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()


def _lacks(sock: socket.socket, begun: bytes) -> int:
    """How many bytes to wait for after those that were read; then the poller wakes up, and not
    for each of them."""
    try:
        data = sock.recv(MOST, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        if not data:
            return 0  # it was closed
    except BlockingIOError:
        data = b''
    except OSError:
        return 0  # its thread finds out
    lacks = missing(begun + data)
    if lacks:
        # Makes room for what is waited for: of a full buffer the kernel says again and again that
        # it can be read, and the rest never comes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2 * MOST)
    mark = len(data) + lacks if lacks else 1
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, mark)
    # The kernel waits for no more than fits into its buffer.
    given = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT) if lacks else mark
    return 0 if given <= len(data) and lacks else lacks
