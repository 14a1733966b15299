"""One error shape: {"errors": [{"title", "detail", "request_id", "code"}]}."""

import logging
import uuid
from typing import Any

from flask import Flask, Response, g, jsonify, request
from werkzeug.exceptions import HTTPException

from aodh_ha import exceptions as exc

LOG = logging.getLogger(__name__)

STATUS: dict[type[exc.AodhHAError], tuple[int, str]] = {
    exc.InvalidRequest: (400, 'bad_request'),
    exc.BadSignature: (401, 'bad_signature'),
    exc.ClockSkew: (401, 'clock_skew'),
    exc.NotFound: (404, 'not_found'),
    exc.Conflict: (409, 'conflict'),
    exc.ReplayedSequence: (409, 'replayed_sequence'),
    exc.DatabaseAway: (503, 'unavailable'),
}
RETRY_AFTER = '5'
"""Seconds, sent with every 503: a beat later the database may be back; and with every 429."""


class Unauthorized(exc.AodhHAError):
    """This needs a valid Keystone token"""


class Forbidden(exc.AodhHAError):
    """Your roles do not allow this"""


STATUS |= {
    Unauthorized: (401, 'unauthorized'),
    Forbidden: (403, 'forbidden'),
    exc.Gone: (410, 'gone'),
    exc.TooMany: (429, 'too_many'),
}


def request_id() -> str:
    """The id of the request being answered; also in its log line."""
    if 'request_id' not in g:
        g.request_id = f'req-{uuid.uuid4()}'
    return str(g.request_id)


def error(status: int, code: str, title: str, detail: str, **more: Any) -> Response:
    """A reply in the error shape."""
    body = {'title': title, 'detail': detail, 'code': code, 'request_id': request_id(), **more}
    response = jsonify({'errors': [body]})
    response.status_code = status
    if status in (429, 503):
        response.headers['Retry-After'] = RETRY_AFTER
    return response


def reply_to(e: exc.AodhHAError) -> Response:
    """The answer to a request that raised this error; one log line says so."""
    known = next(c for c in type(e).__mro__ if c in STATUS or c is exc.AodhHAError)
    status, code = STATUS.get(known, (500, 'internal'))
    more: dict[str, Any] = {}
    if isinstance(e, exc.ClockSkew):
        more['server_time'] = e.server_time
    if isinstance(e, exc.ReplayedSequence):
        more['last_sequence'] = e.last_sequence
    detail = 'try again in some seconds' if isinstance(e, exc.DatabaseAway) else e.detail
    _note(status, code, e.detail)
    return error(status, code, e.title, detail, **more)


def _http(e: HTTPException) -> Response:
    status = e.code or 500
    if status < 400 and e.response is not None:
        return e.response  # type: ignore[return-value]  # a redirect is no error
    code = 'too_large' if status == 413 else (e.name or 'error').lower().replace(' ', '_')
    detail = e.description or e.name or ''
    if status == 413:
        detail = f'this request may have at most {request.max_content_length} bytes'
    _note(status, code, '')
    response = error(status, code, e.name, detail)
    for name, value in e.get_headers():
        if name in ('Allow', 'Retry-After'):
            response.headers[name] = value
    return response


def _unexpected(e: Exception) -> Response:
    LOG.error('%s failed: %s', _where(), request_id(), exc_info=e)
    return error(500, 'internal', 'An error of this service', 'see its log for the request id')


def _note(status: int, code: str, detail: str) -> None:
    g.refused = f'{status} {code} {detail}'


def log_refused(response: Response) -> Response:
    """One line for a refused request; after it was handled, or oslo.log adds the exception."""
    if 'refused' in g:
        # The route, never the path: a callback's path is its credential.
        LOG.warning('%s %s from %s: %s', request_id(), _where(), request.remote_addr, g.refused)
    return response


def _where() -> str:
    rule = request.url_rule.rule if request.url_rule else '(no such path)'
    return f'{request.method} {rule}'


def register(app: Flask) -> None:
    """Answer every error of the application in the one shape."""
    app.register_error_handler(exc.AodhHAError, reply_to)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)
    app.after_request(log_refused)
