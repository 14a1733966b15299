"""The ladder, driven through random worlds until it ends: what must hold in every one."""

from dataclasses import replace

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from aodh_ha.exceptions import ActionRefused, CloudAway, OutcomeUnknown
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery.actions import ACTIONS
from aodh_ha.rules import escalation, guards
from aodh_ha.rules.policy import PRESERVABLE, Step
from aodh_ha.rules.recovery import (
    ABANDONED,
    ENDED,
    RECOVERED,
    REFUSED,
    SENT,
    Act,
    Conclude,
    Finish,
    NeedEvidence,
    Refuse,
    Wait,
)
from aodh_ha.testing import DONE, DROPPED, START, Clock, FakeCloud
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT, SERVER_ID

STEPS = st.lists(
    st.builds(
        lambda kind, attempts, verify: Step(
            'server.reboot' if kind else 'server.rebuild', kind, attempts, verify
        ),
        st.sampled_from(['soft', 'hard', None]),
        st.integers(1, 3),
        st.floats(1, 120),
    ),
    min_size=1,
    max_size=4,
)
WILL = [
    {'locked': True},
    {'project_id': OTHER_PROJECT},
    *({'vm_state': state} for state in guards.INTENT),
]
NORMAL = {'vm_state': 'active', 'locked': False, 'project_id': PROJECT, 'task_state': None}


class Run(RuleBasedStateMachine):
    """A worker's loop over decide(), without its database, in a world that changes at random."""

    @initialize(
        steps=STEPS,
        preserve=st.sets(st.sampled_from(PRESERVABLE)),
        image_id=st.sampled_from(['image', None]),
        healed_by=st.integers(0, 8),
        trigger=st.sampled_from(['heartbeat', 'service']),
    )
    def begin(self, steps, preserve, image_id, healed_by, trigger):
        self.clock = Clock()
        self.nova = FakeCloud(self.clock)
        self.nova.add(SERVER_ID, PROJECT, image_id=image_id)
        self.nova.on_action = self.acted_on
        self.healed_by = healed_by  # the guest is well again after so many actions; 8: never
        failing = {'failures': 1, 'failing_since': START - 30} if trigger == 'service' else {}
        self.guest = samples.guest(**failing)
        self.recovery = samples.recovery(
            policy=samples.policy(steps=tuple(steps), preserve=frozenset(preserve)),
            trigger=trigger,
            episode=self.guest.episode(trigger),
        )
        self.history = []
        self.listening_since = START - 3600
        self.end = None
        self.heard = False

    # ---- the world

    def acted_on(self, taken):
        if len(self.nova.taken) == self.healed_by:
            self.will_beat = True

    will_beat = False

    @rule(seconds=st.floats(0.1, 100))
    def time_passes(self, seconds):
        self.clock.advance(seconds)

    @rule(really=st.integers(0, 4))
    def the_guest_is_well_again(self, really):
        if really == 0:
            self.beat()

    def beat(self):
        self.clock.advance(0.5)
        self.guest = replace(self.guest, last_seen=self.clock(), failures=0, failing_since=None)
        self.heard = True

    @precondition(lambda self: self.recovery.trigger == 'service' and not self.heard)
    @rule()
    def the_guest_beats_and_its_service_still_fails(self):
        self.clock.advance(0.5)
        self.guest = replace(self.guest, last_seen=self.clock())

    @rule(changes=st.sampled_from([*WILL, {'task_state': 'rebuilding'}]), looks=st.booleans())
    def somebody_changes_the_server_for_a_while(self, changes, looks):
        if not self.deleted:
            self.nova.change(SERVER_ID, **changes)
            self.the_worker_looks(int(looks))
            self.nova.change(SERVER_ID, **NORMAL)

    deleted = False

    @precondition(lambda self: not self.deleted)
    @rule(really=st.integers(0, 9))
    def somebody_deletes_the_server(self, really):
        if really == 0:
            self.nova.delete(SERVER_ID)
            self.deleted = True

    @rule(
        away=st.booleans(),
        lose_answer=st.sampled_from([None, DONE, DROPPED]),
        refuse=st.sampled_from([{}, {'reboot': 'no'}, {'server.reboot soft': 'no'}]),
    )
    def nova_misbehaves(self, away, lose_answer, refuse):
        self.nova.away, self.nova.lose_answer, self.nova.refuse = away, lose_answer, refuse

    @rule(on=st.booleans())
    def the_gateway_comes_and_goes(self, on):
        self.listening_since = self.clock() if on else None

    # ---- the worker

    @rule(times=st.integers(1, 4))
    def the_worker_looks(self, times):
        for _ in range(times):
            if self.end is None:
                self.advance()

    @rule(seconds=st.floats(1, 40))
    def the_worker_looks_after_an_outage_of_the_gateway(self, seconds):
        self.listening_since = self.clock()
        self.clock.advance(seconds)
        self.the_worker_looks(2)

    def advance(self):
        """One round as recovery.engine does it; returns the seconds until the next."""
        if self.will_beat:
            self.will_beat = False
            self.beat()
        decision = self.decide(None)
        assert not isinstance(decision, Act | Refuse), 'without evidence taken in this attempt'
        if isinstance(decision, NeedEvidence):
            if self.listening_since is None:
                return 5.0
            try:
                evidence = evidence_of.take(
                    self.nova, self.guest, self.listening_since, self.clock()
                )
            except CloudAway:
                return 5.0
            decision = self.decide(evidence)
            assert not isinstance(decision, NeedEvidence), 'it never looks twice'
        match decision:
            case Finish(status, reason):
                assert status in ENDED
                assert reason
                assert (status == RECOVERED) == self.heard, 'nothing else ends it once heard'
                self.end = decision
            case Conclude(attempt, status, _):
                where = self.history.index(attempt)
                self.history[where] = replace(attempt, status=status)
            case Refuse(step, number, _):
                assert number == 1 + sum(a.step == step for a in self.history)
                self.history.append(self.attempt(step, REFUSED))
            case Act():
                self.act(decision, evidence)
            case Wait(seconds, _):
                assert seconds > 0
                return seconds
        return 0.0

    def decide(self, evidence):
        return escalation.decide(self.recovery, self.history, self.guest, evidence, self.clock())

    def act(self, decision, evidence):
        step = self.recovery.policy.steps[decision.step]
        server = self.nova.server(SERVER_ID)
        assert not self.heard, 'a guest that was heard again'
        wanted = server.locked or server.project_id != PROJECT or server.vm_state != 'active'
        assert not wanted, "against a person's will"
        assert not any(a.status == SENT for a in self.history), 'one step at a time'
        assert evidence.missed >= self.guest.missed_limit or (
            self.recovery.trigger == 'service' and self.guest.last_seen >= self.listening_since
        ), 'before it could be heard'
        if step.action == 'server.rebuild':
            assert 'root_disk' not in self.recovery.policy.preserve
        tries = [a for a in self.history if a.step == decision.step]
        assert decision.number == len(tries) + 1
        assert sum(a.status != ABANDONED for a in tries) < step.attempts
        assert all(a.step <= decision.step for a in self.history), 'down the ladder'
        before = len(self.nova.taken)
        try:
            ACTIONS[step.action].act(self.nova, server, step)
            status = SENT
        except ActionRefused:
            status = REFUSED
        except OutcomeUnknown:  # what became of it is seen in Nova's log later
            status = SENT if len(self.nova.taken) > before else ABANDONED
            self.nova.lose_answer = None
        self.history.append(self.attempt(decision.step, status))

    def attempt(self, step, status):
        number = 1 + sum(a.step == step for a in self.history)
        now = self.clock()
        until = now + self.recovery.policy.steps[step].verify
        return replace(
            samples.attempt(0, status, now),
            id=f'{step}-{number}',
            step=step,
            number=number,
            verify_until=until,
        )

    def teardown(self):
        if not hasattr(self, 'clock'):
            return
        self.nova.away, self.nova.lose_answer, self.nova.refuse = False, None, {}
        if not self.deleted:
            self.nova.change(SERVER_ID, task_state=None)
        self.listening_since = self.listening_since or self.clock()
        for _ in range(5000):
            if self.end is not None:
                break
            self.clock.advance(self.advance())
        assert self.end is not None, 'it never ends'
        most = sum(s.attempts for s in self.recovery.policy.steps)
        assert len(self.nova.taken) <= most


# Not made smaller when it fails: that takes minutes, and the steps are printed anyway.
Run.TestCase.settings = settings(
    max_examples=120, stateful_step_count=20, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
test_every_run_of_the_ladder_ends_and_keeps_the_rules = Run.TestCase
