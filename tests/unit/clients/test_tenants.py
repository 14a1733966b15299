"""Whose token is sent: the service user's for what is read, the project's for what is done."""

import pytest
import requests

from aodh_ha.exceptions import ActionRefused, CredentialRefused, NotNow
from aodh_ha.rules.rights import APPLICATION_CREDENTIAL, OURS, TOKEN, TRUST, Rights
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT, SERVER_ID
from tests.unit.clients.conftest import KEYSTONE, NOVA, USER

IMAGE = '11111111-1111-4111-8111-111111111111'
CREDENTIAL = Rights(APPLICATION_CREDENTIAL, PROJECT, 'ac1', 'the-secret')
OF_TRUST = Rights(TRUST, PROJECT, 'trust1')
OF_CALLBACK = Rights(TOKEN, PROJECT, secret='the-token-of-the-callback')
TENANT = 'f' * 32
"""The user whose rights they are."""


class Keystone:
    """Gives out tokens by what the request proves, and tells whose a token is."""

    def __init__(self, wire):
        self.wire = wire
        self.project = PROJECT
        self.refuses = False
        self.asked = []
        self._ours = wire._token
        wire.mock.post(f'{KEYSTONE}/auth/tokens', json=self._issue)
        wire.mock.get(f'{KEYSTONE}/auth/tokens', json=self._show)

    def _issue(self, request, context):
        auth = request.json()['auth']
        trust = (auth.get('scope') or {}).get('OS-TRUST:trust')
        if 'application_credential' not in auth['identity'] and trust is None:
            return self._ours(request, context)
        self.asked.append(auth)
        return self._answer(context, 'token-of-the-project')

    def _show(self, request, context):
        self.asked.append(request.headers['X-Subject-Token'])
        return self._answer(context, request.headers['X-Subject-Token'])

    def _answer(self, context, token):
        if self.refuses:
            context.status_code = 401
            return {'error': {'code': 401, 'message': 'Could not find it'}}

        class Request:
            @staticmethod
            def json():
                return {'auth': {'scope': {'project': {'id': PROJECT}}}}

        body = self._ours(Request, context)
        body['token']['project']['id'] = self.project
        body['token']['user']['id'] = TENANT
        context.headers['X-Subject-Token'] = token
        context.status_code = 201
        return body


@pytest.fixture
def keystone(wire):
    return Keystone(wire)


@pytest.fixture
def nova(wire):
    """Takes every action on the server."""
    url = f'{NOVA}/servers/{SERVER_ID}/action'
    wire.mock.post(url, status_code=202, headers={'x-openstack-request-id': 'req-1'})
    return wire


def tokens(wire, method='POST'):
    """Whose tokens Nova was sent."""
    path = f'/v2.1/servers/{SERVER_ID}/action'
    return [r.headers['X-Auth-Token'] for r in wire.sent(method, path)]


def test_what_is_done_is_done_with_the_application_credential(keystone, nova, cloud):
    assert cloud.acting(CREDENTIAL).reboot(SERVER_ID, 'hard') == 'req-1'
    assert tokens(nova) == ['token-of-the-project']
    (asked,) = keystone.asked
    assert asked['identity']['application_credential'] == {'id': 'ac1', 'secret': 'the-secret'}


def test_a_trust_is_taken_by_the_service_user_with_its_password(keystone, nova, cloud):
    cloud.acting(OF_TRUST).reboot(SERVER_ID, 'soft')
    (asked,) = keystone.asked
    assert asked['scope'] == {'OS-TRUST:trust': {'id': 'trust1'}}
    assert asked['identity']['password']['user']['name'] == 'aodh-ha'
    assert tokens(nova) == ['token-of-the-project']


def test_the_token_of_a_callback_is_used_as_it_is(keystone, nova, cloud):
    cloud.acting(OF_CALLBACK).reboot(SERVER_ID, 'soft')
    assert keystone.asked == ['the-token-of-the-callback']
    assert tokens(nova) == ['the-token-of-the-callback']


@pytest.mark.parametrize(
    'act',
    [
        lambda cloud: cloud.reboot(SERVER_ID, 'soft'),
        lambda cloud: cloud.start(SERVER_ID),
        lambda cloud: cloud.rebuild(SERVER_ID, IMAGE),
        lambda cloud: cloud.snapshot(SERVER_ID, 'name'),
        lambda cloud: cloud.delete(SERVER_ID),
        lambda cloud: cloud.set_metadata(SERVER_ID, {'a': 'b'}),
    ],
)
def test_every_action_on_a_server_is_made_with_the_projects_rights(
    keystone, nova, cloud, wire, act
):
    image = {'server': {'id': SERVER_ID}, 'image_id': IMAGE}
    url = f'{NOVA}/servers/{SERVER_ID}'
    wire.mock.post(f'{url}/action', json=image, headers={'location': f'http://x/{IMAGE}'})
    wire.mock.post(f'{url}/metadata', json={'metadata': {}})
    wire.mock.delete(url, status_code=204)
    act(cloud.acting(CREDENTIAL))
    sent = [r for r in wire.mock.request_history if r.url.startswith(url)]
    assert [r.headers['X-Auth-Token'] for r in sent] == ['token-of-the-project']


@pytest.mark.parametrize(
    'act',
    [
        lambda cloud: cloud.evacuate(SERVER_ID),
        lambda cloud: cloud.migrate(SERVER_ID),
        lambda cloud: cloud.reset_state(SERVER_ID, 'error'),
    ],
)
def test_what_has_to_do_with_hosts_stays_the_service_users(keystone, nova, cloud, act):
    act(cloud.acting(CREDENTIAL))
    assert keystone.asked == []
    assert len(tokens(nova)) == 1


def test_what_is_read_is_read_by_the_service_user(keystone, nova, cloud, wire):
    wire.mock.get(f'{NOVA}/servers/{SERVER_ID}/os-instance-actions', json={'instanceActions': []})
    assert cloud.acting(CREDENTIAL).instance_actions(SERVER_ID) == []
    assert keystone.asked == []


def test_who_acted_is_known_by_novas_log(keystone, cloud):
    assert cloud.acting(CREDENTIAL).user_id() == TENANT
    assert cloud.user_id() == USER
    assert cloud.acting(OURS) is cloud


@pytest.mark.parametrize('rights', [CREDENTIAL, OF_TRUST, OF_CALLBACK])
def test_what_keystone_refuses_is_refused_and_nova_is_not_asked(keystone, nova, cloud, rights):
    keystone.refuses = True
    with pytest.raises(CredentialRefused, match='Keystone refuses') as refused:
        cloud.acting(rights).reboot(SERVER_ID, 'soft')
    assert tokens(nova) == []
    assert 'the-secret' not in refused.value.detail
    assert 'the-token' not in refused.value.detail


@pytest.mark.parametrize('rights', [CREDENTIAL, OF_TRUST, OF_CALLBACK])
def test_rights_of_another_project_are_refused(keystone, nova, cloud, rights):
    keystone.project = OTHER_PROJECT
    with pytest.raises(CredentialRefused, match=f'of project {OTHER_PROJECT}, not of'):
        cloud.acting(rights).reboot(SERVER_ID, 'soft')
    assert tokens(nova) == []


def test_a_credential_that_is_revoked_later_is_refused_then(keystone, nova, cloud, wire):
    acting = cloud.acting(CREDENTIAL)
    acting.reboot(SERVER_ID, 'soft')
    acting.reboot(SERVER_ID, 'soft')
    assert len(keystone.asked) == 1, 'its token is kept'
    wire.mock.post(f'{NOVA}/servers/{SERVER_ID}/action', status_code=401)
    with pytest.raises(NotNow):
        acting.reboot(SERVER_ID, 'soft')
    keystone.refuses = True
    with pytest.raises(CredentialRefused):
        acting.reboot(SERVER_ID, 'soft')


def test_a_token_that_has_run_out_meanwhile_is_refused(keystone, nova, cloud):
    acting = cloud.acting(OF_CALLBACK)
    acting.reboot(SERVER_ID, 'soft')
    keystone.refuses = True
    with pytest.raises(CredentialRefused, match='let the Aodh alarm repeat its actions'):
        acting.reboot(SERVER_ID, 'hard')
    assert len(tokens(nova)) == 1


def test_a_trust_needs_a_service_user_with_a_password(keystone, nova, conf, cloud):
    conf.set_override('auth_type', 'admin_token', group='service_credentials')
    with pytest.raises(CredentialRefused, match='take one with a password'):
        cloud.acting(OF_TRUST).reboot(SERVER_ID, 'soft')


def test_while_keystone_is_away_nothing_is_refused(keystone, nova, cloud, wire):
    wire.mock.post(f'{KEYSTONE}/auth/tokens', exc=requests.ConnectionError)
    with pytest.raises(NotNow, match='Keystone'):
        cloud.acting(CREDENTIAL).reboot(SERVER_ID, 'soft')


def test_rights_with_a_problem_do_nothing(keystone, nova, cloud):
    with pytest.raises(CredentialRefused, match='no rights at all'):
        cloud.acting(Rights(TOKEN, PROJECT, problem='no rights at all')).start(SERVER_ID)
    assert nova.mock.request_history == []


def test_a_stack_is_not_created_with_rights_that_were_delegated(keystone, wire, cloud):
    for rights in (CREDENTIAL, OF_TRUST, OF_CALLBACK):
        with pytest.raises(ActionRefused, match='Keystone lets nobody make one'):
            cloud.acting(rights).recreate_stack(samples.member(), {})
    assert wire.mock.request_history == []


def test_who_acts_may_be_told_anew(keystone, nova, cloud):
    assert cloud.acting(CREDENTIAL).acting(OURS) is cloud
    cloud.acting(OF_TRUST).acting(CREDENTIAL).reboot(SERVER_ID, 'soft')
    assert 'application_credential' in keystone.asked[0]['identity']


def test_a_secret_is_in_no_repr():
    assert 'the-secret' not in repr(CREDENTIAL)
    assert 'the-token' not in repr(OF_CALLBACK)
