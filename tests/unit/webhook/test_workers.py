"""When a request has arrived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.workers import MOST, missing

HEAD = b'POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\n'


@pytest.mark.parametrize(
    ('data', 'lacks'),
    [
        (b'', 1),
        (HEAD, 1),
        (HEAD + b'\r\n', 0),
        (HEAD + b'Content-Length: 5\r\n\r\n', 5),
        (HEAD + b'content-length:5\r\n\r\n12', 3),
        (HEAD + b'Content-Length: 5\r\n\r\n12345', 0),
        (HEAD + b'Content-Length: 5\r\n\r\n1234567', 0),
        (HEAD + b'X-Content-Length: 5\r\n\r\n', 0),
        (HEAD + b'Content-Length: five\r\n\r\n', 0),
        (HEAD + b'Content-Length: 104857600\r\n\r\n', 0),
        (HEAD + b'Content-Length: 5\r\nExpect: 100-continue\r\n\r\n', 0),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\nhel', 1),
        (HEAD + b'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n', 0),
        (b'x' * MOST, 0),
        (HEAD + b'Content-Length: %d\r\n\r\n' % MOST + b'x' * MOST, 0),
    ],
)
def test_what_a_request_lacks(data, lacks):
    assert missing(data) == lacks


@given(st.binary(max_size=300), st.integers(0, 400))
def test_a_request_lacks_something_until_its_last_byte(body, cut):
    whole = HEAD + b'Content-Length: %d\r\n\r\n' % len(body) + body
    beginning = whole[:cut]
    assert bool(missing(beginning)) is (len(beginning) < len(whole))
    assert missing(beginning) <= max(1, len(whole) - len(beginning))
