"""Aodh's alarms of watches: those that will never call are told once, and those that would not."""

import pytest

from aodh_ha.callbacks import ALARM
from aodh_ha.db import alarms, watches
from aodh_ha.exceptions import CloudAway
from aodh_ha.reconciler import watch_alarms as module
from aodh_ha.reconciler.carriers import UNLINKED
from aodh_ha.rules import alarm as alarm_rules
from aodh_ha.rules import watch as rules
from aodh_ha.rules.alarm import RESTARTER, Alarm
from aodh_ha.rules.watch import Watch
from aodh_ha.testing import START
from tests.functional.worker.reconciler.conftest import ALARM_ID, CARRIER
from tests.samples import OTHER_ID, PROJECT, SERVER_ID

WATCH_ID = '0c0c0c0c-0000-4000-8000-000000000001'
NAME = 'wordpress-HttpFailureAlarm-abcdefghijkl'


def add_watch(world, watch_id=WATCH_ID, carrier=CARRIER, restarters=(ALARM_ID,), **changes):
    """A watch, the restarter that it calls, and the alarm in Aodh that carries it."""
    values = {
        'name': NAME,
        'stack_id': '',
        'stack_name': '',
        'namespace': 'system/linux',
        'metric': 'ServiceFailure',
        'dimensions': (),
        'statistic': 'SampleCount',
        'period': 300,
        'evaluation_periods': 1,
        'comparison': 'GreaterThanThreshold',
        'threshold': 2.0,
        'aodh_alarm_id': carrier,
        'created_at': START - 3600,
    }
    watch = Watch(
        id=watch_id, project_id=PROJECT, restarters=tuple(restarters), **(values | changes)
    )
    with world.database.write() as c:
        if not alarms.find(c):
            alarms.add(
                c,
                Alarm(ALARM_ID, PROJECT, SERVER_ID, RESTARTER, 1, None, 'ok', None, START - 3600),
            )
        watches.add(c, watch)
    urls = [world.urls.url(ALARM, r) for r in restarters]
    definition = rules.definition(watch, {'alarm_actions': [*urls, 'http://pager.example.org/']})
    more = {'alarm_id': carrier, 'project_id': PROJECT, 'enabled': True}
    world.aodh.alarms[carrier] = definition | more


def the_watch(world):
    with world.database.read() as c:
        return watches.get(c, WATCH_ID)


def rounds(world, number=3):
    for _ in range(number):
        world.do('reconciler')
        world.pass_time(60)


def gone(world):
    del world.aodh.alarms[CARRIER]


def disabled(world):
    world.aodh.alarms[CARRIER]['enabled'] = False


def silenced(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = ['http://pager.example.org/']


def elsewhere(world):
    token = world.urls.url(ALARM, ALARM_ID).rpartition('/')[2]
    world.aodh.alarms[CARRIER]['alarm_actions'] = [f'http://other.example.org/v1/alarms/{token}']


def of_another(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = [world.urls.url(ALARM, OTHER_ID)]


def astray(world):
    world.aodh.alarms[CARRIER]['gnocchi_resources_threshold_rule']['resource_id'] = OTHER_ID


BROKEN = {
    gone: module.GONE,
    disabled: module.DISABLED,
    silenced: module.ELSEWHERE,
    elsewhere: module.ELSEWHERE,
    of_another: module.ELSEWHERE,
    astray: module.ASTRAY,
}


@pytest.mark.parametrize('break_it', BROKEN)
def test_one_that_will_not_call_is_told_once(world, break_it):
    add_watch(world)
    break_it(world)
    rounds(world)
    assert world.notifications() == [f'watch {NAME}: {BROKEN[break_it]}']
    assert world.events() == ['alarm_broken'], 'the guest that it would have recovered'
    assert the_watch(world).problem == BROKEN[break_it]
    assert world.recoveries() == []
    token = world.urls.url(ALARM, ALARM_ID).rpartition('/')[2]
    assert token not in repr(world.notifications()), 'the URL is a credential'


@pytest.mark.parametrize('before', ['http://', 'trust+http://', 'trust+http://trust-id:delete@'])
def test_nothing_is_wrong_with_one_that_calls_its_restarter_and_others(world, before):
    add_watch(world)
    called = world.aodh.alarms[CARRIER]['alarm_actions']
    world.aodh.alarms[CARRIER]['alarm_actions'] = [u.replace('http://', before) for u in called]
    rounds(world)
    assert (world.notifications(), the_watch(world).problem) == ([], '')


def test_whom_one_without_a_restarter_calls_is_nobodys_business(world):
    add_watch(world, restarters=())
    world.aodh.alarms[CARRIER]['alarm_actions'] = []
    rounds(world)
    assert (world.notifications(), the_watch(world).problem) == ([], '')


def test_one_that_is_mended_is_noted_and_told_when_it_breaks_again(world):
    add_watch(world)
    disabled(world)
    rounds(world)
    world.aodh.alarms[CARRIER]['enabled'] = True
    rounds(world)
    assert the_watch(world).problem == ''
    assert world.events() == ['alarm_broken', 'alarm_mended']
    disabled(world)
    rounds(world)
    assert len(world.notifications()) == 2


def test_one_that_is_just_being_updated_is_not_told(world):
    add_watch(world)
    silenced(world)
    rounds(world, 1)
    assert world.notifications() == []
    world.aodh.alarms[CARRIER]['alarm_actions'] = [world.urls.url(ALARM, ALARM_ID)]
    rounds(world, 1)
    silenced(world)
    rounds(world, 1)
    assert world.notifications() == []


def test_one_without_an_alarm_in_aodh_is_told_when_it_is_old_enough(world):
    add_watch(world, aodh_alarm_id=None, created_at=START - UNLINKED + 1)
    world.do('reconciler')
    assert world.notifications() == []
    world.clock.advance(2)
    world.do('reconciler')
    assert the_watch(world).problem == module.NONE


def test_one_that_is_carried_anew_has_no_problem_any_more(world):
    add_watch(world)
    gone(world)
    world.do('reconciler')
    world.database.run(lambda c: watches.link(c, WATCH_ID, OTHER_ID))
    assert the_watch(world).problem == ''


def test_many_at_once_are_one_notification(world):
    for n in range(10):
        add_watch(world, f'{n:08x}{WATCH_ID[8:]}', f'{n:08x}{CARRIER[8:]}')
    world.aodh.alarms.clear()
    world.do('reconciler')
    (message,) = world.notifications()
    assert message.startswith(f'10 watches: {module.GONE}')


def test_every_one_is_looked_at(world, monkeypatch):
    monkeypatch.setattr(module, 'PAGE', 2)
    for n in range(3):
        add_watch(world, f'{n:08x}{WATCH_ID[8:]}', f'{n:08x}{CARRIER[8:]}')
    world.aodh.alarms.clear()
    world.do('reconciler')
    assert len(world.notifications()) == 3


def test_one_that_the_list_left_out_but_exists_is_not_gone(world):
    add_watch(world)
    world.aodh.hidden.add(CARRIER)
    world.do('reconciler')
    assert world.notifications() == []


def test_while_aodh_is_away_nothing_is_concluded(world):
    add_watch(world)
    gone(world)
    world.aodh.away = True
    with pytest.raises(CloudAway):
        world.do('reconciler')
    assert the_watch(world).problem == ''


def test_a_guests_alarm_beside_it_is_looked_at_as_before(world):
    add_watch(world)
    other = f'1{CARRIER[1:]}'
    world.add_alarm(OTHER_ID, other)
    world.aodh.alarms[other] |= {'state': alarm_rules.ALARM}
    world.do('reconciler')
    assert [r.alarm_id for r in world.recoveries()] == [OTHER_ID]
    assert world.notifications() == []
