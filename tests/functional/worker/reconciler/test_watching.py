"""Guests that nobody enrolled by hand get their alarms from the service itself."""

import pytest

from aodh_ha.callbacks import ALARM
from aodh_ha.db import alarms, guests, models, queue
from aodh_ha.exceptions import CloudAway
from aodh_ha.reconciler import watching
from aodh_ha.testing import START
from tests.samples import OTHER_ID, PROJECT, SERVER_ID


def enrolled(world, **values):
    """The guest as vendordata enrols one."""
    named = {'enrolled_by': 'metadata', 'to_watch': 'heartbeat,service'}
    values = named | {'looked_at': START} | values
    with world.database.write() as c:
        c.execute(models.guests.update().values(values))


def ours(world):
    with world.database.read() as c:
        return sorted(alarms.find(c, server_id=SERVER_ID), key=lambda a: a.trigger)


def to_watch(world):
    with world.database.read() as c:
        return guests.get(c, SERVER_ID).to_watch


def test_a_guest_that_nobody_enrolled_has_an_alarm_in_its_own_project(world):
    enrolled(world, services='[]')
    world.do('watching')
    (alarm,) = ours(world)
    (carrier,) = world.aodh.alarms.values()
    assert alarm.aodh_alarm_id == carrier['alarm_id']
    assert carrier['project_id'] == PROJECT
    assert carrier['state'] == 'ok'
    rule = carrier['gnocchi_resources_threshold_rule']
    assert rule['resource_id'] == world.guest().resource_id
    assert rule['threshold'] == world.guest().missed_limit == alarm.threshold
    assert world.urls.read(ALARM, carrier['alarm_actions'][0].rpartition('/')[2]) == alarm.id
    assert 'alarm_created' in world.events()
    assert to_watch(world) == 'service', 'which it may have yet'


def test_who_was_never_heard_has_no_alarm_before_it_is(world):
    """A rule enrols servers without an agent, too; nobody is to reboot them."""
    enrolled(world, services='[]', last_seen=None)
    world.clock.advance(3600)
    world.do('watching')
    assert world.aodh.alarms == {}
    world.beat()
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat', 'service']


def test_once_it_has_services_they_have_an_alarm_too(world):
    enrolled(world, services='[]')
    world.do('watching')
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat']
    world.beat(failures=0)
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat', 'service']
    assert ours(world)[1].threshold == 3
    assert to_watch(world) == ''


def test_who_may_be_the_successor_of_a_server_that_is_recovered_waits(world):
    enrolled(world, services='[]', stack_id='s')
    world.add_guest(OTHER_ID, stack_id='s')
    world.alarm(server_id=OTHER_ID)
    world.do('watching')
    assert world.aodh.alarms == {}
    world.database.run(lambda c: queue.end_of_guest(c, OTHER_ID, world.clock(), 'gone'))
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat']


def test_who_is_not_placed_yet_waits(world):
    enrolled(world, services='[]', looked_at=0)
    world.do('watching')
    assert world.aodh.alarms == {}
    world.do('whereabouts')
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat']


def test_an_alarm_that_somebody_deletes_is_not_created_again(world):
    enrolled(world)
    world.do('watching')
    with world.database.write() as c:
        alarms.delete_of_guest(c, SERVER_ID)
    world.aodh.alarms.clear()
    world.do('watching')
    assert world.aodh.alarms == {}


def test_who_enrolled_by_hand_creates_alarms_by_hand(world):
    world.do('watching')
    assert world.aodh.alarms == {}


def test_an_alarm_that_there_is_already_is_left_as_it_is(world):
    world.add_alarm()
    enrolled(world, services='[]')
    world.do('watching')
    assert len(world.aodh.alarms) == len(ours(world)) == 1
    assert to_watch(world) == 'service'


def test_an_answer_that_is_lost_makes_no_second_alarm(world):
    enrolled(world, services='[]')
    world.aodh.lost = True
    world.do('watching')
    assert len(world.aodh.alarms) == 1
    assert ours(world)[0].aodh_alarm_id is None
    world.aodh.lost = False
    world.do('watching')
    assert ours(world)[0].aodh_alarm_id is None, 'not at once'
    world.clock.advance(watching.LATER + 1)
    world.do('watching')
    assert len(world.aodh.alarms) == 1
    assert ours(world)[0].aodh_alarm_id in world.aodh.alarms


def test_a_refusal_is_told_once_and_tried_again(world):
    enrolled(world, services='[]')
    world.aodh.refuse = 'Aodh: quota exceeded'
    for _ in range(3):
        world.do('watching')
        world.clock.advance(watching.LATER + 1)
    assert world.events().count('alarm_broken') == 1
    assert 'quota exceeded' in ours(world)[0].problem
    world.aodh.refuse = ''
    world.do('watching')
    assert ours(world)[0].aodh_alarm_id
    assert ours(world)[0].problem == ''


def test_while_aodh_is_away_nothing_is_lost(world):
    enrolled(world, services='[]')
    world.aodh.away = True
    with pytest.raises(CloudAway):
        world.do('watching')
    world.aodh.away = False
    world.do('watching')
    assert ours(world)[0].aodh_alarm_id in world.aodh.alarms


def test_nothing_is_left_over_of_a_guest_that_is_forgotten_meanwhile(world):
    enrolled(world)
    create = world.aodh.create

    def forgotten(definition):
        made = create(definition)
        with world.database.write() as c:
            alarms.delete_of_guest(c, SERVER_ID)
            guests.forget(c, SERVER_ID)
        return made

    world.aodh.create = forgotten
    world.do('watching')
    assert world.aodh.alarms == {}
    assert ours(world) == []


def test_services_that_are_known_from_the_beginning(world):
    enrolled(world, services='[{"name": "web", "state": "ok", "failures": 0}]')
    world.do('watching')
    assert [a.trigger for a in ours(world)] == ['heartbeat', 'service']
