"""With whose rights a recovery acts, and what becomes of it when Keystone refuses them."""

from aodh_ha.db import callback_tokens, credentials, models, orders, prune
from aodh_ha.db.models import callback_tokens as callback_tokens_table
from aodh_ha.exceptions import NotNow
from aodh_ha.rules.recovery import FAILED, RECOVERED, REFUSED
from aodh_ha.rules.rights import (
    APPLICATION_CREDENTIAL,
    OURS,
    TOKEN,
    USABLE,
    Credential,
    Rights,
)
from tests.samples import OTHER_PROJECT, PROJECT, SERVER_ID

KEY = b'k' * 32
EVACUATE = """
name: hosts
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
preserve: [volumes]
steps:
  - {action: server.migrate, verify: 30s}
"""
WITH_IMAGE = """
name: image
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
preserve: [volumes]
steps:
  - {action: server.rebuild, verify: 30s, snapshot: true}
"""


def hand_over(world, reference='ac1', project_id=PROJECT, replace=False):
    """The project hands an application credential over."""
    credential = Credential(
        id=f'00000000-0000-4000-8000-{reference:0>12}',
        project_id=project_id,
        kind=APPLICATION_CREDENTIAL,
        reference=reference,
        author='its-member',
        created_at=world.clock(),
    )
    with world.database.write() as c:
        credentials.put(c, credential, f'secret of {reference}', KEY, replace=replace)
    return credential


def kept(world):
    with world.database.read() as c:
        return credentials.find(c, PROJECT)


def bring_token(world, recovery, token='the-token'):
    with world.database.write() as c:
        callback_tokens.keep(c, recovery.id, token, KEY, world.clock())


def rights(world):
    """(kind, reference, secret) of every action that was tried."""
    return [(r.kind, r.reference, r.secret) for r in world.nova.acted_as]


def test_without_a_credential_the_service_user_acts(world):
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm())
    assert recovery.status == RECOVERED
    assert world.nova.acted_as == []
    assert world.taken() == ['reboot soft']


def test_the_projects_credential_is_used_and_that_is_noted(world):
    hand_over(world)
    hand_over(world, 'ac2', OTHER_PROJECT)
    world.heals_after('reboot soft')
    recovery = world.run(world.alarm())
    assert recovery.status == RECOVERED
    assert rights(world) == [(APPLICATION_CREDENTIAL, 'ac1', 'secret of ac1')]
    (sent,) = [m for kind, m in world.trail(recovery) if kind == 'sent']
    assert "with the project's application credential ac1" in sent
    assert 'secret' not in str(world.trail(recovery))
    assert kept(world)[0].used_at is not None


def test_the_callbacks_token_is_used_where_the_project_gave_nothing_for_good(world):
    world.heals_after('reboot soft')
    recovery = world.alarm()
    bring_token(world, recovery, 'an-older-token')
    bring_token(world, recovery)
    assert world.run(recovery).status == RECOVERED
    assert rights(world) == [(TOKEN, '', 'the-token')]


def test_the_credential_goes_before_the_token(world):
    hand_over(world)
    world.heals_after('reboot soft')
    recovery = world.alarm()
    bring_token(world, recovery)
    assert world.run(recovery).status == RECOVERED
    assert rights(world)[0][1] == 'ac1'


def test_a_refused_credential_is_never_made_up_for_by_our_rights(world):
    hand_over(world)
    world.nova.refused_rights['ac1'] = 'Keystone refuses it'
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    assert world.taken() == []
    assert {status for _, status in world.tried(recovery)} == {REFUSED}
    assert {a.detail for a in world.history(recovery)} == {'Keystone refuses it'}
    (credential,) = kept(world)
    assert (credential.status, credential.status_reason) == ('refused', 'Keystone refuses it')
    told = sorted(kind for kind, _ in world.told())
    assert told == ['credential', 'exhausted'], 'once, not for every step'


def test_one_that_is_revoked_between_two_steps_ends_what_it_may_do(world):
    hand_over(world)
    recovery = world.alarm()
    world.run(recovery, until=lambda: world.taken() == ['reboot soft'])
    world.nova.refused_rights['ac1'] = 'Keystone refuses it'
    assert world.run(recovery).status == FAILED
    assert world.taken() == ['reboot soft']
    assert [status for _, status in world.tried(recovery)] == ['unverified', REFUSED, REFUSED]


def test_one_that_is_handed_over_meanwhile_is_used_for_the_next_step(world):
    hand_over(world)
    world.nova.refused_rights['ac1'] = 'Keystone refuses it'
    world.heals_after('reboot hard')
    recovery = world.alarm()
    world.run(recovery, until=lambda: len(world.history(recovery)) == 1)
    hand_over(world, 'ac2', replace=True)
    assert world.run(recovery).status == RECOVERED
    assert world.taken() == ['reboot hard']
    assert kept(world)[0].reference == 'ac2'


def test_a_refused_token_is_not_made_up_for_either(world):
    world.nova.refused_rights[TOKEN] = 'the token has run out'
    recovery = world.alarm()
    bring_token(world, recovery)
    recovery = world.run(recovery)
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert {a.detail for a in world.history(recovery)} == {'the token has run out'}


def test_where_the_operator_wants_it_nothing_is_done_with_our_rights(world):
    world.make_engine(service_user=False)
    recovery = world.run(world.alarm())
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert 'aodh-ha credential create' in world.history(recovery)[0].detail


def test_a_secret_sealed_with_another_key_is_refused(world):
    hand_over(world)
    world.make_engine(master_key=b'x' * 32)
    recovery = world.run(world.alarm())
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert 'sealed with another master key' in world.history(recovery)[0].detail


def test_what_moves_a_server_between_hosts_is_the_operators_act(world):
    hand_over(world)
    world.nova.refused_rights['ac1'] = 'Keystone refuses it'
    world.heals_after('migrate')
    recovery = world.run(world.alarm(document=EVACUATE))
    assert recovery.status == RECOVERED
    assert world.nova.acted_as == []


def test_an_image_before_a_step_is_made_once_and_with_the_projects_rights(world):
    hand_over(world)
    world.heals_after('rebuild')
    recovery = world.run(world.alarm(document=WITH_IMAGE))
    assert recovery.status == RECOVERED
    assert world.taken() == ['createImage', 'rebuild']
    assert {r.reference for r in world.nova.acted_as} == {'ac1'}


def test_no_image_with_a_refused_credential(world):
    hand_over(world)
    world.nova.refused_rights['ac1'] = 'Keystone refuses it'
    recovery = world.run(world.alarm(document=WITH_IMAGE))
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert kept(world)[0].status == 'refused'


def test_our_own_action_under_the_projects_name_is_nobody_elses(world):
    """Else its boot grace would be waited for after each step, as after its owner's reboot."""
    hand_over(world)
    recovery = world.run(world.alarm())
    assert recovery.status == FAILED
    assert not [m for kind, m in world.trail(recovery) if kind == 'held' and 'boot grace' in m]


def test_an_action_whose_answer_was_lost_is_found_under_the_projects_name(world):
    hand_over(world)
    world.heals_after('reboot soft', 9)
    world.nova.lose_answer = 'done'
    recovery = world.alarm()
    world.run(recovery, until=lambda: world.taken())
    world.nova.lose_answer = None
    assert world.run(recovery).status == RECOVERED
    assert world.taken() == ['reboot soft'], 'it is not made a second time'


def tokens(world):
    with world.database.read() as c:
        return [r.recovery_id for r in c.execute(callback_tokens_table.select())]


def test_a_token_is_forgotten_with_its_recovery(world):
    world.heals_after('reboot soft')
    recovery = world.alarm()
    bring_token(world, recovery)
    assert tokens(world) == [recovery.id]
    world.run(recovery)
    bring_token(world, recovery, 'late')
    assert tokens(world) == []


def test_a_cancelled_recovery_forgets_its_token_too(world):
    recovery = world.alarm()
    bring_token(world, recovery)
    with world.database.write() as c:
        orders.cancel(c, recovery, world.clock(), 'user u1', '')
    assert tokens(world) == []


def test_what_was_left_behind_is_pruned(world):
    recovery = world.alarm()
    bring_token(world, recovery)
    with world.database.write() as c:
        row = {'recovery_id': 'gone', 'sealed': 'x', 'created_at': 1.0}
        c.execute(callback_tokens_table.insert().values(row))
        assert prune.callback_tokens(c) == 1
    assert tokens(world) == [recovery.id]


def test_rights_are_read_as_they_were_kept(world):
    hand_over(world)
    with world.database.read() as c:
        assert credentials.rights(c, PROJECT, KEY) == Rights(
            APPLICATION_CREDENTIAL, PROJECT, 'ac1', 'secret of ac1'
        )
        assert credentials.rights(c, OTHER_PROJECT, KEY) is None
    assert OURS.name == "the service user's rights"
    with world.database.write() as c:
        credentials.usable(c, kept(world)[0], 1.0)
    assert kept(world)[0].status == USABLE


RECREATE = """
name: anew
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
allow_data_loss: true
steps:
  - {action: stack.recreate, verify: 60s}
"""


def kept_definitions(world):
    with world.database.read() as c:
        return c.execute(models.definitions.select()).all()


def test_a_stack_is_not_deleted_that_could_not_be_created_again(world):
    world.nova.stack('s', PROJECT, {'web': SERVER_ID})
    hand_over(world)
    recovery = world.run(world.alarm(document=RECREATE))
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert 'rights that were delegated' in world.history(recovery)[0].detail
    assert kept_definitions(world) == [], 'who found one would go on'


def test_one_that_is_deleted_already_is_created_whatever_the_project_hands_over(world):
    world.nova.stack('s', PROJECT, {'web': SERVER_ID})
    recovery = world.alarm(document=RECREATE)
    real = world.nova.recreate_stack

    def only_deletes(member, definition=None):
        hand_over(world)
        world.nova.delete(SERVER_ID)
        del world.nova.stacks[member.root_id]
        world.nova.recreate_stack = real
        raise NotNow('the stack s is DELETE_IN_PROGRESS')

    world.nova.recreate_stack = only_deletes
    world.run(recovery, until=lambda: world.taken() == ['create_stack'])
    assert world.taken() == ['create_stack']
