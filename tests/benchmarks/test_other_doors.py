"""The guests' door beside two others: Gnocchi's own, and one on UDP that there is not.

Who writes every heartbeat to Gnocchi needs no gateway; who takes them on UDP needs no connection.
What each would give is measured here in turns with what there is.
"""

import json
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from aodh_ha import keys
from aodh_ha.db import commands
from aodh_ha.db.guests import Beat
from aodh_ha.rules import heartbeat
from tests.acceptance.devcloud import Devcloud
from tests.benchmarks import load
from tests.benchmarks.fleet import CONNECTIONS, Fleet
from webhook.intake import Intake
from webhook.lookup import Lookup

ROUNDS, SECONDS = 3, 4.0
TIMES = 30
"""What the gateway is to take for each measure that gnocchi-api takes."""

METRICS = 200
PREPARED = int(6000 * SECONDS)


@pytest.fixture(scope='module')
def measures(cloud: Devcloud) -> Iterator[list[bytes]]:
    """Requests to gnocchi-api: one measure each, of as many metrics as guests would take turns."""
    token = cloud.admin.session.get_token()
    create = cloud.gnocchi.metric.create
    with ThreadPoolExecutor(4) as pool:
        metrics = list(pool.map(lambda _: create({'archive_policy_name': 'low'}), range(METRICS)))
    found = []
    for n in range(PREPARED):
        now = datetime.now(UTC).isoformat()
        body = json.dumps([{'timestamp': now, 'value': 1.0}]).encode()
        head = (
            f'POST /v1/metric/{metrics[n % METRICS]["id"]}/measures HTTP/1.1\r\n'
            f'Host: 127.0.0.1\r\nX-Auth-Token: {token}\r\nContent-Type: application/json\r\n'
            f'Content-Length: {len(body)}\r\n\r\n'
        )
        found.append(head.encode() + body)
    yield found
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda m: cloud.gnocchi.metric.delete(m['id']), metrics))


def test_heartbeats_beside_one_post_each_to_gnocchi(
    cloud: Devcloud, fleet: Fleet, measures: list[bytes], report: Callable[[str], None]
) -> None:
    gnocchi = int(cloud.environment['DEVCLOUD_PORT']) + 41
    rates: dict[str, list[float]] = {'gateway': [], 'gnocchi-api': []}
    load.send(fleet.ports['gateway'], fleet.prepared(200), CONNECTIONS, 5)
    load.send(gnocchi, measures[:20], CONNECTIONS, 5)
    for _ in range(ROUNDS):
        fleet.sequence += 1
        answers = load.send(fleet.ports['gateway'], fleet.prepared(PREPARED), CONNECTIONS, SECONDS)
        assert set(answers.statuses) == {b'202'}
        rates['gateway'].append(answers.rate)
        answers = load.send(gnocchi, measures, CONNECTIONS, SECONDS)
        assert set(answers.statuses) == {b'202'}
        rates['gnocchi-api'].append(answers.rate)
    ratio = statistics.median(
        ours / theirs for ours, theirs in zip(rates['gateway'], rates['gnocchi-api'], strict=True)
    )
    lines = [f'{name:12} {statistics.median(r):7.0f} a second' for name, r in rates.items()]
    met = 'met' if ratio >= TIMES else 'NOT met'
    report('\n'.join([*lines, f'ratio {ratio:.1f}, target {TIMES}: {met}']))


class Door:
    """As POST /v1/heartbeats takes a plain beat, for datagrams: the header, a newline, the body.

    The same signature, and nothing that only HTTP needs. One thread, one core.
    """

    def __init__(self, fleet: Fleet) -> None:
        self.master = fleet.master
        self.intake = Intake(fleet.database, 'udp')
        self.lookup = Lookup(fleet.database, time.time)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        self.socket.bind(('127.0.0.1', 0))
        self.socket.settimeout(0.2)
        self.stop = threading.Event()
        self.cpu = 0.0

    def serve(self) -> None:
        """Until stopped."""
        began = time.thread_time()
        while not self.stop.is_set():
            try:
                data, sender = self.socket.recvfrom(20_000)
            except TimeoutError:
                continue
            self.socket.sendto(self.take(data), sender)
        self.cpu = time.thread_time() - began

    def take(self, data: bytes) -> bytes:
        """The reply to one datagram."""
        header, _, body = data.partition(b'\n')
        claim = heartbeat.parse_authorization(header.decode())
        key = keys.guest_key(self.master, claim.guest, claim.generation)
        heartbeat.verify(claim, key, 'POST', '/v1/heartbeats', body)
        guest, waiting = self.lookup.find(claim.guest)
        assert guest.accepts(claim.generation, time.time())
        heartbeat.verify_time(claim, time.time(), 300)
        last = max(guest.sequence, self.intake.last_sequence(guest.server_id))
        assert claim.sequence > last
        report = heartbeat.parse_report(body)
        assert heartbeat.carried(report.services, guest.services) == guest.services
        self.intake.add(Beat(guest.server_id, time.time(), claim.sequence, report))
        answer = {
            'interval': guest.interval,
            'server_time': time.time(),
            'sequence': claim.sequence,
            'time': claim.time,
            'generation': guest.generation,
            'commands': [c.id for c in waiting if c.status == commands.QUEUED],
        }
        reply = json.dumps(answer).encode()
        return heartbeat.sign_reply(key, 202, claim.sequence, reply).encode() + b'\n' + reply


def _datagram(request: bytes) -> bytes:
    head, _, body = request.partition(b'\r\n\r\n')
    return head.split(b'\r\n')[2].partition(b': ')[2] + b'\n' + body


def _exchange(address: tuple[str, int], datagrams: list[bytes], seconds: float) -> float:
    """Answers a second, with as many datagrams under way as there are connections elsewhere."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 2**20)
        client.settimeout(10)
        client.connect(address)
        waiting = iter(datagrams)
        for _ in range(CONNECTIONS):
            client.send(next(waiting))
        answered = 0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            client.recv(20_000)
            answered += 1
            following = next(waiting, None)
            if following is None:
                break
            client.send(following)
        return answered / (time.perf_counter() - began)


def test_what_a_door_on_udp_would_give(fleet: Fleet, report: Callable[[str], None]) -> None:
    door = Door(fleet)
    door.intake.start()
    thread = threading.Thread(target=door.serve)
    thread.start()
    rates: dict[str, list[float]] = {'HTTP': [], 'UDP': []}
    used = fleet.cpu('gateway')
    taken = 0
    try:
        for _ in range(ROUNDS):
            fleet.sequence += 1
            answers = load.send(
                fleet.ports['gateway'], fleet.prepared(PREPARED), CONNECTIONS, SECONDS
            )
            assert set(answers.statuses) == {b'202'}
            rates['HTTP'].append(answers.rate)
            taken += answers.statuses[b'202']
            fleet.sequence += 1
            datagrams = [_datagram(r) for r in fleet.prepared(4 * PREPARED)]
            rates['UDP'].append(_exchange(door.socket.getsockname(), datagrams, SECONDS))
    finally:
        used = fleet.cpu('gateway') - used
        door.stop.set()
        thread.join()
        door.intake.close()
    rate = {name: statistics.median(found) for name, found in rates.items()}
    each = 1e6 * door.cpu / (SECONDS * sum(rates['UDP']))
    report(
        f'HTTP {rate["HTTP"]:7.0f} a second, {1e6 * used / taken:5.0f} µs of a core each\n'
        f'UDP  {rate["UDP"]:7.0f} a second, {each:5.0f} µs of a core each, its sender in the '
        f'same process\n'
        f'so a core takes {1e6 / each:.0f} a second on UDP; InstanceHA states 28,000 for '
        'datagrams with a signature and no database'
    )
