"""Fixtures `database_url` (empty) and `database` (with its tables), on three engines in turn."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import pytest

from aodh_ha.db import Database, migrate
from tests.functional import databases


@pytest.fixture(scope='session')
def database_server() -> Iterator[Callable[[str], databases.Server]]:
    """Start a server when the first test asks for it, and stop all of them at the end."""
    running: dict[str, databases.Server] = {}
    with contextlib.ExitStack() as stack:

        def server(engine: str) -> databases.Server:
            if engine not in running:
                running[engine] = stack.enter_context(databases.SERVERS[engine]())
            return running[engine]

        yield server


@pytest.fixture(params=databases.ENGINES)
def database_url(
    request: pytest.FixtureRequest,
    tmp_path: pathlib.Path,
    database_server: Callable[[str], databases.Server],
) -> Iterator[str]:
    """SQLAlchemy URL of an empty database; the test runs once for each engine."""
    if request.param == 'sqlite':
        yield f'sqlite:///{tmp_path}/test.sqlite'
        return
    with database_server(request.param).database() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its tables, opened."""
    database = Database(database_url)
    migrate.upgrade(database)
    yield database
    database.close()
