"""What happened to a guest's services, told later, in the audit trail."""

import json

import pytest

from aodh_ha.db import audit
from tests.functional.http.service import refused
from tests.samples import SERVER_ID
from webhook.v1.heartbeats import EVENTS_AN_HOUR


def event(n=1, **more):
    return {'id': f'{n:016x}', 'service': 'web', 'state': 'failed', 'ago': 0.5, **more}


def tell(service, key, *events):
    return service.beat(key, json.dumps({'events': list(events)}).encode())


def trail(service):
    with service.database.read() as c:
        return audit.of_guest(c, SERVER_ID, 1000, kind='service')


def test_what_happened_to_a_service_is_recorded_with_its_own_time(service):
    key = service.enrolled()
    told = [event(1, ago=90.0, detail='HTTP 500'), event(2, state='restarted', ago=0.2)]
    assert tell(service, key, *told).status_code == 202
    first, second = trail(service)
    assert first.message == 'web: failed (90 s before it was heard of): HTTP 500'
    assert first.at == pytest.approx(service.clock() - 90)
    assert (second.message, second.data['state']) == ('web: restarted', 'restarted')
    shown = service.call('GET', f'/v1/guests/{SERVER_ID}').get_json()['events']
    assert [e['message'] for e in shown if e['kind'] == 'service'] == [
        first.message,
        second.message,
    ]


def test_an_event_that_is_told_again_is_recorded_once(quick):
    key = quick.enrolled()
    tell(quick, key, event(1))
    assert tell(quick, key, event(1), event(2)).status_code == 202
    assert [e.data['id'] for e in trail(quick)] == [event(1)['id'], event(2)['id']]


def test_a_guest_fills_the_trail_with_so_many_events_an_hour(quick):
    key = quick.enrolled()
    for n in range(EVENTS_AN_HOUR // 32 + 2):
        many = [event(100 * n + m) for m in range(32)]
        assert tell(quick, key, *many).status_code == 202
    assert len(trail(quick)) == EVENTS_AN_HOUR
    quick.clock.advance(3601)
    tell(quick, key, event(1))
    assert len(trail(quick)) == EVENTS_AN_HOUR  # the very first one is known
    tell(quick, key, event(9999))
    assert len(trail(quick)) == EVENTS_AN_HOUR + 1


@pytest.mark.parametrize(
    'events',
    [
        {},
        [1],
        [event(n) for n in range(33)],
        [event(id='')],
        [event(id='x' * 33)],
        [event(service=None)],
        [event(service='\x00')],
        [event(state='dead')],
        [event(state=[])],
        [event(ago=-1)],
        [event(ago='1')],
        [event(ago=None)],
        [event(ago=10**400)],
        [event(detail=1)],
        [event(detail='x' * 501)],
    ],
)
def test_what_is_no_event_is_refused(quick, events):
    key = quick.enrolled()
    answer = quick.beat(key, json.dumps({'events': events}).encode())
    refused(answer, 400, 'bad_request')
    assert trail(quick) == []
