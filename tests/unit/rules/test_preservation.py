"""What a step would destroy, whether it is refused for it, and what was lost all the same."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aodh_ha.rules import preservation
from aodh_ha.rules.holdings import HEAT, IMAGE, NOVA, USER, VOLUME, Holdings
from aodh_ha.rules.policy import ACTIONS, PRESERVABLE, Step
from aodh_ha.rules.preservation import differences, losses
from tests import samples
from tests.samples import OTHER_ID, SERVER_ID, holdings, member, policy, port, volume

KEEPS = [a for a in ACTIONS if a not in preservation.ENDANGERED]
REPLACES = list(preservation.ANOTHER)
ALL = frozenset(PRESERVABLE)


def step(action):
    return Step(action, 'soft' if action == 'server.reboot' else None)


def evidence(held=None, **changes):
    return samples.evidence(holdings=holdings() if held is None else held, **changes)


def kinds(action, **held):
    return {loss.kind for loss in losses(step(action), evidence(holdings(**held)))}


def refusal(action, preserve, seen):
    return preservation.refusal(step(action), policy(preserve=frozenset(preserve)), seen)


ROOT = volume(id='vol-root', device='/dev/vda', root=True, made_by=USER)
DISKS = {'ephemeral_gb': 20, 'swap_mb': 512}


# ---- what a step destroys


def test_these_steps_and_no_others_destroy_nothing():
    assert set(KEEPS) == {
        *('service.restart', 'server.reboot', 'server.start', 'server.migrate'),
        *('notify', 'hook'),
    }


@pytest.mark.parametrize('action', KEEPS)
def test_a_step_that_destroys_nothing_is_never_refused(action):
    full = evidence(holdings(root_disk=IMAGE, volumes=(ROOT, volume()), **DISKS))
    assert losses(step(action), full) == []
    assert refusal(action, ALL, full) == ''
    assert refusal(action, ALL, samples.evidence()) == '', 'also where nothing is known'


@pytest.mark.parametrize(
    ('action', 'held', 'lost'),
    [
        ('server.rebuild', {}, {'root_disk'}),
        ('server.rebuild', DISKS, {'root_disk', 'ephemeral', 'swap'}),
        # Below microversion 2.93 Nova leaves a root disk that is a volume as it is.
        ('server.rebuild', {'root_disk': VOLUME, 'volumes': (ROOT,)}, set()),
        (
            'server.rebuild',
            {'root_disk': VOLUME, 'volumes': (ROOT,), **DISKS},
            {'ephemeral', 'swap'},
        ),
        ('server.rebuild', {'shared_storage': True}, {'root_disk'}),
        ('server.rebuild', {'volumes': (volume(delete_on_termination=True),)}, {'root_disk'}),
        ('server.rebuild', {'ports': (port(made_by=NOVA),)}, {'root_disk'}),
        ('server.evacuate', {}, {'root_disk'}),
        ('server.evacuate', {'shared_storage': False}, {'root_disk'}),
        ('server.evacuate', {'shared_storage': True, **DISKS}, set()),
        ('server.evacuate', {'root_disk': VOLUME, 'volumes': (ROOT,)}, set()),
        ('server.evacuate', {'root_disk': VOLUME, 'ephemeral_gb': 1}, {'ephemeral'}),
    ],
)
def test_what_a_step_destroys_of_the_same_server(action, held, lost):
    assert kinds(action, **held) == lost


@pytest.mark.parametrize('action', REPLACES)
@pytest.mark.parametrize(
    ('held', 'lost'),
    [
        ({}, {'root_disk'}),
        (DISKS, {'root_disk', 'ephemeral', 'swap'}),
        ({'shared_storage': True}, {'root_disk'}),
        ({'volumes': (volume(delete_on_termination=True),)}, {'root_disk', 'volumes'}),
        ({'volumes': (volume(made_by=USER),)}, {'root_disk', 'volumes'}),
        ({'ports': (port(made_by=USER),)}, {'root_disk'}),
        ({'ports': (port(made_by=NOVA),)}, {'root_disk', 'ports', 'fixed_ips', 'floating_ips'}),
        (
            {'ports': (port(made_by=NOVA, floating_ips=()),)},
            {'root_disk', 'ports', 'fixed_ips'},
        ),
        # The old root volume stays, left behind; the new server begins with another one.
        ({'root_disk': VOLUME, 'volumes': (ROOT,)}, {'root_disk'}),
        (
            {'root_disk': VOLUME, 'volumes': (replace(ROOT, delete_on_termination=True),)},
            {'root_disk', 'volumes'},
        ),
        ({'root_disk': VOLUME, 'volumes': (replace(ROOT, made_by=HEAT),)}, set()),
        (
            {'config_drive': True, 'server_groups': ('g',)},
            {'root_disk', 'config_drive', 'server_groups'},
        ),
    ],
)
def test_what_goes_with_a_server_that_heat_replaces(action, held, lost):
    assert kinds(action, **held) == lost


def test_a_stack_that_is_made_anew_keeps_nothing():
    lost = kinds('stack.recreate', **DISKS)
    assert lost == {*PRESERVABLE, 'ports', 'swap'}


# ---- the sentence


@pytest.mark.parametrize(
    ('action', 'preserve', 'held', 'told'),
    [
        (
            'server.replace',
            {'volumes'},
            {'volumes': (volume(id='1234', device='vdb', delete_on_termination=True),)},
            'volume 1234 on vdb would be deleted with the server; the policy preserves volumes',
        ),
        (
            'server.replace',
            {'volumes'},
            {'volumes': (volume(delete_on_termination=True, multiattach=True),)},
            'which other servers may share, would be deleted',
        ),
        ('stack.heal', {'volumes'}, {'volumes': (volume(made_by=USER),)}, 'left detached'),
        ('stack.recreate', {'volumes'}, {}, 'vol-data on /dev/vdb would be deleted with the stack'),
        (
            'server.replace',
            {'fixed_ips'},
            {'ports': (port(made_by=NOVA),)},
            'fixed IP 10.0.0.5 would be deleted with the server: Nova made its port port-1',
        ),
        (
            'server.replace',
            {'floating_ips'},
            {'ports': (port(made_by=NOVA),)},
            'floating IP 203.0.113.5 would be left without a port',
        ),
        ('server.rebuild', {'root_disk'}, {}, 'its root disk would be made anew by the rebuild'),
        ('server.evacuate', {'root_disk'}, {}, 'its root disk lies on the dead host'),
        ('server.evacuate', {'ephemeral'}, DISKS, 'its ephemeral disk of 20 GiB lies on the dead'),
        (
            'server.replace',
            {'root_disk'},
            {'root_disk': VOLUME, 'volumes': (ROOT,)},
            'its root disk, volume vol-root on /dev/vda would be left detached',
        ),
    ],
)
def test_a_refusal_names_the_thing(action, preserve, held, told):
    found = refusal(action, preserve, evidence(holdings(**held)))
    assert told in found
    assert refusal(action, ALL - preserve - {'root_disk'}, evidence(holdings(**held))) != found


def test_many_things_are_told_in_one_short_sentence():
    many = tuple(volume(id=f'v{n}', delete_on_termination=True) for n in range(20))
    found = refusal('server.replace', {'volumes'}, evidence(holdings(volumes=many)))
    assert found.startswith('volume v0')
    assert '(and 17 more)' in found
    assert len(found) < 300


@pytest.mark.parametrize('action', preservation.ENDANGERED)
def test_what_is_not_preserved_may_go(action):
    full = holdings(volumes=(volume(delete_on_termination=True),), **DISKS)
    assert refusal(action, set(), evidence(full)) == ''


# ---- what is not known


@pytest.mark.parametrize('action', [*REPLACES, 'stack.recreate'])
@pytest.mark.parametrize('kind', PRESERVABLE)
def test_what_is_not_known_might_be_lost(action, kind):
    found = refusal(action, {kind}, samples.evidence(member=member()))
    assert found == f'what it has is not known, and the policy preserves {kind}'
    assert refusal(action, set(), samples.evidence()) == ''


@pytest.mark.parametrize('action', ['server.rebuild', 'server.evacuate'])
def test_what_the_step_can_never_destroy_need_not_be_known(action):
    """A rebuild detaches volumes and ports and attaches them again, whichever they are."""
    assert refusal(action, {'volumes', 'fixed_ips', 'floating_ips'}, samples.evidence()) == ''
    assert 'is not known' in refusal(action, {'root_disk'}, samples.evidence())
    assert 'is not known' in refusal(action, {'ephemeral'}, samples.evidence())


TWO = member(siblings=((SERVER_ID, 'db'), (OTHER_ID, 'web')))


def test_a_stack_is_rebuilt_only_when_it_is_known_what_every_server_of_it_has():
    unknown = f'what {OTHER_ID} of its stack has is not known'
    assert unknown in refusal('stack.rebuild', {'volumes'}, evidence(member=TWO))
    given = evidence(member=TWO, others={OTHER_ID: None})
    assert unknown in refusal('stack.rebuild', {'volumes'}, given)
    assert unknown in refusal('stack.heal', {'volumes'}, given)
    assert refusal('server.replace', {'volumes'}, given) == '', 'the others are not touched'
    known = evidence(member=TWO, others={OTHER_ID: holdings()})
    assert refusal('stack.rebuild', {'volumes', 'fixed_ips'}, known) == ''


@pytest.mark.parametrize('action', ['stack.heal', 'stack.rebuild'])
def test_what_another_server_of_the_stack_would_lose_counts_too(action):
    theirs = holdings(volumes=(volume(id='v9', delete_on_termination=True),))
    found = refusal(action, {'volumes'}, evidence(member=TWO, others={OTHER_ID: theirs}))
    assert found.startswith(f'of {OTHER_ID}: volume v9 on /dev/vdb would be deleted')


# ---- before and after


IN_PLACE = ['server.reboot', 'server.start', 'server.rebuild', 'server.evacuate', 'server.migrate']


@pytest.mark.parametrize('action', IN_PLACE)
@pytest.mark.parametrize(
    ('after', 'told'),
    [
        ({'volumes': ()}, 'volume vol-data is gone from /dev/vdb'),
        ({'volumes': (volume(device='/dev/vdc'),)}, 'volume vol-data is on /dev/vdc, was on'),
        ({'ports': (port(id='port-2'),)}, 'port port-1 is gone'),
        ({'ports': (port(fixed_ips=('10.0.0.6',)),)}, 'fixed IP 10.0.0.5 is gone'),
        ({'ports': (port(floating_ips=()),)}, 'floating IP 203.0.113.5 is gone'),
    ],
)
@pytest.mark.parametrize('made_by', [NOVA, USER, HEAT])
def test_whatever_a_server_lost_in_place_was_not_foreseen(action, after, told, made_by):
    before = holdings(
        volumes=(volume(delete_on_termination=True, made_by=made_by),),
        ports=(port(made_by=made_by),),
    )
    found = differences(step(action), before, replace(before, **after))
    assert len(found) == 1
    assert told in found[0]


@pytest.mark.parametrize('action', REPLACES)
def test_what_had_to_go_with_the_old_server_is_no_difference(action):
    before = holdings(
        root_disk=VOLUME,
        volumes=(ROOT, volume(id='gone', delete_on_termination=True), volume(device='/dev/vdc')),
        ports=(port(made_by=NOVA), port(id='kept', fixed_ips=('10.0.0.9',), floating_ips=())),
    )
    new = replace(ROOT, id='another')
    after = replace(before, volumes=(new, before.volumes[2]), ports=before.ports[1:])
    assert differences(step(action), before, after) == []
    assert differences(step(action), before, replace(after, ports=())) == [
        'port kept is gone',
        'fixed IP 10.0.0.9 is gone',
    ]
    assert differences(step(action), before, replace(after, volumes=(new,))) == [
        'volume vol-data is gone from /dev/vdc'
    ]


def test_what_was_added_meanwhile_is_no_difference():
    after = holdings(volumes=(volume(), volume(id='more', device='/dev/vdc')))
    assert differences(step('server.rebuild'), holdings(), after) == []


# ---- for every server

VOLUMES = st.lists(
    st.builds(
        volume,
        id=st.uuids().map(str),
        device=st.sampled_from(['/dev/vda', '/dev/vdb', '/dev/vdc']),
        root=st.booleans(),
        delete_on_termination=st.booleans(),
        multiattach=st.booleans(),
        made_by=st.sampled_from([USER, HEAT]),
    ),
    max_size=3,
).map(tuple)
PORTS = st.lists(
    st.builds(
        port,
        id=st.uuids().map(str),
        fixed_ips=st.lists(st.ip_addresses(v=4).map(str), max_size=2, unique=True).map(tuple),
        floating_ips=st.lists(st.ip_addresses(v=6).map(str), max_size=1).map(tuple),
        made_by=st.sampled_from([NOVA, USER, HEAT]),
    ),
    max_size=2,
).map(tuple)
HELD = st.builds(
    Holdings,
    root_disk=st.sampled_from([IMAGE, VOLUME]),
    volumes=VOLUMES,
    ports=PORTS,
    ephemeral_gb=st.integers(0, 2),
    swap_mb=st.integers(0, 2),
    config_drive=st.booleans(),
    shared_storage=st.sampled_from([None, True, False]),
)


@given(st.sampled_from(list(ACTIONS)), HELD, st.sets(st.sampled_from(PRESERVABLE)))
def test_a_step_is_refused_exactly_when_it_would_lose_what_is_preserved(action, held, preserve):
    seen = evidence(held, member=member())
    lost = {loss.kind for loss in losses(step(action), seen)}
    assert bool(refusal(action, preserve, seen)) == bool(lost & preserve)
    assert lost & ALL <= preservation.ENDANGERED.get(action, frozenset())


@given(st.sampled_from(list(ACTIONS)), HELD)
def test_a_step_that_lost_what_was_foreseen_and_nothing_else_made_no_difference(action, held):
    gone = {loss.id for loss in losses(step(action), evidence(held))}
    after = replace(
        held,
        volumes=tuple(v for v in held.volumes if v.id not in gone),
        ports=tuple(p for p in held.ports if p.id not in gone),
    )
    assert differences(step(action), held, after) == []
    assert differences(step(action), held, held) == []
    kept = {v.id for v in after.volumes} | {p.id for p in after.ports}
    empty = replace(held, volumes=(), ports=())
    told = ' '.join(differences(step(action), held, empty))
    assert all(thing in told for thing in kept)


@given(HELD)
def test_holdings_survive_a_way_through_the_audit_trail(held):
    assert Holdings.from_dict(held.as_dict()) == held
