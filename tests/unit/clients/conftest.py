"""A cloud that answers over HTTP what a test tells it to, on the wire formats of real services."""

import pytest

from aodh_ha import opts
from aodh_ha.clients.cloud import OpenStack
from aodh_ha.clients.session import service_session
from tests.samples import PROJECT

KEYSTONE = 'http://keystone.test/v3'
NOVA = 'http://nova.test/v2.1'
NEUTRON = 'http://neutron.test'
CINDER = 'http://cinder.test/v3'
HEAT = 'http://heat.test/v1'
GNOCCHI = 'http://gnocchi.test'
SERVICE_PROJECT = 'c' * 32
USER = 'e' * 32

EVERYTHING = {
    'compute': NOVA,
    'network': NEUTRON,
    'volumev3': CINDER,
    'orchestration': f'{HEAT}/%(project)s',
    'metric': GNOCCHI,
}


class Wire:
    """The services, as requests_mock has them."""

    def __init__(self, mock):
        self.mock = _as_json(mock)
        self.catalog = dict(EVERYTHING)
        self.projects = {SERVICE_PROJECT, PROJECT}
        """Those in which the service user has a role."""
        self.tokens = 0
        mock.get(KEYSTONE, json={'version': _version('v3.14', f'{KEYSTONE}/')})
        mock.post(f'{KEYSTONE}/auth/tokens', json=self._token)
        for url, version in (
            (NEUTRON, _version('v2.0', f'{NEUTRON}/v2.0/')),
            (CINDER, _version('v3.0', f'{CINDER}/')),
        ):
            mock.get(url, json={'versions': [version]})
            mock.get(f'{url}/', json={'versions': [version]})

    def _token(self, request, context):
        scope = request.json()['auth']['scope']['project']
        project = scope.get('id', SERVICE_PROJECT)
        if project not in self.projects:
            context.status_code = 401
            return {'error': {'code': 401, 'message': 'no role there'}}
        self.tokens += 1
        catalog = [
            {
                'type': kind,
                'name': kind,
                'endpoints': [
                    {
                        'interface': 'internal',
                        'region': 'RegionOne',
                        'region_id': 'RegionOne',
                        'url': url.replace('%(project)s', project),
                    }
                ],
            }
            for kind, url in self.catalog.items()
        ]
        context.headers['X-Subject-Token'] = f'token-{self.tokens}-of-{project}'
        context.status_code = 201
        return {
            'token': {
                'catalog': catalog,
                'expires_at': '2100-01-01T00:00:00.000000Z',
                'issued_at': '2026-11-22T00:00:00.000000Z',
                'methods': ['password'],
                'project': {'id': project, 'name': 'p', 'domain': {'id': 'd', 'name': 'd'}},
                'roles': [],
                'user': {'id': USER, 'name': 'aodh-ha', 'domain': {'id': 'd', 'name': 'd'}},
            }
        }

    def sent(self, method, path):
        """What was sent to this path."""
        return [r for r in self.mock.request_history if (r.method, r.path) == (method, path)]


def _as_json(mock):
    """Give each answer the content type without which heatclient sees nothing in it."""
    register = mock.register_uri

    def register_uri(method, url, response_list=None, **kwargs):
        for answer in response_list or [kwargs]:
            if 'exc' not in answer:
                headers = {'Content-Type': 'application/json'} | answer.get('headers', {})
                answer['headers'] = headers
        return register(method, url, response_list, **kwargs)

    mock.register_uri = register_uri
    return mock


def _version(name, url):
    links = [{'href': url, 'rel': 'self'}]
    return {'id': name, 'status': 'CURRENT', 'updated': '2026-01-01T00:00:00Z', 'links': links}


@pytest.fixture
def wire(requests_mock):
    return Wire(requests_mock)


@pytest.fixture
def conf(tmp_path):
    file = tmp_path / 'aodh-ha.conf'
    file.write_text(f"""
[service_credentials]
auth_type = password
auth_url = {KEYSTONE}
username = aodh-ha
password = secret
project_name = service
user_domain_name = Default
project_domain_name = Default
""")
    return opts.load([f'--config-file={file}'])


@pytest.fixture
def session(conf, wire):
    return service_session(conf)


@pytest.fixture
def cloud(conf, session):
    return OpenStack(conf, session)
