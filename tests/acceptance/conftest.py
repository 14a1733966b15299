"""A devcloud for the whole session, in a state of its own, and the guests that modules ask for."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.acceptance.devcloud import POLICY, PORT, STATE, Devcloud, Guest, running

Pool = Callable[[Iterable[str]], dict[str, Guest]]


@pytest.fixture(scope='session')
def cloud() -> Iterator[Devcloud]:
    """A devcloud with aodh-ha as two processes and the tests' policy."""
    with running(STATE, PORT) as devcloud:
        devcloud.api.save_policy('ladder', POLICY)
        yield devcloud


@pytest.fixture(scope='session')
def pool(cloud: Devcloud, request: pytest.FixtureRequest) -> Pool:
    """Takes healthy guests by name: those in `POOL` of the modules that run, all made at once.

    Each batch of its own would wait for its heartbeats and measures. `POOL` maps a guest's name
    to keywords of Devcloud.watch. They are on host1: what dies with host2 is none of them. Who
    takes guests removes them.
    """
    asked: dict[str, dict[str, object]] = {}
    for module in {item.getparent(pytest.Module) for item in request.session.items}:
        more = getattr(module.obj, 'POOL', {}) if module else {}
        assert not asked.keys() & more.keys(), 'two modules ask for a guest of the same name'
        asked |= more
    with ThreadPoolExecutor(6) as threads:
        made = {
            name: threads.submit(cloud.watch, name, host='host1', **keywords)
            for name, keywords in asked.items()
        }
        wait(made.values())

    def take(names: Iterable[str]) -> dict[str, Guest]:
        # One that failed fails only the module that takes it.
        taken = {name: made[name].result() for name in names}
        for guest in taken.values():
            guest.take()
        return taken

    return take
