"""Recovery policies: what to do about a silent guest, in which order, keeping what."""

import functools
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from aodh_ha.exceptions import InvalidPolicy

PRESERVABLE = ('volumes', 'fixed_ips', 'root_disk')
UNITS = {'s': 1.0, 'm': 60.0, 'h': 3600.0}
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,62}')
MAX_DOCUMENT = 60_000
"""Bytes in UTF-8; MariaDB's TEXT ends at 65,535."""

_DURATION = re.compile(r'(\d+(?:\.\d+)?)([smh])')


@dataclass(frozen=True)
class Step:
    """One rung of the ladder. Durations are seconds."""

    action: str
    """``server.reboot`` or ``server.rebuild``."""
    type: str | None = None
    """``soft`` or ``hard``, of a reboot."""
    attempts: int = 1
    verify: float = 120.0
    """How long a newer heartbeat is waited for after the action."""

    @property
    def name(self) -> str:
        """As it is shown: ``server.reboot soft``."""
        return f'{self.action} {self.type}' if self.type else self.action


@dataclass(frozen=True)
class Policy:
    """A recovery policy."""

    name: str
    version: int
    steps: tuple[Step, ...]
    preserve: frozenset[str] = field(default_factory=frozenset)
    interval: float = 10.0
    missed: int = 3
    boot_grace: float = 120.0
    document: str = ''
    """The YAML it was read from."""


ACTIONS: dict[str, tuple[str | None, ...]] = {
    'server.reboot': ('soft', 'hard'),
    'server.rebuild': (None,),
}
_STEP_KEYS = {'action', 'type', 'attempts', 'verify'}
_KEYS = {'name', 'heartbeat', 'preserve', 'steps'}
_HEARTBEAT_KEYS = {'interval', 'missed', 'boot_grace'}


class _Document:
    """A parsed policy that remembers on which line each value stands."""

    def __init__(self, text: str) -> None:
        try:
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            self.data = yaml.safe_load(text)
        except yaml.YAMLError as e:
            mark = getattr(e, 'problem_mark', None)
            where = f'line {mark.line + 1}: ' if mark else ''
            problem = getattr(e, 'problem', None) or 'it cannot be read'
            raise InvalidPolicy(f'{where}not YAML: {problem}') from None
        except (RecursionError, ValueError, LookupError, AttributeError):
            # PyYAML's constructors trip over tags that do not fit: !!bool x is a KeyError.
            raise InvalidPolicy('not YAML that can be read: a value does not fit') from None

    def fail(self, path: tuple[str | int, ...], problem: str) -> InvalidPolicy:
        """The error for the value at path, with its line."""
        node, line = self.node, 1
        for part in path:
            child = None
            if isinstance(node, yaml.MappingNode):
                for key, value in node.value:
                    if key.value == str(part):
                        child, line = value, key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
                child = node.value[part]
                line = child.start_mark.line + 1
            if child is None:
                break
            node = child
        # A key is the sender's: on one line, and short, wherever the error is printed.
        dotted = ascii('.'.join(str(p)[:64] for p in path))[1:-1]
        return InvalidPolicy(f'line {line}: {dotted + ": " if dotted else ""}{problem}')

    def keys(self, data: Any, path: tuple[str | int, ...], known: set[str]) -> dict[str, Any]:
        """data as a mapping with no key but the known ones."""
        if not isinstance(data, dict):
            raise self.fail(path, f'must be a mapping with {", ".join(sorted(known))}')
        for key in data:
            if key not in known:
                raise self.fail(
                    (*path, str(key)), f'unknown key; known are {", ".join(sorted(known))}'
                )
        return data

    def seconds(
        self,
        data: dict[str, Any],
        path: tuple[str | int, ...],
        key: str,
        default: float,
        low: float,
        high: float,
    ) -> float:
        """A duration with its unit."""
        if key not in data:
            return default
        value = data[key]
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise self.fail((*path, key), 'must be a duration with its unit, such as 10s, 2m, 1h')
        seconds = float(match[1]) * UNITS[match[2]]
        if not low <= seconds <= high:
            raise self.fail((*path, key), f'must be from {low:g}s to {high:g}s')
        return seconds

    def count(
        self, data: dict[str, Any], path: tuple[str | int, ...], key: str, default: int, high: int
    ) -> int:
        """A whole number from 1 to high."""
        value = data.get(key, default)
        if type(value) is not int or not 1 <= value <= high:
            raise self.fail((*path, key), f'must be a whole number from 1 to {high}')
        return value


# Every read of a recovery parses its policy, and YAML takes 2 ms: a listing would take seconds.
@functools.lru_cache(maxsize=256)
def parse(text: str, version: int = 1) -> Policy:
    """Read a policy from YAML; raises InvalidPolicy with the line and the fix."""
    if len(text.encode(errors='replace')) > MAX_DOCUMENT:
        raise InvalidPolicy(f'longer than {MAX_DOCUMENT} bytes')
    doc = _Document(text)
    data = doc.keys(doc.data, (), _KEYS)
    name = data.get('name')
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise doc.fail(('name',), 'must be 1 to 63 letters, digits, dots, hyphens, underscores')
    preserve = data.get('preserve', [])
    if not isinstance(preserve, list) or any(p not in PRESERVABLE for p in preserve):
        raise doc.fail(('preserve',), f'must be a list of {", ".join(PRESERVABLE)}')
    beat = doc.keys(data.get('heartbeat', {}), ('heartbeat',), _HEARTBEAT_KEYS)
    steps = data.get('steps')
    if not isinstance(steps, list) or not 1 <= len(steps) <= 20:
        raise doc.fail(('steps',), 'must be a list of 1 to 20 steps')
    return Policy(
        name=name,
        version=version,
        steps=tuple(_step(doc, n, s, frozenset(preserve)) for n, s in enumerate(steps)),
        preserve=frozenset(preserve),
        interval=doc.seconds(beat, ('heartbeat',), 'interval', 10.0, 1, 3600),
        missed=doc.count(beat, ('heartbeat',), 'missed', 3, 1000),
        boot_grace=doc.seconds(beat, ('heartbeat',), 'boot_grace', 120.0, 0, 86400),
        document=text,
    )


def _step(doc: _Document, n: int, raw: Any, preserve: frozenset[str]) -> Step:
    path = ('steps', n)
    data = doc.keys(raw, path, _STEP_KEYS)
    action, kind = data.get('action'), data.get('type')
    if not isinstance(action, str) or action not in ACTIONS:
        raise doc.fail((*path, 'action'), f'must be one of {", ".join(ACTIONS)}')
    if kind not in ACTIONS[action]:
        kinds = ', '.join(k for k in ACTIONS[action] if k)
        fix = f'must be one of {kinds}' if kinds else f'{action} has no type; remove it'
        raise doc.fail((*path, 'type'), fix)
    if action == 'server.rebuild' and 'root_disk' in preserve:
        raise doc.fail(
            (*path, 'action'),
            'a rebuild empties the root disk, which preserve keeps: remove the step or root_disk',
        )
    return Step(
        action=action,
        type=kind,
        attempts=doc.count(data, path, 'attempts', 1, 10),
        verify=doc.seconds(data, path, 'verify', 120.0, 1, 3600),
    )
