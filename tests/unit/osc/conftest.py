"""A cloud of canned answers, and the command line run against it within the test's process."""

import io
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests_mock

from aodh_ha.cmd.main import Shell

KEYSTONE = 'http://keystone.test:5000/v3'
API = 'http://aodh-ha.test:8787'
AODH = 'http://aodh.test:8042'
NOVA = 'http://nova.test:8774/v2.1'

SERVER = '0c54d3d4-ae33-4738-b5e8-0f6d69b82943'
OTHER = '77fe4221-1f55-4f62-b2b6-3f1c7a0c3f10'
ALARM = '8ebdf497-26d7-4e5a-901f-b9c671028aed'
CARRIER = '600267bf-e152-414a-aa10-145e9a2b9c82'
KEY = 'the-key-of-the-guest'


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Cloud:
    """Keystone, aodh-ha, Aodh and Nova by their URLs; what is not registered is unreachable."""

    def __init__(self, mock: requests_mock.Mocker) -> None:
        self.mock = mock
        links = [{'rel': 'self', 'href': KEYSTONE}]
        version = {'id': 'v3.14', 'status': 'stable', 'links': links}
        mock.get(KEYSTONE, json={'version': version})
        catalog = [
            {
                'type': kind,
                'name': kind,
                'id': kind,
                'endpoints': [
                    {'interface': 'public', 'url': address, 'region': 'here', 'region_id': 'here'}
                ],
            }
            for kind, address in (('aodh-ha', API), ('alarming', AODH), ('compute', NOVA))
        ]
        token = {
            'catalog': catalog,
            'expires_at': '2099-01-01T00:00:00.000000Z',
            'issued_at': '2026-11-22T14:00:00.000000Z',
            'methods': ['password'],
            'user': {'id': 'u1', 'name': 'operator', 'domain': {'id': 'd1', 'name': 'Default'}},
            'project': {'id': 'p1', 'name': 'demo', 'domain': {'id': 'd1', 'name': 'Default'}},
        }
        self.login = mock.post(
            f'{KEYSTONE}/auth/tokens', json={'token': token}, headers={'X-Subject-Token': 'a-token'}
        )

    def api(self, method: str, path: str, answer: Any = None, status: int = 200) -> Any:
        """aodh-ha answers this."""
        return self._on(method, f'{API}/v1/{path}', answer, status)

    def aodh(self, method: str, path: str, answer: Any = None, status: int = 200) -> Any:
        """Aodh answers this."""
        return self._on(method, f'{AODH}/v2/{path}', answer, status)

    def nova(self, method: str, path: str, answer: Any = None, status: int = 200) -> Any:
        """Nova answers this."""
        return self._on(method, f'{NOVA}/{path}', answer, status)

    def servers(self, **names: str) -> Any:
        """Nova lists these servers, by id; the page after them is empty."""
        found = [{'id': i, 'name': n, 'links': []} for i, n in names.items()]
        listing = self.nova('GET', 'servers', {'servers': found})
        for i in names:
            self.nova('GET', f'servers?marker={i}', {'servers': []})
        return listing

    def calls(self) -> list[str]:
        """What was asked for since the login, in order."""
        return [
            f'{r.method} {r.url.partition("?")[0]}'
            for r in self.mock.request_history
            if KEYSTONE not in r.url
        ]

    def _on(self, method: str, url: str, answer: Any, status: int) -> Any:
        if isinstance(answer, Exception):
            return self.mock.register_uri(method, url, exc=answer)
        if answer is None:
            return self.mock.register_uri(method, url, status_code=status)
        # aodhclient and keystoneauth1 read an error only if it is called JSON.
        headers = {'Content-Type': 'application/json'}
        return self.mock.register_uri(method, url, json=answer, status_code=status, headers=headers)


def refusal(title: str, detail: str) -> dict[str, Any]:
    """An error as aodh-ha answers it."""
    return {'errors': [{'title': title, 'detail': detail, 'request_id': 'req-1', 'code': 'x'}]}


def guest(**changes: Any) -> dict[str, Any]:
    """A guest as aodh-ha shows it."""
    return {
        'id': SERVER,
        'name': 'web',
        'project_id': 'p1',
        'status': 'enrolled',
        'status_reason': '',
        'policy': 'stateful',
        'group': '',
        'interval': 10.0,
        'missed_limit': 3,
        'boot_grace': 120.0,
        'generation': 1,
        'enrolled_at': '2026-11-22T14:00:00.000Z',
        'last_seen': '2026-11-22T14:00:30.000Z',
        'silent_for': 4.25,
        'missed': 0,
        'beats': 3,
        'boot_id': 'b1',
        'seen_by': 'agent',
        'services': [{'name': 'nginx', 'state': 'failed', 'failures': 2}],
        'failures': 2,
        'resource_id': 'r1',
        'enrolled_by': 'user',
        'previous_until': None,
        'refusals': [],
        'metrics': [],
    } | changes


def alarm(**changes: Any) -> dict[str, Any]:
    """An alarm as aodh-ha shows it."""
    return {
        'id': ALARM,
        'server_id': SERVER,
        'project_id': 'p1',
        'trigger': 'heartbeat',
        'meter': 'guest.heartbeat.missed',
        'threshold': 3,
        'aodh_alarm_id': CARRIER,
        'state': 'ok',
        'state_at': None,
        'created_at': '2026-11-22T14:00:00.000Z',
        'problem': '',
    } | changes


@pytest.fixture(autouse=True)
def login(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """OS_* variables of the canned cloud, and none of the developer's own."""
    for name in list(os.environ):
        if name.startswith(('OS_', 'AODH_HA_')):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('OS_CLIENT_CONFIG_FILE', str(tmp_path / 'clouds.yaml'))
    for name, value in {
        'AUTH_URL': KEYSTONE,
        'USERNAME': 'operator',
        'PASSWORD': 'secret-password',
        'PROJECT_NAME': 'demo',
        'USER_DOMAIN_NAME': 'Default',
        'PROJECT_DOMAIN_NAME': 'Default',
    }.items():
        monkeypatch.setenv(f'OS_{name}', value)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """The canned cloud, empty."""
    with requests_mock.Mocker() as mock:
        yield Cloud(mock)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """A shell adds its handlers to the root logger; they go with the test's streams."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(before):
        root.removeHandler(handler)
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run ``aodh-ha`` with these arguments."""

    def command(*args: str, stdin: str = '') -> Result:
        out, err = io.StringIO(), io.StringIO()
        shell = Shell(stdin=io.StringIO(stdin), stdout=out, stderr=err)
        try:
            code = shell.run(list(args))
        except SystemExit as e:
            code = int(e.code or 0)
        return Result(code, out.getvalue(), err.getvalue())

    return command
