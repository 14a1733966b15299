"""A database for whoever asks for it: a real SQLite file with its tables."""

import pytest

from aodh_ha.db import Database


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """An empty database, opened."""
    return sqlite_database
