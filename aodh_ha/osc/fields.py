"""How values are read from the command line and shown."""

import argparse
import re
from datetime import UTC, datetime
from typing import Any

from cliff.columns import FormattableColumn

from aodh_ha.rules.document import UNITS

Object = dict[str, Any]

_UNITS = UNITS | {'d': 86400.0}
_DURATION = re.compile(r'(\d+(?:\.\d+)?)([smhd])')


def duration(text: str) -> float:
    """Seconds, from a duration with its unit; for argparse."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no duration with its unit, such as 10s, 2m, 1h or 7d'
        )
    return float(match[1]) * _UNITS[match[2]]


def moment(text: str) -> str:
    """A time for the API, from one that may lack its offset: local time then; for argparse."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time such as 2027-01-31T22:00 (here) or 2027-01-31T22:00Z'
        ) from None


def count(text: str) -> int:
    """A whole number from 1; for argparse."""
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is no whole number from 1')
    return int(text)


def step(text: str) -> int:
    """The number of a step, which people count from 1, as the API counts; for argparse."""
    return count(text) - 1


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds from one time of the API to another."""
    if not start or not end:
        return None
    delta = datetime.fromisoformat(end) - datetime.fromisoformat(start)
    return round(delta.total_seconds(), 3)


class Seconds(FormattableColumn[float | None]):
    """A duration: ``12.3 s`` for people, 12.345 for programs."""

    def human_readable(self) -> str:
        """One decimal, longer ones in minutes or hours."""
        value = self._value
        if value is None:
            return '-'
        if value < 120:
            return f'{value:.1f} s' if value != int(value) else f'{value:.0f} s'
        minutes, rest = divmod(round(value), 60)
        if minutes < 120:
            return f'{minutes} m {rest} s'
        return f'{minutes // 60} h {minutes % 60} m'


class Maybe(FormattableColumn[Any]):
    """A value that may not be known: ``-`` for people, null for programs."""

    def human_readable(self) -> str:
        """The value or a dash."""
        return '-' if self._value is None else str(self._value)


class StepNumber(FormattableColumn[int | None]):
    """A step: from 1 for people, from 0 for programs."""

    def human_readable(self) -> str:
        """The number or a dash."""
        return '-' if self._value is None else str(self._value + 1)


class Lines(FormattableColumn[list[Object]]):
    """Several things, one on each line; the API's list for programs."""

    def human_readable(self) -> str:
        """One line each."""
        return '\n'.join(self.line(item) for item in self._value)

    def line(self, item: Object) -> str:
        """One thing."""
        raise NotImplementedError


class Services(Lines):
    """What the agent said about the services it watches."""

    def line(self, item: Object) -> str:
        """Name and state."""
        failures = f' ({item["failures"]} failures)' if item.get('failures') else ''
        return f'{item["name"]} {item["state"]}{failures}'


class Refusals(Lines):
    """Heartbeats that were refused."""

    def line(self, item: Object) -> str:
        """Reason, how many, when last and from where."""
        where = f' from {item["address"]}' if item.get('address') else ''
        return f'{item["reason"]} {item["count"]} (last {item["last_at"]}{where})'


class Metrics(Lines):
    """What the guest measured, of each metric the newest value."""

    def line(self, item: Object) -> str:
        """Name, value, unit and when."""
        value = f'{item["value"]:.10g} {item["unit"]}'.rstrip()
        return f'{item["name"]} {value} ({item["at"]})'


class Events(Lines):
    """Events with their times."""

    def line(self, item: Object) -> str:
        """Time, kind, message."""
        return f'{item["at"]}  {item["kind"]}: {item["message"]}'


class Words(FormattableColumn[list[str]]):
    """Things in their order, one on each line."""

    def human_readable(self) -> str:
        """One line each, or a dash."""
        return '\n'.join(self._value) or '-'


class Steps(Lines):
    """The steps of a policy."""

    def line(self, item: Object) -> str:
        """Action, how often, how long its success is waited for, and what is unusual about it."""
        kind = item.get('type') or item.get('name')
        times = f' x{item["attempts"]}' if item.get('attempts', 1) != 1 else ''
        more = [f'verify {item["verify"]:g}s']
        more += [f'{k} {item[k]:g}s' for k in ('delay', 'backoff', 'hold') if item.get(k)]
        more += [k for k in ('healthy', 'approval', 'snapshot') if item.get(k)]
        return f'{item["action"]}{f" {kind}" if kind else ""}{times}, {", ".join(more)}'


class Rate(FormattableColumn[Object | None]):
    """``3 in 1h`` for people."""

    def human_readable(self) -> str:
        """As in a policy."""
        rate = self._value
        return '-' if rate is None else f'{rate["times"]} in {_short(rate["seconds"])}'


def _short(seconds: float) -> str:
    for unit, size in reversed(UNITS.items()):
        if seconds >= size and seconds % size == 0:
            return f'{seconds / size:g}{unit}'
    return f'{seconds:g}s'


class Matching(FormattableColumn[Object]):
    """Whom a policy is for."""

    def human_readable(self) -> str:
        """Groups and stacks by name."""
        named = [f'{kind}: {", ".join(names)}' for kind, names in self._value.items() if names]
        return '; '.join(named) or '-'


class Conditions(FormattableColumn[Object]):
    """What a server must be like for a rule to enrol it."""

    def human_readable(self) -> str:
        """Each condition, or that there is none."""
        metadata = self._value.get('metadata') or {}
        pairs = [f'{key}={value}' if value else key for key, value in metadata.items()]
        named = [f'tag: {self._value["tag"]}' if self._value.get('tag') else '']
        named += [f'metadata: {p}' for p in pairs]
        named += [f'name: {self._value["server_name"]}' if self._value.get('server_name') else '']
        named += [f'stack: {self._value["stack"]}' if self._value.get('stack') else '']
        return '; '.join(n for n in named if n) or '(every server)'


class Recoveries(Lines):
    """Recoveries, as parts of something."""

    def line(self, item: Object) -> str:
        """Which, of whom, how it stands."""
        guest = item['guest_name'] or item['server_id']
        return f'{item["id"]}  {guest}  {item["status"]}: {item["reason"]}'


class Timeline(FormattableColumn[list[Object]]):
    """Events with the seconds since the recovery began."""

    def __init__(self, events: list[Object], start: str) -> None:
        super().__init__([{'seconds': seconds_between(start, e['at']), **e} for e in events])

    def human_readable(self) -> str:
        """Seconds in a column of their own."""
        return '\n'.join(
            f'{e["seconds"]:+9.2f} s  {e["kind"]}: {e["message"]}' for e in self._value
        )


class Attempts(Lines):
    """The attempts of a recovery."""

    def line(self, item: Object) -> str:
        """Step, action, outcome and how long it took."""
        took = seconds_between(item['intended_at'], item.get('finished_at'))
        after = f' after {took:.1f} s' if took is not None else ''
        request = f', {item["request_id"]}' if item.get('request_id') else ''
        detail = f': {item["detail"]}' if item.get('detail') else ''
        dry = ' (dry run)' if item.get('dry_run') else ''
        proof = item.get('proof') or {}
        kept = '; nothing that was to be kept is gone' if proof.get('after') else ''
        if proof.get('differences'):
            kept = f'; NOT KEPT: {", ".join(proof["differences"])}'
        # Steps count from 0 in the API, from 1 for people.
        return (
            f'step {item["step"] + 1} try {item["number"]}  {item["action"]}{dry}  '
            f'{item["status"]}{after}{request}{detail}{kept}'
        )
