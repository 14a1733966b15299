"""The real agent and gateway, with a network between them that loses and forges replies."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests
import sqlalchemy as sa

import aodh_ha.agent
from aodh_ha.db import Database, audit, commands, guests
from aodh_ha.db.commands import Command
from aodh_ha.db.models import commands as commands_table
from aodh_ha.db.models import guests as guests_table
from tests.functional.http.keystone import Keystone
from tests.functional.http.processes import free_port, gunicorn
from tests.functional.http.service import configuration
from tests.samples import PROJECT, SERVER_ID
from tests.waiting import wait_for

AGENT = pathlib.Path(aodh_ha.agent.__file__).parent
PASS, LOSE, FORGE = 'pass', 'lose', 'forge'

SETTINGS = """\
[service:web]
tcp = 127.0.0.1:{port}
interval = 3600
restart = sh -c 'echo restarted >> {restarts}'
[service:bare]
tcp = 127.0.0.1:{port}
interval = 3600
"""


class Network:
    """Stands between the agent and the gateway: passes replies on, loses them, or changes them."""

    def __init__(self, gateway: str) -> None:
        self.mode = PASS
        self.replies: list[dict[str, Any]] = []
        network = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers['Content-Length']))
                headers = {'Authorization': self.headers['Authorization']}
                answer = requests.post(gateway + self.path, body, headers=headers, timeout=30)
                network.replies.append(answer.json())
                if network.mode == LOSE:
                    self.close_connection = True
                    return
                text = answer.content
                if network.mode == FORGE:
                    text = text.replace(b'"bare"', b'"web"')
                self.send_response(answer.status_code)
                self.send_header('X-Aodh-HA-Signature', answer.headers['X-Aodh-HA-Signature'])
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
        self.server.daemon_threads = True
        self.url = f'http://127.0.0.1:{self.server.server_address[1]}'
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Stop it."""
        self.server.shutdown()
        self.server.server_close()

    def carried(self, command_id: str) -> int:
        """In how many replies the command was."""
        found = [json.dumps(r.get('commands', [])) for r in list(self.replies)]
        return sum(command_id in commands for commands in found)


class World:
    """A gateway with its database, a guest that is enrolled, and its agent."""

    def __init__(
        self, url: str, gateway: str, credentials: dict[str, Any], folder: pathlib.Path
    ) -> None:
        self.database = Database(url)
        self.network = Network(gateway)
        self.folder = folder
        self._credentials = credentials
        self._restarts = folder / 'restarts'
        (folder / 'agent.conf').write_text(
            SETTINGS.format(port=free_port(), restarts=self._restarts)
        )

    @contextlib.contextmanager
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """The agent while it runs; killed at the end."""
        environ = {
            'PATH': os.environ['PATH'],
            'AODH_HA_CONFIG': str(self.folder / 'agent.conf'),
            'AODH_HA_GATEWAYS': self.network.url,
            'AODH_HA_GUEST': SERVER_ID,
            'AODH_HA_KEY': self._credentials['key'],
            'AODH_HA_GENERATION': str(self._credentials['generation']),
            'AODH_HA_STATE_DIR': str(self.folder / 'state'),
        }
        with (self.folder / 'agent.log').open('ab') as log:
            process = subprocess.Popen([sys.executable, '-S', str(AGENT)], env=environ, stderr=log)
        try:
            self.beats(1)
            yield process
        finally:
            process.kill()
            process.wait(10)

    @property
    def restarts(self) -> int:
        return len(self._restarts.read_text().splitlines()) if self._restarts.exists() else 0

    def beats(self, more: int) -> None:
        """So many more heartbeats reach the gateway."""
        seen = len(self.network.replies)
        wait_for(lambda: len(self.network.replies) >= seen + more, 30, 'heartbeats')

    def order(self, service: str = 'web', seconds: float = 60) -> str:
        now = time.time()
        return self.database.run(
            lambda c: commands.add(
                c, SERVER_ID, commands.RESTART, {'service': service}, None, now, now + seconds
            )
        )

    def told(self, command_id: str) -> Command:
        with self.database.read() as c:
            return commands.get(c, command_id, time.time())

    def ends(self, command_id: str) -> Command:
        """The command once the guest has told its result."""
        return wait_for(
            lambda: found if (found := self.told(command_id)).finished_at else None, 30, 'a result'
        )


@pytest.fixture
def world(tmp_path: pathlib.Path, keystone: Keystone) -> Iterator[Callable[[str], World]]:
    with contextlib.ExitStack() as stack:

        def make(url: str) -> World:
            port = free_port()
            public = f'http://127.0.0.1:{port}'
            file = configuration(tmp_path, url, keystone.url, port=port, public_url=public)
            stack.enter_context(gunicorn(file, port))
            headers = {'X-Auth-Token': keystone.token(PROJECT, 'member')}
            body = {'server_id': SERVER_ID, 'interval': 1}
            answer = requests.post(f'{public}/v1/guests', json=body, headers=headers, timeout=60)
            assert answer.status_code == 201, answer.text
            made = World(url, public, answer.json()['credentials'], tmp_path)
            stack.callback(made.database.close)
            stack.callback(made.network.close)
            return made

        yield make


def test_a_command_is_carried_out_once_whatever_the_network_and_the_agent_go_through(
    world: Callable[[str], World], database_url: str
) -> None:
    here = world(database_url)
    with here.agent():
        # Lost replies lose no command, and are no reason to do anything.
        here.network.mode = LOSE
        command = here.order()
        wait_for(lambda: here.network.carried(command) >= 2, 30, 'the command, handed twice')
        assert (here.told(command).status, here.restarts) == (commands.HANDED, 0)
        # Nor is a reply that somebody has changed on its way.
        here.network.mode = FORGE
        bare = here.order('bare')
        wait_for(lambda: here.network.carried(bare) >= 2, 30, 'the other one, handed twice')
        assert here.restarts == 0
        here.network.mode = PASS
        done = here.ends(command)
        assert (done.status, here.restarts) == (commands.DONE, 1)
        assert done.result.startswith('restarted')
        refused = here.ends(bare)
        assert refused.status == commands.REFUSED
        assert '[service:bare] of this guest has neither restart nor unit' in refused.result
    # The agent is killed. Its result never came, as far as the gateway knows.
    again = {'status': commands.HANDED, 'finished_at': None, 'result': ''}
    with here.database.write() as c:
        c.execute(sa.update(commands_table).where(commands_table.c.id == command).values(**again))
    late = here.order(seconds=0.2)
    wait_for(lambda: here.told(late).status == commands.EXPIRED, 10, 'its time to be over')
    with here.agent():
        assert here.ends(command).result == done.result
        here.beats(3)
    assert (here.restarts, here.network.carried(late)) == (1, 0)
    assert here.told(late).status == commands.EXPIRED


def test_a_service_is_not_known_before_its_agent_knows(
    world: Callable[[str], World], sqlite_url: str
) -> None:
    """After a reboot a service that had failed has not recovered with the first heartbeat."""
    here = world(sqlite_url)
    services = json.dumps([{'name': 'web', 'state': 'failed', 'failures': 3}])
    failed = {'services': services, 'failures': 3, 'failing_since': 1.0}
    with here.database.write() as c:
        c.execute(sa.update(guests_table).values(**failed))
    with here.agent():
        here.beats(2)
        with here.database.read() as c:
            guest = guests.get(c, SERVER_ID)
    assert [s.state for s in guest.services] == ['unknown', 'unknown']
    assert (guest.failures, guest.failing_since) == (3, 1.0)


def test_what_happens_to_a_service_is_in_the_trail_once_although_replies_are_lost(
    world: Callable[[str], World], sqlite_url: str
) -> None:
    here = world(sqlite_url)
    up = here.folder / 'up'
    up.touch()
    settings = f'[service:web]\ncommand = test -e {up}\ninterval = 0.1\nfailures = 2\n'
    (here.folder / 'agent.conf').write_text(settings)

    def trail() -> list[str]:
        with here.database.read() as c:
            return [e.data['state'] for e in audit.of_guest(c, SERVER_ID, kind='service')]

    with here.agent():
        here.beats(2)
        here.network.mode = LOSE
        up.unlink()
        wait_for(trail, 30, 'the failure')
        here.beats(2)  # told again with each
        here.network.mode = PASS
        up.touch()
        wait_for(lambda: len(trail()) > 1, 30, 'its return')
        here.beats(2)
    assert trail() == ['failed', 'ok']
