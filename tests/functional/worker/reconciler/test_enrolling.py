"""Rules are applied to servers that exist already."""

import pytest

from aodh_ha import keys
from aodh_ha.db import enrolment, guests
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound
from aodh_ha.reconciler import enrolling
from aodh_ha.rules.enrolment import Rule
from aodh_ha.rules.guest import ENROLLED, PENDING
from tests.functional.worker.reconciler.conftest import MASTER_KEY
from tests.samples import OTHER_PROJECT, PROJECT

WEB = '00000000-0000-4000-8000-00000000000{}'


@pytest.fixture
def add(world):
    """Make a rule."""

    def add(name='all', project_id=PROJECT, **values):
        with world.database.write() as c:
            enrolment.add(c, Rule(f'id-{name}', project_id, name, **values))

    return add


@pytest.fixture
def look(world):
    return lambda: world.do('enrolment_rules')


def server(world, n, project_id=PROJECT, **values):
    world.nova.add(WEB.format(n), project_id, name=f'web-{n}')
    return world.nova.change(WEB.format(n), **values)


def guest(world, n):
    with world.database.read() as c:
        try:
            return guests.get(c, WEB.format(n))
        except NotFound:
            return None


def delivered(world, n):
    found = world.nova.server(WEB.format(n)).metadata
    return {k: v for k, v in found.items() if k.startswith('aodh_ha_')}


def test_without_rules_nova_is_not_asked(world, look):
    server(world, 1)
    world.nova.away = True
    look()


def test_a_server_gets_its_credentials_by_metadata_and_is_enrolled(world, add, look):
    server(world, 1)
    server(world, 2, OTHER_PROJECT)
    add(policy='stateless', group_name='web')
    look()
    found = guest(world, 1)
    assert (found.status, found.name, found.enrolled_by) == (ENROLLED, 'web-1', 'rule all')
    assert (found.policy, found.group_name, found.enrolled_at) == (
        'stateless',
        'web',
        world.clock(),
    )
    assert delivered(world, 1) == {
        'aodh_ha_gateways': 'http://gw1,http://gw2',
        'aodh_ha_key': keys.guest_key(MASTER_KEY, WEB.format(1), found.generation),
        'aodh_ha_generation': str(found.generation),
    }
    assert guest(world, 2) is None
    assert world.events(WEB.format(1)) == ['enrolled']


def test_an_operators_rule_is_for_every_project(world, add, look):
    server(world, 1)
    server(world, 2, OTHER_PROJECT)
    add(project_id='')
    look()
    assert guest(world, 1).project_id == PROJECT
    assert guest(world, 2).project_id == OTHER_PROJECT


@pytest.mark.parametrize(
    ('values', 'enrolled'),
    [
        ({'tags': frozenset({'ha', 'x'})}, True),
        ({'tags': frozenset({'x'})}, False),
        ({'tags': frozenset({'ha'}), 'status': 'SHUTOFF'}, False),
        ({'tags': frozenset({'ha'}), 'status': 'BUILD'}, False),
        ({'tags': frozenset({'ha'}), 'metadata': {'aodh_ha:opt_out': 'true'}}, False),
        ({'tags': frozenset({'ha'}), 'metadata': {'aodh_ha:enroll': 'no'}}, False),
    ],
)
def test_what_a_rule_is_for_is_enrolled_while_it_runs(world, add, look, values, enrolled):
    server(world, 1, **values)
    add(tag='ha')
    look()
    assert bool(guest(world, 1)) == enrolled
    assert bool(delivered(world, 1)) == enrolled


def test_who_is_enrolled_is_left_alone(world, add, look):
    world.add_guest(WEB.format(1))
    server(world, 1)
    before = guest(world, 1)
    add()
    look()
    assert guest(world, 1) == before
    assert delivered(world, 1) == {}


def test_where_nova_brings_the_credentials_none_are_written(world, add):
    world.conf.enrolment.write_metadata = False
    duty = enrolling.Enrolling(world.conf, world.database, world.nova, world.clock)
    server(world, 1)
    add()
    duty.look(world.clock())
    assert guest(world, 1).status == ENROLLED
    assert delivered(world, 1) == {}


def test_a_server_whose_metadata_cannot_be_written_is_not_enrolled(
    world, add, look, caplog, monkeypatch
):
    refused = {WEB.format(1)}
    write = world.nova.set_metadata

    def set_metadata(server_id, values):
        if server_id in refused:
            raise ActionRefused('Nova answered 403: quota')
        return write(server_id, values)

    monkeypatch.setattr(world.nova, 'set_metadata', set_metadata)
    monkeypatch.setattr(enrolling, 'BATCH', 1)
    for n in (1, 2, 3):
        server(world, n)
    add()
    for _ in range(4):
        look()
    assert guest(world, 1) is None
    assert guest(world, 2)
    assert guest(world, 3)
    assert caplog.text.count('quota') == 1
    refused.clear()
    look()
    assert guest(world, 1)


def test_a_nova_that_does_not_answer_enrols_nobody_and_the_next_look_goes_on(world, add, look):
    server(world, 1)
    add()
    world.nova.away = True
    with pytest.raises(CloudAway):
        look()
    assert guest(world, 1) is None
    world.nova.away = False
    look()
    assert guest(world, 1)


def test_who_is_enrolled_in_between_gets_the_key_of_that_enrolment(world, add, look, monkeypatch):
    server(world, 1)
    add()
    write = world.nova.set_metadata

    def set_metadata(server_id, values):
        if guest(world, 1) is None:
            world.add_guest(server_id, generation=77, status=PENDING)
        return write(server_id, values)

    monkeypatch.setattr(world.nova, 'set_metadata', set_metadata)
    look()
    assert (guest(world, 1).status, guest(world, 1).generation) == (ENROLLED, 77)
    assert delivered(world, 1)['aodh_ha_generation'] == '77'


def test_a_guest_of_a_rule_whose_server_is_gone_is_forgotten_after_the_grace(world, add, look):
    server(world, 1)
    add()
    look()
    assert guest(world, 1)
    world.nova.delete(WEB.format(1))
    for passed in (0, 300, 301):
        world.clock.advance(passed)
        world.do('whereabouts')
        look()
    assert guest(world, 1) is None
    assert world.events(WEB.format(1)) == ['enrolled', 'forgotten']


def test_a_rule_for_a_stack_enrols_its_servers_and_those_that_it_gets_later(world, add, look):
    server(world, 1)
    server(world, 2)
    server(world, 3, OTHER_PROJECT)
    world.nova.stack_servers = {'the-group': {WEB.format(1), WEB.format(3)}}
    add(stack_id='the-group', group_name='web')
    look()
    assert guest(world, 1).group_name == 'web'
    assert guest(world, 2) is None
    assert guest(world, 3) is None, "another project's"
    world.nova.stack_servers['the-group'].add(WEB.format(2))
    look()
    assert guest(world, 2).status == ENROLLED


def test_while_heat_is_away_rules_that_ask_for_no_stack_work(world, add, look, monkeypatch):
    server(world, 1)
    add('grouped', stack_id='the-group')
    add('named', server_name='web-*')

    def away(stack_id):
        raise CloudAway('Heat: no answer')

    monkeypatch.setattr(world.nova, 'servers_in', away)
    look()
    assert guest(world, 1).enrolled_by == 'rule named'
