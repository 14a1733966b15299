"""Of a guest that is forgotten nothing stays in Gnocchi; of one that is enrolled again, all."""

import pytest

from aodh_ha.db import guests
from aodh_ha.exceptions import ActionRefused, CloudAway
from aodh_ha.reconciler.leftovers import GRACE, Leftovers
from aodh_ha.rules.heartbeat import resource_id
from tests.samples import OTHER_ID, SERVER_ID


class Gnocchi:
    def __init__(self):
        self.forgotten = []
        self.error = None

    def forget(self, resource_id):
        if self.error:
            raise self.error
        self.forgotten.append(resource_id)


@pytest.fixture
def gnocchi():
    return Gnocchi()


@pytest.fixture
def clear(world, gnocchi):
    world.conf.worker.reconcile_interval = 5.0
    duty = Leftovers(world.conf, world.database, gnocchi)

    def after(seconds):
        world.clock.advance(seconds)
        return duty.clear(world.clock())

    return after


def forget(world, server_id):
    world.database.run(lambda c: guests.forget(c, server_id))


def test_the_measures_of_a_forgotten_guest_go_once_no_sample_can_come_any_more(
    world, gnocchi, clear
):
    forget(world, SERVER_ID)
    assert clear(0) == 0
    assert clear(GRACE - 1) == 0
    assert clear(1) == 1
    assert gnocchi.forgotten == [resource_id(SERVER_ID)]
    assert clear(GRACE) == 0, 'once'


def test_those_of_a_guest_that_is_enrolled_again_stay(world, gnocchi, clear):
    world.add_guest(OTHER_ID)
    forget(world, OTHER_ID)
    clear(0)
    world.add_guest(OTHER_ID)
    clear(GRACE)
    forget(world, OTHER_ID)
    clear(GRACE)
    assert gnocchi.forgotten == [], 'its grace begins anew'
    clear(GRACE)
    assert gnocchi.forgotten == [resource_id(OTHER_ID)]


def test_they_go_later_when_gnocchi_does_not_answer(world, gnocchi, clear):
    forget(world, SERVER_ID)
    clear(0)
    gnocchi.error = CloudAway('Gnocchi: no answer')
    with pytest.raises(CloudAway):
        clear(GRACE)
    gnocchi.error = None
    assert clear(0) == 1


def test_what_gnocchi_refuses_to_delete_keeps_nothing_else_waiting(world, gnocchi, clear):
    forget(world, SERVER_ID)
    clear(0)
    gnocchi.error = ActionRefused('Gnocchi answered 403')
    assert clear(GRACE) == 0
    gnocchi.error = None
    assert clear(GRACE - 1) == 0
    assert clear(1) == 1
