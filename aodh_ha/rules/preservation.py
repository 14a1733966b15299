"""What a step would destroy, and whether what was to be kept was kept.

Nova's part was read in Nova 34 and measured against it; Heat's in Heat 26.

- A reboot, a start, a cold migration keep everything.
- ``server.rebuild``, at the microversion that we speak (2.90), makes the local disks anew: the
  root disk from the image, ephemeral and swap disks empty. Volumes are detached and attached
  again, ports stay. A root disk that is a volume keeps its content: Nova re-images it only from
  2.93 on, and below it answers 400 when another image is asked for than the volume was made of
  (``compute/api.py`` ``rebuild``: ``reimage_boot_volume``, ``ImageUnacceptable``).
- ``server.evacuate`` does the same, on another host, unless the local disks lie on shared storage
  (``compute/manager.py``: "disk not on shared storage, evacuating from image").
- A server that Heat replaces is another server: what Nova made with the old one goes with it,
  what the stack has is moved to the new one. A stack that is made anew keeps nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.holdings import HEAT, IMAGE, NOVA, USER, Holdings, Port, Volume
from aodh_ha.rules.policy import PRESERVABLE, Policy, Step

IN_PLACE = ('server.rebuild', 'server.evacuate')
"""The same server with new local disks."""

ANOTHER = ('server.replace', 'stack.heal', 'stack.rebuild')
"""Another server in its place, in the same stack."""

RECREATE = 'stack.recreate'

ENDANGERED: dict[str, frozenset[str]] = {
    **dict.fromkeys(IN_PLACE, frozenset({'root_disk', 'ephemeral'})),
    **dict.fromkeys((*ANOTHER, RECREATE), frozenset(PRESERVABLE)),
}
"""The most that a step can destroy, whatever the server has."""


@dataclass(frozen=True)
class Loss:
    """One thing that a step would destroy."""

    kind: str
    """One of PRESERVABLE; or ``swap``, ``ports``, ``config_drive``, ``server_groups``, which are
    told and cannot be preserved."""
    what: str
    """A sentence that names the thing."""
    id: str = ''
    """Of the volume or port, or the address."""


def losses(step: Step, evidence: Evidence) -> list[Loss]:
    """What the step would destroy of what is known; see unknown() for what is not."""
    if step.action not in ENDANGERED:
        return []
    found: list[Loss] = []
    if evidence.holdings:
        local = not (step.action == 'server.evacuate' and evidence.holdings.shared_storage)
        found += _losses(step.action, evidence.holdings, local)
    if step.action.startswith('stack.'):
        for server_id, held in sorted(evidence.others.items()):
            if held:
                more = _losses(step.action, held, True)
                found += [Loss(m.kind, f'of {server_id}: {m.what}', m.id) for m in more]
    return found


def unknown(step: Step, policy: Policy, evidence: Evidence) -> str:
    """Whose belongings would have to be known to tell what is lost; empty: all is known."""
    if not policy.preserve & ENDANGERED.get(step.action, frozenset()):
        return ''
    if evidence.holdings is None:
        return 'what it has is not known'
    wanted = {i for i, held in evidence.others.items() if held is None}
    if step.action == 'stack.rebuild' and evidence.member:
        siblings = {server_id for server_id, _ in evidence.member.siblings}
        wanted |= siblings - set(evidence.others)
    wanted -= {evidence.server.id if evidence.server else ''}
    if step.action.startswith('stack.') and wanted:
        return f'what {", ".join(sorted(wanted))} of its stack has is not known'
    return ''


def refusal(step: Step, policy: Policy, evidence: Evidence) -> str:
    """Why the step must not be taken on this server; empty when it may.

    What is not known might be lost: a step that could destroy anything the policy preserves is
    refused then.
    """
    gap = unknown(step, policy, evidence)
    if gap:
        return f'{gap}, and the policy preserves {_listed(sorted(policy.preserve))}'
    lost = [loss for loss in losses(step, evidence) if loss.kind in policy.preserve]
    if not lost:
        return ''
    more = f' (and {len(lost) - 3} more)' if len(lost) > 3 else ''
    kinds = _listed([kind for kind in PRESERVABLE if kind in {loss.kind for loss in lost}])
    return f'{"; ".join(loss.what for loss in lost[:3])}{more}; the policy preserves {kinds}'


def differences(step: Step, before: Holdings, after: Holdings) -> list[str]:
    """What is gone that the step should have kept: each calls for a person.

    Volumes are compared by id and device, never by attachment: its id changes with every rebuild
    and evacuation. What was added meanwhile is no loss.
    """
    foreseen = {loss.id for loss in _losses(step.action, before, True) if loss.id}
    found: list[str] = []
    devices = {v.id: v.device for v in after.volumes}
    for volume in before.volumes:
        if volume.id in foreseen:
            continue
        if volume.id not in devices:
            found.append(f'volume {volume.id} is gone from {volume.device}')
        elif devices[volume.id] != volume.device:
            found.append(f'volume {volume.id} is on {devices[volume.id]}, was on {volume.device}')
    ports = {p.id for p in after.ports}
    found += [
        f'port {p.id} is gone' for p in before.ports if p.id not in ports and p.id not in foreseen
    ]
    for name, old, new in (
        ('fixed', _addresses(before, 'fixed_ips'), _addresses(after, 'fixed_ips')),
        ('floating', _addresses(before, 'floating_ips'), _addresses(after, 'floating_ips')),
    ):
        found += [f'{name} IP {ip} is gone' for ip in old if ip not in new and ip not in foreseen]
    return found


def _addresses(held: Holdings, which: str) -> list[str]:
    return [ip for port in held.ports for ip in getattr(port, which)]


def _losses(action: str, held: Holdings, local: bool) -> Iterator[Loss]:
    """``local``: whether the disks on the compute host are lost."""
    if action in IN_PLACE:
        yield from _local_disks(action, held) if local else ()
    elif action in ENDANGERED:
        yield from _local_disks(action, held)
        for volume in held.volumes:
            yield from _volume(action, volume)
        for port in held.ports:
            yield from _port(action, port)
        if held.config_drive:
            yield Loss('config_drive', 'its config drive would be made anew, of another server')
        for group in held.server_groups:
            yield Loss(
                'server_groups', f'it stays in server group {group} only if the template says so'
            )


_HOW = {
    'server.rebuild': 'would be made anew by the rebuild',
    'server.evacuate': 'lies on the dead host: the evacuation would make it anew',
}


def _local_disks(action: str, held: Holdings) -> Iterator[Loss]:
    how = _HOW.get(action, 'would be deleted with the server')
    if held.root_disk == IMAGE:
        yield Loss('root_disk', f'its root disk {how}')
    if held.ephemeral_gb:
        yield Loss('ephemeral', f'its ephemeral disk of {held.ephemeral_gb} GiB {how}')
    if held.swap_mb:
        yield Loss('swap', f'its swap disk of {held.swap_mb} MiB {how}')


def _volume(action: str, volume: Volume) -> Iterator[Loss]:
    shared = ', which other servers may share,' if volume.multiattach else ''
    which = f'volume {volume.id} on {volume.device}{shared}'
    detached = False
    if volume.delete_on_termination:
        what = f'{which} would be deleted with the server'
    elif volume.made_by == HEAT and action == RECREATE:
        what = f'{which} would be deleted with the stack'
    elif volume.made_by == USER:
        # Its data stay, but the guest would come back without them.
        what = f'{which} would be left detached: no resource of a stack attaches it'
        detached = True
    else:
        return
    if not (volume.root and detached):
        yield Loss('volumes', what, volume.id)
    if volume.root:
        yield Loss('root_disk', f'its root disk, {what}', volume.id)


def _port(action: str, port: Port) -> Iterator[Loss]:
    if port.made_by == NOVA:
        how = f'would be deleted with the server: Nova made its port {port.id}'
    elif port.made_by == HEAT and action == RECREATE:
        how = f'would be deleted with the stack, which made its port {port.id}'
    else:
        return
    groups = (
        f' with security groups {_listed(port.security_groups)}' if port.security_groups else ''
    )
    yield Loss('ports', f'port {port.id}{groups} would be deleted', port.id)
    for ip in port.fixed_ips:
        yield Loss('fixed_ips', f'fixed IP {ip} {how}', ip)
    for ip in port.floating_ips:
        yield Loss('floating_ips', f'floating IP {ip} would be left without a port', ip)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ', '.join(names)
