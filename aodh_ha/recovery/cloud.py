"""What the engine needs of a cloud; clients.nova.Nova is it, testing.FakeNova stands in."""

from typing import Protocol

from aodh_ha.rules.evidence import InstanceAction, Server


class Cloud(Protocol):
    """Reads raise CloudAway or NotFound; actions raise ActionRefused or OutcomeUnknown."""

    def user_id(self) -> str:
        """Who we are in the log of instance actions."""

    def server(self, server_id: str) -> Server:
        """A server."""

    def instance_actions(self, server_id: str) -> list[InstanceAction]:
        """What was done to it, newest first."""

    def reboot(self, server_id: str, kind: str) -> str | None:
        """Reboot it; returns the request id."""

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """Rebuild it; returns the request id."""
