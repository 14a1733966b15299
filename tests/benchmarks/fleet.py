"""A gateway with many enrolled guests on SQLite, and beside it a view that does nothing."""

import contextlib
import os
import pathlib
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import asdict

import requests
import sqlalchemy as sa

from aodh_ha import keys
from aodh_ha.db import Database, migrate
from aodh_ha.db.models import guests
from tests import samples
from tests.benchmarks import load
from tests.functional.http.processes import free_port
from tests.functional.http.service import configuration
from tests.waiting import wait_for

GUESTS = int(os.environ.get('BENCHMARK_GUESTS', '100000'))
CONNECTIONS = 16


class Fleet:
    """Two services, and the guests of one of them."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.ports = {'gateway': free_port(), 'nothing': free_port()}
        self.pids: dict[str, int] = {}
        self.folder = folder
        url = f'sqlite:///{folder}/aodh-ha.sqlite'
        self.files = {}
        for name, port in self.ports.items():
            (folder / name).mkdir()
            self.files[name] = configuration(folder / name, url, 'http://127.0.0.1:1', port)
        self.master = keys.load_master_key(str(folder / 'gateway/master.key'))
        self.database = Database(url)
        migrate.upgrade(self.database)
        self.ids = [str(uuid.UUID(int=n, version=4)) for n in range(1, GUESTS + 1)]
        plain = asdict(samples.guest(generation=1)) | {
            'services': '[{"name": "web", "state": "ok", "failures": 0}]'
        }
        with self.database.write() as connection:
            rows = [plain | {'server_id': i, 'sequence': 0, 'beats': 0} for i in self.ids]
            connection.execute(guests.insert(), rows)
        self.next = 0
        self.sequence = 1

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """gunicorn, twice."""
        applications = {
            'gateway': 'webhook.wsgi:create()',
            'nothing': 'tests.benchmarks.nothing:create()',
        }
        processes = {}
        try:
            for name, application in applications.items():
                environment = os.environ | {'AODH_HA_CONFIG_FILE': str(self.files[name])}
                words = ['-m', 'gunicorn', '-c', 'python:webhook.gunicorn_conf', application]
                with (self.folder / f'{name}.log').open('ab') as log:
                    processes[name] = subprocess.Popen(
                        [sys.executable, *words], env=environment, stdout=log, stderr=log
                    )
            for name, process in processes.items():
                wait_for(lambda n=name, p=process: self._answers(n, p), 60, f'{name} answers')
                path = pathlib.Path(f'/proc/{process.pid}/task/{process.pid}/children')
                self.pids[name] = int(path.read_text())
            yield
        finally:
            for process in processes.values():
                process.terminate()
                process.wait(30)

    def _answers(self, name: str, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self.folder / f'{name}.log').read_text()
        try:
            return requests.get(f'http://127.0.0.1:{self.ports[name]}/healthz', timeout=5).ok
        except requests.RequestException:
            return False

    def prepared(self, count: int) -> list[bytes]:
        """A heartbeat each of the next guests; after the last one the first goes on."""
        found: list[bytes] = []
        while len(found) < count:
            part = self.ids[self.next : self.next + count - len(found)]
            found += load.requests(self.master, part, self.sequence)
            self.next += len(part)
            if self.next == GUESTS:
                self.next, self.sequence = 0, self.sequence + 1
        return found

    def cpu(self, name: str) -> float:
        """Seconds of a core that a service has used."""
        text = pathlib.Path(f'/proc/{self.pids[name]}/stat').read_text()
        user, system = text.rpartition(')')[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')

    def memory(self) -> int:
        """Resident bytes of the gateway."""
        text = pathlib.Path(f'/proc/{self.pids["gateway"]}/statm').read_text()
        return int(text.split()[1]) * os.sysconf('SC_PAGE_SIZE')

    def written(self) -> int:
        """Heartbeats in the database."""
        with self.database.read() as connection:
            return int(connection.execute(sa.select(sa.func.sum(guests.c.beats))).scalar_one())
