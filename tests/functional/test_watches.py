"""What the databases are asked about watches: enough for the rules, and little more."""

from dataclasses import replace

import pytest

from aodh_ha.db import gateways, models, watches
from aodh_ha.rules import cloudwatch, gateway
from aodh_ha.rules import watch as rules
from aodh_ha.rules.cloudwatch import Datum
from aodh_ha.rules.watch import Watch
from aodh_ha.testing import START
from tests.samples import OTHER_PROJECT, PROJECT, guest

STACK = '11111111-2222-4333-8444-555555555555'
FAILURES = Watch(
    id='33333333-3333-4333-8333-333333333300',
    project_id=PROJECT,
    name='shop-a-Failures-abcdefghijkl',
    stack_id=STACK,
    stack_name='shop-a',
    namespace='system/linux',
    metric='ServiceFailure',
    dimensions=(),
    statistic='SampleCount',
    period=300,
    evaluation_periods=1,
    comparison='GreaterThanThreshold',
    threshold=2.0,
    restarters=(),
    aodh_alarm_id='44444444-3333-4333-8333-333333333300',
    created_at=START - 86400,
)
NAMES = (
    *('Failures', 'Other-Failures', 'a-Failures', 'failures', 'Failures ', '%', '_', '100%_busy'),
    *(
        'shop-a-Failures-mnopqrstuvwx',
        'shop-b-Failures-abcdefghijkl',
        'shop-a-100%_busy-abcdefghijkl',
    ),
    *('shop-a-100xxbusy-abcdefghijkl', 'Fa\\ilures', 'Überlast', 'shop-a-Überlast-abcdefghijkl'),
)
WATCHES = [
    FAILURES,
    *(
        replace(
            FAILURES,
            id=f'33333333-3333-4333-8333-3333333333{n:02}',
            aodh_alarm_id=f'44444444-3333-4333-8333-3333333333{n:02}',
            name=name,
            metric=('ServiceFailure', 'Load')[n % 2],
        )
        for n, name in enumerate(NAMES, 1)
    ),
]


def datum(alarm_name='', name='ServiceFailure', namespace='system/linux'):
    return Datum(name, 1.0, 'Counter', None, '', alarm_name, namespace)


@pytest.fixture
def many(database):
    with database.write() as c:
        for watch in WATCHES:
            watches.add(c, watch)
        foreign = '55555555-3333-4333-8333-333333333300'
        watches.add(c, replace(FAILURES, id=foreign, aodh_alarm_id=None, project_id=OTHER_PROJECT))
    return database


def meant(database, *told):
    with database.read() as c:
        return watches.meant(c, [PROJECT], told)


WANTED = (
    *NAMES,
    *(FAILURES.name, FAILURES.id, FAILURES.aodh_alarm_id, 'busy', 'Load', 'a-b-c', 'nothing'),
    *('shop-a-failures-abcdefghijkl', 'a\0b', '\0', '\ud800', '-' * 255, "'; --", '\\'),
    'shop-a-Failures-ABCDEFGHIJKL',
)


@pytest.mark.parametrize('wanted', WANTED)
def test_whatever_a_sample_names_is_found(many, wanted):
    told = datum(wanted)
    owner = guest(stack_id=STACK, stack_name='shop-a')
    found = meant(many, told)
    needed = [
        w
        for w in WATCHES
        if rules.wants(w, told, owner)
        or cloudwatch.is_named(w.as_alarm(owner.server_id), owner.stack_name, wanted)
    ]
    assert [w for w in needed if w not in found] == []
    assert len(found) <= len(needed) + 3, 'little more is read'


def test_without_a_name_the_metric_counts(many):
    assert meant(many, datum()) == [w for w in WATCHES if w.metric == 'ServiceFailure']
    assert meant(many, datum(name='Load'), datum()) == WATCHES
    assert meant(many, datum(namespace='AWS/ELB')) == []
    assert meant(many, datum(namespace='\0', name='x')) == []
    assert meant(many) == []


def test_a_request_may_name_as_much_as_it_can(many):
    long = '-'.join('a' * 121) + '-abcdefghijkl'
    assert len(long) <= 255
    told = [datum(f'{n:03}{long[3:]}') for n in range(cloudwatch.MAX_METRICS)]
    assert meant(many, *told, datum('Failures'))[0] == FAILURES


def test_each_watch_is_given_what_came_in_its_own_window(database, monkeypatch):
    short, long = FAILURES, replace(WATCHES[1], period=600, evaluation_periods=2)
    with database.write() as c:
        for watch in (short, long):
            watches.add(c, watch)
            for ago in (0, 299, 300, 301, 1199, 1200):
                row = {'watch_id': watch.id, 'at': START - ago, 'count': 1.0}
                row |= dict.fromkeys(('total', 'low', 'high'), 1.0)
                c.execute(models.watch_samples.insert().values(row))
        values = {'name': f'{gateway.CLOUDWATCH}:h:1', 'alive_at': START, 'listening_since': 0.0}
        c.execute(models.gateways.insert().values(values))
    given = {}
    counted = rules.value

    def spy(watch, samples, *more):
        given[watch.id] = sorted(START - s.at for s in samples)
        return counted(watch, samples, *more)

    monkeypatch.setattr(rules, 'value', spy)
    with database.read() as c:
        assert gateways.listening_since(c, START, gateway.CLOUDWATCH) is not None
        found = watches.values(c, [short, long], START)
    assert given == {short.id: [0, 299], long.id: [0, 299, 300, 301, 1199]}
    assert found == [(short, 2.0), (long, 1.0)]


@pytest.mark.parametrize('count', [1, watches.FEW + 1, 2000])
def test_who_calls_a_restarter_is_found(database, count):
    ids = [f'66666666-3333-4333-8333-{n:012}' for n in range(count)]
    calling = replace(FAILURES, restarters=(ids[0], '77777777-3333-4333-8333-333333333300'))
    with database.write() as c:
        watches.add(c, calling)
        watches.add(c, replace(WATCHES[1], restarters=('88888888-3333-4333-8333-333333333300',)))
    with database.read() as c:
        assert watches.of_restarters(c, PROJECT, ids) == [calling]
        assert watches.of_restarters(c, OTHER_PROJECT, ids) == []
        assert watches.of_restarters(c, PROJECT, []) == []
