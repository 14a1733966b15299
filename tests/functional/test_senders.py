"""Guests and their commands, as the gateway looks them up, on three engines."""

from aodh_ha.db import commands, guests, senders
from aodh_ha.rules.guest import REFUSED
from aodh_ha.rules.heartbeat import Service
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_ID, SERVER_ID, pending

MISSING = '99999999-9999-4999-8999-999999999999'


def test_guests_are_found_as_they_are_with_the_commands_that_wait(database):
    services = (Service('wéb', 'failed', 2),)
    one = samples.guest(services=services, failures=2, failing_since=START, opted_out=True)
    other = samples.guest(server_id=OTHER_ID, status=REFUSED)
    for guest in (one, other):
        database.run(lambda c, g=guest: guests.enroll(c, g))
    with database.write() as c:
        for n in range(commands.AT_ONCE + 2):
            commands.add(c, SERVER_ID, 'report', {}, None, START + n, START + 60)
        commands.add(c, OTHER_ID, 'report', {}, None, START - 60, START)  # expired
        waiting = pending(c, SERVER_ID, START)
    assert len(waiting) == commands.AT_ONCE
    with database.read() as c:
        found = senders.look(c, [SERVER_ID, OTHER_ID, MISSING], START)
    assert found == {SERVER_ID: (one, waiting), OTHER_ID: (other, [])}
    if database.is_sqlite:
        quick = senders.Quick(database)
        assert {i: quick.look(i, START) for i in found} == found
        assert quick.look(MISSING, START) is None
