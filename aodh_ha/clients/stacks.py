"""What Heat shows of a stack, in this project's words: pure, nothing is asked here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aodh_ha.rules.holdings import MARKED_BY_US, StackEvent

SERVER_TYPES = frozenset({'OS::Nova::Server', 'AWS::EC2::Instance', 'OS::Heat::ScaledResource'})
"""The last: what members of ``AWS::AutoScaling::AutoScalingGroup`` and ``OS::Heat::InstanceGroup``
are called, always servers."""

MARKED = 'CHECK_FAILED'
"""What Heat shows of a resource that was marked unhealthy, or that its own check found so."""

HIDDEN = '******'
"""What Heat shows instead of a hidden parameter's value."""


@dataclass(frozen=True)
class Resource:
    """A resource anywhere in a stack's tree."""

    path: str
    """Its name, with the resources above it: ``group/0/db``. Names alone are not unique."""
    name: str
    type: str
    physical_id: str
    status: str
    stack: str
    """``name/id`` of the stack that has it, which may be a nested one."""
    reason: str = ''
    """Why it has its status."""

    @property
    def marked(self) -> bool:
        """Whether the next update replaces it, whoever wanted that."""
        return self.status == MARKED

    @property
    def marked_by_us(self) -> bool:
        """Whether it is we who wanted that."""
        return self.marked and self.reason.startswith(MARKED_BY_US)

    @property
    def ours(self) -> bool:
        """Whether it is of a type that our plugin has."""
        return self.type.startswith('OS::AodhHA::')


@dataclass(frozen=True)
class Tree:
    """All resources of a root stack and of what is nested in it."""

    resources: tuple[Resource, ...]

    @classmethod
    def read(cls, listed: Iterable[Mapping[str, Any]]) -> 'Tree':
        """From Heat's list with ``nested_depth``."""
        raw = [
            Resource('', r['resource_name'], r['resource_type'], r['physical_resource_id'] or '',
                     r['resource_status'], _stack(r), r.get('resource_status_reason') or '')
            for r in listed
        ]  # fmt: skip
        # A nested stack is the physical resource of the one above it.
        above = {r.physical_id: r for r in raw if r.physical_id}

        def path(resource: Resource, depth: int = 0) -> str:
            parent = above.get(resource.stack.rpartition('/')[2])
            if parent is None or depth > 20:
                return resource.name
            return f'{path(parent, depth + 1)}/{resource.name}'

        return cls(tuple(replace(r, path=path(r)) for r in raw))

    @property
    def ids(self) -> frozenset[str]:
        """Of everything that the stack made, or attaches."""
        return frozenset(r.physical_id for r in self.resources if r.physical_id)

    def server(self, server_id: str) -> Resource | None:
        """The resource that is this server, and none that only has its id: as the one has that
        enrols it."""
        found = [r for r in self.resources if r.physical_id == server_id and not r.ours]
        return next((r for r in found if r.type in SERVER_TYPES), found[0] if found else None)

    def servers(self, like: Resource | None = None) -> dict[str, Resource]:
        """The resources that are servers, by path; ``like`` a resource that is known to be one,
        as an environment may give a server's type another name."""
        types = SERVER_TYPES | ({like.type} if like else frozenset())
        return {r.path: r for r in self.resources if r.type in types}


def event(raw: Any, root_id: str) -> StackEvent:
    """An event as heatclient gives it."""
    stack_name, _, stack_id = _stack(raw.to_dict()).partition('/')
    itself = raw.physical_resource_id == stack_id
    return StackEvent(
        id=raw.id,
        path=stack_name if itself else f'{stack_name}/{raw.resource_name}',
        status=raw.resource_status,
        reason=raw.resource_status_reason or '',
        at=raw.event_time,
        of_root=itself and stack_id == root_id,
    )


def _stack(raw: Mapping[str, Any]) -> str:
    links = {link['rel']: link['href'] for link in raw.get('links') or ()}
    return str(links['stack']).partition('/stacks/')[2]


def hidden(definition: Mapping[str, Any]) -> list[str]:
    """The parameters whose values Heat keeps to itself, so that nobody can create it again."""
    environment = definition.get('environment') or {}
    sections = (environment.get('parameters'), environment.get('parameter_defaults'))
    return sorted({n for s in sections for n, value in (s or {}).items() if value == HIDDEN})
