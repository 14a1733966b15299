"""AWS::CloudFormation::WaitConditionHandle whose URL is good for as long as the stack."""

from typing import Any

from heat.engine.resources import signal_responder
from heat.engine.resources.aws.cfn import wait_condition_handle

STORED = 'ec2_signed_url'
"""Where Heat keeps the URL: another one would be another server, whose user data have it."""


class WaitConditionHandle(wait_condition_handle.WaitConditionHandle):
    """What cfn-signal in a guest reports to.

    The URL of Heat's own is refused when it is 15 minutes old. Nova rebuilds a server with the
    user data that it has, and so with the old URL; this one is good until the stack is deleted.
    """

    def _get_ec2_signed_url(self, signal_type: str = signal_responder.WAITCONDITION) -> Any:
        url = self.data().get(STORED)
        if url is None:
            signed = signal_responder.SignalResponder._get_ec2_signed_url
            url = signed(self, signal_type, never_expire=True)
            self.data_set(STORED, url)
        return url


def resource_mapping() -> dict[str, Any]:
    """For the plugin; an environment gives it the name that templates have."""
    return {'OS::AodhHA::WaitConditionHandle': WaitConditionHandle}
