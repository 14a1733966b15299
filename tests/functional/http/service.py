"""The webhook as its callers see it: guests, Aodh and operators."""

import hashlib
import hmac
import json
import pathlib
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from flask import Flask
from werkzeug.test import TestResponse

from aodh_ha import keys
from aodh_ha.db import Database, audit, guests, queue
from aodh_ha.db.models import gateways
from aodh_ha.testing import Clock
from tests.functional.http.keystone import Keystone
from tests.samples import PROJECT, SERVER_ID

PUBLIC_URL = 'http://ha.example.org:8787'

CONFIGURATION = """\
[database]
connection = {database}
[secrets]
master_key_file = {folder}/master.key
[webhook]
host = {host}
port = {port}
public_url = {public_url}
heartbeat_rate = 0
{webhook}
[keystone_authtoken]
auth_type = admin_token
endpoint = {keystone}/v3
token = the-services-own
www_authenticate_uri = {keystone}
service_type = aodh-ha
# A token that was taken away must count at once in these tests.
token_cache_time = -1
"""


def configuration(
    folder: pathlib.Path,
    database: str,
    keystone: str,
    port: int = 8787,
    public_url: str = PUBLIC_URL,
    webhook: str = '',
    host: str = '127.0.0.1',
) -> pathlib.Path:
    """The configuration, written to a file."""
    file = folder / 'aodh-ha.conf'
    text = CONFIGURATION.format(
        folder=folder,
        database=database.replace('%', '%%'),
        keystone=keystone,
        port=port,
        public_url=public_url,
        webhook=webhook,
        host=host,
    )
    file.write_text(text)
    # Where the database is not SQLite nobody makes it by itself.
    keys.create_master_key(str(folder / 'master.key'))
    return file


def signature(key: str, *parts: str) -> str:
    """Written anew from the protocol, so that it finds when ours changes."""
    return hmac.new(key.encode(), '\n'.join(parts).encode(), hashlib.sha256).hexdigest()


def authorization(
    key: str,
    body: bytes,
    *,
    time: int | str,
    sequence: int | str,
    guest: str = SERVER_ID,
    generation: int | str = 1,
) -> str:
    """The Authorization header of a heartbeat."""
    digest = hashlib.sha256(body).hexdigest()
    parts = [str(p) for p in (guest, generation, time, sequence)]
    signed = signature(key, 'POST', '/v1/heartbeats', *parts, digest)
    return (
        'AODH-HA-HMAC-SHA256 guest="{}", generation="{}", time="{}", sequence="{}", '
        'signature="{}"'.format(*parts, signed)
    )


def notification(current: str = 'alarm', **changes: Any) -> bytes:
    """What Aodh's notifier posts."""
    body = {
        'alarm_name': 'a',
        'alarm_id': '22222222-2222-4222-8222-222222222222',
        'severity': 'critical',
        'previous': 'ok',
        'current': current,
        'reason': 'Transition to alarm due to 1 samples outside threshold, most recent: 3.0',
        'reason_data': {'type': 'threshold', 'disposition': 'outside'},
    }
    return json.dumps(body | changes).encode()


@dataclass
class Service:
    """The application on a database, a clock that stands, and Keystone."""

    app: Flask
    database: Database
    clock: Clock
    keystone: Keystone
    sequence: int = 100
    credentials: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.client = self.app.test_client()
        self.state = self.app.extensions['aodh_ha']
        self.member = self.keystone.token(PROJECT, 'member', 'reader')
        self.listens()

    # ---- the world

    def listens(self, seconds: float = 3600.0, name: str = 'g') -> None:
        """A gateway has listened for so long, without a gap; nobody else listens."""
        now = self.clock()
        with self.database.write() as c:
            c.execute(sa.delete(gateways))
            values = {'name': name, 'alive_at': now, 'listening_since': now - seconds}
            c.execute(gateways.insert().values(values))

    def flush(self) -> None:
        """Write the heartbeats that wait."""
        assert self.state.intake.flush() is None

    def enrolled(self, server_id: str = SERVER_ID, token: str | None = None, **more: Any) -> str:
        """A guest that a worker has confirmed; returns its key."""
        body = {'server_id': server_id, **more}
        answer = self.call('POST', '/v1/guests', body, token)
        assert answer.status_code == 201, answer.get_data()
        with self.database.write() as c:
            guests.confirm(c, guests.get(c, server_id), self.clock(), 'db1')
        self.credentials = answer.get_json()['credentials']
        return str(self.credentials['key'])

    def silent(self, seconds: float = 60.0, **more: Any) -> str:
        """A guest that was heard once, so many seconds ago; returns its key."""
        key = self.enrolled(**more)
        assert self.beat(key).status_code == 202
        self.flush()
        self.clock.advance(seconds)
        self.listens()
        return key

    def alarm(self, **more: Any) -> tuple[str, str]:
        """Paths of the alarm's URL and the telemetry URL of a new alarm."""
        answer = self.call('POST', '/v1/alarms', {'server_id': SERVER_ID, **more})
        assert answer.status_code == 201, answer.get_data()
        definition = answer.get_json()['definition']
        (alarm,), (telemetry,) = (
            definition['alarm_actions'],
            definition['insufficient_data_actions'],
        )
        return alarm.removeprefix(PUBLIC_URL), telemetry.removeprefix(PUBLIC_URL)

    # ---- callers

    def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, **more: Any
    ) -> TestResponse:
        """An operator's request, by default of a member of PROJECT."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body)
        headers = {'X-Auth-Token': self.member if token is None else token}
        headers |= more.pop('headers', {})
        return self.client.open(path, method=method, data=data, headers=headers, **more)

    def beat(self, key: str, body: bytes = b'{}', **claims: Any) -> TestResponse:
        """A guest's heartbeat."""
        self.sequence += 1
        values = {'time': int(self.clock()), 'sequence': self.sequence}
        values['generation'] = self.credentials.get('generation', 1)
        header = authorization(key, body, **(values | claims))
        return self.client.post('/v1/heartbeats', data=body, headers={'Authorization': header})

    def post(self, path: str, body: bytes) -> TestResponse:
        """Aodh's notifier."""
        headers = {'Content-Type': 'application/json', 'User-Agent': 'python-requests/2.32'}
        return self.client.post(path, data=body, headers=headers)

    # ---- what became of it

    def guest(self, server_id: str = SERVER_ID) -> Any:
        """The guest as the database knows it."""
        with self.database.read() as c:
            return guests.get(c, server_id)

    def recoveries(self) -> list[Any]:
        """All recoveries, newest first."""
        with self.database.read() as c:
            return queue.find(c)

    def trail(self, server_id: str = SERVER_ID) -> list[str]:
        """Kinds of the guest's events."""
        with self.database.read() as c:
            return [e.kind for e in audit.of_guest(c, server_id)]

    def key_of(self, server_id: str, generation: int = 1) -> str:
        """The key that a guest of this id would have."""
        return keys.guest_key(self.state.master_key, server_id, generation)


def refused(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """The one error of a refusal, which has the error shape."""
    assert response.status_code == status, response.get_data()[:500]
    (error,) = response.get_json()['errors']
    assert error['code'] == code, error
    for name in ('title', 'detail', 'request_id'):
        assert isinstance(error[name], str), error
        assert error[name], error
    assert response.headers['X-Openstack-Request-Id'] == error['request_id']
    if status == 503:
        assert int(response.headers['Retry-After']) > 0
    return dict(error)
