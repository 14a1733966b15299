"""Recoveries, their attempts, the evidence they act on, and the decisions about them."""

from dataclasses import dataclass, field
from typing import Any

from aodh_ha.rules.policy import Policy

# Status of a recovery. The first two are active: at most one such recovery a guest.
QUEUED, RUNNING = 'queued', 'running'
RECOVERED = 'recovered'
"""Heard again, by a heartbeat newer than the last action."""
FAILED = 'failed'
"""Every step was tried or refused; a person is needed."""
LEFT_ALONE = 'left_alone'
"""Nothing was to be done: a person wants the server so, or it is gone."""
ACTIVE = (QUEUED, RUNNING)
ENDED = (RECOVERED, FAILED, LEFT_ALONE)

# Status of an attempt.
INTENDED = 'intended'
"""Written before the call; only Nova knows whether the call was made."""
SENT = 'sent'
"""Nova took the request; a newer heartbeat is waited for."""
SUCCEEDED, UNVERIFIED, REFUSED, ABANDONED = 'succeeded', 'unverified', 'refused', 'abandoned'
CONCLUDED = (SUCCEEDED, UNVERIFIED, REFUSED, ABANDONED)


@dataclass(frozen=True)
class Attempt:
    """One try of a step. Times are seconds since the epoch by the worker's clock."""

    id: str
    recovery_id: str
    step: int
    """Index into the policy's steps, from 0."""
    number: int
    """Which try of this step, from 1; abandoned tries count here but not as attempts."""
    action: str
    status: str
    intended_at: float
    sent_at: float | None = None
    verify_until: float | None = None
    finished_at: float | None = None
    request_id: str | None = None
    """Nova's, from its answer or, after a crash, from its instance actions."""
    detail: str = ''
    evidence: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recovery:
    """One incident of one guest, from the alarm to its end."""

    id: str
    server_id: str
    project_id: str
    trigger: str
    episode: str
    alarm_id: str | None
    status: str
    reason: str
    policy: Policy
    """As it was when the recovery began."""
    created_at: float
    updated_at: float
    finished_at: float | None
    not_before: float
    lease_owner: str | None
    lease_until: float | None
    fence: int
    callbacks: int
    """Notifications that opened or joined this recovery."""


@dataclass(frozen=True)
class Server:
    """A server as Nova showed it."""

    id: str
    project_id: str
    name: str
    status: str
    vm_state: str
    task_state: str | None
    power_state: int
    locked: bool
    host: str | None
    image_id: str | None
    """None when it boots from a volume."""
    host_status: str = 'UP'
    """Of the compute host, as Nova tells administrators: UP, DOWN, MAINTENANCE, UNKNOWN."""


@dataclass(frozen=True)
class InstanceAction:
    """An entry of Nova's instance-action log."""

    action: str
    request_id: str
    user_id: str | None
    started_at: str


@dataclass(frozen=True)
class Evidence:
    """What was known before acting. Kept with the attempt."""

    taken_at: float
    missed: int
    last_seen: float | None
    server: Server | None
    """None: Nova has no such server."""
    last_request_id: str | None
    """The newest instance action before ours: whatever is newer and ours, we did."""
    listening_since: float | None = None
    """Since when guests could be heard without a gap; None: nobody listens."""

    def as_dict(self) -> dict[str, Any]:
        """For the audit trail, as JSON."""
        server = self.server
        return {
            'taken_at': self.taken_at,
            'heartbeats_missed': self.missed,
            'last_heartbeat': self.last_seen,
            'silent_for': None if self.last_seen is None else self.taken_at - self.last_seen,
            'listening_since': self.listening_since,
            'last_request_id': self.last_request_id,
            'server': server
            and {
                'status': server.status,
                'vm_state': server.vm_state,
                'task_state': server.task_state,
                'power_state': server.power_state,
                'locked': server.locked,
                'host': server.host,
                'host_status': server.host_status,
                'volume_backed': server.image_id is None,
            },
        }


@dataclass(frozen=True)
class Finish:
    """End the recovery with this status."""

    status: str
    reason: str


@dataclass(frozen=True)
class Wait:
    """Do nothing for now."""

    seconds: float
    reason: str


@dataclass(frozen=True)
class Conclude:
    """End an attempt with this status; the recovery goes on."""

    attempt: Attempt
    status: str
    reason: str


@dataclass(frozen=True)
class Refuse:
    """Do not take this step, and say why; the ladder goes on."""

    step: int
    number: int
    reason: str


@dataclass(frozen=True)
class Act:
    """Take this step."""

    step: int
    number: int
    reason: str


@dataclass(frozen=True)
class NeedEvidence:
    """Nothing can be decided without evidence taken now."""


Decision = Finish | Wait | Conclude | Refuse | Act | NeedEvidence
