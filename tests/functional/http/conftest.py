"""Fixture `service` runs on three databases, `quick` on SQLite only (nothing depends on which)."""

import atexit
import logging
import pathlib
from collections.abc import Callable, Iterator

import pytest

import webhook.cloudwatch.listening
import webhook.intake
import webhook.refusals
from aodh_ha import opts
from aodh_ha.db import Database
from aodh_ha.testing import Clock
from tests.functional.http import keystone as keystones
from tests.functional.http.keystone import Keystone
from tests.functional.http.service import Service, configuration
from webhook.app import create_app


@pytest.fixture(scope='session')
def keystone_server() -> Iterator[Keystone]:
    with keystones.running() as keystone:
        yield keystone


@pytest.fixture
def keystone(keystone_server: Keystone) -> Iterator[Keystone]:
    keystone_server.away = False
    keystone_server.asked.clear()
    yield keystone_server
    keystone_server.away = False


@pytest.fixture
def make(
    tmp_path: pathlib.Path, keystone: Keystone, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Service]]:
    """Make a service on the database of this URL, which has its tables.

    More arguments go into its configuration.
    """
    # The writer's thread would tick by the real clock; the tests flush when it is time.
    monkeypatch.setattr(webhook.intake, 'FLUSH', 3600)
    monkeypatch.setattr(webhook.refusals, 'FLUSH', 3600)
    monkeypatch.setattr(webhook.cloudwatch.listening, 'INTERVAL', 3600)
    made: list[Service] = []

    def make(url: str, **more: str) -> Service:
        file = configuration(tmp_path, url, keystone.url, **more)
        database = Database(url)
        clock = Clock()
        app = create_app(opts.load([f'--config-file={file}']), clock)
        app.testing = False
        made.append(Service(app, database, clock, keystone))
        return made[-1]

    yield make
    for service in made:
        bridge = service.app.extensions.get('aodh_ha_bridge')
        if bridge:
            bridge.close()
            atexit.unregister(bridge.close)
        service.state.refusals.close()
        atexit.unregister(service.state.refusals.close)
        service.state.intake.close()
        atexit.unregister(service.state.intake.close)  # its server may be gone by then
        service.state.database.close()
        service.database.close()


@pytest.fixture
def service(make: Callable[..., Service], database_url: str) -> Service:
    return make(database_url)


@pytest.fixture
def quick(make: Callable[..., Service], sqlite_url: str) -> Service:
    return make(sqlite_url)


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The log lines of the webhook since the last call."""
    caplog.set_level(logging.INFO)

    def lines() -> list[str]:
        found = [r.getMessage() for r in caplog.records if r.name.startswith('webhook')]
        caplog.clear()
        return found

    return lines
