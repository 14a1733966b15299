"""What a step has to offer."""

from typing import Protocol

from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.evidence import Server
from aodh_ha.rules.policy import Step


class Action(Protocol):
    """A step's call on the cloud, and how Nova's log names it."""

    logged_as: str
    """The ``action`` of Nova's instance-action log."""

    def act(self, cloud: Cloud, server: Server, step: Step) -> str | None:
        """Make the call once; returns Nova's request id.

        Raises ActionRefused or OutcomeUnknown.
        """
