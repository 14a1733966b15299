"""Databases on three engines in turn: `database` with its tables, `empty_url` without any."""

import contextlib
import pathlib
from collections.abc import Callable, Iterator

import pytest

from aodh_ha.db import Database
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
def engine(request: pytest.FixtureRequest) -> str:
    """The name of an engine; the test runs once for each."""
    return str(request.param)


@pytest.fixture
def empty_url(
    engine: str, tmp_path: pathlib.Path, database_server: Callable[[str], databases.Server]
) -> Iterator[str]:
    """SQLAlchemy URL of an empty database."""
    if engine == 'sqlite':
        yield f'sqlite:///{tmp_path}/empty.sqlite'
        return
    with database_server(engine).database() as url:
        yield url


@pytest.fixture
def database_url(
    engine: str,
    request: pytest.FixtureRequest,
    database_server: Callable[[str], databases.Server],
) -> Iterator[str]:
    """SQLAlchemy URL of a database with its tables, and nothing in them."""
    if engine == 'sqlite':
        yield request.getfixturevalue('sqlite_url')
        return
    with database_server(engine).migrated() as url:
        yield url


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A database with its tables, opened."""
    database = Database(database_url)
    yield database
    database.close()
