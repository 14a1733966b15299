"""AWS::CloudFormation::WaitConditionHandle whose URL is good for as long as the stack."""

from typing import Any

from heat.engine.resources.aws.cfn import wait_condition_handle
from heat.engine.resources.signal_responder import WAITCONDITION


class WaitConditionHandle(wait_condition_handle.WaitConditionHandle):
    """What cfn-signal in a guest reports to.

    The URL of Heat's own is refused when it is 15 minutes old. Nova rebuilds a server with the
    user data that it has, and so with the old URL; this one is good until the stack is deleted.
    """

    def get_reference_id(self) -> str:
        """See Resource."""
        if not self.resource_id:
            return str(self.name)
        return str(self._get_ec2_signed_url(signal_type=WAITCONDITION, never_expire=True))


def resource_mapping() -> dict[str, Any]:
    """For the plugin; an environment gives it the name that templates have."""
    return {'OS::AodhHA::WaitConditionHandle': WaitConditionHandle}
