"""A database for whoever asks for it: a real SQLite file with its tables."""

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from aodh_ha.db import Database


@pytest.fixture
def database(sqlite_url: str) -> Iterator[Database]:
    """An empty database, opened."""
    opened = Database(sqlite_url)
    # Nothing here has to survive a power cut.
    event.listen(opened.engine, 'connect', lambda c, _: c.execute('PRAGMA synchronous=OFF'))
    yield opened
    opened.close()
