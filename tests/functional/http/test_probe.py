"""Whether a request still gets through to us."""

import http.server
import logging
import threading

import pytest

from tests.waiting import wait_for
from webhook import probe
from webhook.probe import Probe


class Silent(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def door():
    """A server that answers whatever is asked, and its port."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Silent)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_door_that_answers_is_reachable_even_if_it_refuses(door):
    found = Probe('0.0.0.0', door.server_port)
    assert not found(), 'nothing is known before the first answer'
    found.start()
    wait_for(found)
    found.close()


@pytest.fixture
def told(monkeypatch, caplog):
    """What a quick probe has told."""
    monkeypatch.setattr(probe, 'INTERVAL', 0.05)
    monkeypatch.setattr(probe, 'FRESH', 1.0)
    with caplog.at_level(logging.WARNING, logger='webhook.probe'):
        yield lambda: [r.getMessage() for r in caplog.records if r.name == 'webhook.probe']


def test_a_door_that_is_somewhere_else_is_told_once(door, told):
    port = door.server_port
    door.shutdown()
    door.server_close()
    found = Probe('127.0.0.1', port)
    found.start()
    wait_for(told)
    assert f'port {port}' in told()[0]
    assert not found()
    found.close()
    assert len(told()) == 1


def test_a_door_that_stops_answering_is_told_and_its_return_too(door, told, monkeypatch):
    found = Probe('127.0.0.1', door.server_port)
    answers = found._ask
    found.start()
    wait_for(found)
    monkeypatch.setattr(found, '_ask', lambda: False)
    wait_for(lambda: not found() and told() and 'no request gets through' in told()[-1])
    monkeypatch.setattr(found, '_ask', answers)
    wait_for(lambda: found() and 'again' in told()[-1])
    found.close()


@pytest.mark.parametrize(
    ('bound', 'asked'),
    [
        ('0.0.0.0', '127.0.0.1'),
        ('::', '::1'),
        ('0::0', '::1'),
        ('::1', '::1'),
        ('192.0.2.7', '192.0.2.7'),
        ('gateway.example.org', 'gateway.example.org'),
    ],
)
def test_it_asks_where_it_is_bound_and_on_loopback_if_that_is_everywhere(bound, asked):
    assert probe._reachable(bound) == asked
