"""A YAML document that knows on which line each value stands, so that errors can say it."""

import re
from collections.abc import Collection
from typing import Any

import yaml

from aodh_ha.exceptions import InvalidPolicy

UNITS = {'s': 1.0, 'm': 60.0, 'h': 3600.0}

_DURATION = re.compile(r'(\d+(?:\.\d+)?)([smh])')
_RATE = re.compile(r'(\d+%?) in (\S+)')

Path = tuple[str | int, ...]


class Document:
    """A parsed policy that remembers on which line each value stands."""

    def __init__(self, text: str) -> None:
        try:
            _refuse_what_grows(text)
            self.node = yaml.compose(text, Loader=yaml.SafeLoader)
            _refuse_doubles(self.node)
            self.data = yaml.safe_load(text)
        except yaml.YAMLError as e:
            mark = getattr(e, 'problem_mark', None)
            where = f'line {mark.line + 1}: ' if mark else ''
            problem = getattr(e, 'problem', None) or 'it cannot be read'
            raise InvalidPolicy(f'{where}not YAML: {problem}') from None
        except (
            *(RecursionError, ValueError, LookupError, AttributeError),
            *(ArithmeticError, TypeError),
        ):
            # PyYAML's constructors trip over values that do not fit: !!bool x is a KeyError, and
            # 1:00:00, which is a number to the base of 60, overflows when it is long.
            raise InvalidPolicy('not YAML that can be read: a value does not fit') from None

    def fail(self, path: Path, problem: str) -> InvalidPolicy:
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

    def keys(self, data: Any, path: Path, known: Collection[str]) -> dict[str, Any]:
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
        self, data: dict[str, Any], path: Path, key: str, default: float, low: float, high: float
    ) -> float:
        """A duration with its unit."""
        if key not in data:
            return default
        return self._duration(data[key], (*path, key), low, high)

    def _duration(self, value: Any, path: Path, low: float, high: float) -> float:
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not match:
            raise self.fail(path, 'must be a duration with its unit, such as 10s, 2m, 1h')
        seconds = float(match[1]) * UNITS[match[2]]
        if not low <= seconds <= high:
            raise self.fail(path, f'must be from {low:g}s to {high:g}s')
        return seconds

    def count(
        self, data: dict[str, Any], path: Path, key: str, default: int, high: int, low: int = 1
    ) -> int:
        """A whole number from low to high."""
        value = data.get(key, default)
        if type(value) is not int or not low <= value <= high:
            raise self.fail((*path, key), f'must be a whole number from {low} to {high}')
        return value

    def number(
        self, data: dict[str, Any], path: Path, key: str, default: float, low: float, high: float
    ) -> float:
        """A number."""
        value = data.get(key, default)
        if type(value) not in (int, float) or not low <= value <= high:
            raise self.fail((*path, key), f'must be a number from {low:g} to {high:g}')
        return float(value)

    def flag(self, data: dict[str, Any], path: Path, key: str) -> bool:
        """True or false; false when it is left out."""
        value = data.get(key, False)
        if type(value) is not bool:
            raise self.fail((*path, key), 'must be true or false')
        return value

    def choice(
        self, data: dict[str, Any], path: Path, key: str, default: str, known: Collection[str]
    ) -> str:
        """One of the known words."""
        value = data.get(key, default)
        if not isinstance(value, str) or value not in known:
            raise self.fail((*path, key), f'must be one of {", ".join(known)}')
        return value

    def name(self, data: dict[str, Any], path: Path, key: str, pattern: re.Pattern[str]) -> str:
        """A required name of 1 to 63 characters."""
        value = data.get(key)
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise self.fail(
                (*path, key), 'must be 1 to 63 letters, digits, dots, hyphens, underscores'
            )
        return value

    def words(self, data: dict[str, Any], path: Path, key: str) -> tuple[str, ...]:
        """A list of short strings; empty when it is left out."""
        value = data.get(key, [])
        if not isinstance(value, list) or any(
            not isinstance(w, str) or not 0 < len(w) <= 255 or not w.isprintable() for w in value
        ):
            raise self.fail((*path, key), 'must be a list of names')
        return tuple(value)

    def amount(self, data: dict[str, Any], path: Path, key: str) -> tuple[int | None, float | None]:
        """How many, ``5`` or ``10%``: as (count, None) or (None, share); neither: no limit."""
        if key not in data:
            return None, None
        value = data[key]
        if type(value) is int and 1 <= value <= 100_000:
            return value, None
        if isinstance(value, str) and value.endswith('%'):
            share = self._percent(value, (*path, key))
            return None, share
        raise self.fail((*path, key), 'must be a whole number from 1, or a share such as 10%')

    def rate(
        self, data: dict[str, Any], path: Path, key: str, percent: bool = False
    ) -> tuple[float, float] | None:
        """``3 in 1h`` as (3, 3600), or with percent ``30% in 60s`` as (0.3, 60)."""
        if key not in data:
            return None
        value, example = data[key], '30% in 60s' if percent else '3 in 1h'
        match = _RATE.fullmatch(value) if isinstance(value, str) else None
        if not match or match[1].endswith('%') != percent:
            raise self.fail((*path, key), f'must be written like {example}')
        seconds = self._duration(match[2], (*path, key), 1, 7 * 86400)
        if percent:
            return self._percent(match[1], (*path, key)), seconds
        if len(match[1]) > 6 or int(match[1]) < 1:
            raise self.fail((*path, key), 'must be from 1 to 999999 in some time')
        return float(match[1]), seconds

    def _percent(self, value: str, path: Path) -> float:
        digits = value[:-1]
        if not digits.isascii() or not digits.isdigit() or not 1 <= int(digits[:4]) <= 100:
            raise self.fail(path, 'must be from 1% to 100%')
        return int(digits[:4]) / 100


DEPTH = 10
"""Levels of nesting; a policy has four."""


def _refuse_what_grows(text: str) -> None:
    """Refuse what costs more to read than it is long, before anything is made of it.

    Aliases: ``<<: [*a, *a]`` copies what it names, and forty such lines would be 2^40 keys.
    Nesting: the reader looks through all levels at each word.
    """
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        line = event.start_mark.line + 1 if event.start_mark else 1
        merge = isinstance(event, yaml.ScalarEvent) and event.value == '<<'
        if getattr(event, 'anchor', None) or merge:
            raise InvalidPolicy(
                f'line {line}: anchors, aliases and merge keys are not read; write the value out'
            )
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise InvalidPolicy(f'line {line}: nested deeper than {DEPTH} levels')


def _refuse_doubles(node: yaml.Node | None) -> None:
    """Refuse a key that stands twice: YAML's reader would silently take the last."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                word = ascii(key.value[:64])[1:-1]
                raise InvalidPolicy(f'line {key.start_mark.line + 1}: {word} stands here twice')
            seen.add(str(key.value))
            _refuse_doubles(value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_doubles(value)
