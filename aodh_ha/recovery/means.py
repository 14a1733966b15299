"""What recoveries are carried out with, and what of it the action of an attempt is given."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aodh_ha.db import Database
from aodh_ha.exceptions import AodhHAError, CredentialRefused
from aodh_ha.recovery import evidence as evidence_of
from aodh_ha.recovery import rights
from aodh_ha.recovery.actions import Context
from aodh_ha.recovery.actions.base import Runner
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import Attempt, Recovery
from aodh_ha.rules.rights import Rights


@dataclass(frozen=True)
class Settings:
    """What the operator configured, as far as it concerns one recovery."""

    limits: Limits = field(default_factory=Limits)
    dry_run: bool = False
    allowed: frozenset[str] | None = None
    """Actions that a project's own policy may have; None: all."""
    storm: evidence_of.Settings = field(default_factory=evidence_of.Settings)
    call_limit: float = 50.0
    """Seconds that one call on the cloud lasts at most."""
    master_key: bytes = b''
    service_user: bool = True
    """Whether recoveries may act with the service user's rights where a project gave none."""
    gateways: tuple[str, ...] = ()
    """Where guests send their heartbeats: for those whose server is replaced."""


@dataclass(frozen=True)
class Means:
    """The same for all recoveries of a worker."""

    database: Database
    cloud: Cloud
    """With the service user's rights."""
    clock: Callable[[], float]
    """Unix seconds."""
    hooks: Runner
    settings: Settings
    at: Callable[[str, str], object]
    """Called at each boundary that a crash may fall on: its name, the recovery's id."""

    def rights(self, recovery: Recovery, step: Step) -> Rights:
        """With whose rights a step is made."""
        return rights.choose(
            self.database,
            recovery,
            step,
            master_key=self.settings.master_key,
            service_user=self.settings.service_user,
        )

    def note_refusal(self, used: Rights, error: AodhHAError) -> None:
        """Where the cloud refused the rights themselves, note it where the project sees it."""
        if isinstance(error, CredentialRefused):
            rights.refused(self.database, used, error.detail, self.clock())

    def context(
        self,
        recovery: Recovery,
        guest: Guest,
        attempt: Attempt,
        evidence: Evidence | None = None,
    ) -> Context:
        """What the attempt's action is given, now: its rights may be others than a while ago."""
        step = recovery.policy.steps[attempt.step]
        chosen = self.rights(recovery, step)
        return Context(
            cloud=self.cloud.acting(chosen),
            rights=chosen,
            database=self.database,
            hooks=self.hooks,
            recovery=recovery,
            guest=guest,
            step=step,
            attempt=attempt,
            now=self.clock(),
            evidence=evidence,
            gateways=self.settings.gateways,
            master_key=self.settings.master_key,
        )
