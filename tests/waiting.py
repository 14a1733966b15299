"""The one loop that waits: for a condition, with a bound, and saying what did not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar('T')


def wait_for(
    condition: Callable[[], T],
    what: str | Callable[[], object] = 'the condition',
    seconds: float = 10.0,
    every: float = 0.01,
) -> T:
    """The condition's first true value.

    Fails after so many seconds with ``what`` was waited for (a callable is asked only then) and
    the last value.
    """
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            told = what() if callable(what) else what
            raise AssertionError(f'{told}: not within {seconds:g} s; last seen: {value!r}')
        time.sleep(every)
