"""Hooks in policies: who may name which."""

import pytest

from tests.functional.http.service import refused
from tests.samples import DOCUMENT, OTHER_PROJECT

HOOKS = """
[hooks]
names = fence, page
[hook:fence]
command = true
[hook:page]
command = true
for_projects = true
[policies]
allowed_actions = server.reboot, server.rebuild, hook
"""

WAYS = {
    'step': '  - {{action: hook, name: {}}}\n',
    'fencing': 'fencing: {}\n',
    'exhausted': 'on_exhausted: {}\n',
}


@pytest.fixture
def service(make, sqlite_url):
    return make(sqlite_url, webhook=HOOKS)


def put(service, way, hook, token=None, scope='project'):
    document = DOCUMENT + WAYS[way].format(hook)
    path = f'/v1/policies/ladder?scope={scope}'
    return service.call('PUT', path, {'document': document}, token)


@pytest.mark.parametrize('way', WAYS)
def test_a_project_cannot_have_a_host_switched_off(service, way):
    for token in (None, service.keystone.token(OTHER_PROJECT, 'admin')):
        error = refused(put(service, way, 'fence', token), 400, 'bad_request')
        assert 'no hook fence for this policy; it has page' in error['detail']
        assert error['detail'].startswith('line 8: ')
    assert put(service, way, 'page').status_code == 200


@pytest.mark.parametrize('way', WAYS)
def test_an_operators_policy_may_name_every_hook(service, way):
    admin = service.keystone.token(OTHER_PROJECT, 'admin')
    assert put(service, way, 'fence', admin, 'operator').status_code == 200
    refused(put(service, way, 'other', admin, 'operator'), 400, 'bad_request')
