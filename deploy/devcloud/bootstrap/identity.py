"""Users, projects, roles and the service catalog. May run again: what exists is left alone."""

import sys

import login

SERVICE_USERS = (
    'placement',
    'glance',
    'neutron',
    'nova',
    'cinder',
    'heat',
    'gnocchi',
    'aodh',
    'ceilometer',
    'aodh-ha',
)

CATALOG = (
    # name, type, path after the service's URL
    ('placement', 'placement', 'placement-api', ''),
    ('glance', 'image', 'glance-api', ''),
    ('neutron', 'network', 'neutron-api', ''),
    ('nova', 'compute', 'nova-api', '/v2.1'),
    ('cinder', 'volumev3', 'cinder-api', '/v3'),
    ('heat', 'orchestration', 'heat-api', '/v1/%(tenant_id)s'),
    ('heat-cfn', 'cloudformation', 'heat-api-cfn', '/v1'),
    ('gnocchi', 'metric', 'gnocchi-api', ''),
    ('aodh', 'alarming', 'aodh-api', ''),
    ('aodh-ha', 'aodh-ha', 'aodh-ha', ''),
)


class Identity:
    """Keystone's v3 API, as far as this needs it."""

    def __init__(self):
        self._session = login.admin()
        self._ids = {}

    def call(self, method, path, **body):
        answer = self._session.request(
            login.IDENTITY + path, method, json=body or None, raise_exc=False
        )
        if answer.status_code >= 400 and answer.status_code != 409:
            sys.exit(f'{method} {path}: {answer.status_code} {answer.text}')
        return answer.json() if answer.content else None

    def named(self, kind, name, **fields):
        """The id of a thing by its name; it is made when it does not exist."""
        key = (kind, name, fields.get('domain_id'))
        if key not in self._ids:
            self._ids[key] = self._found(kind, name, fields) or self._made(kind, name, fields)
        return self._ids[key]

    def _found(self, kind, name, fields):
        query = f'/{kind}s?name={name}'
        if 'domain_id' in fields:
            query += f'&domain_id={fields["domain_id"]}'
        found = self.call('GET', query)[f'{kind}s']
        return found[0]['id'] if found else None

    def _made(self, kind, name, fields):
        return self.call('POST', f'/{kind}s', **{kind: fields | {'name': name}})[kind]['id']

    def project(self, name):
        return self.named('project', name, domain_id='default')

    def user(self, name, project):
        return self.named(
            'user',
            name,
            domain_id='default',
            password=login.PASSWORD,
            default_project_id=project,
        )

    def grant(self, project, user, *roles):
        for role in roles:
            role_id = self.named('role', role)
            self.call('PUT', f'/projects/{project}/users/{user}/roles/{role_id}')


def users(identity):
    for role in ('admin', 'member', 'reader', 'service', 'heat_stack_owner', 'heat_stack_user'):
        identity.named('role', role)
    service = identity.project('service')
    for name in SERVICE_USERS:
        identity.grant(service, identity.user(name, service), 'admin', 'service')
    admin = identity.named('user', 'admin', domain_id='default')
    identity.grant(identity.project('admin'), admin, 'heat_stack_owner')
    for name in ('demo', 'other'):  # two tenants, to see that neither sees the other's
        project = identity.project(name)
        identity.grant(project, identity.user(name, project), 'member', 'heat_stack_owner')
        identity.grant(project, admin, 'admin')


def stacks_of_tenants(identity):
    """Let aodh-ha update tenants' stacks, as one of each project's members: what Heat does, it
    does in the project, and as the user, of the token."""
    user = identity.named('user', 'aodh-ha', domain_id='default')
    role = identity.named('role', 'member')
    identity.call(
        'PUT', f'/OS-INHERIT/domains/default/users/{user}/roles/{role}/inherited_to_projects'
    )


def heat_domain(identity):
    domain = identity.named('domain', 'heat')
    user = identity.named('user', 'heat_domain_admin', domain_id=domain, password=login.PASSWORD)
    role = identity.named('role', 'admin')
    identity.call('PUT', f'/domains/{domain}/users/{user}/roles/{role}')


def catalog(identity):
    have = {x['type'] for x in identity.call('GET', '/services')['services']}
    for name, kind, listener, path in CATALOG:
        if kind in have:
            continue
        service = identity.call('POST', '/services', service={'name': name, 'type': kind})
        for interface in ('public', 'internal', 'admin'):
            identity.call(
                'POST',
                '/endpoints',
                endpoint={
                    'service_id': service['service']['id'],
                    'interface': interface,
                    'region_id': 'RegionOne',
                    'url': login.URLS[listener] + path,
                },
            )


if __name__ == '__main__':
    keystone = Identity()
    users(keystone)
    stacks_of_tenants(keystone)
    heat_domain(keystone)
    catalog(keystone)
