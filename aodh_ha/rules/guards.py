"""What holds a recovery back. Each guard is a function; ``hold`` has them in their order."""

from collections.abc import Sequence

from aodh_ha.rules.budget import acted_recoveries
from aodh_ha.rules.evidence import Evidence, InstanceAction, Server
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import (
    ABANDONED,
    FAILED,
    LEFT_ALONE,
    REFUSED,
    Attempt,
    Finish,
    Recovery,
    Wait,
)

GUARDS = (
    *('silence', 'busy', 'unheard', 'recent_change', 'stack', 'storm', 'host', 'fencing'),
    *('approval', 'budget', 'delay', 'cloud', 'deaf'),
)
"""Every reason to wait; also what a metric or a listing shows."""

BUSY_RECHECK = 5.0
"""Seconds until a server that Nova is busy with is looked at again."""

REBOOT_LIMIT = 150.0
"""Seconds a reboot may take: libvirt waits 120 s for a guest that should shut down."""

REBUILD_LIMIT = 900.0
"""Seconds a rebuild may take: its image may have to be fetched first."""

UNHEARD_RECHECK = 2.0
"""Seconds until a guest that could not be heard for long enough is looked at again."""

RECHECK = 10.0
"""Seconds until what a person or a stack holds back is looked at again."""

INTENT = {
    'paused': 'it is paused',
    'suspended': 'it is suspended',
    'shelved': 'it is shelved',
    'shelved_offloaded': 'it is shelved',
    'rescued': 'it is rescued',
    'resized': 'a resize waits to be confirmed',
    'soft-delete': 'it is deleted',
    'deleted': 'it is deleted',
    'building': 'it is being built',
}
"""Nova's vm_state where somebody wants the server to be as it is; ``stopped`` is looked into."""

REBOOTING = (
    'reboot_started',
    'reboot_pending',
    'rebooting',
    'reboot_started_hard',
    'reboot_pending_hard',
    'rebooting_hard',
)
REBUILDING = ('rebuilding', 'rebuild_block_device_mapping', 'rebuild_spawning')

TASKS = {'server.reboot': REBOOTING, 'server.rebuild': REBUILDING, 'server.evacuate': REBUILDING}
"""What Nova is busy with after an action of ours; any other task is somebody else's."""

HOST_DOUBT = 60.0
"""Seconds that a recovery waits for Nova to find a host dead on which every guest is silent:
Nova's ``service_down_time``."""

CHANGES = (
    *('create', 'rebuild', 'resize', 'confirmResize', 'revertResize', 'migrate', 'live-migration'),
    *('evacuate', 'start', 'unshelve', 'unrescue', 'restore', 'reboot', 'resume', 'unpause'),
)
"""What somebody else does to a server that lets its guest boot, or pause for a while."""


def hold(
    recovery: Recovery,
    history: Sequence[Attempt],
    guest: Guest,
    evidence: Evidence,
    now: float,
) -> Finish | Wait | None:
    """The first guard that holds the recovery back, and why; None when it may act."""
    server = evidence.server
    if server is None:
        return Finish(LEFT_ALONE, 'Nova has no such server any more')
    return (
        intent(server, recovery, evidence)
        or opted_out(evidence)
        or silenced(evidence, now)
        or busy(server, made(history), recovery, now)
        or unheard(evidence, guest, recovery.trigger)
        or well_meanwhile(evidence, guest, recovery, history, now)
        or recent_change(evidence, guest, now)
        or stack(evidence)
        or storm(evidence)
        or host_in_doubt(evidence, recovery, now)
        or flapping(recovery, history, evidence, now)
    )


def made(history: Sequence[Attempt]) -> list[Attempt]:
    """The attempts whose action was carried out."""
    return [a for a in history if a.status not in (REFUSED, ABANDONED) and not a.dry_run]


def stopped_by_a_person(actions: Sequence[InstanceAction]) -> bool:
    """Whether somebody stopped the server, other than Nova that found it off."""
    last = next((a for a in actions if a.action in ('stop', 'start', 'create')), None)
    return last is None or (last.action == 'stop' and last.user_id is not None)


def wanted_so(server: Server, actions: Sequence[InstanceAction]) -> str:
    """Why a person wants the server as it is; empty: nobody does. ``actions``: newest first."""
    if server.locked:
        return 'its owner locked it'
    if server.vm_state in INTENT:
        return f'{INTENT[server.vm_state]}, which is not a failure'
    if server.vm_state == 'stopped' and stopped_by_a_person(actions):
        return 'it is stopped, which is not a failure'
    return ''


def intent(server: Server, recovery: Recovery, evidence: Evidence) -> Finish | None:
    """Leave a server alone that a person switched off, locked or is working on."""
    if server.project_id != recovery.project_id:
        return Finish(LEFT_ALONE, 'the server belongs to another project than the guest')
    wanted = wanted_so(server, evidence.actions)
    if wanted:
        return Finish(LEFT_ALONE, wanted)
    start = any(s.action == 'server.start' for s in recovery.policy.steps)
    if server.vm_state == 'stopped' and not start:
        return Finish(LEFT_ALONE, "it is off, by nobody's order; the policy has no server.start")
    return None


def opted_out(evidence: Evidence) -> Finish | None:
    """Leave a server alone whose metadata asks for it."""
    if evidence.opted_out:
        return Finish(LEFT_ALONE, 'its metadata says aodh_ha:opt_out')
    return None


def silenced(evidence: Evidence, now: float) -> Wait | None:
    """Wait while a maintenance window covers the guest."""
    for silence in evidence.silences:
        who = f'{silence.scope} {silence.value}'.strip()
        reason = f'maintenance of {who} by {silence.author}'
        why = f': {silence.reason}' if silence.reason else ''
        left = max(1.0, min(silence.ends_at - now, RECHECK))
        return Wait(left, f'{reason}{why}', 'silence')
    return None


def busy(server: Server, acted: Sequence[Attempt], recovery: Recovery, now: float) -> Wait | None:
    """Wait while Nova carries out another task on the server.

    What our last action began is waited for only as long as it can take, and while its host is
    up: on a dead host it never ends. So is any reboot there, for an evacuation may follow it.
    Not to wait otherwise would do harm: Nova takes a second reboot during the first, and the end
    of the first then clears the task of the second (seen).
    """
    task = server.task_state
    if not task:
        return None
    dead = server.host_status != 'UP'
    endless = task in REBOOTING and dead
    if acted:
        last = acted[-1]
        limit = REBOOT_LIMIT if task in REBOOTING else REBUILD_LIMIT
        late = now - (last.sent_at or last.intended_at) > limit
        ours = task in TASKS.get(recovery.policy.steps[last.step].action, ())
        endless = endless or (ours and (dead or late))
    if endless:
        return None
    return Wait(BUSY_RECHECK, f'Nova is busy with it: {task}', 'busy')


def unheard(evidence: Evidence, guest: Guest, trigger: str) -> Wait | None:
    """Wait until the guest had the time to be heard.

    After an outage of the gateways nobody knows who was well meanwhile: neither the silence
    from before nor a service's last report holds, until the guest has missed its beats anew.
    """
    if evidence.missed >= guest.missed_limit:
        return None
    since, last = evidence.listening_since, evidence.last_seen
    if trigger == 'service' and last is not None and since is not None and last >= since:
        return None
    return Wait(
        UNHEARD_RECHECK,
        f'{evidence.missed} of {guest.missed_limit} heartbeats missed since somebody listens',
        'unheard',
    )


def well_meanwhile(
    evidence: Evidence, guest: Guest, recovery: Recovery, history: Sequence[Attempt], now: float
) -> Finish | Wait | None:
    """Do nothing to a guest whose service is not reported to fail any more, nor proved well.

    An agent that has just started reports no service yet. When it reports none for as long as a
    boot may take, its configuration has changed.
    """
    heard = evidence.missed < guest.missed_limit
    if recovery.trigger != 'service' or guest.failures or not heard:
        return None
    since = max([recovery.created_at, *(a.sent_at or a.intended_at for a in made(history))])
    if (guest.last_seen or 0) - since > max(guest.boot_grace, 2 * guest.interval):
        return Finish(LEFT_ALONE, 'it does not report the service any more that had failed')
    return Wait(UNHEARD_RECHECK, 'no service is reported to fail; none is reported well', 'unheard')


def recent_change(evidence: Evidence, guest: Guest, now: float) -> Wait | None:
    """Give a guest its boot grace after somebody else let it boot."""

    def others(action: InstanceAction) -> bool:
        return action.action in CHANGES and action.user_id != evidence.user_id

    change = next((a for a in evidence.actions if others(a)), None)
    if change is None:
        return None
    left = change.at + guest.boot_grace - now
    if not 0 < left <= guest.boot_grace:
        return None
    return Wait(
        min(left, RECHECK), f'its boot grace after a {change.action} lasts', 'recent_change'
    )


def stack(evidence: Evidence) -> Wait | None:
    """Wait for a stack that Heat is at work on."""
    member = evidence.member
    if member and member.busy:
        return Wait(RECHECK, f'the stack {member.root_name} is {member.status}', 'stack')
    return None


def storm(evidence: Evidence) -> Wait | None:
    """Hold everything while too many fall silent at once, unless their host is known to be down."""
    if evidence.fleet.storm and not evidence.host_down:
        return Wait(RECHECK, evidence.fleet.storm, 'storm')
    return None


def host_in_doubt(evidence: Evidence, recovery: Recovery, now: float) -> Wait | None:
    """Wait a little when every guest of a host is silent: Nova tells of its death later than they.

    A reboot that is sent to a dead host helps nobody, and is in the way of the evacuation.
    """
    host = evidence.server.host if evidence.server else None
    silent, every = evidence.fleet.by_host.get(host or '', (0, 0))
    left = recovery.created_at + HOST_DOUBT - now
    if every < 2 or silent < every or evidence.host_down or left <= 0:
        return None
    return Wait(
        min(left, BUSY_RECHECK),
        f'all {every} guests of {host} are silent: Nova may find it down yet',
        'host',
    )


def flapping(
    recovery: Recovery, history: Sequence[Attempt], evidence: Evidence, now: float
) -> Finish | None:
    """Give up on a guest that was recovered too often: the next time will not hold either."""
    limit = recovery.policy.budget.per_guest
    if limit is None or made(history):
        return None
    count, window = limit
    before = acted_recoveries(evidence.past, recovery.policy.budget.reset, now, window, recovery.id)
    if before < count:
        return None
    return Finish(
        FAILED, f'recovered {before} times in {window:g}s, which the policy takes for the most'
    )
