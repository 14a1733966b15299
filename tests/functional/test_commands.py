"""Commands for guests, on three databases: handed until answered, answered once, over in time."""

import uuid

import pytest

from aodh_ha.db import commands
from aodh_ha.exceptions import NotFound
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_ID, SERVER_ID


def add(database, server_id=SERVER_ID, at=START, seconds=60, **more):
    values = {'kind': commands.RESTART, 'arguments': {'service': 'web'}, 'recovery_id': None}
    return database.run(
        lambda c: commands.add(c, server_id, now=at, expires_at=at + seconds, **(values | more))
    )


def pending(database, now=START, server_id=SERVER_ID):
    with database.read() as c:
        return [x.id for x in samples.pending(c, server_id, now)]


def get(database, command_id, now=None):
    with database.read() as c:
        return commands.get(c, command_id, now)


def finish(database, command_id, ok=True, server_id=SERVER_ID, refused=False, at=START + 5):
    return database.run(
        lambda c: commands.finish(c, server_id, command_id, ok, 'so it went', at, refused)
    )


def test_a_command_waits_for_its_guest_alone_and_in_order(database):
    second = add(database, at=START + 1)
    first = add(database)
    other = add(database, OTHER_ID)
    assert pending(database) == [first, second]
    assert pending(database, server_id=OTHER_ID) == [other]
    command = get(database, first)
    assert (command.status, command.name) == (commands.QUEUED, 'service.restart web')
    assert (command.created_at, command.expires_at) == (START, START + 60)
    with pytest.raises(NotFound):
        get(database, str(uuid.uuid4()))


def test_a_command_of_no_known_kind_is_none(database):
    with pytest.raises(ValueError, match='there are service'):
        add(database, kind='rm -rf /')


def test_the_same_id_is_one_command(database):
    name = str(uuid.uuid4())
    assert add(database, command_id=name) == name
    finish(database, name)
    assert add(database, command_id=name, at=START + 9) == name
    assert get(database, name).status == commands.DONE
    assert pending(database) == []


def test_what_was_handed_is_handed_again_until_its_result_is_here(database):
    command = add(database)
    database.run(lambda c: commands.handed(c, [command], START + 1))
    database.run(lambda c: commands.handed(c, [command], START + 2))
    found = get(database, command)
    assert (found.status, found.handed_at) == (commands.HANDED, START + 1)
    assert pending(database) == [command]
    assert finish(database, command)
    assert pending(database) == []


@pytest.mark.parametrize(
    ('told', 'status'),
    [
        ({'ok': True}, 'done'),
        ({'ok': False}, 'failed'),
        ({'ok': False, 'refused': True}, 'refused'),
    ],
)
def test_the_first_result_counts(database, told, status):
    command = add(database)
    assert finish(database, command, **told)
    assert not finish(database, command, ok=not told['ok'], at=START + 9)
    found = get(database, command)
    assert (found.status, found.result, found.finished_at) == (status, 'so it went', START + 5)


def test_a_guest_speaks_of_its_own_commands_only(database):
    command = add(database)
    assert not finish(database, command, server_id=OTHER_ID)
    assert not finish(database, str(uuid.uuid4()))
    assert get(database, command).status == commands.QUEUED


def test_a_command_that_is_over_is_not_handed_and_a_late_result_still_counts(database):
    command = add(database, seconds=10)
    lasting = add(database, at=START + 1)
    assert pending(database, START + 9.9) == [command, lasting]
    assert pending(database, START + 10) == [lasting]
    assert get(database, command, START + 9.9).status == commands.QUEUED
    assert get(database, command, START + 10).status == commands.EXPIRED
    assert finish(database, command, at=START + 30)
    assert get(database, command, START + 31).status == commands.DONE


def test_a_withdrawn_command_is_handed_no_more(database):
    command = add(database)
    assert database.run(lambda c: commands.withdraw(c, command, START + 3))
    assert pending(database, START) == []
    assert get(database, command).status == commands.EXPIRED
    assert not database.run(lambda c: commands.withdraw(c, command, START + 4))


def test_one_reply_carries_a_few_and_the_newest_is_shown_first(database):
    ids = [add(database, at=START + n) for n in range(commands.AT_ONCE + 2)]
    assert pending(database, START + 1) == ids[: commands.AT_ONCE]
    with database.read() as c:
        assert [x.id for x in commands.of_guest(c, SERVER_ID, 3)] == ids[:-4:-1]
