"""Whether a request still gets through to us."""

import http.server
import logging
import threading

import pytest

from tests.waiting import wait_for
from webhook import probe
from webhook.probe import Probe


@pytest.fixture
def door():
    """A server that answers whatever is asked, and its port."""
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), http.server.BaseHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *_: None
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_a_door_that_answers_is_reachable_even_if_it_refuses(door):
    found = Probe('0.0.0.0', door.server_port)
    assert not found(), 'nothing is known before the first answer'
    found.start()
    wait_for(found)
    found.close()


def test_a_door_that_is_somewhere_else_is_told_once(door, monkeypatch, caplog):
    monkeypatch.setattr(probe, 'INTERVAL', 0.05)
    monkeypatch.setattr(probe, 'FRESH', 0.2)
    port = door.server_port
    door.shutdown()
    door.server_close()
    found = Probe('127.0.0.1', port)
    with caplog.at_level(logging.WARNING, logger='webhook.probe'):
        found.start()
        wait_for(lambda: caplog.records)
        assert f'port {port}' in caplog.text
        assert not found()
    found.close()
    assert len(caplog.records) == 1


def test_a_door_that_stops_answering_is_told_and_its_return_too(door, monkeypatch, caplog):
    monkeypatch.setattr(probe, 'INTERVAL', 0.05)
    monkeypatch.setattr(probe, 'FRESH', 0.2)
    found = Probe('127.0.0.1', door.server_port)
    answers = found._ask
    with caplog.at_level(logging.WARNING, logger='webhook.probe'):
        found.start()
        wait_for(found)
        monkeypatch.setattr(found, '_ask', lambda: False)
        wait_for(lambda: 'no request gets through' in caplog.text)
        assert not found()
        monkeypatch.setattr(found, '_ask', answers)
        wait_for(lambda: 'again' in caplog.text)
        assert found()
    found.close()
