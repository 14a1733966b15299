"""What holds a recovery back."""

from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import LEFT_ALONE, Evidence, Finish, Server, Wait

BUSY_RECHECK = 5.0
"""Seconds until a server that Nova is busy with is looked at again."""

REBOOT_LIMIT = 150.0
"""Seconds a reboot may take: libvirt waits 120 s for a guest that should shut down."""

UNHEARD_RECHECK = 2.0
"""Seconds until a guest that could not be heard for long enough is looked at again."""

INTENT = {
    'stopped': 'it is stopped',
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
"""Nova's vm_state where somebody wants the server to be as it is."""

REBOOTING = (
    'reboot_started',
    'reboot_pending',
    'rebooting',
    'reboot_started_hard',
    'reboot_pending_hard',
    'rebooting_hard',
)


def intent(server: Server, project_id: str) -> Finish | None:
    """Leave a server alone that a person switched off, locked or is working on."""
    if server.project_id != project_id:
        return Finish(LEFT_ALONE, 'the server belongs to another project than the guest')
    if server.locked:
        return Finish(LEFT_ALONE, 'its owner locked it')
    if server.vm_state in INTENT:
        return Finish(LEFT_ALONE, f'{INTENT[server.vm_state]}, which is not a failure')
    return None


def busy(server: Server, since_action: float | None) -> Wait | None:
    """Wait while Nova carries out another task on the server.

    ``since_action`` is how many seconds ago our last action was sent, None before the first.
    What we began is waited for only as long as it can take and while its host is up: on a dead
    host it never ends. Not to wait would do harm: Nova takes a second reboot during the first,
    and the end of the first then clears the task of the second (seen).
    """
    task = server.task_state
    if not task:
        return None
    endless = server.host_status != 'UP' or (since_action or 0) > REBOOT_LIMIT
    ours = task in REBOOTING or since_action is not None
    if ours and endless:
        return None
    return Wait(BUSY_RECHECK, f'Nova is busy with it: {task}')


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
    )
