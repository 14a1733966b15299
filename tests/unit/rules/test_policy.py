"""Recovery policies: what is read, and what is refused with the line and the fix."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.rules import policy
from aodh_ha.rules.policy import Step
from tests.samples import DOCUMENT, LADDER


def test_a_policy_is_read_with_its_durations_in_seconds():
    assert policy.parse(DOCUMENT) == LADDER


def test_what_is_left_out_has_a_default():
    found = policy.parse('name: p\nsteps: [{action: server.reboot, type: hard}]', 4)
    assert found.steps == (Step('server.reboot', 'hard', 1, 120.0),)
    assert (found.interval, found.missed, found.boot_grace) == (10.0, 3, 120.0)
    assert (found.preserve, found.version) == (frozenset(), 4)


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [('1s', 1), ('90s', 90), ('1.5s', 1.5), ('2m', 120), ('0.5m', 30), ('1h', 3600)],
)
def test_a_duration_is_read_by_its_unit(text, seconds):
    found = policy.parse(DOCUMENT.replace('verify: 90s', f'verify: {text}'))
    assert found.steps[0].verify == seconds


def test_a_step_is_named_with_its_type():
    assert [s.name for s in LADDER.steps] == [
        'server.reboot soft',
        'server.reboot hard',
        'server.rebuild',
    ]


FAULTY = [
    ('', 'line 1: must be a mapping'),
    ('- a', 'line 1: must be a mapping'),
    ('name: [', 'not YAML'),
    ('name: p\n\tsteps: []', 'line 2: not YAML'),
    ('name: p\nname: "', 'not YAML'),
    ('name: "\x00"', 'not YAML'),
    ('steps: [{action: server.reboot, type: soft}]', 'name: must be 1 to 63'),
    (DOCUMENT.replace('name: ladder', 'name: -x'), 'line 1: name: must be 1 to 63'),
    (DOCUMENT.replace('name: ladder', 'name: 5'), 'line 1: name: must be 1 to 63'),
    (DOCUMENT.replace('name: ladder', 'name: a/b'), 'line 1: name: must be 1 to 63'),
    (DOCUMENT.replace('name: ladder', f'name: {"n" * 64}'), 'line 1: name: must be 1 to 63'),
    (DOCUMENT + 'badget: {}\n', 'line 8: badget: unknown key; known are allow_data_loss, budget'),
    (DOCUMENT.replace('interval:', 'intervall:'), 'line 2: heartbeat.intervall: unknown key'),
    (DOCUMENT.replace('10s', '10'), 'line 2: heartbeat.interval: must be a duration with its'),
    (DOCUMENT.replace('10s', '10 s'), 'line 2: heartbeat.interval: must be a duration'),
    (DOCUMENT.replace('10s', '-10s'), 'line 2: heartbeat.interval: must be a duration'),
    (DOCUMENT.replace('10s', '0.5s'), 'line 2: heartbeat.interval: must be from 1s to 3600s'),
    (DOCUMENT.replace('10s', '2h'), 'line 2: heartbeat.interval: must be from 1s to 3600s'),
    (DOCUMENT.replace('10s', '9' * 400 + 's'), 'must be from 1s to 3600s'),
    (DOCUMENT.replace('missed: 3', 'missed: 0'), 'line 2: heartbeat.missed: must be a whole'),
    (DOCUMENT.replace('missed: 3', 'missed: true'), 'line 2: heartbeat.missed: must be a whole'),
    (DOCUMENT.replace('missed: 3', 'missed: 2.5'), 'line 2: heartbeat.missed: must be a whole'),
    (DOCUMENT.replace('missed: 3', 'missed: 1001'), 'from 1 to 1000'),
    (DOCUMENT.replace('120s}\np', '2d}\np'), 'line 2: heartbeat.boot_grace: must be a duration'),
    (DOCUMENT.replace('volumes,', 'disks,'), 'line 3: preserve: must be a list of volumes'),
    (DOCUMENT.replace('[volumes, fixed_ips]', 'volumes'), 'line 3: preserve: must be a list'),
    (DOCUMENT.replace('[volumes,', '[[volumes],'), 'line 3: preserve: must be a list'),
    ('name: p', 'steps: must be a list of 1 to 20'),
    ('name: p\nsteps: []', 'line 2: steps: must be a list of 1 to 20'),
    ('name: p\nsteps: {}', 'line 2: steps: must be a list of 1 to 20'),
    ('name: p\nsteps:\n' + '- {action: server.rebuild}\n' * 21, 'line 2: steps: must be a list'),
    ('name: p\nsteps:\n- server.rebuild', 'line 3: steps.0: must be a mapping'),
    ('name: p\nsteps:\n- &a [*a]', 'line 3: anchors, aliases and merge keys are not read'),
    ('name: p\nsteps:\n- *a', 'line 3: anchors, aliases'),
    ('name: p\nsteps: &a []', 'line 2: anchors, aliases'),
    ('&a name: p', 'line 1: anchors, aliases'),
    ('name: p\n<<: {steps: []}', 'line 2: anchors, aliases'),
    ('name: p\nsteps:\n- {}', 'line 3: steps.0.action: must be one of service.restart, server'),
    (DOCUMENT.replace('server.rebuild', 'server.explode'), 'line 7: steps.2.action: must be one'),
    (DOCUMENT.replace('type: soft', 'type: gentle'), 'line 5: steps.0.type: must be one of soft'),
    (DOCUMENT.replace(', type: soft', ''), 'line 5: steps.0.type: must be one of soft, hard'),
    (DOCUMENT.replace('build,', 'build, type: x,'), 'line 7: steps.2.type: server.rebuild has no'),
    (DOCUMENT.replace('verify: 300s', 'verify: 0s'), 'line 7: steps.2.verify: must be from 1s'),
    (DOCUMENT.replace('verify: 300s', 'attempts: 11'), 'line 7: steps.2.attempts: must be a'),
    (DOCUMENT.replace('verify: 300s', 'when: down'), 'line 7: steps.2.when: must be one of always'),
    (DOCUMENT.replace('fixed_ips]', 'root_disk]'), 'line 7: steps.2.action: a rebuild empties'),
    # What YAML's own reader trips over.
    ('name: !!bool x', 'not YAML'),
    ('name: !!int ""', 'not YAML'),
    ('name: !!float ""', 'not YAML'),
    ('name: !!timestamp x', 'not YAML'),
    ('name: 2001-99-99', 'not YAML'),
    ('name: !!python/object/apply:os.system [id]', 'line 1: not YAML'),
    ('? [a]\n: b', 'not YAML'),
    (DOCUMENT + 'preserve: []\n', 'line 8: preserve stands here twice'),
    (DOCUMENT.replace('verify: 90s', 'verify: 90s, verify: 1s'), 'line 5: verify stands here'),
    ('name: 1' + ':00' * 300 + '.0', 'not YAML'),
    ('name: !!float ' + '1:' * 400 + '0.', 'not YAML'),
    ('name: 2001-01-01 00:00:00 +99:99', 'not YAML'),
    ('[' * 15_000, 'line 1: nested deeper than 10 levels'),
    ('{a: ' * 14_000, 'line 1: nested deeper'),
    ('- ' * 15_000, 'line 1: nested deeper'),
    ('name: ' + '9' * 10_000, ''),
    ('#' * (64 * 1024 + 1), 'longer than'),
    ('# ' + 'ö' * (32 * 1024), 'longer than'),
]


@pytest.mark.parametrize(('text', 'told'), FAULTY, ids=[t for _, t in FAULTY])
def test_a_faulty_policy_is_refused_with_the_line_and_the_fix(text, told):
    with pytest.raises(InvalidPolicy) as e:
        policy.parse(text)
    assert told in e.value.detail
    assert e.value.detail.isprintable()
    assert len(e.value.detail) < 300


@pytest.mark.parametrize('key', ['"a\\nb"', '"\\e[31m"', 'k' * 5000, '"\\uD800"', '5', '~'])
def test_an_unknown_key_stands_in_the_error_on_one_short_line(key):
    with pytest.raises(InvalidPolicy) as e:
        policy.parse(f'name: p\n? {key}\n: 1')
    assert 'unknown key' in e.value.detail
    assert e.value.detail.isprintable()
    assert len(e.value.detail) < 300


@pytest.mark.parametrize('link', ['[{copies}x]', '{{<<: [{copies}]}}'])
def test_aliases_that_grow_are_not_expanded(link):
    lines = ['a0: &a0 {x: 1}']
    for n in range(1, 40):
        lines.append(f'a{n}: &a{n} ' + link.format(copies=f'*a{n - 1}, ' * 9))
    begin = time.process_time()
    with pytest.raises(InvalidPolicy, match='aliases'):
        policy.parse('\n'.join(lines))
    assert time.process_time() - begin < 5


@given(st.text() | st.binary().map(lambda b: b.decode('latin-1')))
def test_any_text_is_an_invalid_policy(text):
    with pytest.raises(InvalidPolicy):
        policy.parse(text)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=10)
    | st.dates()
    | st.sampled_from(['server.reboot', 'soft', 'hard', '10s', '1h', 'volumes', 'root_disk']),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(['action', 'type', 'verify', 'interval', 'x']), inner)
    ),
    max_leaves=8,
)
STEPS = st.lists(
    st.fixed_dictionaries(
        {'action': st.sampled_from(['server.reboot', 'server.rebuild']) | VALUES},
        optional={
            'type': st.sampled_from(['soft', 'hard']) | VALUES,
            'attempts': st.integers(0, 12) | VALUES,
            'verify': st.sampled_from(['10s', '2m', '9h']) | VALUES,
        },
    ),
    max_size=3,
)
POLICIES = st.fixed_dictionaries(
    {'name': st.sampled_from(['p', 'a.b-c_d']) | VALUES, 'steps': STEPS | VALUES},
    optional={
        'preserve': st.lists(st.sampled_from(policy.PRESERVABLE)) | VALUES,
        'heartbeat': VALUES,
    },
)


@given(POLICIES)
def test_what_is_accepted_can_be_carried_out(data):
    try:
        found = policy.parse(yaml.safe_dump(data))
    except InvalidPolicy:
        return
    assert policy.NAME.fullmatch(found.name)
    assert 1 <= len(found.steps) <= 20
    for step in found.steps:
        assert step.type in policy.ACTIONS[step.action].types
        assert 1 <= step.attempts <= 10
        assert 1 <= step.verify <= 3600
        assert step.action != 'server.rebuild' or 'root_disk' not in found.preserve
    assert policy.parse(found.document, found.version) == found
