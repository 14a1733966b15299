"""Guests in the database, and a gateway that listens."""

import dataclasses
import uuid
from collections.abc import Callable

import pytest

from aodh_ha.db import guests
from aodh_ha.db.database import Database
from aodh_ha.db.models import gateways
from aodh_ha.rules.guest import ENROLLED, Guest

NOW = 1_764_000_000.0
PROJECT = 'a' * 32


def guest(n: int = 1, **changes: object) -> Guest:
    """An enrolled guest that was heard two seconds ago."""
    plain = Guest(
        server_id=str(uuid.UUID(int=n)),
        project_id=PROJECT,
        status=ENROLLED,
        status_reason='',
        name=f'guest {n}',
        generation=1,
        interval=10.0,
        missed_limit=3,
        boot_grace=120.0,
        policy='stateless',
        enrolled_at=NOW - 3600,
        last_seen=NOW - 2,
        sequence=1,
        beats=100,
        boot_id=None,
        services=(),
        failures=0,
        failing_since=None,
        seen_by='agent',
    )
    return dataclasses.replace(plain, **changes)


@pytest.fixture
def enroll(database: Database) -> Callable[..., Guest]:
    """Put a guest into the database."""

    def put(n: int = 1, **changes: object) -> Guest:
        one = guest(n, **changes)
        with database.write() as connection:
            guests.enroll(connection, one)
        return one

    return put


@pytest.fixture
def listen(database: Database) -> Callable[[float], None]:
    """A gateway that listens at this moment, and did for the last hour."""

    def tick(now: float = NOW) -> None:
        values = {'name': 'gateway', 'alive_at': now, 'listening_since': NOW - 3600}
        with database.write() as connection:
            connection.execute(gateways.delete())
            connection.execute(gateways.insert().values(values))

    return tick
