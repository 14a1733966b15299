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

    def handle_create(self) -> None:
        """See Resource."""
        super().handle_create()
        self._get_ec2_signed_url()

    def get_reference_id(self) -> str:
        """See Resource; its name until the URL is there.

        Heat's own is made by whoever asks first, and everybody who looks at the stack asks. Two
        at once make one each: the server gets one, the other is kept, and the next update of the
        stack puts another server in its place.
        """
        being_made = (self.action, self.status) == (self.CREATE, self.IN_PROGRESS)
        if being_made and not self.data().get(STORED):
            return str(self.name)
        return str(super().get_reference_id())

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
