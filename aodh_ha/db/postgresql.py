"""A connection to PostgreSQL that does not wait for ever.

libpq has no limit for an answer: a server whose processes hang still acknowledges every packet
by its kernel, so that neither tcp_user_timeout nor keepalives end the wait, and
statement_timeout is its own to enforce.
"""

import time
from collections.abc import Callable, Generator
from typing import Any

import psycopg


def connector(seconds: float) -> Callable[..., Any]:
    """For SQLAlchemy's event ``do_connect``: connections whose answers take at most so long."""

    class Bounded(psycopg.Connection[Any]):
        def wait(self, gen: Any, *args: Any, **kwargs: Any) -> Any:
            try:
                return super().wait(_bounded(gen, seconds), *args, **kwargs)
            except TimeoutError:
                # It may still answer: whatever comes then belongs to nobody.
                self.close()
                raise psycopg.OperationalError(
                    f'the server did not answer within {seconds:g} s'
                ) from None

    def connect(_dialect: Any, _record: Any, arguments: Any, parameters: Any) -> Any:
        return Bounded.connect(*arguments, **parameters)

    return connect


def _bounded(gen: Generator[Any, Any, Any], seconds: float) -> Generator[Any, Any, Any]:
    """``gen``, which psycopg runs whenever the socket is ready and every 0.1 s when it is not."""
    end = time.monotonic() + seconds
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            # Whatever it is: psycopg 3.2 sends "ready to read" also when nothing came.
            if time.monotonic() > end:
                raise TimeoutError
            wanted = gen.send(ready)
    except StopIteration as done:
        return done.value
