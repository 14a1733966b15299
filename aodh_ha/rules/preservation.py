"""What a step would destroy."""

from aodh_ha.rules.policy import Policy, Step
from aodh_ha.rules.recovery import Server


def refusal(step: Step, policy: Policy, server: Server) -> str:
    """Why the step must not be taken on this server; empty when it may.

    Fixed IPs, ports and attached volumes survive reboots and rebuilds (measured, Nova 34).
    """
    if step.action != 'server.rebuild':
        return ''
    if 'root_disk' in policy.preserve:
        return 'a rebuild empties the root disk, which the policy preserves'
    if server.image_id is None:
        return 'its root disk is a volume; what a rebuild keeps of it is not certain'
    return ''
