"""What a server had before a step and has after it: whether what was to be kept was kept."""

from dataclasses import dataclass
from typing import Any

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import preservation
from aodh_ha.rules.holdings import Holdings
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import Attempt


@dataclass(frozen=True)
class Proof:
    """Both, and what is gone that the step should have kept."""

    data: dict[str, Any]
    """For the attempt, as JSON; empty where nothing was known before."""
    differences: tuple[str, ...] = ()
    unsettled: str = ''
    """What is still being done to the server, so that it is too early to compare; or who did
    not answer."""


def take(cloud: Cloud, step: Step, attempt: Attempt, server_id: str) -> Proof:
    """Compare the server now with the evidence of the attempt.

    ``server_id``: of the server as it is now; after a replacement it is another one.
    """
    kept = attempt.evidence.get('holdings')
    if not kept or not step.action.startswith(('server.', 'stack.')):
        return Proof({})
    before = Holdings.from_dict(kept)
    try:
        server = cloud.server(server_id)
        member = cloud.member(server)
        after = cloud.holdings(server, member)
    except (CloudAway, ActionRefused, NotFound) as e:
        return Proof({'before': before.as_dict(), 'after': None}, (), e.detail)
    differences = tuple(preservation.differences(step, before, after))
    data = {
        'server_id': server_id,
        'before': before.as_dict(),
        'after': after.as_dict(),
        'differences': list(differences),
    }
    busy = f'Nova is busy with it: {server.task_state}' if server.task_state else ''
    if member and member.busy:
        busy = f'the stack {member.root_name} is {member.status}'
    return Proof(data, differences, busy)
