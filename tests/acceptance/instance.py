"""An aodh-ha of a test's own on a devcloud: any database, any number of workers, killed at will."""

import configparser
import contextlib
import copy
import os
import pathlib
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator

from aodh_ha.osc.client import Client
from tests.acceptance.devcloud import Devcloud, wait

BIN = pathlib.Path(sys.executable).parent


class Instance:
    """A webhook, and workers that are started again whenever they die."""

    def __init__(
        self, cloud: Devcloud, folder: pathlib.Path, database: str, port: int, lease: float
    ) -> None:
        self.folder = folder
        self.url = f'http://127.0.0.1:{port}'
        conf = configparser.RawConfigParser(strict=False)
        conf.read(cloud.state / 'etc' / 'aodh-ha' / 'aodh-ha.conf')
        conf['database'] = {'connection': database}
        conf['secrets'] = {'master_key_file': str(folder / 'master.key')}
        conf['webhook'] = {'host': '127.0.0.1', 'port': str(port), 'public_url': self.url}
        conf['cloudwatch'] = {'enabled': 'false'}  # its port is the devcloud's own bridge's
        conf['publisher'] = {'driver': 'gnocchi', 'interval': '2'}
        # How long a dead worker's call is waited for rests on it.
        conf['service_credentials']['timeout'] = '8'
        conf['worker'] = {'lease': str(lease), 'reconcile_interval': '5'}
        (folder / 'master.key').write_text(os.urandom(32).hex())
        (folder / 'master.key').chmod(0o600)
        with (folder / 'aodh-ha.conf').open('w') as file:
            conf.write(file)
        self.environment = os.environ | {
            'AODH_HA_CONFIG_FILE': str(folder / 'aodh-ha.conf'),
            'DEVCLOUD_STATE': str(cloud.state),
        }
        # The same devcloud and tenant, and our own service in place of its.
        self.cloud = copy.copy(cloud)
        self.cloud.api = Client(cloud.demo.session, endpoint=self.url)
        self.cloud.operator = Client(cloud.admin.session, endpoint=self.url)
        self.deaths = 0
        self._stop = threading.Event()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._threads: list[threading.Thread] = []

    def _start(self, name: str, *command: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f'{name}.log').open('ab') as log:
            process = subprocess.Popen(
                command,
                env=self.environment | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def start(self, workers: int, **environment: str) -> None:
        """The webhook and the workers, these with the environment."""
        self._start('webhook', str(BIN / 'aodh-ha'), 'serve', '--no-worker')
        wait(self._answers, 'the webhook answers', 60)
        for number in range(workers):
            thread = threading.Thread(target=self._keep, args=(number, environment))
            self._threads.append(thread)
            thread.start()

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f'{self.url}/healthz', timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _keep(self, number: int, environment: dict[str, str]) -> None:
        while not self._stop.is_set():
            worker = self._start(f'worker-{number}', str(BIN / 'aodh-ha-worker'), **environment)
            if worker.wait() == -signal.SIGKILL:
                self.deaths += 1

    def stop(self) -> None:
        """End every process."""
        self._stop.set()
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for thread in self._threads:
            thread.join(60)
        for process in self._processes:
            process.wait(60)


@contextlib.contextmanager
def instance(
    cloud: Devcloud, folder: pathlib.Path, database: str, port: int, lease: float = 5
) -> Iterator[Instance]:
    """An instance that is stopped in the end; nothing of it is started yet."""
    made = Instance(cloud, folder, database, port, lease)
    try:
        yield made
    finally:
        made.stop()
