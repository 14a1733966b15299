"""What guests measured, in the database, on three engines."""

import pytest

from aodh_ha.db import guests, metrics, prune
from aodh_ha.db.metrics import MOST, Measured
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.guest import PENDING, REFUSED
from aodh_ha.rules.heartbeat import Metric
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_ID, OTHER_PROJECT, SERVER_ID

CPU = Metric('CPUUtilization', 12.5, 'Percent')


@pytest.fixture(autouse=True)
def guest(database):
    database.run(lambda c: guests.enroll(c, samples.guest()))


def record(database, *found, now=START, server_id=SERVER_ID):
    database.run(lambda c: metrics.record(c, server_id, found, now))


def of_guest(database, server_id=SERVER_ID):
    with database.read() as c:
        return metrics.of_guest(c, server_id)


def values(database):
    return {m.name: (m.value, m.at) for m in of_guest(database)}


def test_the_newest_value_of_each_name_is_kept(database):
    record(database, CPU, Metric('cpuUtilization', -1e300), now=START)
    record(database, Metric('CPUUtilization', 99.0, '%'), now=START + 60)
    assert of_guest(database) == [
        Measured(SERVER_ID, 'CPUUtilization', 99.0, '%', START + 60, START + 60),
        Measured(SERVER_ID, 'cpuUtilization', -1e300, '', START, START),
    ]


def test_a_value_that_comes_late_has_its_own_time_and_replaces_no_newer_one(database):
    record(database, Metric('late', 1.0, age=40.0))
    assert values(database) == {'late': (1.0, START - 40)}
    record(database, Metric('late', 2.0), now=START + 1)
    record(database, Metric('late', 3.0, 'other', age=30.0), now=START + 2)
    assert of_guest(database) == [Measured(SERVER_ID, 'late', 2.0, '', START + 1, START + 1)]


def test_of_several_values_in_one_report_the_newest_is_kept(database):
    record(database, Metric('m', 1.0, age=5.0), Metric('m', 2.0, age=1.0), Metric('m', 3.0, age=9))
    assert values(database) == {'m': (2.0, START - 1)}


def test_a_clock_that_was_set_back_does_not_keep_new_values_out(database):
    record(database, CPU, Metric('other', 1.0), now=START + 7200)
    record(database, Metric('CPUUtilization', 50.0), now=START)
    assert values(database) == {'CPUUtilization': (50.0, START)}


def test_a_guest_may_have_so_many_names_and_one_more_is_refused_with_all_that_came(database):
    for n in range(0, MOST, 20):
        record(database, *[Metric(f'm{i}', 1.0) for i in range(n, n + 20)])
    with pytest.raises(InvalidRequest, match=f'may have {MOST} metrics'):
        record(database, Metric('m0', 2.0), Metric('new', 1.0), now=START + 1)
    assert len(of_guest(database)) == MOST
    assert values(database)['m0'] == (1.0, START)
    record(database, Metric('m0', 2.0), now=START + 1)
    assert values(database)['m0'] == (2.0, START + 1)


def test_many_guests_at_once_and_what_is_too_much_is_counted(database):
    database.run(lambda c: guests.enroll(c, samples.guest(server_id=OTHER_ID)))
    many = [Metric(f'm{n}', n) for n in range(MOST + 2)]
    told = [(SERVER_ID, many, START), (OTHER_ID, [CPU], START), (OTHER_ID, [CPU], START + 1)]
    assert database.run(lambda c: metrics.record_many(c, told, START + 2)) == {SERVER_ID: 2}
    assert len(of_guest(database)) == MOST
    assert of_guest(database, OTHER_ID) == [
        Measured(OTHER_ID, 'CPUUtilization', 12.5, 'Percent', START + 1, START + 2)
    ]


def test_what_came_lately_is_found_however_old_it_is_and_of_enrolled_guests_only(database):
    other = samples.guest(server_id=OTHER_ID, status=PENDING)
    database.run(lambda c: guests.enroll(c, other))
    record(database, CPU)
    record(database, Metric('late', 1.0, 's', age=3600.0), now=START + 10)
    record(database, CPU, server_id=OTHER_ID, now=START + 10)
    with database.read() as c:
        (found,) = metrics.since(c, START + 5)
        assert len(metrics.since(c, START)) == 2
    guest = samples.guest()
    assert (found.project_id, found.guest_name) == (guest.project_id, guest.name)
    assert found.measured == Measured(SERVER_ID, 'late', 1.0, 's', START - 3590, START + 10)


def test_of_a_guest_that_is_not_enrolled_nothing_is_kept(database):
    record(database, CPU, server_id=OTHER_ID)
    assert of_guest(database, OTHER_ID) == []


def test_a_guest_that_is_forgotten_leaves_nothing_behind(database):
    record(database, CPU)
    database.run(lambda c: guests.forget(c, SERVER_ID))
    assert of_guest(database) == []


def test_who_enrols_a_server_sees_nothing_of_a_stranger_who_tried_to(database):
    database.run(lambda c: guests.forget(c, SERVER_ID))
    strange = samples.guest(project_id=OTHER_PROJECT, status=PENDING)
    database.run(lambda c: guests.enroll(c, strange))
    record(database, CPU)
    database.run(lambda c: guests.confirm(c, strange, START, '', 'not yours'))
    with database.read() as c:
        assert guests.get(c, SERVER_ID).status == REFUSED
    database.run(lambda c: guests.enroll(c, samples.guest(status=PENDING)))
    assert of_guest(database) == []


def test_what_has_no_new_value_is_pruned_in_batches(database):
    record(database, *[Metric(f'old{n}', n) for n in range(3)])
    record(database, CPU, now=START + 10)
    assert database.run(lambda c: prune.metrics(c, START + 5, limit=2)) == 2
    assert database.run(lambda c: prune.metrics(c, START + 5, limit=2)) == 1
    assert database.run(lambda c: prune.metrics(c, START + 5, limit=2)) == 0
    assert values(database) == {'CPUUtilization': (12.5, START + 10)}
