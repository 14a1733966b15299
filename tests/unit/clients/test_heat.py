"""Heat, on the wire: whose stack a server is in, and what is asked of it."""

import contextlib
import logging

import pytest
import requests

from aodh_ha.clients import heat as client
from aodh_ha.clients import heat_recreation
from aodh_ha.clients.heat import Heat
from aodh_ha.clients.session import service_session
from aodh_ha.clients.stacks import HIDDEN, MARKED, Tree
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, NotNow, OutcomeUnknown
from aodh_ha.testing import Clock
from tests import samples
from tests.samples import OTHER_ID, PROJECT, SERVER_ID
from tests.unit.clients.conftest import HEAT, SERVICE_PROJECT
from tests.unit.clients.test_nova import NOVA, shown

ROOT, GROUP, INNER = (f'00000000-0000-4000-8000-0000000000{n}' for n in ('10', '20', '30'))
NAMES = {ROOT: 'shop', GROUP: 'shop-group-x', INNER: 'shop-group-x-0-y'}


def resource(name, kind, physical_id, stack, status='CREATE_COMPLETE'):
    href = f'{HEAT}/{PROJECT}/stacks/{NAMES[stack]}/{stack}'
    return {
        'resource_name': name,
        'logical_resource_id': name,
        'resource_type': kind,
        'physical_resource_id': physical_id,
        'resource_status': status,
        'links': [
            {'href': f'{href}/resources/{name}', 'rel': 'self'},
            {'href': href, 'rel': 'stack'},
        ],
    }


RESOURCES = [
    resource('web', 'OS::Nova::Server', SERVER_ID, ROOT),
    resource('port', 'OS::Neutron::Port', 'p1', ROOT),
    resource('vol', 'OS::Cinder::Volume', 'v1', ROOT),
    resource('group', 'OS::Heat::ResourceGroup', GROUP, ROOT),
    resource('0', 'inner.yaml', INNER, GROUP),
    resource('db', 'OS::Nova::Server', OTHER_ID, INNER),
]


class Stack:
    """A stack that Heat has, seen from any project of an administrator's."""

    def __init__(self, wire, clock):
        self.wire, self.clock = wire, clock
        self.values = {
            'id': ROOT,
            'stack_name': 'shop',
            'stack_status': 'CREATE_COMPLETE',
            'stack_status_reason': 'done',
            'creation_time': '2026-11-22T18:00:00Z',
            'updated_time': None,
            'parent': None,
            'parameters': {'OS::project_id': PROJECT, 'OS::stack_id': ROOT},
            'timeout_mins': 30,
            'disable_rollback': True,
            'tags': None,
        }
        self.resources = list(RESOURCES)
        self.there = True
        for project in (SERVICE_PROJECT, PROJECT):
            base = f'{HEAT}/{project}/stacks'
            wire.mock.get(base, json=self.list)
            for name in (f'shop/{ROOT}', 'shop', ROOT):
                wire.mock.get(f'{base}/{name}', json=self.show)
            wire.mock.get(f'{base}/shop/{ROOT}/resources', json=self.tree)
            wire.mock.get(f'{base}/shop/{ROOT}/events', json={'events': [{'id': 'event-9'}]})

    def list(self, request, context):
        wanted = request.qs.get('tenant', [PROJECT])[0]
        listed = {k: v for k, v in self.values.items() if k not in ('parent', 'parameters')}
        listed['project'] = PROJECT
        return {'stacks': [listed] if self.there and wanted == PROJECT else []}

    def show(self, request, context):
        if not self.there:
            context.status_code = 404
            return {'error': {'message': 'The Stack (shop) could not be found.'}}
        return {'stack': self.values}

    def tree(self, request, context):
        return {'resources': self.resources}

    def reads(self):
        """How often its whole tree was read."""
        path = f'/v1/{SERVICE_PROJECT}/stacks/shop/{ROOT}/resources'
        return len(self.wire.sent('GET', path))


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def stack(wire, clock):
    return Stack(wire, clock)


@pytest.fixture
def heat(conf, session, clock):
    return Heat(session, lambda p: service_session(conf, p), clock=clock, sleep=clock.advance)


def server(server_id=SERVER_ID, **changes):
    return samples.server(**({'id': server_id, 'created_at': 0.0} | changes))


# ---- reads


def test_resources_have_paths_because_names_are_not_unique():
    tree = Tree.read(RESOURCES)
    assert {p: r.physical_id for p, r in tree.servers().items()} == {
        'web': SERVER_ID,
        'group/0/db': OTHER_ID,
    }
    assert tree.server(OTHER_ID).stack == f'{NAMES[INNER]}/{INNER}'
    assert {'p1', 'v1', GROUP, INNER} < tree.ids


def test_what_enrols_a_server_has_its_id_and_is_no_server():
    enrols = resource('heartbeat', 'OS::AodhHA::GuestHeartbeat', SERVER_ID, ROOT)
    tree = Tree.read([enrols, *RESOURCES])
    assert tree.server(SERVER_ID).name == 'web'
    assert set(tree.servers(tree.server(SERVER_ID))) == {'web', 'group/0/db'}
    assert Tree.read([enrols]).server(SERVER_ID) is None


def test_a_server_may_be_of_a_type_of_the_environments_own():
    mine = resource('web', 'My::Server', SERVER_ID, ROOT)
    tree = Tree.read([mine, *RESOURCES[1:]])
    assert tree.server(SERVER_ID).type == 'My::Server'


def test_a_servers_place_is_told_with_its_siblings(stack, heat):
    member = heat.member(server(OTHER_ID))
    assert (member.resource_name, member.stack_id, member.root_id) == ('group/0/db', INNER, ROOT)
    assert (member.root_name, member.project_id) == ('shop', PROJECT)
    assert (member.status, member.last_event) == ('CREATE_COMPLETE', 'event-9')
    assert member.siblings == ((SERVER_ID, 'web'), (OTHER_ID, 'group/0/db'))


def test_the_stacks_status_is_always_as_it_is_now(stack, heat):
    heat.member(server())
    stack.values |= {'stack_status': 'UPDATE_IN_PROGRESS', 'updated_time': '2026-11-22T19:00:00Z'}
    member = heat.member(server())
    assert member.busy
    assert member.updated_at == '2026-11-22T19:00:00Z'


def test_a_server_of_no_stack_is_not_searched_for_all_the_time(stack, heat, clock):
    alone = server('00000000-0000-4000-8000-00000000dead')
    assert heat.member(alone) is None
    searched = stack.reads()
    assert searched == 1
    assert heat.member(alone) is None
    clock.advance(client.KEPT + 1)
    assert heat.member(alone) is None
    assert stack.reads() == searched, 'a stack that did not change is not read again'
    stack.values['updated_time'] = '2026-11-22T19:00:00Z'
    clock.advance(client.KEPT + 1)
    assert heat.member(alone) is None
    assert stack.reads() == searched + 1


def test_a_new_server_of_a_group_that_scaled_is_found(stack, heat, clock):
    heat.member(server())
    new = '00000000-0000-4000-8000-00000000beef'
    stack.resources.append(resource('db2', 'OS::Nova::Server', new, INNER))
    member = heat.member(server(new, created_at=clock()))
    assert member.resource_name == 'group/0/db2'


def test_while_heat_replaces_a_server_it_is_not_said_to_be_in_no_stack(stack, heat):
    assert heat.member(server())
    stack.resources = [r for r in stack.resources if r['physical_resource_id'] != SERVER_ID]
    stack.values['stack_status'] = 'UPDATE_IN_PROGRESS'
    with pytest.raises(CloudAway, match='UPDATE_IN_PROGRESS'):
        heat.member(server())
    stack.values['stack_status'] = 'UPDATE_COMPLETE'
    assert heat.member(server()) is None


def test_a_server_of_another_project_is_in_no_stack_of_this_one(stack, heat):
    assert heat.member(server(project_id='b' * 32)) is None


def test_a_hint_in_the_metadata_is_followed_but_not_into_another_project(wire, stack, heat):
    hinted = server(metadata={'metering.stack': ROOT})
    assert heat.member(hinted).root_id == ROOT
    assert wire.sent('GET', f'/v1/{SERVICE_PROJECT}/stacks') == []
    stack.values['parameters'] = {'OS::project_id': 'b' * 32}
    heat._root_of.clear()
    heat.member(hinted)
    assert len(wire.sent('GET', f'/v1/{SERVICE_PROJECT}/stacks')) == 1


def test_a_stack_is_found_again_by_its_name(wire, stack, heat):
    member = heat.member(server())
    assert heat.again(member) == member
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{ROOT}', status_code=404)
    new = '00000000-0000-4000-8000-000000000099'
    NAMES[new] = 'shop'
    stack.values |= {'id': new, 'stack_status': 'CREATE_IN_PROGRESS'}
    base = f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{new}'
    wire.mock.get(base, json=stack.show)
    wire.mock.get(f'{base}/events', json={'events': []})
    made = [resource('web', 'OS::Nova::Server', '', new, 'CREATE_IN_PROGRESS')]
    wire.mock.get(f'{base}/resources', json={'resources': made})
    again = heat.again(member)
    assert (again.root_id, again.resource_name, again.busy) == (new, 'web', True)
    assert again.siblings == (), 'what is not made yet is no server'
    stack.there = False
    assert heat.again(member) is None


def test_a_cloud_without_heat_has_no_stacks(wire, cloud):
    del wire.catalog['orchestration']
    assert cloud.member(server()) is None


def test_a_heat_that_is_away_is_no_cloud_without_heat(wire, stack, heat):
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks', exc=requests.ConnectTimeout)
    with pytest.raises(CloudAway):
        heat.member(server())
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks', status_code=503)
    with pytest.raises(CloudAway):
        heat.member(server())
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks', text='<html>')
    with pytest.raises(CloudAway):
        heat.member(server())


def test_members_of_an_old_autoscaling_group_are_servers():
    member = resource('abc', 'OS::Heat::ScaledResource', SERVER_ID, ROOT)
    assert list(Tree.read([member]).servers()) == ['abc']


def test_events_are_told_with_the_stack_that_has_them(wire, stack, heat):
    base = f'{HEAT}/{SERVICE_PROJECT}/stacks'
    root_link = {'rel': 'root_stack', 'href': f'{base}/shop/{ROOT}'}

    def noted(event_id, name, physical_id, of, status):
        links = [{'rel': 'stack', 'href': f'{base}/{NAMES[of]}/{of}'}, root_link]
        return {
            'id': event_id,
            'resource_name': name,
            'physical_resource_id': physical_id,
            'resource_status': status,
            'resource_status_reason': 'state changed',
            'event_time': '2026-11-22T19:00:00Z',
            'links': links,
        }

    listed = [
        noted('e1', 'shop', ROOT, ROOT, 'UPDATE_IN_PROGRESS'),
        noted('e2', NAMES[INNER], INNER, INNER, 'UPDATE_IN_PROGRESS'),
        noted('e3', 'db', OTHER_ID, INNER, 'CREATE_FAILED'),
    ]
    member = heat.member(server())
    ours = f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}/events'
    wire.mock.get(ours, json={'events': listed})
    found = heat.events(member, member)
    assert [(e.id, e.path, e.of_root) for e in found] == [
        ('e1', 'shop', True),
        ('e2', NAMES[INNER], False),
        ('e3', f'{NAMES[INNER]}/db', False),
    ]
    asked = wire.sent('GET', f'/v1/{PROJECT}/stacks/shop/{ROOT}/events')[-1].qs
    assert (asked['marker'], asked['sort_dir']) == (['event-9'], ['asc'])


@pytest.mark.parametrize(
    ('status', 'code', 'error'),
    [
        ('UPDATE_IN_PROGRESS', 200, None),
        ('UPDATE_COMPLETE', 400, None),  # it was done a moment before
        ('UPDATE_IN_PROGRESS', 403, ActionRefused),
        ('UPDATE_IN_PROGRESS', 500, OutcomeUnknown),
    ],
)
def test_an_update_is_cancelled_without_a_rollback(wire, stack, heat, status, code, error):
    member = heat.member(server())
    stack.values['stack_status'] = status
    wire.mock.post(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}/actions', status_code=code, json={})
    with pytest.raises(error) if error else contextlib.nullcontext():
        heat.cancel(member)
    (sent,) = wire.sent('POST', f'/v1/{PROJECT}/stacks/shop/{ROOT}/actions')
    assert sent.json() == {'cancel_without_rollback': None}


# ---- replacement


@pytest.fixture
def acts(wire, stack):
    """Heat takes marks and updates, with a token of the stack's project only."""
    base = f'{HEAT}/{PROJECT}/stacks'
    wire.mock.patch(f'{base}/shop/{ROOT}/resources/web', status_code=200)
    wire.mock.patch(f'{base}/{NAMES[INNER]}/{INNER}/resources/db', status_code=200)
    wire.mock.patch(
        f'{base}/shop/{ROOT}',
        status_code=202,
        headers={'X-Openstack-Request-Id': 'req-7'},
        json={},
    )

    def sent():
        return [
            (r.method, r.path.partition('/stacks/')[2])
            for r in wire.mock.request_history
            if r.method in ('PATCH', 'DELETE') or (r.method == 'POST' and 'stacks' in r.path)
        ]

    return sent


def test_only_the_named_servers_are_marked_and_then_the_root_is_updated(wire, heat, acts):
    assert heat.replace(heat.member(server()), ['group/0/db'], 'silent') == 'req-7'
    marked, updated = acts()
    assert marked == ('PATCH', f'{NAMES[INNER]}/{INNER}/resources/db')
    assert updated == ('PATCH', f'shop/{ROOT}')
    (mark,) = wire.sent('PATCH', f'/v1/{PROJECT}/stacks/{NAMES[INNER]}/{INNER}/resources/db')
    assert mark.json() == {'mark_unhealthy': True, 'resource_status_reason': 'aodh-ha: silent'}
    assert mark.headers['X-Auth-Token'].endswith(PROJECT)


def test_every_server_means_servers_and_nothing_else(heat, acts):
    heat.replace(heat.member(server()), None, 'silent')
    assert [path.rpartition('/')[2] for _, path in acts()] == ['web', 'db', ROOT]


@pytest.mark.parametrize('names', [['port'], ['vol'], ['web', 'db'], ['nothing'], []])
def test_what_is_no_server_is_never_marked(heat, acts, names):
    with pytest.raises(ActionRefused):
        heat.replace(heat.member(server()), names, 'silent')
    assert acts() == []


def test_a_stack_at_work_is_not_disturbed(stack, heat, acts):
    member = heat.member(server())
    stack.values['stack_status'] = 'UPDATE_IN_PROGRESS'
    with pytest.raises(NotNow, match='UPDATE_IN_PROGRESS'):
        heat.replace(member, ['web'], 'silent')
    assert acts() == []


def test_without_a_role_in_the_project_nothing_is_asked_of_heat(wire, heat, acts):
    wire.projects.remove(PROJECT)
    with pytest.raises(ActionRefused, match='no role in the project'):
        heat.replace(heat.member(server()), ['web'], 'silent')
    assert acts() == []


@pytest.mark.parametrize(
    ('answer', 'error'),
    [
        ({'status_code': 409, 'json': {'error': {'message': 'no'}}}, ActionRefused),
        (
            {
                'status_code': 409,
                'json': {'error': {'message': 'Stack shop already has an action (UPDATE) in'}},
            },
            NotNow,
        ),
        ({'status_code': 400, 'text': 'no'}, ActionRefused),
        ({'status_code': 401}, NotNow),
        ({'status_code': 500}, OutcomeUnknown),
        ({'exc': requests.ReadTimeout}, OutcomeUnknown),
    ],
)
def test_what_heat_says_to_an_update(wire, heat, acts, answer, error):
    wire.mock.patch(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', **answer)
    with pytest.raises(error):
        heat.replace(heat.member(server()), ['web'], 'silent')
    web = wire.sent('PATCH', f'/v1/{PROJECT}/stacks/shop/{ROOT}/resources/web')
    # While it may be on its way, its marks are needed.
    left = [True] if error is OutcomeUnknown else [True, False]
    assert [r.json()['mark_unhealthy'] for r in web] == left


def test_a_server_that_is_not_replaced_does_not_stay_marked(wire, stack, heat, acts):
    no = {'status_code': 400, 'json': {'error': {'message': 'The Key (k) could not be found.'}}}
    wire.mock.patch(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', **no)
    member = heat.member(server())
    # Somebody else has marked this one before.
    stack.resources[-1] = stack.resources[-1] | {'resource_status': MARKED}
    with pytest.raises(ActionRefused, match='The Key'):
        heat.replace(member, None, 'silent')
    web = f'/v1/{PROJECT}/stacks/shop/{ROOT}/resources/web'
    db = f'/v1/{PROJECT}/stacks/{NAMES[INNER]}/{INNER}/resources/db'
    assert [r.json()['mark_unhealthy'] for r in wire.sent('PATCH', web)] == [True, False]
    assert wire.sent('PATCH', db) == [], 'theirs: Heat would have replaced it, too'


def marked(stack, index, reason):
    """Let a resource of the stack be marked unhealthy."""
    of = stack.resources[index]
    stack.resources[index] = of | {
        'resource_status': MARKED,
        'resource_status_reason': reason,
    }


def test_marks_of_ours_are_told_with_the_stack_that_has_them_and_taken_back(
    wire, stack, heat, acts
):
    member = heat.member(server())
    marked(stack, 0, 'a person has seen it fail')
    marked(stack, -1, 'aodh-ha: recovery 7: silent')
    (found,) = heat.marked(member)
    assert (found.path, found.stack, found.name) == ('group/0/db', f'{NAMES[INNER]}/{INNER}', 'db')
    assert found.reset == f'openstack stack resource mark unhealthy --reset {INNER} db'
    heat.unmark(member, found, 'it is well')
    (sent,) = wire.sent('PATCH', f'/v1/{PROJECT}/stacks/{NAMES[INNER]}/{INNER}/resources/db')
    body = {'mark_unhealthy': False, 'resource_status_reason': 'aodh-ha: it is well'}
    assert sent.json() == body
    assert sent.headers['X-Auth-Token'].endswith(PROJECT)


def test_of_a_stack_that_is_gone_nothing_is_marked(wire, stack, heat):
    member = heat.member(server())
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{ROOT}/resources', status_code=404)
    assert heat.marked(member) == []
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{ROOT}/resources', status_code=503)
    with pytest.raises(CloudAway):
        heat.marked(member)


@pytest.mark.parametrize(
    ('answer', 'error'),
    [
        (
            {
                'status_code': 409,
                'json': {'error': {'message': 'Stack shop already has an action (UPDATE) in'}},
            },
            NotNow,
        ),
        ({'status_code': 403}, ActionRefused),
        ({'status_code': 401}, NotNow),
        ({'exc': requests.ReadTimeout}, OutcomeUnknown),
    ],
)
def test_what_heat_says_when_a_mark_is_taken_back(wire, stack, heat, acts, answer, error):
    member = heat.member(server())
    marked(stack, 0, 'aodh-ha: recovery 7: silent')
    (found,) = heat.marked(member)
    wire.mock.patch(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}/resources/web', **answer)
    with pytest.raises(error):
        heat.unmark(member, found, 'it is well')


def test_what_an_earlier_recovery_left_marked_is_not_replaced_with_the_next(
    wire, stack, heat, acts
):
    member = heat.member(server())
    marked(stack, -1, 'aodh-ha: recovery 7: silent')
    heat.replace(member, ['web'], 'silent')
    assert [path.rpartition('/')[2] for _, path in acts()] == ['db', 'web', ROOT]
    (db,) = wire.sent('PATCH', f'/v1/{PROJECT}/stacks/{NAMES[INNER]}/{INNER}/resources/db')
    assert db.json()['mark_unhealthy'] is False


def test_what_was_marked_for_the_same_is_marked_anew_and_unmarked_when_refused(
    wire, stack, heat, acts
):
    member = heat.member(server())
    marked(stack, 0, 'aodh-ha: recovery 7: silent')
    wire.mock.patch(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', status_code=400)
    with pytest.raises(ActionRefused):
        heat.replace(member, ['web'], 'silent')
    web = f'/v1/{PROJECT}/stacks/shop/{ROOT}/resources/web'
    assert [r.json()['mark_unhealthy'] for r in wire.sent('PATCH', web)] == [True, False]


def test_while_heat_is_away_before_the_action_nothing_was_done(wire, heat, acts):
    member = heat.member(server())
    wire.mock.get(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', exc=requests.ConnectTimeout)
    with pytest.raises(NotNow):
        heat.replace(member, ['web'], 'silent')
    assert acts() == []


def sequence(wire):
    """What was changed, in Heat and in Nova: the marks, the update, resets and deletions."""
    found = []
    for r in wire.mock.request_history:
        if r.method == 'POST' and r.path.endswith('/action'):
            found.append(f'reset {r.json()["os-resetState"]["state"]}')
        elif r.method in ('PATCH', 'DELETE'):
            found.append(r.method)
    return found


@pytest.mark.parametrize(
    ('changes', 'changed'),
    [
        ({}, ['PATCH', 'PATCH']),
        ({'status': 'ERROR'}, ['PATCH', 'PATCH', 'DELETE']),
        ({'host_status': 'DOWN'}, ['reset error', 'PATCH', 'PATCH', 'DELETE']),
        ({'status': 'ERROR', 'OS-EXT-STS:task_state': 'deleting'}, ['PATCH', 'PATCH']),
    ],
)
def test_a_server_that_cannot_let_go_of_its_ports_is_in_error_and_can_be_deleted(
    wire, stack, acts, cloud, changes, changed
):
    member = cloud.member(server())
    wire.mock.get(f'{NOVA}/servers/{SERVER_ID}', json={'server': shown(id=SERVER_ID, **changes)})
    wire.mock.post(f'{NOVA}/servers/{SERVER_ID}/action', status_code=202)
    wire.mock.delete(f'{NOVA}/servers/{SERVER_ID}', status_code=204)
    assert cloud.replace(member, ['web'], 'silent') == 'req-7'
    if 'reset error' in changed:
        found = shown(id=SERVER_ID, **changes | {'status': 'ERROR'})
        wire.mock.get(f'{NOVA}/servers/{SERVER_ID}', json={'server': found})
    cloud.delete_replaced(member, ['web'])
    assert sequence(wire) == changed


def test_a_server_that_heat_does_not_replace_is_as_it_was(wire, stack, acts, cloud):
    member = cloud.member(server())
    wire.mock.patch(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', status_code=400)
    down = shown(id=SERVER_ID, host_status='DOWN')
    wire.mock.get(f'{NOVA}/servers/{SERVER_ID}', json={'server': down})
    wire.mock.post(f'{NOVA}/servers/{SERVER_ID}/action', status_code=202)
    with pytest.raises(ActionRefused):
        cloud.replace(member, ['web'], 'silent')
    assert sequence(wire) == ['reset error', 'PATCH', 'PATCH', 'PATCH', 'reset active']


def test_to_delete_what_is_gone_or_stays_is_no_error(wire, stack, acts, cloud):
    member = cloud.member(server())
    found = shown(id=SERVER_ID, status='ERROR')
    wire.mock.get(f'{NOVA}/servers/{SERVER_ID}', json={'server': found})
    wire.mock.delete(f'{NOVA}/servers/{SERVER_ID}', status_code=500)
    cloud.delete_replaced(member, ['web'])
    wire.mock.delete(f'{NOVA}/servers/{SERVER_ID}', status_code=404)
    cloud.delete_replaced(member, ['web'])
    wire.mock.get(f'{NOVA}/servers/{SERVER_ID}', status_code=404)
    cloud.delete_replaced(member, ['web'])
    assert sequence(wire) == ['DELETE', 'DELETE']


# ---- recreation


@pytest.fixture
def recreates(wire, stack):
    """Heat deletes a stack in two looks, and creates one."""
    for project in (SERVICE_PROJECT, PROJECT):
        base = f'{HEAT}/{project}/stacks'
        wire.mock.get(f'{base}/shop/{ROOT}/template', json={'resources': {}})
        wire.mock.get(f'{base}/shop/{ROOT}/environment', json={'parameters': {'size': 2}})
        wire.mock.get(f'{base}/shop/{ROOT}/files', json={'inner.yaml': 'x'})

    def delete(request, context):
        stack.values['stack_status'] = 'DELETE_IN_PROGRESS'
        context.status_code = 204

    def look(request, context):
        shown = stack.show(request, context)
        if stack.values['stack_status'] == 'DELETE_IN_PROGRESS':
            stack.there = False
        return shown

    base = f'{HEAT}/{PROJECT}/stacks'
    wire.mock.delete(f'{base}/shop/{ROOT}', json=delete)
    wire.mock.get(f'{base}/shop/{ROOT}', json=look)
    created = {'status_code': 201, 'headers': {'X-Openstack-Request-Id': 'req-8'}}
    wire.mock.post(base, json={'stack': {'id': 'new'}}, **created)
    return lambda: wire.sent('POST', f'/v1/{PROJECT}/stacks')


def test_a_stack_is_created_again_as_it_was(wire, heat, recreates):
    assert heat.recreate(heat.member(server()), None) == 'req-8'
    (sent,) = recreates()
    assert sent.json() == {
        'stack_name': 'shop',
        'template': {'resources': {}},
        'environment': {'parameters': {'size': 2}},
        'files': {'inner.yaml': 'x'},
        'timeout_mins': 30,
        'disable_rollback': True,
    }
    assert sent.headers['X-Auth-Token'].endswith(PROJECT)


def test_what_a_stack_is_made_of_is_in_no_log(wire, heat, recreates, caplog):
    caplog.set_level(logging.DEBUG)
    environment = {'parameters': {'password': 'a-secret-word'}}
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{ROOT}/environment', json=environment)
    heat.recreate(heat.member(server()), None)
    assert recreates()[0].json()['environment'] == environment
    assert 'a-secret-word' not in caplog.text


def test_it_goes_on_after_it_broke_off(stack, heat, recreates, wire):
    member = heat.member(server())
    definition = heat.definition(member)
    stack.there = False  # deleted, and then the worker died
    assert heat.recreate(member, definition) == 'req-8'
    assert wire.sent('DELETE', f'/v1/{PROJECT}/stacks/shop/{ROOT}') == []
    stack.there = True  # created, and then the worker died
    stack.values |= {'id': 'another', 'stack_status': 'CREATE_IN_PROGRESS'}
    wire.mock.get(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', status_code=404)
    assert heat.recreate(member, definition) is None
    assert len(recreates()) == 1


def test_a_hidden_parameter_keeps_the_stack_from_being_deleted(stack, heat, recreates, wire):
    environment = {'parameters': {'password': HIDDEN, 'size': 2}}
    wire.mock.get(f'{HEAT}/{SERVICE_PROJECT}/stacks/shop/{ROOT}/environment', json=environment)
    with pytest.raises(ActionRefused, match='hidden parameters password'):
        heat.recreate(heat.member(server()), None)
    assert stack.there
    assert wire.sent('DELETE', f'/v1/{PROJECT}/stacks/shop/{ROOT}') == []


def test_a_name_that_is_not_free_yet_is_waited_for(heat, recreates, wire):
    taken = {'status_code': 409, 'json': {'error': {'message': 'The Stack (shop) already exists.'}}}
    wire.mock.post(f'{HEAT}/{PROJECT}/stacks', [taken, {'json': {'stack': {'id': 'new'}}}])
    heat.recreate(heat.member(server()), None)
    assert len(recreates()) == 2
    wire.mock.post(f'{HEAT}/{PROJECT}/stacks', **taken)


def test_a_deletion_that_does_not_end_leaves_it_open(stack, heat, recreates, wire, clock):
    wire.mock.get(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', json=stack.show)
    began = clock()
    with pytest.raises(OutcomeUnknown, match='still being deleted'):
        heat.recreate(heat.member(server()), None)
    assert heat_recreation.DELETION <= clock() - began < heat_recreation.DELETION + 10
    assert recreates() == []


def test_a_deletion_that_fails_is_told(stack, heat, recreates, wire):
    def fails(request, context):
        if stack.values['stack_status'] == 'DELETE_IN_PROGRESS':
            stack.values |= {'stack_status': 'DELETE_FAILED', 'stack_status_reason': 'a lock'}
        return stack.show(request, context)

    wire.mock.get(f'{HEAT}/{PROJECT}/stacks/shop/{ROOT}', json=fails)
    with pytest.raises(ActionRefused, match='a lock'):
        heat.recreate(heat.member(server()), None)
    assert recreates() == []


def test_the_definition_of_a_stack_that_is_gone_is_not_found(stack, heat, recreates):
    member = heat.member(server())
    for status in ('DELETE_IN_PROGRESS', 'DELETE_COMPLETE'):
        stack.values['stack_status'] = status
        with pytest.raises(NotFound):
            heat.definition(member)
    stack.there = False
    with pytest.raises(NotFound):
        heat.definition(member)
