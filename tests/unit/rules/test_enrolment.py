"""Which servers are enrolled without anybody naming them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.rules.enrolment import Candidate, Rule, Wish, wish
from tests.samples import OTHER_PROJECT, PROJECT, SERVER_ID


def server(name='web-1', tags=(), project_id=PROJECT, **metadata):
    found = {k.replace('__', ':'): v for k, v in metadata.items()}
    return Candidate(SERVER_ID, project_id, name, found, frozenset(tags))


def rule(name='all', project_id=PROJECT, **conditions):
    return Rule(f'id of {name}', project_id, name, **conditions)


def test_a_server_that_nobody_wants_is_left_alone():
    assert wish(server(), []) is None


@pytest.mark.parametrize('value', ['true', 'True', '1', 'yes', ' on '])
def test_metadata_may_ask_for_enrolment(value):
    assert wish(server(aodh_ha__enroll=value), []) == Wish('metadata')


def test_a_policy_in_the_metadata_asks_for_enrolment_under_it():
    found = wish(server(aodh_ha__policy=' gold '), [])
    assert found == Wish('metadata', metadata_policy='gold')


def test_what_cannot_be_a_policy_asks_for_nothing():
    assert wish(server(aodh_ha__policy='../x y'), []) is None
    assert wish(server(aodh_ha__policy=''), []) is None


@pytest.mark.parametrize(
    'metadata',
    [
        {'aodh_ha__opt_out': 'true', 'aodh_ha__enroll': 'true'},
        {'aodh_ha__opt_out': '1', 'aodh_ha__policy': 'gold'},
        {'aodh_ha__enroll': 'false'},
        {'aodh_ha__enroll': '', 'aodh_ha__policy': 'gold'},
    ],
)
def test_who_opts_out_is_enrolled_by_nothing(metadata):
    assert wish(server(**metadata), [rule()]) is None


def test_an_opt_out_that_says_no_is_none():
    assert wish(server(aodh_ha__opt_out='false'), [rule()]) == Wish('rule all')


@pytest.mark.parametrize(
    ('conditions', 'matches'),
    [
        ({}, True),
        ({'tag': 'ha'}, True),
        ({'tag': 'h'}, False),
        ({'metadata_key': 'tier'}, True),
        ({'metadata_key': 'tier', 'metadata_value': 'db'}, True),
        ({'metadata_key': 'tier', 'metadata_value': 'd'}, False),
        ({'metadata_key': 'none'}, False),
        ({'server_name': 'web-*'}, True),
        ({'server_name': 'WEB-?'}, True),
        ({'server_name': 'web'}, False),
        ({'tag': 'ha', 'server_name': 'db-*'}, False),
        ({'tag': 'ha', 'server_name': '*-1', 'metadata_key': 'tier'}, True),
    ],
)
def test_every_condition_of_a_rule_has_to_be_met(conditions, matches):
    found = wish(server(tags=['ha', 'x'], tier='db'), [rule(**conditions)])
    assert found == (Wish('rule all') if matches else None)


def test_a_rule_of_another_project_is_not_for_this_one():
    assert wish(server(project_id=OTHER_PROJECT), [rule()]) is None
    assert wish(server(project_id=OTHER_PROJECT), [rule(project_id='')]) == Wish('rule all')


def test_a_projects_rules_come_before_the_operators_and_then_the_name_decides():
    rules = [
        rule('a', '', policy='operators'),
        rule('c', policy='third'),
        rule('b', policy='second', group_name='web'),
    ]
    assert wish(server(), rules) == Wish('rule b', 'second', 'web')
    assert wish(server(), rules[:1]) == Wish('rule a', 'operators')


def test_the_owner_chooses_the_policy_and_the_rule_the_group():
    rules = [rule(policy='silver', group_name='web')]
    found = wish(server(aodh_ha__policy='gold'), rules)
    assert found == Wish('metadata', '', 'web', 'gold')
    assert wish(server(aodh_ha__enroll='true'), rules) == Wish('metadata', 'silver', 'web')


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=20)), st.text(), st.text())
def test_whatever_a_tenant_writes_there_is_an_answer(metadata, name, pattern):
    candidate = Candidate(SERVER_ID, PROJECT, name, metadata)
    wish(candidate, [rule(server_name=pattern, metadata_key=name)])
    assert (
        wish(Candidate(SERVER_ID, PROJECT, name, {**metadata, 'aodh_ha:opt_out': 'y'}), []) is None
    )
