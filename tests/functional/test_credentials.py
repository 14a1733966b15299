"""What projects handed over, on every database: what Keystone said of it, and when it was used."""

import pytest

from aodh_ha.db import audit, callback_tokens, credentials, notifications, prune, queue
from aodh_ha.db.models import events
from aodh_ha.exceptions import ActionRefused, Conflict, NotFound
from aodh_ha.rules.rights import (
    APPLICATION_CREDENTIAL,
    PENDING,
    REFUSED,
    TOKEN,
    TRUST,
    USABLE,
    Credential,
    Rights,
)
from aodh_ha.testing import START
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT

KEY = b'k' * 32


def credential(number=1, **changes):
    values = {
        'id': f'00000000-0000-4000-8000-00000000000{number}',
        'project_id': PROJECT,
        'kind': APPLICATION_CREDENTIAL,
        'reference': f'in-keystone-{number}',
        'author': 'u1',
        'created_at': START,
    }
    return Credential(**values | changes)


def kinds(connection):
    query = events.select().where(events.c.kind.startswith('credential')).order_by(events.c.id)
    return [row.kind for row in connection.execute(query)]


def test_what_keystone_says_is_noted_and_told_when_it_is_news(database):
    mine = credential()
    with database.write() as c:
        credentials.put(c, mine, 'secret', KEY)
        for at in (1, 2):
            credentials.usable(c, mine, START + at)
    with database.write() as c:
        for at in (3, 4):
            credentials.refused(c, mine, START + at, 'x' * 500)
        found = credentials.get(c, mine.id, PROJECT)
        assert (found.status, found.status_reason, found.checked_at) == (
            REFUSED,
            'x' * 255,
            START + 4,
        )
        credentials.usable(c, mine, START + 5)
        assert credentials.get(c, mine.id, None).status == USABLE
        assert kinds(c) == [
            *('credential_created', 'credential_usable', 'credential_refused'),
            'credential_usable',
        ]
        (told,) = notifications.find(c)
        assert (told.kind, told.project_id) == ('credential', PROJECT)


def test_which_are_due_to_be_asked_about(database):
    with database.write() as c:
        credentials.put(c, credential(1), 'a', KEY)
        credentials.put(c, credential(2, project_id=OTHER_PROJECT), 'b', KEY)
        assert len(credentials.find(c, due=START)) == 2, 'those that nobody asked about'
        credentials.usable(c, credential(1), START)
        assert [f.id for f in credentials.find(c, due=START)] == [credential(2).id]
        assert len(credentials.find(c, due=START + 1)) == 2
        assert [f.status for f in credentials.find(c, PROJECT)] == [USABLE]


def test_only_what_was_used_is_noted_as_used(database):
    with database.write() as c:
        credentials.put(c, credential(1), 'a', KEY)
        credentials.put(c, credential(2, project_id=OTHER_PROJECT), 'b', KEY)
        credentials.used(c, Rights(APPLICATION_CREDENTIAL, PROJECT, 'in-keystone-1'), START + 9)
        credentials.used(c, Rights(APPLICATION_CREDENTIAL, OTHER_PROJECT, 'older'), START + 9)
        assert [f.used_at for f in credentials.find(c)] == [START + 9, None]


def test_one_of_a_project_at_most(database):
    with database.write() as c:
        credentials.put(c, credential(1), 'a', KEY)
        with pytest.raises(Conflict):
            credentials.put(c, credential(2), 'b', KEY)
        credentials.put(c, credential(2, kind=TRUST), '', KEY, replace=True)
        assert [f.id for f in credentials.find(c)] == [credential(2).id]
        assert credentials.rights(c, PROJECT, KEY) == Rights(TRUST, PROJECT, 'in-keystone-2')
        assert credentials.find(c)[0].status == PENDING
        with pytest.raises(NotFound):
            credentials.get(c, credential(2).id, OTHER_PROJECT)
        credentials.delete(c, credential(2), START, 'u1')
        assert credentials.rights(c, PROJECT, KEY) is None


def test_without_the_master_key_nothing_is_kept_or_read(database):
    with database.write() as c:
        with pytest.raises(ActionRefused, match='without a master key'):
            credentials.put(c, credential(1), 'a', b'')
        credentials.put(c, credential(1), 'a', KEY)
        with pytest.raises(ActionRefused, match='sealed with another master key'):
            credentials.rights(c, PROJECT, b'x' * 32)


def test_a_token_is_kept_while_its_recovery_lasts(database):
    with database.write() as c:
        recovery, _ = queue.enqueue(
            c, samples.guest(), samples.policy(), 'heartbeat', None, 'silent', START
        )
        for token in ('a', 'b', 'b'):
            callback_tokens.keep(c, recovery.id, token, KEY, START)
        found = callback_tokens.rights(c, recovery.id, PROJECT, KEY)
        assert (found.kind, found.secret) == (TOKEN, 'b')
        assert prune.callback_tokens(c) == 0
        held = queue.claim(c, 'w', START, 15)
        queue.finish(c, held, START, 'failed', 'nothing helped')
        assert callback_tokens.rights(c, recovery.id, PROJECT, KEY) is None
        assert audit.of_recovery(c, recovery.id)
