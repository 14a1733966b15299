"""A guest, as the database knows it."""

from dataclasses import dataclass

from aodh_ha.rules import gateway, heartbeat
from aodh_ha.rules.heartbeat import Service

PENDING, ENROLLED, REFUSED = 'pending', 'enrolled', 'refused'


@dataclass(frozen=True)
class Guest:
    """An enrolled guest. Times are seconds since the epoch by the server's clock."""

    server_id: str
    project_id: str
    status: str
    """``pending`` until a worker saw in Nova whose server it is; then ``enrolled`` or
    ``refused``."""
    status_reason: str
    name: str
    generation: int
    """Of its newest key; raised by rotation."""
    interval: float
    missed_limit: int
    boot_grace: float
    policy: str
    enrolled_at: float
    last_seen: float | None = None
    sequence: int = 0
    beats: int = 0
    """Heartbeats received since enrolment."""
    boot_id: str | None = None
    services: tuple[Service, ...] = ()
    failures: int = 0
    """Consecutive failed checks of its worst service, as last reported."""
    failing_since: float | None = None
    seen_by: str | None = None
    """Which way the last sign of life came: ``agent``, ``cloudwatch`` or
    ``ceilometer:<meter>``."""
    group_name: str = ''
    looked_at: float = 0.0
    """When a worker last asked Nova and Heat where it is; the next six come from there."""
    host: str = ''
    zone: str = ''
    stack_id: str = ''
    stack_name: str = ''
    metadata_policy: str = ''
    """From its server's metadata, ``aodh_ha:policy``."""
    opted_out: bool = False
    """By its server's metadata, ``aodh_ha:opt_out``."""
    oldest_generation: int = 0
    """Keys from this generation on are good until ``previous_until``; 0: only the newest is."""
    previous_until: float = 0.0
    enrolled_by: str = 'user'
    """Who asked for it: ``user``, ``metadata`` (its server's), or ``rule NAME``."""
    to_watch: str = ''
    """Triggers, separated by commas, for which the service itself is still to create an alarm:
    nobody else will for a guest that nobody enrolled."""

    def accepts(self, generation: int, now: float) -> bool:
        """Whether the key of this generation is good: the newest, or one that was not ended."""
        if generation == self.generation:
            return True
        between = 0 < self.oldest_generation <= generation < self.generation
        return between and now < self.previous_until

    @property
    def resource_id(self) -> str:
        """Its Gnocchi resource."""
        return heartbeat.resource_id(self.server_id)

    @property
    def way(self) -> str:
        """How it is heard; its silence counts only while somebody listened that way."""
        kind = (self.seen_by or '').partition(':')[0]
        return kind if kind in gateway.GAPS else gateway.AGENT

    def missed(self, now: float, listening_since: float) -> int:
        """Consecutive heartbeats missed; see rules.heartbeat.missed."""
        return heartbeat.missed(
            last_seen=self.last_seen,
            enrolled_at=self.enrolled_at,
            interval=self.interval,
            boot_grace=self.boot_grace,
            listening_since=listening_since,
            now=now,
        )

    def episode(self, trigger: str) -> str:
        """Names one silence (or one service failure): what a new alarm is deduplicated by.

        It changes as soon as the guest is heard again, so a second failure is a new one.
        """
        if trigger == 'service':
            return f'service:{self.failing_since or 0:.3f}'
        return f'silent:{self.last_seen or self.enrolled_at:.3f}'
