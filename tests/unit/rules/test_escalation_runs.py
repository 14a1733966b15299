"""The ladder, driven through random worlds until it ends: what must hold in every one."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from aodh_ha.rules import guards
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Activity, Silence
from aodh_ha.rules.holdings import IMAGE, NOVA, USER, VOLUME
from aodh_ha.rules.policy import ACTIONS, PRESERVABLE, Budget, Step
from aodh_ha.testing import DONE, DROPPED
from tests import samples
from tests.samples import OTHER_PROJECT, PROJECT
from tests.unit.rules.world import World

HELD = [
    samples.holdings(),
    samples.holdings(volumes=(samples.volume(delete_on_termination=True),), ephemeral_gb=1),
    samples.holdings(volumes=(samples.volume(made_by=USER),), shared_storage=True),
    samples.holdings(ports=(samples.port(made_by=NOVA),), ephemeral_gb=1, shared_storage=True),
    samples.holdings(
        root_disk=VOLUME, volumes=(samples.volume(root=True, device='/dev/vda', made_by=USER),)
    ),
]
NAMES = st.sampled_from(
    [
        *((action, None) for action in ACTIONS if action != 'server.reboot'),
        *(('server.reboot', kind) for kind in ('soft', 'hard') * 3),
    ]
)
STEPS = st.lists(
    st.builds(
        lambda name, attempts, verify, hold, backoff, when, approval, healthy: Step(
            *name,
            attempts,
            verify,
            hold=hold,
            backoff=backoff,
            when=when,
            approval=approval,
            healthy=healthy,
            name_of_hook='page' if name[0] == 'hook' else '',
        ),
        NAMES,
        st.integers(1, 3),
        st.floats(1, 120),
        st.sampled_from([0.0, 0.0, 45.0]),
        st.sampled_from([0.0, 0.0, 20.0]),
        st.sampled_from(['', '', '', 'always']),
        st.sampled_from([False] * 7 + [True]),
        st.sampled_from([False, False, True]),
    ),
    min_size=1,
    max_size=5,
)
LIMITS = st.sampled_from(
    [
        Limits(),
        Limits({'all': 1}),
        Limits({'all': 2}, per_window=(2, 300.0)),
        Limits(per_window=(1, 60.0)),
    ]
)
WILL = [{'locked': True}, {'project_id': OTHER_PROJECT}]
WILL += [{'vm_state': state} for state in (*guards.INTENT, 'stopped')]
TASKS = [{'task_state': task} for task in ('rebuilding', 'migrating', 'deleting', 'rebooting')]
NORMAL = {'vm_state': 'active', 'locked': False, 'project_id': PROJECT, 'task_state': None}
WHO = st.integers(0, 2)


class Run(RuleBasedStateMachine):
    """Three guests, and everything that can happen to them."""

    @initialize(
        steps=STEPS,
        preserve=st.sets(st.sampled_from(PRESERVABLE)),
        held=st.sampled_from(HELD),
        heals=st.lists(st.booleans(), max_size=12),
        limits=LIMITS,
        concurrent=st.sampled_from([None, None, 1, 2]),
        suspect=st.sampled_from(['gentle', 'gentle', 'any']),
        fencing=st.sampled_from(['forced_down', 'ipmi']),
        dry_run=st.sampled_from([False] * 7 + [True]),
        in_stack=st.booleans(),
        often=st.sampled_from([1, 3]),
        hosts=st.lists(st.sampled_from(['host1', 'host2']), min_size=3, max_size=3),
    )
    def begin(
        self, steps, preserve, held, heals, limits, concurrent, suspect, fencing, dry_run, in_stack,
        often, hosts,
    ):  # fmt: skip
        policy = samples.policy(
            steps=tuple(steps),
            preserve=frozenset(preserve),
            budget=Budget(concurrent=concurrent, per_guest=(often, 3600.0)),
            suspect=suspect,
            fencing=fencing,
            dry_run=dry_run,
        )
        image = 'image' if held.root_disk == IMAGE else None
        self.world = World(policy, held, hosts, heals, limits, in_stack, image)

    def teardown(self):
        if hasattr(self, 'world'):
            for body in self.world.bodies:
                body.silence = None
            self.world.settle()

    def body(self, who):
        return self.world.bodies[who]

    def there(self, body):
        return body.server_id in self.world.cloud._servers

    # ---- the world

    @rule(seconds=st.floats(0.1, 100))
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    @rule(who=WHO, looks=st.integers(0, 4))
    def a_guest_hangs_and_an_alarm_comes(self, who, looks):
        self.body(who).alive = False
        self.world.pass_time(100.0)
        self.world.alarms()
        self.the_worker_looks(looks)

    @rule(who=WHO, looks=st.integers(0, 4))
    def a_service_fails_and_an_alarm_comes(self, who, looks):
        self.body(who).web = False
        self.world.pass_time(1.0)
        self.world.alarms()
        self.the_worker_looks(looks)

    @rule(back=st.sampled_from([True, True, False]), seconds=st.floats(1, 200))
    def the_network_is_cut_or_mended(self, back, seconds):
        if back or self.world.cut_at is None:
            self.world.cut_at = None if back else self.world.clock()
        self.world.pass_time(seconds)
        self.world.alarms()
        self.the_worker_looks(2)

    @rule(who=WHO, same_boot=st.booleans())
    def a_guest_comes_back_by_itself(self, who, same_boot):
        body = self.body(who)
        body.alive, body.web = True, True
        body.boots += not same_boot
        self.world.pass_time(0.5)

    @rule(who=WHO)
    def a_guest_is_heard_once_more_by_the_boot_before(self, who):
        body = self.body(who)
        if self.world.runs(body):
            self.world.clock.advance(0.5)
            self.world.beat(body, max(1, body.boots - 1))

    @rule(who=WHO, changes=st.sampled_from([*WILL, *TASKS]), times=st.integers(0, 2))
    def somebody_changes_a_server_for_a_while(self, who, changes, times):
        body = self.body(who)
        if self.there(body):
            cloud, server_id = self.world.cloud, body.server_id
            before = {name: getattr(cloud._known(server_id), name) for name in changes}
            cloud.change(server_id, **changes)
            self.the_worker_looks(times)
            if server_id in cloud._servers:
                cloud.change(server_id, **before)

    @rule(who=WHO, really=st.integers(0, 4))
    def a_server_is_found_off(self, who, really):
        body = self.body(who)
        if really == 0 and self.there(body):
            self.world.cloud.change(body.server_id, vm_state='stopped', status='SHUTOFF')
            self.world.cloud.others(body.server_id, 'stop', None)
            body.alive = False

    @rule(who=WHO, really=st.integers(0, 19))
    def somebody_deletes_a_server(self, who, really):
        body = self.body(who)
        if really == 0 and self.there(body):
            self.world.cloud.delete(body.server_id)

    @rule(host=st.sampled_from(['host1', 'host2']), forced=st.booleans(), really=st.integers(0, 2))
    def a_host_dies(self, host, forced, really):
        if really == 0:
            self.world.cloud.kill_host(host, forced)
            self.world.pass_time(100.0)
            self.world.alarms()

    @rule(host=st.sampled_from(['host1', 'host2']))
    def a_host_comes_back(self, host):
        self.world.cloud.revive_host(host)
        self.world.fenced.discard(host)

    @rule(works=st.booleans())
    def the_fencing_hook_works_or_not(self, works):
        self.world.fencing_works = works

    @rule(
        away=st.sampled_from([False, False, True]),
        lose_answer=st.sampled_from([None, None, DONE, DROPPED]),
        refuse=st.sampled_from([{}, {}, {'reboot': 'no'}, {'server.reboot soft': 'no'}]),
    )
    def the_cloud_misbehaves(self, away, lose_answer, refuse):
        cloud = self.world.cloud
        cloud.away, cloud.lose_answer, cloud.refuse = away, lose_answer, refuse

    @rule(on=st.sampled_from([True, True, False]))
    def the_gateway_comes_and_goes(self, on):
        self.world.listening = self.world.clock() if on else None

    @rule(who=WHO, on=st.booleans())
    def a_guest_does_io(self, who, on):
        busy = {self.body(who).server_id: Activity(disk_bytes=1e6)} if on else {}
        self.world.cloud.activities = busy

    @rule(who=WHO, on=st.booleans())
    def a_maintenance_window(self, who, on):
        now = self.world.clock()
        window = Silence('s', PROJECT, 'guest', 'x', now, now + 1e6, 'me', '')
        self.body(who).silence = window if on else None

    @rule(who=WHO, step=st.integers(0, 4))
    def a_person_approves(self, who, step):
        body = self.body(who)
        if body.recovery:
            self.world.replace_recovery(body, replace(body.recovery, approved_step=step))

    @rule(who=WHO, status=st.sampled_from(['UPDATE_IN_PROGRESS', 'UPDATE_COMPLETE']))
    def heat_is_at_work_or_done(self, who, status):
        stacks = self.world.cloud.stacks
        for root_id, stack in stacks.items():
            if stack.root_name == f'stack{who}':
                stacks[root_id] = replace(stack, status=status)

    # ---- the worker

    @rule(times=st.integers(1, 5))
    def the_worker_looks(self, times):
        for _ in range(times):
            for body in self.world.bodies:
                self.world.look(body)

    @rule(often=st.integers(1, 20))
    def the_worker_goes_on_for_some_minutes(self, often):
        for _ in range(often):
            waits = [self.world.rounds(b) for b in self.world.bodies]
            self.world.pass_time(max(2.0, min((w for w in waits if w is not None), default=20.0)))


# Not made smaller when it fails: that takes minutes, and the steps are printed anyway.
Run.TestCase.settings = settings(
    max_examples=80,
    stateful_step_count=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
Run.TestCase.pytestmark = [pytest.mark.timeout(120)]
test_every_run_of_the_ladder_ends_and_keeps_the_rules = Run.TestCase
