"""Tenants without a right beyond their own project, in whose projects aodh-ha's user has none.

So what is done there is done with the tenant's rights, or not at all. All of them are made, and
their guests broken, at once.
"""

import copy
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import openstack
import pytest

from aodh_ha.clients.aodh import Aodh
from aodh_ha.clients.identity import ApplicationCredentials
from aodh_ha.osc.client import Client
from aodh_ha.rules.alarm import with_trust
from tests.acceptance.devcloud import Devcloud, Guest, wait
from tests.acceptance.stacks import TEMPLATE, resources

DOMAIN = f'tenants-{uuid.uuid4().hex[:8]}'
PASSWORD = 'tenant'
STACK = TEMPLATE.replace('flavor: m1.nano', 'flavor: m1.nano\n      key_name: of-the-tenant')
HARD = '{action: server.reboot, type: hard, verify: 60s}'
REPLACE = '{action: server.replace, verify: 180s}'
POLICY = """
name: own
heartbeat: {{interval: 2s, missed: 4, boot_grace: 20s}}
preserve: [volumes, fixed_ips]
steps:
  - {step}
"""


@dataclass
class Tenant:
    """A user with the role member in a project of its own, in a domain of their own."""

    cloud: Devcloud
    """As this tenant sees it."""
    user_id: str
    project_id: str
    guest: Guest = field(init=False)
    before: dict[str, Any] = field(default_factory=dict)

    def application_credential(self) -> str:
        """Make one and hand it over, as ``aodh-ha credential create`` does; Keystone's id."""
        keystone = ApplicationCredentials(self.cloud.demo.session)
        made, secret = keystone.create('recovery', ['member'])
        self._hand_over(type='application_credential', keystone_id=made, secret=secret)
        return made

    def trust(self) -> None:
        """Hand over a trust whose trustee is aodh-ha's user."""
        trustee = self.cloud.admin.identity.find_user('aodh-ha', domain_id='default')
        wanted = {
            'trustor_user_id': self.user_id,
            'trustee_user_id': trustee.id,
            'project_id': self.project_id,
            'impersonation': True,
            'roles': [{'name': 'member'}],
        }
        made = self.cloud.demo.identity.post('/OS-TRUST/trusts', json={'trust': wanted})
        assert made.status_code == 201, made.text
        self._hand_over(type='trust', keystone_id=made.json()['trust']['id'])

    def _hand_over(self, **values: str) -> None:
        api = self.cloud.api
        credential = api.create_credential(**values)
        assert credential['status'] == 'pending'
        wait(
            lambda: api.credential(credential['id'])['status'] == 'usable',
            f'Keystone takes the {values["type"]}',
        )

    def watched(self, server_id: str, *, trust: bool = False) -> None:
        """Enrol the server's guest under the project's own policy, with an alarm."""
        self.guest = Guest(self.cloud, server_id, 'tenants')
        self.guest.enroll('own')
        answer = self.cloud.api.create_alarm(server_id, 'heartbeat', None)
        definition = with_trust(answer['definition']) if trust else answer['definition']
        made = self.cloud.aodh.create(definition)
        self.cloud.api.link_alarm(answer['alarm']['id'], made['alarm_id'])
        wait(lambda: self.guest.measures()[-1:] == [0.0], 'a measure', 120)

    def sent(self, ended: dict[str, Any]) -> list[str]:
        """What the audit trail says of the actions that were made."""
        return [e['message'] for e in ended['events'] if e['kind'] == 'sent']

    def who(self, action: str) -> set[str]:
        """The users who did this to the server, as Nova's log has them."""
        found = self.cloud.admin.compute.server_actions(self.guest.id)
        return {a.user_id for a in found if a.action == action}


def new(cloud: Devcloud, name: str, step: str) -> Tenant:
    """A new tenant, with a policy of one step."""
    identity = cloud.admin.identity
    domain = identity.find_domain(DOMAIN)
    project = identity.create_project(name=name, domain_id=domain.id)
    user = identity.create_user(name=name, domain_id=domain.id, password=PASSWORD)
    member = identity.find_role('member')
    identity.assign_project_role_to_user(project=project, user=user, role=member)
    own = copy.copy(cloud)
    own.demo = openstack.connect(
        region_name='RegionOne',
        identity_api_version='3',
        auth={
            'auth_url': cloud.demo.config.get_auth_args()['auth_url'],
            'username': name,
            'password': PASSWORD,
            'project_name': name,
            'user_domain_name': DOMAIN,
            'project_domain_name': DOMAIN,
        },
    )
    own.api, own.aodh = Client(own.demo.session), Aodh(own.demo.session)
    own.api.save_policy('own', POLICY.format(step=step))
    return Tenant(own, user.id, project.id)


def of_stack(cloud: Devcloud) -> Tenant:
    """Whose server, with a key of its own, is in a stack; it handed over what it made itself."""
    tenant = new(cloud, 'of-stack', REPLACE)
    heat = tenant.cloud.demo.orchestration
    tenant.cloud.demo.compute.create_keypair(name='of-the-tenant')
    stack = heat.create_stack(name='own', template=STACK)
    tenant.application_credential()
    heat.wait_for_status(stack, 'CREATE_COMPLETE', wait=300)
    tenant.before = resources(tenant.cloud, 'own')
    tenant.watched(tenant.before['server'])
    tenant.before['addresses'] = tenant.guest.addresses()
    return tenant


def by_callback(cloud: Devcloud) -> Tenant:
    """Who handed nothing over; its alarm's callback brings its rights."""
    tenant = new(cloud, 'by-callback', HARD)
    tenant.watched(tenant.cloud.guest('by-callback').id, trust=True)
    return tenant


def by_trust(cloud: Devcloud) -> Tenant:
    """Who handed a trust over."""
    tenant = new(cloud, 'by-trust', HARD)
    tenant.trust()
    tenant.watched(tenant.cloud.guest('by-trust').id)
    return tenant


def revoked(cloud: Devcloud) -> Tenant:
    """Who deleted in Keystone what it had handed over, and which was good."""
    tenant = new(cloud, 'revoked', HARD)
    made = tenant.application_credential()
    tenant.watched(tenant.cloud.guest('revoked').id)
    ApplicationCredentials(tenant.cloud.demo.session).delete(made)
    return tenant


KINDS: tuple[Callable[[Devcloud], Tenant], ...] = (of_stack, by_callback, by_trust, revoked)


def _well(cloud: Devcloud, host: str) -> Guest:
    """A guest that is heard: where all of a host are silent, its death is waited for a minute."""
    guest = cloud.guest(f'well-{host}', host=host)
    guest.enroll()
    return guest


@pytest.fixture(scope='module')
def tenants(cloud: Devcloud) -> Iterator[dict[str, Tenant]]:
    """All of them, whose guests no soft reboot heals."""
    identity = cloud.admin.identity
    domain = identity.find_domain(DOMAIN) or identity.create_domain(name=DOMAIN)
    with ThreadPoolExecutor(len(KINDS) + 2) as threads:
        well = threads.map(lambda host: _well(cloud, host), ('host1', 'host2'))
        made = dict(zip(KINDS, threads.map(lambda make: make(cloud), KINDS), strict=True))
        found = {make.__name__: tenant for make, tenant in made.items()}
        others = list(well)
        for name, tenant in found.items():
            healed_by = 'nothing' if name == 'of_stack' else 'hard'
            tenant.guest.fault('panic', '--healed-by', healed_by)
        yield found
        list(threads.map(_remove, found.values()))
    cloud.remove(others)
    identity.update_domain(domain, is_enabled=False)
    identity.delete_domain(domain)


def _remove(tenant: Tenant) -> None:
    cloud = tenant.cloud
    for guest in cloud.api.guests():
        Guest(cloud, guest['id'], '').forget()
    for credential in cloud.api.project_credentials():
        cloud.api.delete_credential(credential['id'])
    for stack in cloud.demo.orchestration.stacks():
        cloud.demo.orchestration.delete_stack(stack)
        cloud.demo.orchestration.wait_for_delete(stack, wait=120)
    for server in cloud.demo.compute.servers():
        cloud.demo.compute.delete_server(server)


def test_the_server_of_a_tenants_stack_is_replaced_with_its_own_rights(
    tenants: dict[str, Tenant],
) -> None:
    tenant = tenants['of_stack']
    found = wait(lambda: list(tenant.cloud.api.recoveries()), 'the recovery is opened', 90)
    recovery_id = found[0]['id']
    api = tenant.cloud.api
    wait(lambda: api.recovery(recovery_id)['recovery']['finished_at'], 'its end', 240)
    ended = api.recovery(recovery_id)
    assert ended['recovery']['status'] == 'recovered', ended
    (sent,) = tenant.sent(ended)
    assert "with the project's application credential" in sent
    now = resources(tenant.cloud, 'own')
    assert ended['recovery']['server_id'] == now['server'] != tenant.before['server']
    assert (now['port'], now['volume']) == (tenant.before['port'], tenant.before['volume'])
    server = tenant.cloud.admin.compute.get_server(now['server'])
    assert (server.project_id, server.user_id) == (tenant.project_id, tenant.user_id)
    assert server.key_name == 'of-the-tenant', 'which no other user has'
    assert Guest(tenant.cloud, server.id, '').addresses() == tenant.before['addresses']
    (credential,) = api.project_credentials()
    assert credential['used_at'] is not None


def test_the_callbacks_token_reboots_in_the_name_of_the_alarms_owner(
    tenants: dict[str, Tenant],
) -> None:
    tenant = tenants['by_callback']
    ended = tenant.guest.ended(180)
    assert ended['recovery']['status'] == 'recovered', ended
    assert ["with the token of the alarm's callback" in s for s in tenant.sent(ended)] == [True]
    assert tenant.who('reboot') == {tenant.user_id}


def test_a_trust_reboots_in_the_name_of_who_gave_it(tenants: dict[str, Tenant]) -> None:
    tenant = tenants['by_trust']
    ended = tenant.guest.ended(180)
    assert ended['recovery']['status'] == 'recovered', ended
    assert ["with the project's trust" in s for s in tenant.sent(ended)] == [True]
    assert tenant.who('reboot') == {tenant.user_id}


def test_a_revoked_credential_is_made_up_for_by_nothing_and_told(
    tenants: dict[str, Tenant],
) -> None:
    tenant = tenants['revoked']
    ended = tenant.guest.ended(180)
    assert ended['recovery']['status'] == 'failed', ended
    assert {a['status'] for a in ended['attempts']} <= {'refused', 'abandoned'}
    assert 'Keystone refuses' in ended['attempts'][-1]['detail']
    assert tenant.guest.actions() == []
    (credential,) = tenant.cloud.api.project_credentials()
    assert credential['status'] == 'refused'
    assert 'Keystone refuses' in credential['status_reason']
    told = wait(
        lambda: [
            p
            for p in tenant.cloud.pages()
            if p.get('kind') == 'credential' and tenant.project_id in str(p)
        ],
        'the operator is told',
    )
    assert len(told) == 1
