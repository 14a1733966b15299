"""The guest's service: an HTTP server with one value that must not get lost.

    service.py FOLDER

GET /health · GET /data · PUT /data (the body is the new value). The value lies on the
attached volume if there is one, else on the root disk.
"""

import json
import os
import pathlib
import socketserver
import sys
from http.server import BaseHTTPRequestHandler

BODY_LIMIT = 1 << 20
FOLDER = pathlib.Path(sys.argv[1])


def place() -> tuple[str, pathlib.Path]:
    """('volume' or 'root', the file): looked up each time, since volumes come and go."""
    root_device = json.loads((FOLDER / 'guest.json').read_text()).get('root_device', '')
    for volume in sorted((FOLDER / 'volumes').iterdir()):
        if volume.name != root_device:
            return 'volume', volume / 'web.json'
    return 'root', FOLDER / 'root' / 'var' / 'web.json'


def load() -> dict[str, object]:
    where, path = place()
    try:
        stored = json.loads(path.read_text())
    except FileNotFoundError:
        stored = {'value': '', 'count': 0}
    return {**stored, 'where': where, 'boot_id': os.environ.get('AODH_HA_BOOT_ID', '')}


def store(value: str) -> None:
    _, path = place()
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix('.new')
    with open(new, 'w') as f:
        json.dump({'value': value, 'count': load()['count'] + 1}, f)
        f.flush()
        os.fsync(f.fileno())
    new.replace(path)


class Handler(BaseHTTPRequestHandler):
    timeout = 10

    def reply(self, status: int, value: object) -> None:
        body = json.dumps(value).encode() + b'\n'
        self.send_response(status)
        self.send_header('Content-Type', 'application/json')
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.path == '/health':
            self.reply(200, {'status': 'ok'})
        elif self.path == '/data':
            self.reply(200, load())
        else:
            self.reply(404, {'error': 'there are /health and /data'})

    def do_PUT(self) -> None:
        length = self.headers.get('Content-Length', '')
        if self.path != '/data' or not length.isdecimal() or int(length) > BODY_LIMIT:
            self.reply(400, {'error': 'PUT /data with at most 1 MiB'})
            return
        store(self.rfile.read(int(length)).decode('utf-8', 'replace'))
        self.reply(200, load())

    def log_message(self, *_: object) -> None:
        pass  # a check every two seconds would drown the console


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


def main() -> None:
    if (FOLDER / 'root' / 'etc' / 'web.broken').exists():
        sys.exit('web: its files are damaged: cannot start')
    run = FOLDER / 'root' / 'run'
    last = run / 'web.port'
    # The same port after a reboot, if nobody took it: links to a guest stay good.
    wanted = int(last.read_text()) if last.exists() else 0
    try:
        server = Server(('127.0.0.1', wanted), Handler)
    except OSError:
        server = Server(('127.0.0.1', 0), Handler)
    port = server.server_address[1]
    for path in (last, run / 'web.port.now'):
        new = path.with_suffix('.new')
        new.write_text(f'{port}\n')
        new.replace(path)
    server.serve_forever()


main()
