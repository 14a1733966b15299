"""The one loop that waits: for a condition, with a bound, and saying what did not come."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar('T')


def wait_for(
    condition: Callable[[], T],
    seconds: float = 10.0,
    what: str = 'the condition',
    every: float = 0.01,
) -> T:
    """The condition's first true value.

    Fails after so many seconds with ``what`` was waited for, and the last value.
    """
    until = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f'{what}: not within {seconds:g} s; last seen: {value!r}')
        time.sleep(every)
