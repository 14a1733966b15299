"""Recovery policies: what is read, and what is refused with the line and the fix."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.rules import policy
from aodh_ha.rules.policy import ACTIONS, Budget, Match, Policy, Step
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


WHOLE = """\
name: whole
heartbeat: {interval: 5s, missed: 4, boot_grace: 1m}
match: {groups: [db, web], stacks: [shop]}
preserve: [volumes, floating_ips]
steps:
  - {action: service.restart, attempts: 2, backoff: 10s, intensity: 10 in 1h, healthy: true}
  - {action: server.start, delay: 5s}
  - {action: server.reboot, type: hard, hold: 1m, snapshot: true}
  - {action: server.evacuate, when: always, approval: true}
  - {action: hook, name: page}
budget: {concurrent: 10%, per_window: 20 in 10m, per_guest: 3 in 1h, storm: 30% in 60s, reset: 1h}
priority: 70
suspect: any
fencing: ipmi
on_exhausted: page
dry_run: true
"""


def test_every_key_of_a_policy_is_read():
    found = policy.parse(WHOLE, 7)
    assert found == Policy(
        name='whole',
        version=7,
        steps=(
            Step('service.restart', None, 2, backoff=10.0, intensity=(10, 3600.0), healthy=True),
            Step('server.start', delay=5.0),
            Step('server.reboot', 'hard', hold=60.0, snapshot=True),
            Step('server.evacuate', when='always', approval=True),
            Step('hook', name_of_hook='page'),
        ),
        preserve=frozenset({'volumes', 'floating_ips'}),
        interval=5.0,
        missed=4,
        boot_grace=60.0,
        document=WHOLE,
        match=Match(('db', 'web'), ('shop',)),
        budget=Budget(None, 0.1, (20, 600.0), (3, 3600.0), (0.3, 60.0), 3600.0),
        priority=70,
        suspect='any',
        fencing='ipmi',
        on_exhausted='page',
        dry_run=True,
    )
    assert [s.name for s in found.steps][-2:] == ['server.evacuate', 'hook page']
    assert [s.applies for s in found.steps] == ['service', 'off', 'host_up', 'always', 'always']


def test_what_loses_data_is_read_only_when_that_is_asked_for():
    asked = 'name: p\nallow_data_loss: true\nsteps: [{action: stack.recreate}]'
    assert policy.parse(asked).allow_data_loss


ONE = 'name: p\nsteps:\n- {action: %s}'


def after(line):
    return f'{line}\n' + ONE % 'notify'


HARD_FIRST = 'server.reboot, type: hard}\n- {action: server.reboot, type: soft'

FAULTY = [
    (ONE % 'stack.recreate', 'line 3: steps.0.action: stack.recreate deletes volumes and addre'),
    (
        'name: p\nallow_data_loss: true\npreserve: [volumes]\nsteps: [{action: stack.recreate}]',
        'line 4: steps.0.action: stack.recreate preserves nothing',
    ),
    *(
        (f'preserve: [root_disk]\n{ONE}' % action, f'line 4: steps.0.action: {begins} empties')
        for action, begins in (
            ('server.rebuild', 'a rebuild'),
            ('server.replace', 'server.replace'),
            ('stack.heal', 'stack.heal'),
            ('stack.rebuild', 'stack.rebuild'),
        )
    ),
    (ONE % 'hook', 'line 3: steps.0.name: a hook needs the name that the configuration gives it'),
    (ONE % 'hook, name: /bin/sh', 'line 3: steps.0.name: must be 1 to 63'),
    (ONE % 'hook, command: sh', 'line 3: steps.0.command: unknown key'),
    (ONE % 'notify, name: page', 'line 3: steps.0.name: notify has no name; remove it'),
    (ONE % 'notify, type: soft', 'line 3: steps.0.type: notify has no type; remove it'),
    (ONE % 'server.evacuate, when: host_up', 'line 3: steps.0.when: Nova evacuates only from'),
    (ONE % 'service.restart, when: host_up', 'line 3: steps.0.when: service.restart needs a'),
    (ONE % HARD_FIRST, 'line 4: steps.1: a soft reboot after the hard one of step 0: swap them'),
    (
        ONE % 'server.start}\n- {action: server.start',
        'line 4: steps.1: server.start stands in step 0 already; write attempts: there',
    ),
    (ONE % 'notify, delay: 5', 'line 3: steps.0.delay: must be a duration'),
    (ONE % 'notify, backoff: 2h', 'line 3: steps.0.backoff: must be from 0s to 3600s'),
    (ONE % 'notify, hold: x', 'line 3: steps.0.hold: must be a duration'),
    (ONE % 'notify, healthy: 1', 'line 3: steps.0.healthy: must be true or false'),
    (ONE % 'notify, approval: yes please', 'line 3: steps.0.approval: must be true or false'),
    (ONE % 'notify, snapshot: []', 'line 3: steps.0.snapshot: must be true or false'),
    (ONE % 'notify, intensity: 3', 'line 3: steps.0.intensity: must be written like 3 in 1h'),
    (ONE % 'notify, intensity: 0 in 1h', 'line 3: steps.0.intensity: must be from 1 to 999999'),
    (ONE % 'notify, intensity: 30% in 1h', 'line 3: steps.0.intensity: must be written like'),
    (after('budget: []'), 'line 1: budget: must be a mapping'),
    (after('budget: {at_once: 1}'), 'line 1: budget.at_once: unknown key'),
    *(
        (after(f'budget: {{concurrent: {v}}}'), 'line 1: budget.concurrent: must be')
        for v in ('0', '-1', '1.5', 'true', '0%', '101%', '5 %', '"²%"', '[]')
    ),
    *(
        (after(f'budget: {{storm: {v}}}'), 'line 1: budget.storm: must be')
        for v in ('3 in 60s', '30%', '30% in 0s', '30% in 8d', '0% in 60s', '200% in 60s')
    ),
    (after('budget: {reset: 10s}'), 'line 1: budget.reset: must be from 60s'),
    (after('priority: 101'), 'line 1: priority: must be a whole number from 0 to 100'),
    (after('suspect: never'), 'line 1: suspect: must be one of gentle, any'),
    (after('fencing: [ipmi]'), 'line 1: fencing: must be 1 to 63'),
    (after('on_exhausted: ""'), 'line 1: on_exhausted: must be 1 to 63'),
    (after('dry_run: "true"'), 'line 1: dry_run: must be true or false'),
    (after('match: {hosts: [a]}'), 'line 1: match.hosts: unknown key'),
    (after('match: {groups: web}'), 'line 1: match.groups: must be a list of names'),
    (after('match: {groups: ["a\\n"]}'), 'line 1: match.groups: must be a list'),
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
    with pytest.raises(InvalidPolicy, match='aliases'):  # expanded, they would take years
        policy.parse('\n'.join(lines))


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
        {'action': st.sampled_from([*ACTIONS, *['server.reboot'] * 6]) | VALUES},
        optional={
            'type': st.sampled_from(['soft', 'hard']) | VALUES,
            'attempts': st.integers(0, 12) | VALUES,
            'verify': st.sampled_from(['10s', '2m', '9h']) | VALUES,
            'when': st.sampled_from(policy.WHEN) | VALUES,
            'name': st.sampled_from(['page']) | VALUES,
            'intensity': st.sampled_from(['3 in 1h', '1 in 1s']) | VALUES,
            'hold': st.sampled_from(['10s']) | VALUES,
            'approval': st.booleans() | VALUES,
        },
    ),
    max_size=3,
)
POLICIES = st.fixed_dictionaries(
    {'name': st.sampled_from(['p', 'a.b-c_d']) | VALUES, 'steps': STEPS | VALUES},
    optional={
        'preserve': st.lists(st.sampled_from(policy.PRESERVABLE)) | VALUES,
        'heartbeat': VALUES,
        'budget': st.dictionaries(
            st.sampled_from(['concurrent', 'per_window', 'per_guest', 'storm', 'reset']),
            st.sampled_from(['10%', '3 in 1h', '30% in 60s', '10m', '5 in 2m']) | VALUES,
        )
        | VALUES,
        'allow_data_loss': st.booleans() | VALUES,
        'match': VALUES,
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
        assert not step.kind.destroys or step.kind.destroys not in found.preserve
        assert not step.kind.data_loss or (found.allow_data_loss and not found.preserve)
        assert bool(step.name_of_hook) == (step.action == 'hook')
    assert policy.parse(found.document, found.version) == found


# ---- the operator's bounds


def steps(*actions):
    lines = ''.join(f'  - {{action: {a}}}\n' for a in actions)
    return f'name: p\nsteps:\n{lines}'


EVERY = frozenset(ACTIONS)


def told(text, actions=EVERY, **most):
    try:
        policy.bounded(policy.parse(text), actions, Budget(**{'per_guest': None} | most))
    except InvalidPolicy as e:
        return e.detail
    return ''


@pytest.mark.parametrize('action', ['server.evacuate', 'server.migrate'])
def test_only_an_operators_policy_moves_servers_to_other_hosts(action):
    assert told(steps('notify', action)) == (
        f"line 4: steps.1.action: {action} may stand only in the operator's policies; remove it"
    )


def test_a_project_takes_only_the_steps_that_the_operator_allows():
    allowed = frozenset({'notify', 'server.start'})
    assert told(steps('notify', 'server.start'), allowed) == ''
    assert told(steps('notify', 'server.rebuild'), allowed) == (
        'line 4: steps.1.action: the operator allows notify, server.start; remove server.rebuild'
    )


@pytest.mark.parametrize(
    ('budget', 'problem'),
    [
        ('concurrent: 5', ''),
        ('concurrent: 6', 'line 1: budget.concurrent: the operator allows 5 at most'),
        ('concurrent: 1%', 'line 1: budget.concurrent: the operator allows 5 at most; write a num'),
        ('reset: 1h', 'line 1: budget.concurrent: the operator allows 5 at most'),
    ],
)
def test_a_project_does_no_more_at_once_than_the_operator_allows(budget, problem):
    found = told(f'budget: {{{budget}}}\n' + steps('notify'), concurrent=5)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


@pytest.mark.parametrize('key', ['per_window', 'per_guest'])
@pytest.mark.parametrize(
    ('rate', 'within'), [('10 in 1h', True), ('5 in 30m', True), ('11 in 1h', False), ('', False)]
)
def test_a_project_does_no_more_in_a_window_than_the_operator_allows(key, rate, within):
    head = f'budget: {{{key}: {rate}}}\n' if rate else ''
    limit = 10 if rate or key == 'per_window' else 3  # the default is 5 in 1h
    found = told(head + steps('notify'), **{key: (limit, 3600.0)})
    assert found == (
        '' if within else f'line 1: budget.{key}: the operator allows {limit} in 3600s at most'
    )


def test_without_bounds_a_project_may_leave_the_budget_out():
    assert told(steps('notify')) == ''
