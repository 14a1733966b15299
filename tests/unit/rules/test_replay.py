"""Past recoveries against a changed policy."""

import json
from dataclasses import replace

import pytest

from aodh_ha.rules.evidence import (
    Activity,
    Evidence,
    Fleet,
    Host,
    Incident,
    InstanceAction,
    Past,
    Silence,
)
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import FAILED, LEFT_ALONE, REFUSED, SUCCEEDED, UNVERIFIED
from aodh_ha.rules.replay import Line, replay
from aodh_ha.testing import START
from tests import samples

T = START
SOFT, HARD, REBUILD = samples.LADDER.steps
KEPT = samples.evidence(holdings=samples.holdings(), host=Host('host1', True))


def stored(evidence):
    """As the database gives it back."""
    return json.loads(json.dumps(evidence.as_dict()))


def attempt(step, status, at, evidence=KEPT, **changes):
    return samples.attempt(step, status, T + at, evidence=stored(evidence), **changes)


def line(policy, *history, **recovery):
    (found,) = replay(policy, [(samples.recovery(**recovery), history)])
    return found


def steps(*some, **changes):
    return samples.policy(steps=some, **changes)


BOTH = (attempt(0, UNVERIFIED, 1), attempt(1, SUCCEEDED, 100))


def test_the_same_policy_does_the_same():
    found = line(samples.LADDER, *BOTH)
    assert found == Line(
        samples.recovery().id,
        samples.SERVER_ID,
        ('server.reboot soft: unverified', 'server.reboot hard: succeeded'),
        ('server.reboot soft', 'server.reboot hard'),
        'as it was: server.reboot hard helped',
    )


def test_the_same_policy_that_did_not_help_would_not_have_done_otherwise():
    tried = [attempt(n, UNVERIFIED, 300 * n + 1) for n in range(3)]
    found = line(samples.LADDER, *tried, status=FAILED)
    assert found.would == ('server.reboot soft', 'server.reboot hard', 'server.rebuild')
    assert found.remark == 'the same'


def test_another_step_instead_is_told_and_not_said_to_help():
    found = line(steps(HARD, REBUILD), *BOTH)
    assert found.would == ('server.reboot hard', 'server.rebuild')
    assert found.remark == 'server.reboot hard helped then; whether this would have is not known'


def test_a_shorter_ladder_would_have_given_up():
    found = line(steps(SOFT), *BOTH)
    assert found.would[0] == 'server.reboot soft'
    assert found.would[1].startswith('failed: every step was tried')


def test_a_step_that_would_lose_what_the_policy_keeps_is_refused():
    keep = steps(REBUILD, HARD, preserve=frozenset({'root_disk'}))
    found = line(keep, *BOTH)
    assert found.would[0].startswith('server.rebuild: refused, its root disk would be made anew')
    assert found.would[1] == 'server.reboot hard'


def test_what_would_have_held_it_back_is_told_once():
    patient = samples.policy(missed=10)
    found = line(patient, *BOTH)
    assert found.would == ('held back: 5 of 10 heartbeats missed since somebody listens',)
    assert found.remark == ('server.reboot hard helped then; whether this would have is not known')
    failed = (attempt(0, UNVERIFIED, 1), attempt(1, UNVERIFIED, 100))
    assert line(patient, *failed).remark == 'nothing would have been done'


def test_an_approval_would_have_been_waited_for():
    found = line(steps(replace(SOFT, approval=True)), *BOTH, approved_step=3)
    assert found.would == ('held back: server.reboot soft waits for "recovery approve"',)


def test_a_delay_would_have_passed():
    assert line(steps(replace(SOFT, delay=60.0)), BOTH[0]).would == ('server.reboot soft',)


def test_a_dead_host_would_have_been_fenced_first():
    dead = replace(KEPT, host=Host('host1', up=False))
    evacuate = steps(Step('server.evacuate'), fencing='ipmi')
    found = line(evacuate, attempt(0, UNVERIFIED, 1, dead))
    assert found.would == ('hook ipmi, to fence host1',)


def test_a_service_would_have_been_restarted():
    failing = replace(KEPT, missed=0, last_seen=T, services={'web': 'failed', 'db': 'ok'})
    restart = steps(Step('service.restart'), SOFT)
    tried = (attempt(0, UNVERIFIED, 1, failing), attempt(1, UNVERIFIED, 100, failing))
    found = line(restart, *tried, trigger='service')
    assert found.would == ('service.restart', 'server.reboot soft')
    # A silent guest has nobody who could.
    assert line(restart, attempt(0, UNVERIFIED, 1)).would == ('server.reboot soft',)


def test_a_guest_that_was_heard_within_a_hold_was_not_recovered_by_that():
    relapse = replace(KEPT, last_seen=T + 40)
    found = line(steps(HARD, REBUILD), BOTH[0], attempt(1, UNVERIFIED, 100, relapse))
    assert found.would == ('server.reboot hard', 'server.rebuild')


@pytest.mark.parametrize(
    'history',
    [
        (),
        (samples.attempt(0, REFUSED, T),),
        (samples.attempt(0, REFUSED, T, evidence={'taken_at': 1, 'server': None}),),
        (samples.attempt(0, REFUSED, T, evidence=stored(KEPT) | {'server': {'id': 'x'}}),),
        (samples.attempt(0, REFUSED, T, evidence=stored(KEPT) | {'fleet': None}),),
    ],
)
def test_where_no_evidence_was_kept_nothing_is_said(history):
    found = line(samples.LADDER, *history, status=LEFT_ALONE, reason='it is paused')
    assert found.would == ()
    assert found.remark == 'no evidence was kept: it ended as left alone, it is paused'


FULL = Evidence(
    taken_at=T,
    missed=4,
    last_seen=T - 50,
    server=samples.server(fault='No valid host', zone='nova'),
    last_request_id='req-1',
    listening_since=T - 3600,
    host=Host('host1', True, zone='nova'),
    actions=(InstanceAction('reboot', 'req-1', None, '2027-01-01T00:00:00.0'),),
    holdings=samples.holdings(volumes=(samples.volume(),), server_groups=('g',)),
    member=samples.member(),
    others={'x': samples.holdings(), 'y': None},
    activity=Activity(1.0, 2.0, None),
    console='panic',
    diagnostics={'state': 'running'},
    services={'web': 'failed'},
    opted_out=True,
    silences=(Silence('s', samples.PROJECT, 'all', '', T, T + 60, 'me', 'why', T),),
    fleet=Fleet(3, 2, 1, by_host={'h': (1, 2)}, by_zone={'z': (1, 2)}, by_way={}, group=(1, 2)),
    past=(Past('r', 'server.rebuild', T),),
    incident=Incident('i', 'host', 'host1', 'dead', T),
    user_id='us',
    boot_id='boot-1',
)


@pytest.mark.parametrize(
    'evidence', [FULL, KEPT, samples.evidence(), Evidence(T, 1, T, None, None)]
)
def test_evidence_survives_a_way_through_the_audit_trail(evidence):
    found = Evidence.from_dict(stored(evidence))
    assert found == evidence
    assert stored(found) == stored(evidence), 'also what does not count for equality'
