"""A Keystone that only validates tokens, for the real middleware, and signatures, by the code that
the real one checks them with; see acceptance for a real one."""

import contextlib
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keystoneclient.contrib.ec2.utils import Ec2Signer


class Keystone:
    """Hands out tokens, and answers what keystonemiddleware asks about them."""

    def __init__(self) -> None:
        self.tokens: dict[str, dict] = {}
        self.away = False
        self.asked: list[str] = []
        """Paths that were asked for, in order."""
        self.url = ''
        self.access_keys: dict[str, dict[str, Any]] = {}
        self.tells_secrets = True

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

    def access_key(
        self, access: str, project: dict[str, Any], *roles: str, user: str = 'u'
    ) -> tuple[str, str]:
        """A new access key of a user, and its secret."""
        secret = f'secret-of-{access}'
        token = {
            'user': {'id': user},
            'project': project,
            'roles': [{'name': role} for role in roles],
        }
        self.access_keys[access] = {'secret': secret, 'user': user, 'token': token}
        return access, secret

    def check(self, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """What POST /v3/ec2tokens answers."""
        known = self.access_keys.get(asked['access'])
        if known is None:
            return 404, {'error': {'message': 'EC2 access key not found.'}}
        host = asked['host']
        for each in (host, host.rpartition(':')[0]):
            credentials = asked | {'host': each, 'params': dict(asked['params'])}
            if Ec2Signer(known['secret']).generate(credentials) == asked['signature']:
                return 200, {'token': known['token']}
        return 401, {'error': {'message': 'Invalid EC2 signature.'}}


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
            elif '/credentials/OS-EC2/' in self.path:
                known = keystone.access_keys[self.path.rpartition('/')[2]]
                if keystone.tells_secrets:
                    self.reply(200, {'credential': {'secret': known['secret']}})
                else:
                    self.reply(403, {'error': {'message': 'not allowed'}})
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

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
            keystone.asked.append(self.path)
            if keystone.away:
                self.reply(500, {'error': {'message': 'broken'}})
            else:
                self.reply(*keystone.check(body['ec2Credentials']))

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
