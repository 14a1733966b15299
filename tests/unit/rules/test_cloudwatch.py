"""What CloudWatch requests say, and whose guest is meant."""

import pytest

from aodh_ha.rules import cloudwatch
from aodh_ha.rules.alarm import Alarm
from aodh_ha.rules.cloudwatch import Identity, Refusal
from tests.samples import PROJECT, SERVER_ID, guest

STACK = '11111111-2222-4333-8444-555555555555'
NOW = 1_800_000_000.0


def alarm(name):
    return Alarm('a1', PROJECT, SERVER_ID, 'heartbeat', 3, 'c1', 'ok', None, NOW, name=name)


@pytest.mark.parametrize(
    ('project', 'stack', 'expected'),
    [
        (PROJECT, STACK, True),
        (PROJECT, STACK[:-6] + '000000', False),  # the last but five differ
        (PROJECT, STACK[:-5] + '00000', True),  # Heat has cut these off
        (PROJECT[:-1] + 'b', STACK, False),
        (PROJECT, '', False),
    ],
)
def test_the_project_of_a_stack(project, stack, expected):
    name = f'{PROJECT}-{STACK}'[:64]
    assert cloudwatch.is_of_stack(guest(project_id=project, stack_id=stack), name) is expected


@pytest.mark.parametrize(('length', 'expected'), [(47, True), (48, False), (64, False)])
def test_of_a_stacks_id_enough_must_be_left(length, expected):
    project = 'p' * length
    found = guest(project_id=project, stack_id=STACK)
    assert cloudwatch.is_of_stack(found, f'{project}-{STACK}'[:64]) is expected


def test_the_projects_that_may_be_meant():
    assert cloudwatch.projects('a-b-c') == ['a', 'a-b']
    assert cloudwatch.projects('none') == []
    assert cloudwatch.projects('') == []


def test_a_stack_user_is_told_by_its_domain():
    user = Identity('u', 'p', f'{PROJECT}-{STACK}'[:64], 'd1', 'heat', ())
    assert user.is_stack_user('heat')
    assert user.is_stack_user('d1')
    assert not user.is_stack_user('Default')


@pytest.mark.parametrize(
    ('name', 'wanted', 'expected'),
    [
        ('A', 'A', True),
        ('A', 's-A-0123456789ab', True),
        ('s-A-0123456789ab', 'A', True),
        ('A', 't-A-0123456789ab', False),
        ('A', 's-A-0123', False),
        ('A', 's-B-0123456789ab', False),
        ('', '', True),  # no alarm is asked for by no name
        ('', 's--0123456789ab', False),
        ('', 'a1', True),
        ('', 'c1', True),
        ('A', 'a', False),
    ],
)
def test_which_alarm_is_named(name, wanted, expected):
    assert cloudwatch.is_named(alarm(name), 's', wanted) is expected


def member(**fields):
    values = {'MetricName': 'm'} | {k.replace('_', '.'): v for k, v in fields.items()}
    return {f'MetricData.member.1.{k}': v for k, v in values.items()}


@pytest.mark.parametrize(
    ('fields', 'expected'),
    [
        ({'Value': '1.5'}, 1.5),
        ({'StatisticValues_Sum': '6', 'StatisticValues_SampleCount': '4'}, 1.5),
        ({'Values_member_1': '1', 'Values_member_2': '2'}, 1.5),
        (
            {'Values_member_2': '3', 'Counts_member_1': '3', 'Values_member_1': '1'}
            | {'Counts_member_2': '1'},
            1.5,
        ),
    ],
)
def test_values(fields, expected):
    (datum,) = cloudwatch.data(member(**fields), NOW)
    assert datum.value == expected


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'Value': ''},
        {'Value': '1e109'},
        {'StatisticValues_Sum': '6'},
        {'StatisticValues_Sum': '6', 'StatisticValues_SampleCount': '0'},
        {'Values_member_1': '1', 'Counts_member_2': '1'},
        {'Values_member_1': '1', 'Counts_member_1': '0'},
    ],
)
def test_what_is_no_value(fields):
    with pytest.raises(Refusal):
        cloudwatch.data(member(**fields), NOW)


def test_a_time_in_the_future_is_now():
    times = ['2040-01-01T00:00:00Z', '2020-01-01T00:00:00']
    found = [cloudwatch.data(member(Value='1', Timestamp=t), NOW)[0].at for t in times]
    assert found == [NOW, 1577836800.0]


def test_there_is_an_end_of_metrics_and_dimensions():
    many = {f'MetricData.member.{n}.MetricName': 'm' for n in range(1, 102)}
    many |= {f'MetricData.member.{n}.Value': '1' for n in range(1, 102)}
    with pytest.raises(Refusal, match='at most 100'):
        cloudwatch.data(many, NOW)
    wide = {f'Dimensions_member_{n}_Name': f'd{n}' for n in range(1, 130)}
    with pytest.raises(Refusal, match='dimensions'):
        cloudwatch.data(member(Value='1', **wide), NOW)
