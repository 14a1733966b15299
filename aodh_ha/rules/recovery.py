"""Recoveries, their attempts, and the decisions about them."""

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
"""The request was taken; a newer heartbeat is waited for."""
SUCCEEDED, UNVERIFIED, REFUSED, ABANDONED = 'succeeded', 'unverified', 'refused', 'abandoned'
NOT_HEARD = 'not heard again: '
"""How the detail of an attempt begins after which not all were heard who had to be."""
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
    heard_at: float | None = None
    """When the newer heartbeat came, from which on the step's ``hold`` counts."""
    dry_run: bool = False
    """The action was not made; all else was done as if."""
    broke_off_at: float | None = None
    """When the call came back without an answer: from then on it is known within a while whether
    the cloud took it. None while it may still be under way."""
    proof: dict[str, Any] = field(default_factory=dict)
    """What the server had before and after; see rules.preservation."""


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
    group_name: str = ''
    host: str = ''
    zone: str = ''
    stack_id: str = ''
    """Where the guest was when the recovery was admitted: what budgets are counted by."""
    priority: int = 50
    admitted_at: float | None = None
    """When the budget let it act; None until then."""
    approved_step: int | None = None
    """The last step, from 0, that a person approved."""
    incident_id: str | None = None
    """The host's incident that this recovery is part of."""
    guard: str = ''
    """What holds it back, one of rules.guards.GUARDS; empty: nothing does."""


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
    guard: str = ''
    """Which guard holds it back, one of rules.guards.GUARDS; empty: none does."""


@dataclass(frozen=True)
class Heard:
    """Note that the newer heartbeat has come; the step's ``hold`` counts from now."""

    attempt: Attempt


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
class Fence:
    """Have the operator's hook of this name cut the dead host off; then look again."""

    hook: str
    host: str
    reason: str


@dataclass(frozen=True)
class NeedEvidence:
    """Nothing can be decided without evidence taken now."""


Decision = Finish | Wait | Heard | Conclude | Refuse | Fence | Act | NeedEvidence
