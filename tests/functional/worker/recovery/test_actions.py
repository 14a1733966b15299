"""Each step's call on the cloud."""

from dataclasses import replace

import pytest

from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery.actions import ACTIONS, Context
from aodh_ha.rules import policy
from aodh_ha.rules.heartbeat import SERVICE_FAILURE, Service
from aodh_ha.rules.policy import Step
from tests import samples
from tests.samples import OTHER_ID, PROJECT, SERVER_ID


def context(world, step, **changes):
    """What the engine gives to an action, its evidence taken now."""
    now = world.clock()
    taken = evidence_of.take(world.nova, world.database, world.guest(), now - 3600, now)
    values = {
        'cloud': world.nova,
        'database': world.database,
        'hooks': world.hooks,
        'recovery': samples.recovery(),
        'guest': world.guest(),
        'step': step,
        'attempt': replace(samples.attempt(0, 'intended', now), evidence=taken.evidence.as_dict()),
        'now': now,
        'evidence': taken.evidence,
        'master_key': b'k' * 32,
    }
    return Context(**(values | changes))


def test_there_is_one_for_every_step_that_a_policy_may_have():
    assert set(ACTIONS) == set(policy.ACTIONS)


def as_it_is(world):
    pass


def off(world):
    world.nova.change(SERVER_ID, vm_state='stopped')


def dead(world):
    world.nova.kill_host('host1')


@pytest.mark.parametrize(
    ('step', 'action', 'kind', 'prepare'),
    [
        (Step('server.reboot', 'soft'), 'reboot', 'soft', as_it_is),
        (Step('server.reboot', 'hard'), 'reboot', 'hard', as_it_is),
        (Step('server.start'), 'start', None, off),
        (Step('server.rebuild'), 'rebuild', None, as_it_is),
        (Step('server.evacuate'), 'evacuate', None, dead),
        (Step('server.migrate'), 'migrate', None, as_it_is),
    ],
)
def test_it_calls_nova_once_and_is_found_in_its_log(world, step, action, kind, prepare):
    prepare(world)
    given = context(world, step)
    doing = ACTIONS[step.action]
    assert doing.observe(given) is None, 'what was there before is not ours'
    request_id = doing.act(given)
    (taken,) = world.nova.taken
    assert (taken.action, taken.kind, taken.request_id) == (action, kind, request_id)
    assert doing.observe(given).request_id == request_id
    assert doing.requests(given) == 1


def test_a_server_without_an_image_is_not_rebuilt(world):
    world.nova.change(SERVER_ID, image_id=None)
    with pytest.raises(ActionRefused):
        ACTIONS['server.rebuild'].act(context(world, Step('server.rebuild')))
    assert world.taken() == []


@pytest.mark.parametrize(
    ('action', 'taken'),
    [
        ('server.replace', ['replace web']),
        ('stack.heal', ['replace web']),
        ('stack.rebuild', ['replace web,db']),
        ('stack.recreate', ['delete_stack', 'create_stack']),
    ],
)
def test_it_calls_heat_once_and_is_seen_in_the_stack(world, action, taken):
    world.boot(OTHER_ID)
    world.nova.stack('s', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID})
    given = context(world, Step(action), recovery=world.alarm())
    doing = ACTIONS[action]
    assert doing.observe(given) is None
    assert doing.requests(given) >= 1
    world.clock.advance(1)
    doing.act(given)
    assert world.taken() == taken
    after = replace(given, evidence=None)
    if action != 'stack.recreate':
        assert doing.observe(after) is not None
        assert doing.failure(after) == ''
    assert world.taken() == taken


@pytest.mark.parametrize('action', [a for a, k in policy.ACTIONS.items() if k.in_stack])
def test_without_a_stack_there_is_nothing_to_replace(world, action):
    with pytest.raises(ActionRefused, match='no stack'):
        ACTIONS[action].act(context(world, Step(action)))
    assert world.taken() == []


@pytest.mark.parametrize('status', ['UPDATE_FAILED', 'CREATE_FAILED'])
def test_a_stack_that_failed_is_not_waited_for(world, status):
    member = world.nova.stack('s', PROJECT, {'web': SERVER_ID})
    given = context(world, Step('server.replace'))
    doing = ACTIONS['stack.recreate' if status == 'CREATE_FAILED' else 'server.replace']
    world.clock.advance(1)
    world.nova.stacks[member.root_id] = replace(
        world.nova.stacks[member.root_id], status=status, updated_at='2027-01-15T08:00:05Z'
    )
    assert status in doing.failure(replace(given, evidence=None))


def test_without_a_key_no_stack_is_deleted(world):
    world.nova.stack('s', PROJECT, {'web': SERVER_ID})
    with pytest.raises(ActionRefused, match='master key'):
        ACTIONS['stack.recreate'].act(context(world, Step('stack.recreate'), master_key=b''))
    assert world.taken() == []


@pytest.mark.parametrize('services', [(), (Service(SERVICE_FAILURE, 'failed', 3),)])
def test_no_service_is_restarted_that_nobody_named(world, services):
    recovery = world.alarm()
    given = context(world, Step('service.restart'), recovery=recovery)
    given = replace(given, guest=replace(given.guest, services=services))
    with pytest.raises(ActionRefused, match='which service'):
        ACTIONS['service.restart'].act(given)
