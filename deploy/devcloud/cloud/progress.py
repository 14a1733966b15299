"""Lines that say what is going on and how long it has taken."""

import contextlib
import threading
import time
from collections.abc import Iterator

STILL = 10.0
"""Seconds after which a running step is mentioned again."""

_begin = time.monotonic()


def elapsed() -> float:
    """Seconds since this command began."""
    return time.monotonic() - _begin


def say(text: str) -> None:
    print(f'[{elapsed():6.1f} s] {text}', flush=True)


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Announce a step that may be long, mention it while it runs, and say when it is done."""
    begin = time.monotonic()
    done = threading.Event()

    def remind() -> None:
        while not done.wait(STILL):
            say(f'  … {what}, {time.monotonic() - begin:.0f} s')

    say(what)
    threading.Thread(target=remind, daemon=True).start()
    try:
        yield
    finally:
        done.set()
    say(f'  {what}: done in {time.monotonic() - begin:.1f} s')
