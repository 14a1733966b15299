"""A devcloud for the whole session, in a state of its own, and the guests that modules ask for."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait

import pytest

from tests.acceptance.devcloud import POLICY, PORT, STATE, Devcloud, Guest, running

Pool = Callable[[Iterable[str]], dict[str, Guest]]
LONGEST_FIRST = (
    *('test_templates_2014', 'test_heat_templates', 'test_cloud_contract', 'test_heat_plugin'),
    *('test_stack_level', 'test_steps', 'test_cloudwatch', 'test_faults'),
)
SHARED = 'PYTEST_XDIST_WORKER' in os.environ
"""Whether several processes run the modules."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes begins first, else one process has it while the others have nothing."""
    if SHARED:
        rank = {name: place for place, name in enumerate(LONGEST_FIRST)}
        items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


@pytest.fixture(scope='session')
def cloud() -> Iterator[Devcloud]:
    """A devcloud with aodh-ha as two processes and the tests' policy."""
    with running(STATE, PORT) as devcloud:
        devcloud.api.save_policy('ladder', POLICY)
        yield devcloud


@pytest.fixture(scope='session')
def pool(cloud: Devcloud, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """Takes healthy guests by name: those in `POOL` of the modules that run, all made at once.

    Each batch of its own would wait for its heartbeats and measures. Where several processes share
    the modules, nobody knows whose will run here, and each batch is made when it is asked for.
    `POOL` maps a guest's name to keywords of Devcloud.watch. They are on host1: what dies with
    host2 is none of them. Who takes guests removes them.
    """
    asked: dict[str, dict[str, object]] = {}
    for module in {item.getparent(pytest.Module) for item in request.session.items}:
        more = getattr(module.obj, 'POOL', {}) if module else {}
        assert not asked.keys() & more.keys(), 'two modules ask for a guest of the same name'
        asked |= more
    made: dict[str, Future[Guest]] = {}

    def take(names: Iterable[str]) -> dict[str, Guest]:
        make(names)
        # One that failed fails only the module that takes it.
        taken = {name: made[name].result() for name in names}
        for guest in taken.values():
            guest.take()
        return taken

    def make(names: Iterable[str]) -> None:
        for name in set(names) - made.keys():
            made[name] = threads.submit(cloud.watch, name, host='host1', **asked[name])

    with ThreadPoolExecutor(6) as threads:
        if not SHARED:
            make(asked)
            wait(made.values())
        yield take
