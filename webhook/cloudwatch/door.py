"""The bridge's own WSGI application, and which port leads to it."""

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from urllib.parse import parse_qsl
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from aodh_ha.db import cloudwatch as db
from aodh_ha.db import watches
from aodh_ha.exceptions import AodhHAError, DatabaseAway
from aodh_ha.rules import sigv4
from aodh_ha.rules.cloudwatch import Refusal
from aodh_ha.rules.gateway import CLOUDWATCH, GAPS
from aodh_ha.rules.sigv4 import Unsigned
from webhook.cloudwatch import answers
from webhook.cloudwatch.actions import ACTIONS, Call
from webhook.cloudwatch.keystone import Away, Keystone
from webhook.cloudwatch.listening import Listening
from webhook.state import State, state

LOG = logging.getLogger(__name__)

PATHS = ('/v1/', '/v1')
FORM = 'application/x-www-form-urlencoded'

MAX_BODY = 64 * 1024
"""Bytes; cfn-push-stats sends under 1 KiB, with the server's metadata some more."""
MAX_FIELDS = 4096


class Doors:
    """Sends what comes in at the bridge's port to the bridge, and all else to the others.

    By the port that the connection was made to, never by a header: a sender writes those.
    """

    def __init__(self, app: WSGIApplication, bridge: WSGIApplication, port: int) -> None:
        self._app = app
        self._bridge = bridge
        self._port = str(port)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A WSGI application."""
        app = self._bridge if environ.get('SERVER_PORT') == self._port else self._app
        return app(environ, start_response)


class Bridge:
    """Answers CloudWatch's query protocol, whatever comes, in XML."""

    def __init__(self, app: Flask, here: State, keystone: Keystone) -> None:
        self._app = app
        self._here = here
        self._keystone = keystone
        # Guests with an agent keep the other half of the threads, however slow these senders are.
        self._at_once = threading.BoundedSemaphore(max(1, here.conf.webhook.threads // 2))
        self._pruned_at = 0.0
        self._crowded_at: float | None = None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """A WSGI application."""
        request_id = f'req-{uuid.uuid4()}'
        request = Request(environ)
        request.max_content_length = MAX_BODY
        return self._answer(request, request_id)(environ, start_response)

    def well(self) -> bool:
        """Whether guests are heard: nobody was sent away lately for want of threads or Keystone."""
        crowded = self._crowded_at
        if crowded is not None and time.monotonic() - crowded <= GAPS[CLOUDWATCH] + 1:
            return False
        return self._keystone.well()

    def _answer(self, request: Request, request_id: str) -> Response:
        if not self._at_once.acquire(blocking=False):
            self._crowded_at = time.monotonic()
            return self._refused(request, request_id, 'ServiceUnavailable', 'too many at once')
        server_id = ''
        try:
            return self._carried_out(request, request_id)
        except (Refusal, Unsigned) as e:
            code, detail = e.code, e.detail
            server_id = e.server_id if isinstance(e, Refusal) else ''
        except Away as e:
            code, detail = 'ServiceUnavailable', 'signatures cannot be checked now'
            LOG.warning('%s Keystone does not answer: %s', request_id, e)
        except DatabaseAway as e:
            code, detail = 'ServiceUnavailable', 'nothing can be recorded now'
            LOG.warning('%s the database is away: %s', request_id, e.detail)
        except RequestEntityTooLarge:
            code, detail = 'RequestLimitExceeded', f'at most {MAX_BODY} bytes'
        except ClientDisconnected:
            code, detail = 'RequestTimeout', 'the body did not come'
        except (AodhHAError, HTTPException) as e:
            code, detail = 'InvalidParameterValue', getattr(e, 'detail', '') or str(e)
        except Exception:
            LOG.exception('%s failed', request_id)
            code, detail = 'InternalFailure', 'an error of this service; see its log'
        finally:
            self._at_once.release()
        if code == 'AccessDenied':
            self._here.refusals.count(server_id, 'not_yours', request.remote_addr)
        return self._refused(request, request_id, code, detail)

    def _refused(self, request: Request, request_id: str, code: str, detail: str) -> Response:
        response = answers.error(code, detail, request_id)
        # Nothing of what was sent: a signature is good for a while. Our own probe sends OPTIONS.
        LOG.log(
            logging.DEBUG if request.method == 'OPTIONS' else logging.WARNING,
            '%s %s cloudwatch from %s: %d %s %s',
            *(request_id, request.method, request.remote_addr),
            *(response.status_code, code, detail),
        )
        if code == 'MethodNotAllowed':
            response.headers['Allow'] = 'GET, POST'
        return response

    def _carried_out(self, request: Request, request_id: str) -> Response:
        if request.path not in PATHS:
            raise Refusal('NotFound', 'there is nothing but /v1/ here')
        if request.method not in ('GET', 'POST'):
            raise Refusal('MethodNotAllowed', 'send GET or POST')
        body = _body(request)
        params = _params(request, body)
        name = params.get('Action', '')
        if not name:
            raise Refusal('MissingAction', 'the parameter Action must be given')
        if name not in ACTIONS:
            raise Refusal('InvalidAction', f'Action must be one of {", ".join(ACTIONS)}')
        signed = _signed(request, params, body)
        claim = sigv4.read(signed)
        now = self._here.clock()
        if abs(now - claim.signed_at) > db.FRESH:
            raise Refusal('RequestExpired', f'signed over {db.FRESH / 60:g} minutes ago, or ahead')
        call = Call(params, self._keystone.identity(signed, claim), claim.digest)
        with self._app.app_context():
            content = ACTIONS[name](call)
            self._prune(now)
        return answers.result(name, request_id, content)

    def _prune(self, now: float) -> None:
        """Once a minute forget what is old."""
        if 0 <= now - self._pruned_at < 60:
            return
        self._pruned_at = now
        period = self._here.conf.cloudwatch.failure_period
        state().database.run(lambda c: db.prune(c, now, period))
        state().database.run(lambda c: watches.prune(c, now))


def _body(request: Request) -> bytes:
    """Raises RequestEntityTooLarge, ClientDisconnected."""
    if request.method == 'GET':
        if request.content_length:
            raise Refusal('InvalidParameterCombination', 'a GET has no body')
        return b''
    data = request.get_data(cache=False)
    # Werkzeug cuts a chunked body off at the limit, where it should refuse it.
    if request.content_length is None and len(data) >= MAX_BODY:
        raise RequestEntityTooLarge
    return data


def _params(request: Request, body: bytes) -> dict[str, str]:
    """The parameters of the query (GET) or of the form (POST); raises Refusal.

    Of a POST Keystone signs no query, of a GET no body: they would be anybody's words.
    """
    query = request.query_string
    if request.method == 'POST':
        if query:
            raise Refusal('InvalidParameterCombination', 'a POST has its parameters in its body')
        if request.mimetype != FORM or request.headers.get('Content-Encoding'):
            raise Refusal('InvalidParameterValue', f'Content-Type must be {FORM}, not compressed')
        query = body
    try:
        pairs = parse_qsl(
            query.decode(), keep_blank_values=True, errors='strict', max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise Refusal(
            'MalformedQueryString', f'at most {MAX_FIELDS} parameters, encoded as a form in UTF-8'
        ) from None
    params = dict(pairs)
    if len(params) != len(pairs):
        raise Refusal('InvalidParameterCombination', 'a parameter is given twice')
    return params


def _signed(request: Request, params: dict[str, str], body: bytes) -> sigv4.Request:
    return sigv4.Request(
        verb=request.method,
        host=request.environ.get('HTTP_HOST', ''),
        path=request.path,
        params=params,
        # In the form that Keystone looks for: X-Amz-Date, not x-amz-date.
        headers={name.title(): value for name, value in request.headers.items()},
        body_hash=hashlib.sha256(body).hexdigest(),
    )


def open_bridge(
    app: Flask, here: State, reachable: Callable[[], bool] = lambda: True
) -> tuple[Doors, Listening]:
    """What the application answers by, with the bridge at its port; and its sign of life, to be
    started. ``reachable`` tells whether requests get through to that port.

    Raises ConfigurationError.
    """
    bridge = Bridge(app, here, Keystone(here.conf))
    name = f'{CLOUDWATCH}:{here.conf.worker.name}:{here.conf.cloudwatch.port}'
    listening = Listening(here.database, name, here.clock, lambda: reachable() and bridge.well())
    return Doors(app.wsgi_app, bridge, here.conf.cloudwatch.port), listening
