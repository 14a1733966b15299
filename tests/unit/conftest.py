"""A database for whoever asks for it: a real SQLite file with its tables."""

import pathlib
import shutil
from collections.abc import Iterator

import pytest
from sqlalchemy import event

from aodh_ha.db import Database


@pytest.fixture(scope='session')
def compiled_database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """One engine for all tests: a new one would compile every statement anew."""
    opened = Database(f'sqlite:///{tmp_path_factory.mktemp("database")}/test.sqlite')
    # Nothing here has to survive a power cut.
    event.listen(opened.engine, 'connect', lambda c, _: c.execute('PRAGMA synchronous=OFF'))
    return opened


@pytest.fixture
def database(compiled_database: Database, migrated_file: pathlib.Path) -> Iterator[Database]:
    """An empty database, opened; a file of its own under the one name."""
    file = pathlib.Path(str(compiled_database.engine.url.database))
    for old in file.parent.iterdir():
        old.unlink()
    shutil.copy(migrated_file, file)
    yield compiled_database
    compiled_database.close()
