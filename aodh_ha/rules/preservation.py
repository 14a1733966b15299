"""What a step would destroy, and whether what was to be kept was kept."""

from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.policy import Policy, Step


def refusal(step: Step, policy: Policy, evidence: Evidence) -> str:
    """Why the step must not be taken on this server; empty when it may.

    Fixed IPs, ports and attached volumes survive reboots and rebuilds (measured, Nova 34).
    """
    server = evidence.server
    if step.action != 'server.rebuild' or server is None:
        return ''
    if 'root_disk' in policy.preserve:
        return 'a rebuild empties the root disk, which the policy preserves'
    if server.image_id is None:
        return 'its root disk is a volume; what a rebuild keeps of it is not certain'
    return ''
