"""Which policy a guest has: told, by metadata, by group, by stack, or the default."""

import itertools

import pytest

from aodh_ha.db import policies, queue
from aodh_ha.db.policies import DEFAULT, OPERATOR
from aodh_ha.rules import policy as rules
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT


def save(database, project_id, name, match=''):
    document = f'name: {name}\n{match}\nsteps: [{{action: notify}}]\n'
    policy = rules.parse(document)
    return database.run(lambda c: policies.save(c, project_id, policy, START))


def of(database, **guest):
    guest = samples.guest(**({'policy': ''} | guest))
    with database.read() as c:
        return policies.of_guest(c, guest).name


@pytest.fixture
def matching(database):
    """A policy for each way to match."""
    save(database, PROJECT, 'told')
    save(database, PROJECT, 'by-metadata')
    save(database, PROJECT, 'by-group', 'match: {groups: [web]}')
    save(database, PROJECT, 'by-stack', 'match: {stacks: [shop]}')
    return database


WAYS = {
    'told': {'policy': 'told'},
    'by-metadata': {'metadata_policy': 'by-metadata'},
    'by-group': {'group_name': 'web'},
    'by-stack': {'stack_name': 'shop'},
}


@pytest.mark.parametrize(
    'names', [c for n in range(1, 5) for c in itertools.combinations(WAYS, n)], ids='+'.join
)
def test_of_several_ways_the_more_explicit_one_counts(matching, names):
    guest = {key: value for name in names for key, value in WAYS[name].items()}
    assert of(matching, **guest) == names[0]


def test_without_any_it_is_the_default(matching):
    assert of(matching) == DEFAULT
    assert of(matching, group_name='db', stack_name='other') == DEFAULT


def test_a_stack_matches_by_its_id_too(database):
    save(database, PROJECT, 'p', 'match: {stacks: [9c4f]}')
    assert of(database, stack_id='9c4f', stack_name='shop') == 'p'


def test_a_guest_without_group_or_stack_matches_nothing(database):
    save(database, PROJECT, 'p', 'match: {groups: [x], stacks: [y]}')
    assert of(database, group_name='', stack_id='', stack_name='') == DEFAULT


def test_the_projects_own_go_before_the_operators_and_then_the_first_by_name(database):
    match = 'match: {groups: [web]}'
    save(database, OPERATOR, 'a-operators', match)
    assert of(database, group_name='web') == 'a-operators'
    save(database, PROJECT, 'c-own', match)
    save(database, PROJECT, 'b-own', match)
    assert of(database, group_name='web') == 'b-own'


def test_a_group_goes_before_a_stack_whoever_has_written_the_policy(database):
    save(database, PROJECT, 'own', 'match: {stacks: [shop]}')
    save(database, OPERATOR, 'operators', 'match: {groups: [web]}')
    assert of(database, group_name='web', stack_name='shop') == 'operators'


def test_another_projects_policy_is_never_used(database):
    save(database, OTHER_PROJECT, 'theirs', 'match: {groups: [web]}')
    assert of(database, group_name='web') == DEFAULT
    assert of(database, policy='theirs') == DEFAULT


def test_an_operators_policy_can_be_told_by_every_project_until_it_has_its_own(database):
    save(database, OPERATOR, 'p')
    assert of(database, policy='p') == 'p'
    save(database, PROJECT, 'p', 'priority: 9')
    with database.read() as c:
        found = policies.of_guest(c, samples.guest(policy='p'))
    assert found.priority == 9


@pytest.mark.parametrize('how', ['policy', 'metadata_policy'])
def test_a_name_that_does_not_exist_gets_the_default_not_what_else_matches(matching, how):
    assert of(matching, group_name='web', **{how: 'gone'}) == DEFAULT


def test_the_default_may_be_the_operators_own(database):
    save(database, OPERATOR, DEFAULT, 'priority: 7')
    with database.read() as c:
        assert policies.of_guest(c, samples.guest(policy='')).priority == 7
        missing = policies.of_guest(c, samples.guest(policy='gone'))
    assert missing == policies.builtin()[DEFAULT]


@pytest.mark.parametrize(('owner', 'own'), [(PROJECT, True), (OPERATOR, False)])
def test_whose_a_policy_is_stays_known_to_its_recovery(database, owner, own):
    save(database, owner, 'p')
    guest = samples.guest(policy='p')
    with database.write() as c:
        policy = policies.of_guest(c, guest)
        opened, _ = queue.enqueue(c, guest, policy, 'heartbeat', None, 'it fired', START)
        assert queue.get(c, opened.id).policy.own is policy.own is own
        assert dict(policies.find(c, PROJECT))['project' if own else 'operator'].own is own
