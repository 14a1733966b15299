"""A Keystone that only validates tokens, for the real middleware; see acceptance for a real one."""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Keystone:
    """Hands out tokens, and answers what keystonemiddleware asks about them."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict] = {}
        self.away = False
        self.asked: list[str] = []
        """Paths that were asked for, in order."""
        self.url = ''

    def token(self, project_id: str | None, *roles: str) -> str:
        """A new token, scoped to a project unless that is None."""
        token = f'token-{uuid.uuid4().hex}'
        body = {
            'methods': ['password'],
            'user': {
                'id': f'user-of-{project_id}',
                'name': 'u',
                'domain': {'id': 'd', 'name': 'D'},
            },
            'issued_at': '2020-01-01T00:00:00.000000Z',
            'expires_at': '2099-01-01T00:00:00.000000Z',
            'audit_ids': ['x'],
            'roles': [{'id': role, 'name': role} for role in roles],
        }
        if project_id:
            body['project'] = {
                'id': project_id,
                'name': 'p',
                'domain': {'id': 'd', 'name': 'D'},
            }
        self.tokens[token] = {'token': body}
        return token


@contextlib.contextmanager
def running() -> Iterator[Keystone]:
    """A Keystone on a free port of loopback."""
    keystone = Keystone()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        # Head and body in one packet: sent apart, the second one waits 40 ms for the first one's
        # acknowledgement.
        wbufsize = 65536

        def do_GET(self) -> None:
            keystone.asked.append(self.path)
            if keystone.away:
                self.reply(500, {'error': {'message': 'broken'}})
            elif self.path.endswith('/auth/tokens'):
                found = keystone.tokens.get(self.headers['X-Subject-Token'])
                self.reply(200 if found else 404, found or {'error': {'code': 404}})
            else:
                version = {
                    'id': 'v3.14',
                    'status': 'stable',
                    'links': [{'rel': 'self', 'href': f'{keystone.url}/v3/'}],
                    'media-types': [],
                }
                one = self.path.startswith('/v3')
                self.reply(
                    200, {'version': version} if one else {'versions': {'values': [version]}}
                )

        def reply(self, status: int, body: dict) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header('Content-Type', 'application/json')
            self.send_header('Content-Length', str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(('127.0.0.1', 0), Handler)
    server.daemon_threads = True
    keystone.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield keystone
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
