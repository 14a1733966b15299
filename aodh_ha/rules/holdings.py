"""What a server has besides itself: disks, volumes, ports, addresses, its place in a stack."""

from dataclasses import asdict, dataclass, field
from typing import Any

IMAGE, VOLUME = 'image', 'volume'
NOVA, USER, HEAT = 'nova', 'user', 'heat'


@dataclass(frozen=True)
class Volume:
    """An attached volume."""

    id: str
    device: str
    root: bool = False
    delete_on_termination: bool = False
    multiattach: bool = False
    made_by: str = USER
    """USER, or HEAT when a resource of the server's stack is this volume, or attaches it."""


@dataclass(frozen=True)
class Port:
    """A port, with the addresses on it."""

    id: str
    mac: str
    fixed_ips: tuple[str, ...]
    floating_ips: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    """Ids, sorted."""
    made_by: str = NOVA
    """NOVA: deleted with the server. USER: not. HEAT: a resource of the server's stack."""


@dataclass(frozen=True)
class Holdings:
    """All that a step could destroy. Compared before and after it."""

    root_disk: str
    """IMAGE or VOLUME: where the root disk comes from."""
    volumes: tuple[Volume, ...] = ()
    """By device."""
    ports: tuple[Port, ...] = ()
    """By id."""
    ephemeral_gb: int = 0
    swap_mb: int = 0
    config_drive: bool = False
    server_groups: tuple[str, ...] = ()
    shared_storage: bool | None = None
    """Whether its disks outlive the host; None: nobody said."""

    def as_dict(self) -> dict[str, Any]:
        """For the audit trail, as JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> 'Holdings':
        """What as_dict() gave, also after a way through JSON."""
        volumes = tuple(Volume(**v) for v in data['volumes'])
        lists = ('fixed_ips', 'floating_ips', 'security_groups')
        ports = tuple(Port(**(p | {k: tuple(p[k]) for k in lists})) for p in data['ports'])
        rest = {k: v for k, v in data.items() if k not in ('volumes', 'ports', 'server_groups')}
        return cls(volumes=volumes, ports=ports, server_groups=tuple(data['server_groups']), **rest)


@dataclass(frozen=True)
class Member:
    """A server's place in Heat."""

    stack_id: str
    """Of the stack that has the server as a resource; may be a nested one."""
    stack_name: str
    resource_name: str
    root_id: str
    """Of the outermost stack: the one that may be updated."""
    root_name: str
    project_id: str
    status: str
    """Of the root stack, such as ``CREATE_COMPLETE`` or ``UPDATE_IN_PROGRESS``."""
    updated_at: str = ''
    """Of the root stack, as Heat says it; changes with every update."""
    last_event: str = ''
    """The newest event of the root stack when this was read."""
    siblings: tuple[tuple[str, str], ...] = field(default=())
    """Every server of the root stack, itself included: (server id, resource name)."""

    @property
    def busy(self) -> bool:
        """Whether Heat is at work on it."""
        return self.status.endswith('IN_PROGRESS')


MARKED_BY_US = 'aodh-ha: '
"""What the reason of each mark of ours begins with; marks of others are none of our business."""


@dataclass(frozen=True)
class Mark:
    """That Heat was told by us that a server is unhealthy: the stack's next update replaces it."""

    path: str
    """As in Member.siblings, ``group/0/db`` in a nested stack."""
    stack: str
    """``name/id`` of the stack that has it, which may be a nested one."""
    name: str
    """Of the resource in that stack."""
    reason: str

    @property
    def reset(self) -> str:
        """What a person types to take it back."""
        stack_id = self.stack.rpartition('/')[2]
        return f'openstack stack resource mark unhealthy --reset {stack_id} {self.name}'


@dataclass(frozen=True)
class StackEvent:
    """What Heat noted about a resource of a stack, or about the stack itself."""

    id: str
    path: str
    """``stack/resource``, of the stack that has it; of a stack itself its name."""
    status: str
    """Such as ``CREATE_IN_PROGRESS``."""
    reason: str
    at: str
    """As Heat says it, by its clock."""
    of_root: bool = False
    """Whether it is about the root stack itself."""
