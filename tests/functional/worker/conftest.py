"""What the worker does, by a clock that is set by hand: on SQLite only, since none of it is SQL.

What depends on the engine of the database is tested on all of them, one folder up.
"""

import pytest

from aodh_ha.db import Database


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """An empty database, opened."""
    return sqlite_database
