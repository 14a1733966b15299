"""Enrolment: Nova says whose server it is."""

import pytest

from aodh_ha.db import guests
from aodh_ha.enrolment import BACKOFF, PATIENCE, Enrolment
from aodh_ha.exceptions import CloudAway
from aodh_ha.rules.guest import ENROLLED, PENDING, REFUSED
from aodh_ha.testing import START
from tests import samples
from tests.functional.worker.recovery.conftest import World
from tests.samples import OTHER_ID, OTHER_PROJECT, PROJECT, SERVER_ID

IDS = [f'{n:08x}{SERVER_ID[8:]}' for n in range(PATIENCE + 2)]


@pytest.fixture
def world(database):
    return World(database)


def pending(world, **changes):
    guest = samples.guest(status=PENDING, **changes)
    world.database.run(lambda c: guests.forget(c, guest.server_id))
    world.database.run(lambda c: guests.enroll(c, guest))


def get(world, server_id=SERVER_ID):
    with world.database.read() as c:
        return guests.get(c, server_id)


def enrolment(world):
    return Enrolment(world.database, world.nova, world.clock)


@pytest.mark.parametrize(('project', 'status'), [(PROJECT, ENROLLED), (OTHER_PROJECT, REFUSED)])
def test_a_guest_is_enrolled_when_nova_says_it_is_the_callers(world, project, status):
    pending(world, project_id=project)
    enrolment(world).confirm(START)
    guest = get(world)
    assert guest.status == status
    assert bool(guest.status_reason) == (status == REFUSED)


def test_who_enrols_learns_nothing_about_others_servers(world):
    pending(world, project_id=OTHER_PROJECT)
    enrolment(world).confirm(START)
    theirs = get(world).status_reason
    world.nova.delete(SERVER_ID)
    pending(world, project_id=OTHER_PROJECT)
    enrolment(world).confirm(START)
    assert get(world).status_reason == theirs


def test_while_nova_is_away_a_guest_stays_pending_and_is_enrolled_when_it_is_back(world):
    pending(world)
    world.nova.away = True
    duty = enrolment(world)
    duty.confirm(world.clock())
    assert get(world).status == PENDING
    world.nova.away = False
    duty.confirm(world.clock.advance(1))
    assert get(world).status == PENDING, 'asked again too soon'
    duty.confirm(world.clock.advance(BACKOFF))
    assert get(world).status == ENROLLED


def test_guests_that_nova_does_not_answer_about_stop_nobody_behind_them(world):
    for server_id in IDS:
        pending(world, server_id=server_id)
    pending(world, server_id=OTHER_ID)
    world.nova.add(OTHER_ID, PROJECT)
    asked = []

    def broken(server_id):
        asked.append(server_id)
        if server_id in IDS:
            raise CloudAway('Nova: 500 for this one')

    world.nova.on_read = broken
    duty = enrolment(world)
    duty.confirm(world.clock())
    assert asked == IDS[:PATIENCE], 'a Nova that is away is not asked about everybody'
    duty.confirm(world.clock.advance(0.5))
    assert get(world, OTHER_ID).status == ENROLLED
    assert [get(world, i).status for i in IDS] == [PENDING] * len(IDS)


def test_the_boot_grace_counts_from_the_confirmation(world):
    pending(world, last_seen=None)
    world.clock.advance(50)
    enrolment(world).confirm(world.clock())
    assert get(world).enrolled_at == START + 50
