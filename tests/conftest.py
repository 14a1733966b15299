"""What holds for every test: a marker by folder, and time limits by marker."""

import os
import pathlib
import shutil
from collections.abc import Iterator

import hypothesis
import pytest
from sqlalchemy import event

from aodh_ha.db import Database, migrate

# Everything that a test asks listens on this machine; what is installed comes from elsewhere.
for variable in ('no_proxy', 'NO_PROXY'):
    known = os.environ.get(variable, '')
    os.environ[variable] = ','.join(filter(None, (known, '127.0.0.1', 'localhost')))

TESTS = pathlib.Path(__file__).parent

# Seconds one test may take, where the default of pyproject.toml does not fit.
TIMEOUTS = {'unit': 20, 'acceptance': 1800, 'benchmark': 900}
MARKERS = {
    'unit': 'unit',
    'functional': 'functional',
    'acceptance': 'acceptance',
    'benchmarks': 'benchmark',
}

# Deadlines measure the machine, not the code: two busy cores make them fail at random.
hypothesis.settings.register_profile('aodh-ha', deadline=None, print_blob=True)
hypothesis.settings.load_profile('aodh-ha')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its folder, so that `-m unit` means tests/unit and nothing else."""
    for item in items:
        if not item.path.is_relative_to(TESTS):
            continue
        marker = MARKERS.get(item.path.relative_to(TESTS).parts[0])
        if marker is None:
            continue
        item.add_marker(marker)
        if marker in TIMEOUTS and item.get_closest_marker('timeout') is None:
            item.add_marker(pytest.mark.timeout(TIMEOUTS[marker]))


@pytest.fixture(scope='session')
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A SQLite file with all tables, to be copied: making them takes longer than most tests."""
    file = tmp_path_factory.mktemp('migrated') / 'migrated.sqlite'
    database = Database(f'sqlite:///{file}')
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        connection.exec_driver_sql('PRAGMA wal_checkpoint(TRUNCATE)')
    database.close()
    return file


@pytest.fixture
def sqlite_url(migrated_file: pathlib.Path, tmp_path: pathlib.Path) -> str:
    """SQLAlchemy URL of a SQLite database with its tables."""
    shutil.copy(migrated_file, tmp_path / 'test.sqlite')
    return f'sqlite:///{tmp_path}/test.sqlite'


@pytest.fixture(scope='session')
def compiled_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One engine for all tests: a new one would compile every statement anew."""
    opened = Database(f'sqlite:///{tmp_path_factory.mktemp("database")}/test.sqlite')
    # Nothing here has to survive a power cut.
    event.listen(opened.engine, 'connect', lambda c, _: c.execute('PRAGMA synchronous=OFF'))
    return opened


@pytest.fixture
def sqlite_database(compiled_database: Database, migrated_file: pathlib.Path) -> Iterator[Database]:
    """An empty SQLite database, opened; a file of its own under the one name."""
    file = pathlib.Path(str(compiled_database.engine.url.database))
    for old in file.parent.iterdir():
        old.unlink()
    shutil.copy(migrated_file, file)
    yield compiled_database
    compiled_database.close()
