"""What must hold in every world, asserted where the cloud or a guest is touched.

By a model of its own, which asks neither guards nor preservation.
"""

from aodh_ha.rules import storm
from aodh_ha.rules.holdings import HEAT, IMAGE, NOVA, USER
from aodh_ha.rules.recovery import ABANDONED, ENDED, REFUSED, SENT, Recovery
from tests.samples import PROJECT

STORM = {'share': 0.5, 'window': 60.0, 'minimum': 4}


class Laws:
    """Of a World."""

    def made(self, body, recovery):
        return [
            a
            for a in body.histories[recovery.id]
            if a.status not in (REFUSED, ABANDONED) and not a.dry_run
        ]

    def may(self, body, recovery, history, found, evidence):
        """Asserts that the action is allowed, from the world and not from the evidence."""
        step, now, server = recovery.policy.steps[found.step], self.clock(), evidence.server
        host = self.cloud.hosts[server.host]
        assert evidence.taken_at == now, 'evidence of this very moment'
        assert not any(a.status == SENT for a in history), 'one action at a time'
        assert sum(r.status not in ENDED for r in body.recoveries) == 1, 'one recovery a guest'
        flying = [
            r
            for b in self.bodies
            for r in b.recoveries
            if r.status not in ENDED and r.admitted_at is not None
        ]
        for most in (self.limits.concurrent.get('all'), recovery.policy.budget.concurrent):
            assert most is None or len(flying) <= most, 'within the budget'
        rate = self.limits.per_window
        if rate:
            admitted = [r.admitted_at for b in self.bodies for r in b.recoveries if r.admitted_at]
            assert sum(at > now - rate[1] for at in admitted) <= rate[0], 'within the window'
        real = self.cloud._known(body.server_id)
        assert not real.locked, "a person's will"
        assert real.project_id == PROJECT
        wanted = ('active', 'error') if step.action != 'server.start' else ('stopped',)
        assert real.vm_state in wanted or (
            real.vm_state == 'stopped' and self.off_by_itself(real.id)
        ), "a person's will"
        assert body.silence is None, 'maintenance'
        stack = self.cloud.member(real)
        assert stack is None or not stack.busy, 'Heat is at work'
        approved = -1 if recovery.approved_step is None else recovery.approved_step
        assert not step.approval or approved >= found.step, 'approval'
        alive = body.alive and self.runs(body)
        if recovery.trigger == 'heartbeat':
            assert evidence.missed >= body.guest.missed_limit
            assert body.guest.last_seen < now - 30, 'silent, and somebody listened'
        else:
            assert body.guest.failures or not alive, 'its service fails, or it fell silent'
        busy = self.cloud.activity(real.id, now)
        if recovery.trigger == 'heartbeat' and busy and recovery.policy.suspect == 'gentle':
            assert step.kind.gentle or step.type == 'soft', 'it does I/O'
        self.not_in_a_storm(host)
        if not host.up and step.action.startswith(('server.', 'stack.')):
            assert step.action == 'server.evacuate' or step.kind.in_stack
            forced = recovery.policy.fencing == 'forced_down'
            assert host.forced_down or (not forced and host.name in self.fenced), 'fenced'
        if step.action == 'server.evacuate':
            assert not host.up
        tries = [a for a in history if a.step == found.step]
        assert sum(a.status != ABANDONED for a in tries) < step.attempts
        assert all(a.step <= found.step for a in history), 'down the ladder'
        most = recovery.policy.budget.per_guest
        if most and not self.made(body, recovery):
            recent = {r for at, r, _ in body.actions if at > now - most[1]}
            gaps = [b - a for (a, *_), (b, *_) in zip(body.actions, body.actions[1:], strict=False)]
            if all(gap < recovery.policy.budget.reset for gap in gaps):
                assert len(recent) < most[0] or (
                    now - body.actions[-1][0] >= recovery.policy.budget.reset
                ), 'not too often'

    def off_by_itself(self, server_id):
        last = next(
            a for a in self.cloud._log[server_id] if a.action in ('stop', 'start', 'create')
        )
        return last.action == 'stop' and last.user_id is None

    def not_in_a_storm(self, host):
        """Asserts that the network is not cut; guests of a host that died may be helped."""
        now = self.clock()
        if not host.up or self.cut_at is None or now - self.cut_at > storm.MEMORY:
            return
        since = max(self.cut_at, self.listening)
        assert now - since <= 31, 'nobody at all is heard'

    def destroyed(self, step, server):
        """Asserts that nothing was lost that the policy preserves."""
        held, lost = self.held, set()
        image = held.root_disk == IMAGE
        new = step.action in ('server.replace', 'stack.heal', 'stack.rebuild', 'stack.recreate')
        anew = step.action == 'stack.recreate'
        local = step.action == 'server.rebuild' or (
            step.action == 'server.evacuate' and not held.shared_storage
        )
        if (local or new) and image:
            lost.add('root_disk')
        if (local or new) and held.ephemeral_gb:
            lost.add('ephemeral')
        for volume in held.volumes if new else ():
            if volume.delete_on_termination or anew or volume.made_by == USER:
                lost.add('root_disk' if volume.root else 'volumes')
        for port in held.ports if new else ():
            if port.made_by == NOVA or (anew and port.made_by == HEAT):
                lost |= {'fixed_ips'} if port.fixed_ips else set()
                lost |= {'floating_ips'} if port.floating_ips else set()
        assert not lost & self.policy.preserve, f'{step.name} destroyed {lost}'

    def bounds(self):
        """What was done is no more than the policy has, in every recovery."""
        most = sum(s.attempts for s in self.policy.steps)
        for body in self.bodies:
            for recovery in body.recoveries:
                assert isinstance(recovery, Recovery)
                assert sum(r == recovery.id for _, r, _ in body.actions) <= most
        if self.policy.dry_run:
            assert self.cloud.taken == []
            assert all(b.actions == [] for b in self.bodies)
