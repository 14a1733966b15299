"""The webhook as it runs: a gunicorn process, killed, flooded, and left without its database."""

import contextlib
import re
import socket
import threading
import time
from dataclasses import dataclass, field

import pytest
import requests
import sqlalchemy as sa

from aodh_ha import keys
from aodh_ha.db import Database, gateways, guests, queue
from aodh_ha.db.models import guests as guests_table
from aodh_ha.rules.gateway import AGENT, GAPS
from tests.functional.http.processes import Gunicorn, Proxy, free_port, gunicorn, wait_for
from tests.functional.http.service import authorization, configuration, notification
from tests.samples import PROJECT, SERVER_ID
from webhook import workers

MIB = 1024 * 1024


@dataclass
class Running:
    """A webhook process, its database, and a guest."""

    gunicorn: Gunicorn
    database: Database
    file: object
    port: int
    token: str
    sequence: int = 100
    credentials: dict = field(default_factory=dict)

    def call(self, method, path, body=None):
        headers = {'X-Auth-Token': self.token}
        url = self.gunicorn.url + path
        return requests.request(method, url, json=body, headers=headers, timeout=60)

    def beat(self, body=b'{}', **claims):
        self.sequence += 1
        values = {'time': int(time.time()), 'sequence': self.sequence}
        values['generation'] = self.credentials['generation']
        header = authorization(self.credentials['key'], body, **(values | claims))
        url = f'{self.gunicorn.url}/v1/heartbeats'
        return requests.post(url, data=body, headers={'Authorization': header}, timeout=60)

    def enroll(self):
        answer = self.call('POST', '/v1/guests', {'server_id': SERVER_ID, 'interval': 1})
        assert answer.status_code == 201, answer.text
        self.credentials = answer.json()['credentials']
        with self.database.write() as c:
            guests.confirm(c, guests.get(c, SERVER_ID), time.time(), 'db1')

    def silent(self):
        """The guest was heard once, an hour ago, and the gateway listened ever since."""
        assert self.beat().status_code == 202
        wait_for(lambda: self.guest().beats == 1)
        self.age()

    def age(self):
        """An hour passes in which the guest was not heard, and the gateway listened."""
        with self.database.write() as c:
            c.execute(sa.update(guests_table).values(last_seen=time.time() - 3600))
        wait_for(self.listening_since)
        with self.database.write() as c:
            c.exec_driver_sql('UPDATE gateways SET listening_since = listening_since - 3600')

    def alarm(self):
        answer = self.call('POST', '/v1/alarms', {'server_id': SERVER_ID})
        assert answer.status_code == 201, answer.text
        definition = answer.json()['definition']
        names = ('alarm_actions', 'insufficient_data_actions')
        return [re.sub('^https?://[^/]*', self.gunicorn.url, definition[n][0]) for n in names]

    def guest(self):
        with self.database.read() as c:
            return guests.get(c, SERVER_ID)

    def recoveries(self):
        with self.database.read() as c:
            return queue.find(c)

    def listening_since(self):
        with self.database.read() as c:
            return gateways.listening_since(c, time.time())

    def deaf(self):
        """The gateway has not ticked for clearly longer than its gap."""
        with self.database.read() as c:
            return all(g.alive_at < time.time() - GAPS[AGENT] - 2 for g in gateways.get_all(c))


@pytest.fixture
def start(tmp_path, keystone):
    """Start a webhook on the database of this URL, which has its tables."""
    stack = []

    def start(url, administration=None, listen='127.0.0.1', ask='127.0.0.1', webhook=''):
        database = Database(administration or url)
        port = free_port()
        file = configuration(
            tmp_path,
            url,
            keystone.url,
            port=port,
            public_url=f'http://127.0.0.1:{port}',
            host=listen,
            webhook=webhook,
        )
        manager = gunicorn(file, port, ask)
        process = manager.__enter__()
        stack.append((manager, database))
        running = Running(process, database, file, port, keystone.token(PROJECT, 'member'))
        running.enroll()
        return running

    yield start
    for manager, database in stack:
        manager.__exit__(None, None, None)
        database.close()


@pytest.fixture
def running(start, sqlite_url):
    return start(sqlite_url)


def test_what_was_answered_survives_kill_9(start, database_url):
    """A callback, a beat that reports a service's failure, and with it the beat's sequence."""
    running = start(database_url)
    running.silent()
    path, _ = running.alarm()
    answer = requests.post(path, data=notification(), timeout=30)
    failed = b'{"services": [{"name": "web", "state": "failed", "failures": 3}]}'
    reported = running.beat(failed, sequence=500)
    running.gunicorn.kill()
    assert (answer.status_code, reported.status_code) == (202, 202)
    (recovery,) = running.recoveries()
    assert recovery.id == answer.json()['recovery']
    assert running.guest().failures == 3

    with gunicorn(running.file, running.port) as again:
        running.gunicorn = again
        running.age()
        answer = requests.post(path, data=notification(), timeout=30)
        assert answer.json() == {'recovery': recovery.id, 'decision': 'joined'}
        replayed = running.beat(failed, sequence=500)
        assert replayed.status_code == 409
        assert replayed.json()['errors'][0]['last_sequence'] == 500


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason='this machine has no IPv6')
def test_guests_get_through_to_ipv6_too(start, sqlite_url):
    running = start(sqlite_url, listen='::', ask='[::1]')
    assert running.beat().status_code == 202
    wait_for(running.listening_since)


# ---- bodies of 100 MB


def chunks(size):
    for _ in range(size // 65536):
        yield b' ' * 65536


def test_a_body_of_100_mb_is_refused_and_takes_no_memory(running):
    path, _ = running.alarm()
    doors = [f'{running.gunicorn.url}/v1/heartbeats', path, f'{running.gunicorn.url}/v1/guests']
    before = running.gunicorn.memory()
    headers = {'X-Auth-Token': running.token}
    size = 100 * MIB
    for url in doors:
        for data in (b' ' * size, chunks(size)):
            try:
                answer = requests.post(url, data=data, headers=headers, timeout=60)
            except requests.ConnectionError:
                pass  # it hung up on us while we were still sending: that is an answer, too
            else:
                assert answer.status_code == 413
                assert answer.json()['errors'][0]['code'] == 'too_large'
    assert running.gunicorn.memory() - before < 16 * MIB
    assert running.beat().status_code == 202


@pytest.mark.parametrize(
    'rest',
    [
        b'Content-Length: 104857600\r\n\r\n',
        # More than the kernel keeps, unless it is asked to.
        b'Transfer-Encoding: chunked\r\n\r\nfffff\r\n' + b' ' * workers.MOST,
    ],
    ids=['length', 'chunk'],
)
def test_a_413_comes_before_the_body_was_sent(running, rest):
    with socket.create_connection(('127.0.0.1', running.port), 30) as s:
        s.sendall(b'POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\n' + rest)
        assert b' 413 ' in s.makefile('rb').readline()


def test_who_is_stopped_in_order_counts_as_deaf_at_once(running):
    wait_for(running.listening_since)
    running.gunicorn.stop()
    assert running.listening_since() is None


HEAD = b'POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\n'
SLOW = {
    'nothing': b'',
    'half a head': HEAD,
    'half a body': HEAD + b'Content-Length: 100\r\n\r\n{',
    'half a chunk': HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\n{',
}


def test_slow_senders_hold_no_thread_and_are_cut_off(running):
    """Far more connections than there are threads, that send a part and then drip."""
    wait_for(running.listening_since)
    since = running.listening_since()
    slow = []
    try:
        for _ in range(25):
            for part in SLOW.values():
                s = socket.create_connection(('127.0.0.1', running.port), 30)
                s.sendall(part)
                slow.append(s)
        for _ in range(20):
            assert running.beat().status_code == 202
            for s in slow:
                with contextlib.suppress(OSError):
                    s.sendall(b'x')
        assert running.listening_since() == since
        for s in slow:
            s.settimeout(workers.PATIENCE + 5)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(4096):
                    pass  # it is cut off, or a request that came whole is answered
    finally:
        for s in slow:
            s.close()
    assert running.beat().status_code == 202


def test_a_request_in_pieces_is_a_request(running):
    body = b'{"server_id": 5}'
    whole = HEAD + b'Content-Length: %d\r\nConnection: close\r\n\r\n%s' % (len(body), body)
    with socket.create_connection(('127.0.0.1', running.port), 30) as s:
        for n in range(0, len(whole), 7):
            s.sendall(whole[n : n + 7])
            time.sleep(0.01)
        assert b' 401 ' in s.makefile('rb').readline()


def test_requests_that_follow_each_other_on_a_connection_are_all_answered(running):
    ask = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
    with socket.create_connection(('127.0.0.1', running.port), 30) as s:
        s.sendall(ask + ask + ask[:20])
        answers = s.makefile('rb')
        for _ in range(2):
            assert b' 200 ' in answers.readline()
            while answers.readline().strip():
                pass
            answers.readline()
        s.sendall(ask[20:])
        assert b' 200 ' in answers.readline()


@pytest.fixture
def limited(start, sqlite_url):
    """A webhook that takes five heartbeats a second of each guest."""
    return start(sqlite_url, webhook='heartbeat_rate = 5')


def test_a_guest_that_floods_us_is_limited(limited):
    answers = [limited.beat() for _ in range(100)]
    assert {a.status_code for a in answers[:20]} == {202}
    refused = next(a for a in answers if a.status_code == 429)
    assert refused.headers['Retry-After']
    assert refused.json()['errors'][0]['code'] == 'too_many'


# ---- the database is away


@pytest.fixture(params=['postgresql', 'mariadb'])
def cut_off(request, database_server, start):
    """A webhook that reaches its database through a proxy, which can be cut."""
    with database_server(request.param).migrated() as direct:
        url = sa.make_url(direct)
        if request.param == 'postgresql':
            proxy = Proxy(f'{url.query["host"]}/.s.PGSQL.5432')
            through = url.set(host='127.0.0.1', port=proxy.port, query={})
        else:
            proxy = Proxy(str(url.query['unix_socket']))
            through = url.set(host='127.0.0.1', port=proxy.port, query={'charset': 'utf8mb4'})
        running = start(through.render_as_string(hide_password=False), direct)
        running.proxy = proxy
        try:
            yield running
        finally:
            running.gunicorn.stop()
            proxy.cut()


def refused_honestly(answer):
    assert answer.status_code == 503, answer.text
    assert int(answer.headers['Retry-After']) > 0
    (error,) = answer.json()['errors']
    assert error['code'] == 'unavailable'
    return True


def test_without_its_database_it_refuses_honestly_and_our_outage_is_nobodys_silence(cut_off):
    running = cut_off
    running.silent()
    path, telemetry = running.alarm()
    assert running.beat().status_code == 202
    wait_for(lambda: running.guest().beats == 2)
    last = running.guest()
    assert time.time() - running.listening_since() > 3000

    running.proxy.cut()
    wait_for(lambda: not running.gunicorn.healthy())
    for _ in range(3):
        refused_honestly(running.beat())
        refused_honestly(requests.post(path, data=notification(), timeout=60))
        refused_honestly(requests.post(telemetry, data=notification(), timeout=60))
        refused_honestly(running.call('GET', '/v1/guests'))
    assert running.guest() == last
    wait_for(running.deaf)

    back = time.time()
    running.proxy.connect()
    wait_for(running.gunicorn.healthy)
    answer = requests.post(path, data=notification(), timeout=60)
    assert (answer.status_code, answer.json()['recovery']) == (202, None)
    assert 'heartbeats missed, fewer than 3' in answer.json()['decision']
    assert running.recoveries() == []
    assert running.listening_since() >= back - 1
    # Still silent, while we listen: then it is its own.
    wait_for(lambda: requests.post(path, data=notification(), timeout=60).json()['recovery'])
    assert running.beat(sequence=1000).status_code == 202
    wait_for(lambda: running.guest().sequence == 1000)


def test_it_starts_without_its_database_and_waits_for_it(cut_off):
    running = cut_off
    running.gunicorn.stop()
    running.proxy.cut()
    with gunicorn(running.file, running.port) as again:
        running.gunicorn = again
        refused_honestly(running.beat())
        running.proxy.connect()
        wait_for(again.healthy)
        assert running.beat().status_code == 202


# ---- the log


def test_the_log_of_a_process_has_no_secret(running):
    path, telemetry = running.alarm()
    for url in (path, telemetry, path + 'x'):
        requests.post(url, data=b'[]', timeout=30)
        requests.get(url, timeout=30)
    running.beat(b'[]')
    running.beat(time=5)
    running.call('GET', '/v1/guests/x')
    running.gunicorn.stop()
    text = running.gunicorn.log.read_text()
    assert text.count('POST /v1/alarms/<token>') == 2
    tokens = [url.rsplit('/')[-1] for url in (path, telemetry)]
    master = keys.load_master_key(str(running.gunicorn.log.parent / 'master.key'))
    for secret in (*tokens, running.credentials['key'], running.token, 'the-services-own'):
        assert secret not in text
    assert keys.guest_key(master, SERVER_ID, 1) not in text


def test_many_guests_beat_at_once(running):
    """Nothing is lost or counted twice, and a stop writes every beat that was answered."""
    answers, lock = [], threading.Lock()
    sequences = iter(range(1000, 1200))

    def send():
        for _ in range(10):
            with lock:
                sequence = next(sequences)
                header_time = int(time.time())
            answer = running.beat(sequence=sequence, time=header_time)
            answers.append(answer.status_code)

    threads = [threading.Thread(target=send) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    taken = answers.count(202)
    assert len(answers) == 200
    assert set(answers) <= {202, 409}  # overtaken by a newer one of the same guest
    running.gunicorn.stop()
    assert running.guest().beats == taken
