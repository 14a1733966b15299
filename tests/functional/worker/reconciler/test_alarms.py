"""Aodh's alarms against ours: lost callbacks are caught up with, broken alarms told once."""

import pytest

from aodh_ha.callbacks import ALARM, TELEMETRY
from aodh_ha.db import alarms, guests, models, queue
from aodh_ha.exceptions import CloudAway
from aodh_ha.reconciler import alarms as module
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, RECOVERED
from aodh_ha.testing import START
from tests.functional.worker.reconciler.conftest import ALARM_ID, CARRIER, PUBLIC_URL
from tests.samples import LADDER, OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID


def fire(world, **values):
    world.aodh.alarms[CARRIER] |= {'state': 'alarm'} | values


def test_a_recovery_is_opened_whose_callback_was_lost_and_only_once(world):
    world.add_alarm()
    fire(world)
    world.do('reconciler')
    world.clock.advance(60)
    world.do('reconciler')
    (recovery,) = world.recoveries()
    assert (recovery.server_id, recovery.alarm_id) == (SERVER_ID, ALARM_ID)
    assert 'no callback' in recovery.reason
    assert recovery.callbacks == 1
    assert world.the_alarm().state == 'alarm'


def test_a_restarter_has_no_alarm_in_aodh_and_nothing_is_wrong_with_that(world):
    world.add_alarm()
    with world.database.write() as c:
        c.execute(models.alarms.update().values(aodh_alarm_id=None, trigger='restarter'))
    world.aodh.alarms.clear()
    world.clock.advance(module.UNLINKED + 1)
    world.do('reconciler')
    assert world.the_alarm().problem == ''


def test_nothing_is_opened_while_aodh_says_ok(world):
    world.add_alarm()
    world.do('reconciler')
    assert world.recoveries() == []


def test_a_callback_that_may_still_be_on_its_way_is_waited_for(world):
    world.add_alarm()
    fire(world, state_timestamp=world.iso(START - module.IN_FLIGHT + 1))
    world.do('reconciler')
    assert world.recoveries() == []
    world.clock.advance(1)
    world.do('reconciler')
    assert len(world.recoveries()) == 1


def test_aodhs_word_alone_opens_nothing_the_guest_is_asked(world):
    world.add_alarm()
    fire(world)
    world.beat()
    world.do('reconciler')
    assert world.recoveries() == []


def test_nothing_is_opened_while_nobody_listens(world):
    world.add_alarm()
    fire(world)
    world.listening = False
    world.clock.advance(30)
    world.do('reconciler')
    assert world.recoveries() == []


def test_a_failed_service_is_caught_up_with_too(world):
    world.add_alarm(trigger='service')
    fire(world)
    world.beat(failures=4)
    world.do('reconciler')
    assert [r.trigger for r in world.recoveries()] == ['service']


@pytest.mark.parametrize('status', [FAILED, RECOVERED])
def test_what_has_ended_is_not_opened_again_in_the_same_silence(world, status):
    world.add_alarm()
    fire(world)
    world.do('reconciler')
    recovery = world.claim()
    world.database.run(lambda c: queue.finish(c, recovery, world.clock(), status, 'so'))
    for _ in range(20):
        world.pass_time(60)
        world.do('reconciler')
    assert [(r.status, r.callbacks) for r in world.recoveries()] == [(status, 1)]


def test_what_was_left_alone_is_looked_at_again_from_time_to_time(world):
    world.add_alarm()
    fire(world)
    world.do('reconciler')
    recovery = world.claim()
    world.database.run(lambda c: queue.finish(c, recovery, world.clock(), LEFT_ALONE, 'locked'))
    world.pass_time(60)
    world.do('reconciler')
    assert world.recoveries()[0].status == LEFT_ALONE
    world.pass_time(queue.RECHECK)
    world.do('reconciler')
    assert world.recoveries()[0].status == 'queued'


def test_an_open_recovery_of_another_alarm_is_joined_by_none(world):
    world.add_alarm()
    fire(world)
    guest = world.guest()
    world.database.run(
        lambda c: queue.enqueue(c, guest, LADDER, 'heartbeat', None, 'so', world.clock())
    )
    world.do('reconciler')
    assert [r.callbacks for r in world.recoveries()] == [1]


def test_a_lost_ok_is_noted(world):
    world.add_alarm()
    world.database.run(lambda c: alarms.set_state(c, ALARM_ID, 'alarm', START))
    world.do('reconciler')
    assert world.the_alarm().state == 'ok'


# ---- alarms that will never call


def gone(world):
    del world.aodh.alarms[CARRIER]


def disabled(world):
    world.aodh.alarms[CARRIER]['enabled'] = False


def elsewhere(world):
    token = world.urls.url(ALARM, ALARM_ID).rpartition('/')[2]
    world.aodh.alarms[CARRIER]['alarm_actions'] = [f'http://other.example.org/v1/alarms/{token}']


def silenced(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = []


def of_another(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = [world.urls.url(ALARM, OTHER_ID)]


def telemetrys(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = [world.urls.url(TELEMETRY, ALARM_ID)]


def nonsense(world):
    world.aodh.alarms[CARRIER]['alarm_actions'] = [f'{PUBLIC_URL}/v1/alarms/nonsense']


BROKEN = {
    gone: module.GONE,
    disabled: module.DISABLED,
    elsewhere: module.ELSEWHERE,
    silenced: module.ELSEWHERE,
    of_another: module.ELSEWHERE,
    telemetrys: module.ELSEWHERE,
    nonsense: module.ELSEWHERE,
}


@pytest.mark.parametrize('break_it', BROKEN)
def test_an_alarm_that_will_not_call_is_told_once_and_opens_nothing(world, break_it):
    world.add_alarm()
    fire(world)
    break_it(world)
    for _ in range(3):
        world.do('reconciler')
        world.pass_time(60)
    assert world.recoveries() == []
    (message,) = world.notifications()
    assert message == f'alarm {ALARM_ID} of guest db1: {BROKEN[break_it]}'
    assert world.events() == ['alarm_broken']
    assert world.the_alarm().problem == BROKEN[break_it]
    token = world.urls.url(ALARM, ALARM_ID).rpartition('/')[2]
    assert token not in repr(world.notifications()), 'the URL is a credential'


@pytest.mark.parametrize('before', ['trust+http://', 'trust+http://trust-id:delete@'])
@pytest.mark.parametrize('linked', [True, False])
def test_an_alarm_whose_call_brings_a_token_is_as_it_should_be(world, before, linked):
    called = world.urls.url(ALARM, ALARM_ID).replace('http://', before)
    world.add_alarm(alarm_actions=[called], linked=linked)
    fire(world)
    world.do('reconciler')
    assert world.the_alarm().problem == ''
    assert world.the_alarm().aodh_alarm_id == CARRIER
    assert len(world.recoveries()) == 1


def test_an_alarm_that_is_mended_is_noted_and_counts_again(world):
    world.add_alarm()
    disabled(world)
    world.do('reconciler')
    world.aodh.alarms[CARRIER]['enabled'] = True
    fire(world)
    world.do('reconciler')
    assert world.events() == ['alarm_broken', 'alarm_mended', 'opened']
    assert world.the_alarm().problem == ''
    assert len(world.recoveries()) == 1
    disabled(world)
    world.do('reconciler')
    assert len(world.notifications()) == 2


def test_many_broken_alarms_at_once_are_one_notification(world):
    for n in range(10):
        server_id = f'{n:08x}{SERVER_ID[8:]}'
        world.add_guest(server_id)
        world.add_alarm(f'{n:08x}{ALARM_ID[8:]}', f'{n:08x}{CARRIER[8:]}', server_id=server_id)
    world.aodh.alarms.clear()
    world.do('reconciler')
    (message,) = world.notifications()
    assert message.startswith(f'10 alarms: {module.GONE}')


def test_an_alarm_that_the_list_left_out_but_exists_is_not_gone(world):
    world.add_alarm()
    world.aodh.hidden.add(CARRIER)
    world.do('reconciler')
    assert world.notifications() == []


def test_while_aodh_is_away_nothing_is_concluded(world):
    world.add_alarm()
    gone(world)
    world.aodh.away = True
    with pytest.raises(CloudAway):
        world.do('reconciler')
    assert world.notifications() == []
    assert world.the_alarm().problem == ''


def test_an_alarm_without_one_in_aodh_is_told_when_it_is_old_enough(world):
    world.add_alarm(linked=False)
    gone(world)
    with world.database.write() as c:
        c.execute(models.alarms.update().values(created_at=START - module.UNLINKED + 1))
    world.do('reconciler')
    assert world.notifications() == []
    world.clock.advance(2)
    world.do('reconciler')
    assert world.the_alarm().problem == module.NONE


def test_an_alarm_that_nobody_linked_is_found_by_its_url(world):
    world.add_alarm(linked=False)
    fire(world)
    world.do('reconciler')
    assert world.the_alarm().aodh_alarm_id == CARRIER
    assert len(world.recoveries()) == 1


def test_another_projects_aodh_alarm_is_not_taken_for_ours(world):
    world.add_alarm(linked=False, project_id=OTHER_PROJECT)
    fire(world)
    world.do('reconciler')
    assert world.the_alarm().aodh_alarm_id is None
    assert world.recoveries() == []


def test_telemetry_that_does_not_tell_of_a_long_silence_is_told_and_recovers_nothing(world):
    world.add_alarm()
    world.pass_time(module.LATE)
    world.do('reconciler')
    assert world.the_alarm().problem == module.DEAF
    assert world.recoveries() == []


def test_a_short_silence_is_not_held_against_telemetry(world):
    world.add_alarm()
    world.pass_time(module.LATE - 60)
    world.do('reconciler')
    assert world.the_alarm().problem == ''


# ---- guests whose server was replaced


def test_an_aodh_alarm_follows_its_guest_to_the_server_that_replaced_the_old_one(world):
    world.add_alarm()
    world.add_guest(OTHER_ID)
    with world.database.write() as c:
        c.execute(models.alarms.update().values(server_id=OTHER_ID))
        resource_id = guests.get(c, OTHER_ID).resource_id
    world.do('reconciler')
    carrier = world.aodh.alarms[CARRIER]
    assert carrier['gnocchi_resources_threshold_rule']['resource_id'] == resource_id
    assert carrier['gnocchi_resources_threshold_rule']['granularity'] == 10
    assert OTHER_ID in carrier['description']
    assert world.notifications() == []


def test_one_that_cannot_follow_is_told(world):
    world.add_alarm()
    world.add_guest(OTHER_ID)
    world.aodh.refuse = 'Aodh: Not Authorized'
    with world.database.write() as c:
        c.execute(models.alarms.update().values(server_id=OTHER_ID))
    world.do('reconciler')
    assert world.the_alarm().problem == module.ASTRAY


def test_one_bad_alarm_does_not_keep_the_others(world):
    world.add_alarm()
    fire(world)
    with world.database.write() as c:
        alarm = world.the_alarm()
        values = {'id': OTHER_ID, 'server_id': OTHER_ID, 'aodh_alarm_id': OTHER_ID}
        alarms.add(c, type(alarm)(**(vars(alarm) | values)))
    world.aodh.alarms[OTHER_ID] = world.aodh.alarms[CARRIER] | {
        'alarm_id': OTHER_ID,
        'project_id': PROJECT,
        'alarm_actions': [world.urls.url(ALARM, OTHER_ID)],
    }
    world.aodh.alarms['00000000-0000-4000-8000-000000000000'] = {
        'alarm_id': '00000000-0000-4000-8000-000000000000',
        'alarm_actions': None,
        'type': 'gnocchi_resources_threshold',
    }
    world.do('reconciler')
    assert len(world.recoveries()) == 1
