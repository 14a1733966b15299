"""aodh-ha watch: what CloudWatch alarms of templates look at, and how they stand."""

import json
import re

import pytest

from tests.unit.osc.conftest import ALARM, AODH, CARRIER, OTHER, alarm, refusal

NAME = 'wordpress-HttpFailureAlarm-abcdefghijkl'


def watch(**changes):
    """A watch as aodh-ha shows it."""
    return {
        'id': ALARM,
        'project_id': 'p1',
        'name': NAME,
        'stack_id': OTHER,
        'stack_name': 'wordpress',
        'namespace': 'system/linux',
        'metric': 'ServiceFailure',
        'dimensions': {'Device': 'sda'},
        'statistic': 'SampleCount',
        'period': 300,
        'evaluation_periods': 1,
        'comparison': 'GreaterThanThreshold',
        'threshold': 2.0,
        'value': 3.0,
        'alarm': True,
        'resource_id': 'r1',
        'aodh_alarm_id': CARRIER,
        'problem': '',
        'created_at': '2026-11-22T14:00:00.000Z',
    } | changes


def listed(run, *options):
    result = run('watch', 'list', '-f', 'json', *options)
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_list_tells_the_number_and_when_it_fires(cloud, run):
    quiet = watch(id=OTHER, value=None, alarm=False, threshold=0.5, comparison='LessThanThreshold')
    cloud.api('GET', 'watches', {'watches': [watch(), quiet], 'next': None})
    first, second = listed(run)
    assert first == {
        'ID': ALARM, 'Name': NAME, 'Stack': 'wordpress',
        'Looks At': 'SampleCount of ServiceFailure', 'Value': 3.0, 'Fires At': '> 2',
        'Alarm': True, 'Problem': None,
    }  # fmt: skip
    assert (second['Value'], second['Fires At'], second['Alarm']) == (None, '< 0.5', False)


def test_every_page_is_listed_of_all_projects_if_asked_for(cloud, run):
    cloud.api('GET', 'watches?all_projects=1', {'watches': [watch()], 'next': ALARM})
    rest = {'watches': [watch(id=OTHER)], 'next': None}
    cloud.api('GET', f'watches?all_projects=1&marker={ALARM}', rest)
    assert [w['ID'] for w in listed(run, '--all-projects')] == [ALARM, OTHER]


@pytest.mark.parametrize(('stack', 'number'), [('wordpress', 1), (OTHER, 1), ('other', 0)])
def test_those_of_one_stack_are_listed_by_its_name_or_id(stack, number, cloud, run):
    found = [watch(), watch(id=OTHER, stack_id='', stack_name='')]
    cloud.api('GET', 'watches', {'watches': found, 'next': None})
    assert len(listed(run, '--stack', stack)) == number


@pytest.mark.parametrize('named', [ALARM, ALARM.upper(), NAME])
def test_one_is_shown_by_id_or_name(named, cloud, run):
    broken = watch(problem='its Aodh alarm no longer exists')
    cloud.api('GET', f'watches/{ALARM}', {'watch': broken})
    cloud.api('GET', 'watches', {'watches': [broken], 'next': None})
    out = run('watch', 'show', named).out
    assert 'Device=sda' in out
    assert 'its Aodh alarm no longer exists' in out
    assert json.loads(run('watch', 'show', named, '-f', 'json').out) == broken


def test_what_is_not_known_is_null_for_programs_and_a_dash_for_people(cloud, run):
    unknown = watch(value=None, aodh_alarm_id=None, dimensions={}, stack_id='', stack_name='')
    cloud.api('GET', f'watches/{ALARM}', {'watch': unknown})
    shown = json.loads(run('watch', 'show', ALARM, '-f', 'json').out)
    assert (shown['value'], shown['stack_name'], shown['problem']) == (None, None, None)
    out = run('watch', 'show', ALARM).out
    assert re.search(r'dimensions +\| - ', out)
    assert re.search(r'value +\| - ', out)


def test_a_name_that_nobody_has_or_two_have_is_said(cloud, run):
    cloud.api('GET', 'watches', {'watches': [watch(), watch(id=OTHER)], 'next': None})
    nobody = run('watch', 'show', 'nobody')
    assert (nobody.code, nobody.out) == (1, '')
    assert "no watch is called 'nobody'" in nobody.err
    several = run('watch', 'show', NAME)
    assert several.code == 1
    assert f'{ALARM} wordpress' in several.err


def test_the_services_words_are_shown(cloud, run):
    cloud.api('GET', f'watches/{ALARM}', refusal('There is no such thing', 'no watch'), 404)
    assert 'There is no such thing: no watch' in run('watch', 'show', ALARM).err


def test_alarms_of_all_projects_are_listed_with_aodhs_of_all(cloud, run):
    listing = cloud.api('GET', 'alarms', {'alarms': [alarm()], 'next': None})
    carriers = cloud.aodh('GET', 'alarms', [{'alarm_id': CARRIER, 'state': 'alarm'}])
    result = run('alarm', 'list', '--all-projects', '-f', 'value', '-c', 'Aodh State')
    assert (result.code, result.out) == (0, 'alarm\n')
    assert listing.last_request.qs == {'all_projects': ['1']}
    assert 'all_projects' in carriers.last_request.url
    assert cloud.calls()[-1] == f'GET {AODH}/v2/alarms'
