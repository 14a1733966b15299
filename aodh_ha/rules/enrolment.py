"""Which servers are enrolled without anybody naming them: by their metadata, or by a rule."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from aodh_ha.rules.policy import NAME

ENROLL = 'aodh_ha:enroll'
"""Key of a server's metadata, with which its owner wants it enrolled (``true``) or not."""
POLICY = 'aodh_ha:policy'
"""Key of a server's metadata: the policy that its owner wants for it; wants it enrolled, too."""
OPT_OUT = 'aodh_ha:opt_out'
"""Key of a server's metadata, with which its owner wants nothing to be done to it."""

BY_METADATA = 'metadata'

KEY = 'aodh_ha_key'
CREDENTIALS = ('aodh_ha_gateways', KEY, 'aodh_ha_generation')
"""What an agent looks for in its server's metadata, and in Nova's vendordata; see credentials()."""

TAG = re.compile(r'[^,/]{1,60}')
"""Of a server, as Nova takes it."""

_NO = ('', '0', 'false', 'no', 'off')


@dataclass(frozen=True)
class Candidate:
    """A server that may be enrolled, as far as it is known at the time."""

    server_id: str
    project_id: str
    name: str
    """At boot its hostname, which Nova makes from the name; later its name."""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    tags: frozenset[str] = frozenset()
    """Not known at boot: Nova does not tell them there."""
    stacks: frozenset[str] = frozenset()
    """Ids of the stacks that have it, of those that rules name; not known at boot either."""


@dataclass(frozen=True)
class Rule:
    """Servers to be enrolled: those that meet every condition that is not empty."""

    id: str
    project_id: str
    """'' is the operator's: servers of every project."""
    name: str
    tag: str = ''
    metadata_key: str = ''
    metadata_value: str = ''
    """Empty: whatever the value is."""
    server_name: str = ''
    """A pattern of the shell's, such as ``web-*``; capitals make no difference."""
    policy: str = ''
    group_name: str = ''
    author: str = ''
    created_at: float = 0.0
    stack_id: str = ''
    """A stack, often a nested one, such as an autoscaling group is: its servers, at any depth."""

    def matches(self, server: Candidate) -> bool:
        """Whether the server meets every condition."""
        if self.project_id and self.project_id != server.project_id:
            return False
        if self.tag and self.tag not in server.tags:
            return False
        if self.stack_id and self.stack_id not in server.stacks:
            return False
        if self.metadata_key:
            value = server.metadata.get(self.metadata_key)
            if value is None or self.metadata_value not in ('', value):
                return False
        pattern = self.server_name.lower()
        return not pattern or fnmatchcase(server.name.lower(), pattern)


@dataclass(frozen=True)
class Wish:
    """How a server is to be enrolled."""

    enrolled_by: str
    """``metadata``, or ``rule NAME``."""
    policy: str = ''
    group_name: str = ''
    metadata_policy: str = ''


def wish(server: Candidate, rules: Iterable[Rule]) -> Wish | None:
    """How a server is to be enrolled; None: not at all.

    Its owner's word comes first, a project's own rules before the operator's, then the name of
    the rule decides.
    """
    if opted_out(server.metadata) or not yes(server.metadata.get(ENROLL, 'unless told')):
        return None
    found = sorted(
        (r for r in rules if r.matches(server)), key=lambda r: (not r.project_id, r.name)
    )
    rule = found[0] if found else None
    policy = policy_of(server.metadata)
    by_rule = ENROLL not in server.metadata and not policy
    if by_rule and rule is None:
        return None
    return Wish(
        enrolled_by=f'rule {rule.name}' if by_rule and rule else BY_METADATA,
        policy='' if policy or rule is None else rule.policy,
        group_name=rule.group_name if rule else '',
        metadata_policy=policy,
    )


def credentials(gateways: Sequence[str], key: str, generation: int) -> dict[str, str]:
    """Gateways and key as an agent looks for them."""
    return dict(zip(CREDENTIALS, (','.join(gateways), key, str(generation)), strict=True))


def yes(value: str) -> bool:
    """Whether a value of metadata says yes."""
    return value.strip().lower() not in _NO


def opted_out(metadata: Mapping[str, str]) -> bool:
    """Whether a server's owner wants nothing to be done to it."""
    return yes(metadata.get(OPT_OUT, ''))


def policy_of(metadata: Mapping[str, str]) -> str:
    """The policy that a server's metadata name; empty if none, or none that can be a name."""
    policy = metadata.get(POLICY, '').strip()
    return policy if NAME.fullmatch(policy) else ''
