"""What is known before acting: the server, its host, what it has, who else is silent."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from aodh_ha.rules.holdings import Holdings, Member


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
    zone: str = ''
    created_at: float = 0.0
    launched_at: float | None = None
    metadata: dict[str, str] = field(default_factory=dict, hash=False)
    tags: frozenset[str] = frozenset()
    fault: str = ''
    """What Nova says went wrong, of a server in ERROR."""


@dataclass(frozen=True)
class Host:
    """A compute host, by its nova-compute service."""

    name: str
    up: bool
    forced_down: bool = False
    disabled: bool = False
    zone: str = ''


@dataclass(frozen=True)
class Activity:
    """What Ceilometer's compute agent measured of a server in the last two minutes, as rates.

    None: not measured. A silent guest with disk or network rates above nothing is suspect.
    """

    cpu_seconds: float | None = None
    """CPU seconds a second."""
    disk_bytes: float | None = None
    """Read and written, bytes a second."""
    network_bytes: float | None = None
    """In and out, bytes a second."""

    IDLE_DISK = 512.0
    IDLE_NETWORK = 256.0

    @property
    def alive(self) -> bool:
        """Whether it does I/O: more than what a hung machine still shows (broadcasts, polls)."""
        disk, network = self.disk_bytes or 0.0, self.network_bytes or 0.0
        return disk > self.IDLE_DISK or network > self.IDLE_NETWORK


@dataclass(frozen=True)
class Silence:
    """A maintenance window: nothing is done to whom it covers. Times in seconds."""

    id: str
    project_id: str
    scope: str
    """``guest``, ``group``, ``host``, ``project`` or ``all``."""
    value: str
    """The server's id, the group's or host's name, the project's id; empty for all."""
    starts_at: float
    ends_at: float
    author: str
    reason: str
    created_at: float = 0.0


@dataclass(frozen=True)
class Fleet:
    """How many guests there are, and who of them is silent: what tells a storm from a failure.

    Each mapping gives (silent, all) by name; ``recent`` are the most that fell silent within one
    window. All without the guests of hosts that Nova knows to be down.
    """

    guests: int = 0
    silent: int = 0
    recent: int = 0
    window: float = 60.0
    by_host: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    by_zone: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    by_way: dict[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    group: tuple[int, int] = (0, 0)
    """Of the guest's own group."""
    storm: str = ''
    """Why this is a storm, by rules.storm; empty: it is none."""
    cause: str = ''
    """What the silent have in common: ``host NAME``, ``zone NAME``, ``way NAME``, ``unknown``."""


@dataclass(frozen=True)
class Past:
    """An action made earlier for the same guest, in this recovery or before it."""

    recovery_id: str
    action: str
    """The step's name."""
    at: float


@dataclass(frozen=True)
class Incident:
    """A compute host that died, or a storm: what many recoveries have in common."""

    id: str
    kind: str
    """``host`` or ``storm``."""
    name: str
    """Of the host; of a storm its cause."""
    reason: str
    opened_at: float
    closed_at: float | None = None
    fenced_at: float | None = None
    fenced_by: str = ''
    notified: bool = False


@dataclass(frozen=True)
class InstanceAction:
    """An entry of Nova's instance-action log."""

    action: str
    request_id: str
    user_id: str | None
    """None: Nova itself, as when it found the server off."""
    started_at: str
    """ISO 8601 in UTC, as Nova writes it."""
    failed: bool = False
    """Nova notes an error of what it took up; the request itself was answered well."""

    @property
    def at(self) -> float:
        """Seconds since the epoch; 0 where Nova's text cannot be read."""
        try:
            return datetime.fromisoformat(self.started_at).replace(tzinfo=UTC).timestamp()
        except ValueError:
            return 0.0


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
    host: Host | None = None
    """None: the server is on none, or Nova does not tell."""
    actions: tuple[InstanceAction, ...] = ()
    """The newest in Nova's log, newest first."""
    holdings: Holdings | None = None
    member: Member | None = None
    """None: no stack has the server."""
    others: dict[str, Holdings | None] = field(default_factory=dict, hash=False)
    """What the other servers have that the stack's steps would replace, by server; None: not
    known. Asked for only where the policy has such a step."""
    excused: dict[str, str] = field(default_factory=dict, hash=False)
    """Why nothing may be done to another server of the stack, by its resource; asked for as
    ``others`` is."""
    watched: tuple[str, ...] = ()
    """Servers of the stack, by their resources, whose guests were heard before: after a step that
    replaces them all, all must be heard again."""
    activity: Activity | None = None
    console: str = ''
    """Its last lines, secrets masked."""
    diagnostics: dict[str, Any] = field(default_factory=dict)
    services: dict[str, str] = field(default_factory=dict)
    """State by service, as last reported."""
    opted_out: bool = False
    silences: tuple[Silence, ...] = ()
    """Those that cover the guest now."""
    fleet: Fleet = Fleet()
    past: tuple[Past, ...] = ()
    """Actions for this guest in the last week or since it was last well for long, oldest first."""
    incident: Incident | None = None
    """Of the server's host."""
    user_id: str = ''
    """Ours, in Nova's log."""
    boot_id: str | None = None
    """Of the guest's last heartbeat: another one tells that it has booted since."""

    @property
    def host_down(self) -> bool:
        """Whether Nova says so."""
        if self.host:
            return not self.host.up
        return self.server is not None and self.server.host_status == 'DOWN'

    def as_dict(self) -> dict[str, Any]:
        """For the audit trail, as JSON."""
        server = self.server
        return {
            'taken_at': self.taken_at,
            'heartbeats_missed': self.missed,
            'last_heartbeat': self.last_seen,
            'boot_id': self.boot_id,
            'silent_for': None if self.last_seen is None else self.taken_at - self.last_seen,
            'listening_since': self.listening_since,
            'last_request_id': self.last_request_id,
            'host': self.host and asdict(self.host),
            'actions': [asdict(a) for a in self.actions[:5]],
            'holdings': self.holdings and self.holdings.as_dict(),
            'member': self.member and asdict(self.member),
            'others': {i: held and held.as_dict() for i, held in self.others.items()},
            'excused': self.excused,
            'watched': list(self.watched),
            'activity': self.activity and asdict(self.activity),
            'console': self.console,
            'diagnostics': self.diagnostics,
            'services': self.services,
            'opted_out': self.opted_out,
            'silences': [asdict(s) for s in self.silences],
            'fleet': asdict(self.fleet),
            'past': [asdict(p) for p in self.past],
            'incident': self.incident and asdict(self.incident),
            'user_id': self.user_id,
            'server': server
            and {
                'id': server.id,
                'project_id': server.project_id,
                'name': server.name,
                'zone': server.zone,
                'image_id': server.image_id,
                'status': server.status,
                'vm_state': server.vm_state,
                'task_state': server.task_state,
                'power_state': server.power_state,
                'locked': server.locked,
                'host': server.host,
                'host_status': server.host_status,
                'volume_backed': server.image_id is None,
                'fault': server.fault,
            },
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> 'Evidence':
        """What as_dict() gave, also after a way through JSON; LookupError where it lacks much.

        Of the server what decides is kept, not its metadata.
        """
        server = dict(data['server']) if data['server'] else None
        if server:
            del server['volume_backed']
        held, fleet = data['holdings'], data['fleet']
        places = {k: {n: (s, a) for n, (s, a) in fleet[k].items()} for k in _PLACES}
        member = data['member']
        return cls(
            taken_at=data['taken_at'],
            missed=data['heartbeats_missed'],
            last_seen=data['last_heartbeat'],
            server=Server(**server) if server else None,
            last_request_id=data['last_request_id'],
            listening_since=data['listening_since'],
            host=Host(**data['host']) if data['host'] else None,
            actions=tuple(InstanceAction(**a) for a in data['actions']),
            holdings=Holdings.from_dict(held) if held else None,
            member=member
            and Member(**member | {'siblings': tuple((i, n) for i, n in member['siblings'])}),
            others={i: h and Holdings.from_dict(h) for i, h in data['others'].items()},
            excused=data.get('excused', {}),
            watched=tuple(data.get('watched', ())),
            activity=Activity(**data['activity']) if data['activity'] else None,
            console=data['console'],
            diagnostics=data['diagnostics'],
            services=data['services'],
            opted_out=data['opted_out'],
            silences=tuple(Silence(**s) for s in data['silences']),
            fleet=Fleet(**fleet | places | {'group': tuple(fleet['group'])}),
            past=tuple(Past(**p) for p in data['past']),
            incident=Incident(**data['incident']) if data['incident'] else None,
            user_id=data['user_id'],
            boot_id=data['boot_id'],
        )


_PLACES = ('by_host', 'by_zone', 'by_way')
