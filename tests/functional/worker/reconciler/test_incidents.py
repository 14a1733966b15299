"""Incidents: a host that died, a storm; a person is told why, once, and when it is over."""

import pytest

from aodh_ha.db import audit, incidents, models
from aodh_ha.exceptions import CloudAway
from aodh_ha.rules.gateway import AGENT
from aodh_ha.testing import START
from tests.samples import PROJECT, SERVER_ID


def open_ones(world):
    with world.database.read() as c:
        return [(i.kind, i.name) for i in incidents.find(c, open_only=True)]


def kinds(world):
    with world.database.read() as c:
        events = c.execute(models.events.select().order_by(models.events.c.id)).all()
    return [e.kind for e in events if e.kind.startswith('incident')]


def fleet(world, count, host='host1', zone='nova', last_seen=START - 60):
    """So many guests more."""
    with world.database.read() as c:
        start = len(c.execute(models.guests.select()).all())
    for n in range(start, start + count):
        server_id = f'{n:08x}{SERVER_ID[8:]}'
        world.nova.add(server_id, PROJECT, host=host, zone=zone)
        world.add_guest(server_id, host=host, zone=zone, last_seen=last_seen, seen_by=AGENT)


def locate(world):
    world.do('whereabouts')


def test_the_host_of_a_silent_guest_that_is_down_is_an_incident_told_once(world):
    locate(world)
    world.nova.kill_host('host1')
    for _ in range(3):
        world.do('incidents')
        world.pass_time(10)
    assert open_ones(world) == [('host', 'host1')]
    (message,) = world.notifications()
    assert message.startswith('compute host host1: Nova says that it is down; 1 of its guests')
    assert kinds(world) == ['incident']


def test_it_is_closed_when_the_host_is_up_again(world):
    locate(world)
    world.nova.kill_host('host1')
    world.do('incidents')
    world.nova.revive_host('host1')
    world.clock.advance(1)
    world.do('incidents')
    assert open_ones(world) == []
    assert world.notifications()[-1] == 'host host1: it is up again'
    assert kinds(world) == ['incident', 'incident_closed']
    world.nova.kill_host('host1')
    world.do('incidents')
    assert open_ones(world) == [('host', 'host1')]


def test_it_stays_open_after_the_guests_were_evacuated(world):
    locate(world)
    world.nova.kill_host('host1')
    world.do('incidents')
    world.nova.change(SERVER_ID, host='host2')
    world.beat()
    world.clock.advance(1)
    world.do('incidents')
    assert open_ones(world) == [('host', 'host1')]


def test_a_host_that_is_down_while_its_guests_are_heard_is_none_of_our_business(world):
    locate(world)
    world.nova.kill_host('host1')
    world.beat()
    world.do('incidents')
    assert open_ones(world) == []


def test_a_host_that_is_up_is_no_incident(world):
    locate(world)
    world.do('incidents')
    assert open_ones(world) == []
    assert world.notifications() == []


def test_while_nova_is_away_incidents_stay_as_they_are(world):
    locate(world)
    world.nova.kill_host('host1')
    world.do('incidents')
    world.nova.away = True
    world.do('incidents')
    assert open_ones(world) == [('host', 'host1')]


def test_an_incident_of_a_host_that_was_removed_is_closed(world):
    locate(world)
    world.nova.kill_host('host1')
    world.do('incidents')
    del world.nova.hosts['host1']
    world.do('incidents')
    assert open_ones(world) == []


def test_one_host_that_nova_does_not_answer_about_keeps_no_other(world, monkeypatch):
    locate(world)
    fleet(world, 1, host='host2')
    world.nova.kill_host('host2')
    real = world.nova.host

    def host(name):
        if name == 'host1':
            raise CloudAway('Nova: 500')
        return real(name)

    monkeypatch.setattr(world.nova, 'host', host)
    world.do('incidents')
    assert open_ones(world) == [('host', 'host2')]


# ---- storms


def test_when_all_fall_silent_at_once_a_person_is_told_why_once_and_when_it_is_over(world):
    locate(world)
    fleet(world, 5)
    fleet(world, 5, host='host2')
    for _ in range(3):
        world.do('incidents')
        world.pass_time(10)
    ((kind, _),) = open_ones(world)
    assert kind == 'storm'
    (message,) = world.notifications()
    assert 'fell silent' in message
    with world.database.write() as c:
        c.execute(models.guests.update().values(last_seen=world.clock()))
    world.do('incidents')
    assert open_ones(world) == []
    assert world.notifications()[-1].endswith('it is over')
    assert kinds(world) == ['incident', 'incident_closed']


def test_a_storm_that_turns_out_to_be_wider_is_the_same_one_and_a_person_is_told_the_cause(world):
    world.beat()
    locate(world)
    fleet(world, 6, host='host2')
    fleet(world, 2, host='host3', last_seen=world.clock())
    fleet(world, 2, host='host4', last_seen=world.clock())
    world.do('incidents')
    assert open_ones(world) == [('storm', 'host host2')]
    world.pass_time(50)
    for _ in range(3):
        world.do('incidents')
    assert open_ones(world) == [('storm', f'way {AGENT}')]
    narrow, wide = world.notifications()
    assert 'they are on host host2' in narrow
    assert 'not one guest is heard by the gateway' in wide
    assert kinds(world) == ['incident', 'incident']
    # As it ends, those that are still silent are on one host again: nobody is told that.
    with world.database.write() as c:
        heard = models.guests.c.host != 'host2'
        c.execute(models.guests.update().where(heard).values(last_seen=world.clock()))
    world.do('incidents')
    assert len(world.notifications()) == 2


def test_a_few_silent_guests_among_many_are_no_storm(world):
    locate(world)
    fleet(world, 4, host='host2')
    fleet(world, 20, host='host2', last_seen=START - 5)
    world.do('incidents')
    assert open_ones(world) == []


def test_the_guests_of_a_dead_host_are_a_host_incident_and_no_storm(world):
    locate(world)
    fleet(world, 9)
    fleet(world, 5, host='host2', last_seen=START - 5)
    world.nova.kill_host('host1')
    world.do('incidents')
    assert open_ones(world) == [('host', 'host1')]


def test_nobody_is_silent_while_nobody_listens(world):
    locate(world)
    fleet(world, 9)
    world.listening = False
    world.clock.advance(60)
    world.do('incidents')
    assert open_ones(world) == []


@pytest.mark.parametrize('told', [False, True])
def test_an_incident_that_a_recovery_has_opened_is_told_if_it_was_not(world, told):
    locate(world)
    world.nova.kill_host('host1')

    def work(connection):
        incident, _ = incidents.open_(connection, incidents.HOST, 'host1', 'down', START)
        if told:
            incidents.notified(connection, incident.id)

    world.database.run(work)
    world.do('incidents')
    assert len(world.notifications()) == (not told)
    with world.database.read() as c:
        assert audit.of_guest(c, SERVER_ID) == []
