"""From the properties of Heat's resources to what our API takes."""

import pytest
import yaml

from aodh_ha.exceptions import InvalidPolicy, InvalidRequest
from aodh_ha.plugins.heat import bodies
from aodh_ha.rules import policy

STEPS = [{'action': 'server.reboot', 'type': 'soft', 'verify': '12s', 'name': None, 'hold': None}]
NOT_GIVEN = {
    **dict.fromkeys(('name', 'document', 'heartbeat', 'match', 'preserve', 'budget', 'priority')),
    **dict.fromkeys(('suspect', 'fencing', 'on_exhausted', 'dry_run', 'allow_data_loss')),
    'steps': [],
}
DOCUMENT = 'name: gold\nsteps:\n  - {action: server.reboot, type: hard}\n'


def document(**properties):
    return bodies.policy_document(NOT_GIVEN | properties, 'a-default')


def test_properties_that_were_not_given_are_left_to_the_policy():
    text = document(steps=STEPS)
    assert yaml.safe_load(text) == {
        'name': 'a-default',
        'steps': [{'action': 'server.reboot', 'type': 'soft', 'verify': '12s'}],
    }


def test_what_is_given_is_in_the_policy():
    beat = {'interval': '2s', 'missed': 4, 'boot_grace': None}
    found = policy.parse(
        document(name='mine', steps=STEPS, heartbeat=beat, preserve=['volumes'], dry_run=False)
    )
    assert (found.name, found.interval, found.missed) == ('mine', 2.0, 4)
    assert found.boot_grace == policy.Policy('', 0, ()).boot_grace
    assert found.preserve == {'volumes'}
    assert not found.dry_run


def test_a_document_is_taken_as_it_stands():
    assert document(document=DOCUMENT) == DOCUMENT
    assert document(document=DOCUMENT, name='gold') == DOCUMENT


@pytest.mark.parametrize(
    ('properties', 'path', 'words'),
    [
        ({'steps': [{'action': 'server.rebuild'}], 'preserve': ['root_disk']}, ['steps', '0'], 'p'),
        ({'steps': []}, ['steps'], '1 to 20 steps'),
        ({'document': DOCUMENT, 'name': 'silver'}, ['name'], "named 'gold'"),
        ({'document': DOCUMENT, 'priority': 3}, ['priority'], 'not beside document'),
        ({'document': 'name: [a'}, ['document'], 'line 1'),
        ({'document': DOCUMENT + '  - {action: dance}\n'}, ['document'], 'line 4: steps.1.action'),
    ],
)
def test_an_error_names_the_property(properties, path, words):
    with pytest.raises(InvalidPolicy) as error:
        document(**properties)
    found, problem = bodies.place(error.value, 'document' in properties)
    assert found[: len(path)] == path
    assert words in problem


def test_without_a_document_nobody_is_told_a_line():
    with pytest.raises(InvalidPolicy) as error:
        document(steps=[{'action': 'server.reboot'}])
    assert 'line' in error.value.detail
    path, problem = bodies.place(error.value, False)
    assert path == ['steps', '0', 'type']
    assert 'line' not in problem


def test_times_are_given_to_the_api_in_seconds_and_what_was_taken_away_is_none():
    given = dict.fromkeys(('policy', 'group', 'interval', 'missed', 'boot_grace'))
    assert bodies.enrolment(given) == {
        'policy': '',
        'group': '',
        'interval': None,
        'missed': None,
        'boot_grace': None,
    }
    found = bodies.enrolment(given | {'policy': 'gold', 'interval': '1.5m', 'boot_grace': '1h'})
    assert (found['policy'], found['interval'], found['boot_grace']) == ('gold', 90.0, 3600.0)


def test_the_snippet_configures_the_agent_with_the_guests_own_key():
    credentials = {'gateways': ['http://a', 'http://b'], 'guest': 'g', 'generation': 7, 'key': 'k'}
    text = bodies.credentials_user_data(credentials, 2.0)
    assert text.startswith('#cloud-config\n')
    (file,) = yaml.safe_load(text)['write_files']
    assert file['path'] == '/etc/aodh-ha/agent.conf'
    assert file['permissions'] == '0640', 'a key is in it'
    assert 'gateways = http://a, http://b\n' in file['content']
    assert 'key = k\n' in file['content']
    assert file['content'].endswith('interval = 2s\n')


def test_members_are_servers_and_lists_of_them_each_once():
    assert bodies.server_ids(['A', ['b', 'c'], None, 'c', []]) == ['a', 'b', 'c']
    with pytest.raises(InvalidRequest, match='servers'):
        bodies.server_ids([{'b': 1}])


def test_a_name_has_only_what_names_may_have():
    assert bodies.name('stack-my pölicy-abc') == 'stack-my-p-licy-abc'
