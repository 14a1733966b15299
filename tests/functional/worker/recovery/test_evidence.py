"""What is known before an action, and kept with it."""

import json
import time

import pytest

from aodh_ha.exceptions import CloudAway
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.rules.evidence import Activity, Host
from aodh_ha.rules.holdings import Holdings, Port, Volume
from aodh_ha.rules.masking import MASK, masked
from aodh_ha.rules.policy import Budget
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, RECOVERED
from tests import samples
from tests.samples import OTHER_ID, PROJECT, SERVER_ID

REBUILD = 'name: one\npreserve: [volumes]\nsteps:\n  - {action: server.rebuild, verify: 30s}\n'
HOLDINGS = Holdings(
    'image',
    (Volume('11111111-aaaa-4000-8000-000000000001', '/dev/vdb'),),
    (Port('22222222-aaaa-4000-8000-000000000002', 'fa:16:3e:00:00:01', ('10.0.0.5',)),),
)


def take(world, **changes):
    since = world.clock() - 3600
    return evidence_of.take(world.nova, world.database, world.guest(), since, world.clock())


def test_all_of_it_is_kept_with_the_attempt_and_survives_json(world):
    world.nova.kept[SERVER_ID] = HOLDINGS
    world.nova.stack('s', PROJECT, {'web': SERVER_ID})
    world.nova.activities[SERVER_ID] = Activity(0.5, 0.0, 0.0)
    world.nova.consoles[SERVER_ID] = 'Kernel panic\nroot password: hunter2\n'
    world.beat(failures=2)
    world.pass_time(60)
    recovery = world.alarm()
    world.run(recovery, lambda: world.taken())
    kept = world.history(recovery)[0].evidence
    assert kept == json.loads(json.dumps(kept))
    assert kept['heartbeats_missed'] == 5
    assert kept['host'] == {
        **{'name': 'host1', 'up': True, 'forced_down': False, 'disabled': False},
        'zone': 'nova',
    }
    assert Holdings.from_dict(kept['holdings']) == HOLDINGS
    assert kept['member']['root_name'] == 's'
    assert kept['activity']['cpu_seconds'] == 0.5
    assert kept['console'] == f'Kernel panic\nroot password: {MASK}'
    assert kept['diagnostics'] == {'state': 'running'}
    assert kept['services'] == {'web': 'failed'}
    assert kept['boot_id'] == 'boot-1'
    assert kept['fleet']['guests'] == 1
    assert [a['action'] for a in kept['actions']] == ['create']


def test_the_newest_ten_actions_are_known(world):
    for _ in range(12):
        world.nova.others(SERVER_ID, 'reboot')
    evidence = take(world).evidence
    assert [a.action for a in evidence.actions] == ['reboot'] * 10
    assert evidence.last_request_id == evidence.actions[0].request_id
    assert evidence.user_id == world.nova.user_id()


def test_console_and_diagnostics_are_read_only_before_acting(world):
    read = []
    world.nova.console = lambda *_: read.append('console') or ''
    world.nova.change(SERVER_ID, locked=True)
    assert world.run(world.alarm()).status == LEFT_ALONE
    assert read == []


def away(*_):
    raise CloudAway('Neutron: no answer')


@pytest.mark.parametrize('part', ['activity', 'console', 'diagnostics', 'holdings', 'member'])
def test_a_reboot_waits_for_no_other_part_of_the_cloud(world, part):
    setattr(world.nova, part, away)
    world.heals_after('reboot soft')
    assert world.run(world.alarm()).status == RECOVERED
    assert world.taken() == ['reboot soft']


@pytest.mark.parametrize('part', ['server', 'instance_actions', 'host', 'user_id'])
def test_without_nova_nothing_is_done(world, part):
    setattr(world.nova, part, away)
    recovery = world.alarm()
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 100)
    assert world.taken() == []
    assert world.get(recovery).guard == 'cloud'
    assert world.kinds(recovery).count('held') == 1, 'told once, not every five seconds'


@pytest.mark.parametrize('part', ['holdings', 'member'])
def test_a_step_that_might_destroy_waits_until_it_is_known_what(world, part):
    real = getattr(world.nova, part)
    setattr(world.nova, part, away)
    recovery = world.alarm(document=REBUILD)
    begin = world.clock()
    world.run(recovery, lambda: world.clock() > begin + 100)
    assert (world.taken(), world.history(recovery)) == ([], [])
    assert world.get(recovery).guard == 'cloud'
    setattr(world.nova, part, real)
    world.heals_after('rebuild')
    assert world.run(world.get(recovery)).status == RECOVERED


def test_what_was_done_before_is_known_to_later_recoveries(world):
    recovery = world.run(world.alarm())
    assert [p.action for p in take(world).evidence.past] == [
        *('server.reboot soft', 'server.reboot hard', 'server.rebuild'),
    ]
    assert {p.recovery_id for p in take(world).evidence.past} == {recovery.id}


@pytest.mark.parametrize(
    ('value', 'out'),
    [('true', True), ('1', True), ('yes', True), ('false', False), ('0', False), ('', False)],
)
def test_an_owner_opts_out_by_the_servers_metadata(world, value, out):
    world.nova.change(SERVER_ID, metadata={'aodh_ha:opt_out': value})
    assert take(world).evidence.opted_out is out


def test_what_the_others_of_a_stack_have_is_known_before_they_are_replaced(world):
    world.enroll(OTHER_ID)
    world.nova.stack('s', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID})
    world.nova.kept[OTHER_ID] = Holdings(
        'image', (Volume('33333333-aaaa-4000-8000-000000000003', '/dev/vdb', made_by='user'),)
    )
    document = 'name: one\npreserve: [volumes]\nsteps:\n  - {action: stack.rebuild}\n'
    recovery = world.run(world.alarm(document=document))
    assert (recovery.status, world.taken()) == (FAILED, [])
    assert world.tried(recovery) == [('stack.rebuild', 'refused')]
    assert '33333333' in world.history(recovery)[0].detail


def test_a_stack_is_healed_of_those_that_failed_only(world):
    world.enroll(OTHER_ID)
    third = world.enroll('8e3f2e20-8f2e-4c63-9d20-4f8f5f2e0a33', last_seen=world.clock() - 1)
    world.nova.stack('s', PROJECT, {'web': SERVER_ID, 'db': OTHER_ID, 'lb': third})
    recovery = world.alarm(document='name: one\nsteps:\n  - {action: stack.heal}\n')
    world.beat(server_id=third)
    world.run(recovery, lambda: world.taken())
    assert world.taken() == ['replace web,db']


# ---- secrets


@pytest.mark.parametrize(
    ('line', 'shown'),
    [
        ('password: hunter2', f'password: {MASK}'),
        ('root_password=hunter2 next', f'root_password={MASK} next'),
        ('"adminPass": "x y z", "name": "n"', None),
        ('DB_PASSWORD="two words" ok', f'DB_PASSWORD={MASK} ok'),
        ('aodh_ha_key: abcDEF123', f'aodh_ha_key: {MASK}'),
        ('X-Auth-Token: gAAAAABmZ0c', f'X-Auth-Token: {MASK}'),
        ('Authorization: Bearer abc.def', f'Authorization: {MASK}'),
        ('mysql://nova:s3cret@db/nova', f'mysql://nova:{MASK}@db/nova'),
        ('api_key = 123', f'api_key = {MASK}'),
        ('secret_access_key: 123/abc', f'secret_access_key: {MASK}'),
        ('root:$6$saltsalt$abcdefgh0123456:19000', f'root:{MASK}:19000'),
        ('Kernel panic - not syncing: VFS', 'Kernel panic - not syncing: VFS'),
        ('keyboard: us', 'keyboard: us'),
        ('cloud-init: token bucket 5', 'cloud-init: token bucket 5'),
    ],
)
def test_secrets_are_masked_and_the_rest_is_not(line, shown):
    found = masked(f'before\n{line}\nafter')
    assert found.startswith('before\n')
    assert found.endswith('\nafter')
    if shown is not None:
        assert found == f'before\n{shown}\nafter'


PEM = """-----BEGIN RSA PRIVATE KEY-----
MIIEpAIBAAKCAQEAsecretsecretsecretsecretsecretsecretsecretsecret
c2VjcmV0
-----END RSA PRIVATE KEY-----"""


def test_keys_are_masked_whole_and_when_cut_off():
    assert masked(f'a\n{PEM}\nb') == f'a\n{MASK}\nb'
    begin = '\n'.join(PEM.splitlines()[:2])
    assert 'MIIE' not in masked(f'a\n{begin}')
    end = '\n'.join(PEM.splitlines()[2:])
    assert 'c2VjcmV0' not in masked(f'{end}\nb')


def test_masking_twice_changes_nothing():
    text = f'password: x\n{PEM}\nmysql://a:b@c/d\n'
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize('piece', ['x', 'a-', '] ', 'password ', 'password', 'http://', 'A:'])
def test_no_console_takes_long_to_mask(piece):
    begin = time.process_time()
    masked(piece * (100_000 // len(piece)))
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ('storm', 'share', 'window'),
    [
        (None, 0.3, 60.0),
        ((0.1, 120.0), 0.1, 120.0),
        ((1.0, 1.0), 0.3, 60.0),  # a policy holds back more than the operator, never less
        ((0.1, 1.0), 0.1, 60.0),
    ],
)
def test_a_policys_storm_counts_where_it_holds_back_more(storm, share, window):
    policy = samples.policy(budget=Budget(storm=storm))
    found = evidence_of.stricter(evidence_of.Settings(), policy)
    assert (found.share, found.window, found.minimum) == (share, window, 5)


def test_a_dead_host_is_not_asked_for_consoles(world):
    """Nova's API would hold a thread for a minute for each of them."""
    read = []
    world.nova.console = lambda *_: read.append('console') or ''
    world.nova.diagnostics = lambda *_: read.append('diagnostics') or {}
    server = world.nova.server(SERVER_ID)
    alive = samples.evidence(server, host=Host('host1', up=True))
    dead = samples.evidence(server, host=Host('host1', up=False))
    assert evidence_of.console(world.nova, dead) == dead
    assert read == []
    evidence_of.console(world.nova, alive)
    assert read == ['console', 'diagnostics']
