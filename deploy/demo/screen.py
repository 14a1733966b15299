"""What is seen while it happens: a table that refreshes, or on a pipe a line for each change."""

import time
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from timeline import STAGES
from watch import View, Watch

REFRESH = 0.25
"""Seconds between two looks at what the watch knows."""
STILL = 15.0
"""Seconds after which a pipe gets a line although nothing changed."""

COLOURS = {
    'ACTIVE': 'green',
    'ok': 'green',
    'recovered': 'green',
    'alarm': 'bold red',
    'insufficient data': 'yellow',
    'failed': 'bold red',
    'left_alone': 'yellow',
}
CHANGES = {
    'nova': 'Nova',
    'beats': 'heartbeats',
    'missed': 'missed',
    'gnocchi': 'missed in Gnocchi',
    'aodh': 'Aodh says',
    'recovery': 'recovery',
    'boots': 'boots',
}
"""What is worth a line on a pipe."""


def clock(at: float) -> str:
    """The time of day, to a tenth of a second."""
    return datetime.fromtimestamp(at).astimezone().strftime('%H:%M:%S.%f')[:-5]


class Screen:
    """Follows a watch until something has happened."""

    def __init__(self, console: Console, watch: Watch) -> None:
        self._console = console
        self._watch = watch
        self._shown: dict[str, View] = {}
        self._told: set[str] = set()

    def follow(self, until: Callable[[], bool], limit: float, doing: str) -> bool:
        """Show what goes on; whether `until` came true within `limit` seconds."""
        begin = time.monotonic()
        if self._console.is_terminal:
            return self._live(until, begin, limit, doing)
        last = begin
        while True:
            done = until()
            if self._tell_changes():
                last = time.monotonic()
            if done or time.monotonic() - begin > limit:
                return done
            if time.monotonic() - last > STILL:
                last = time.monotonic()
                self._console.print(f'{self._since()}  … {doing}, {last - begin:.0f} s')
            time.sleep(REFRESH)

    def _live(self, until: Callable[[], bool], begin: float, limit: float, doing: str) -> bool:
        with Live(console=self._console, auto_refresh=False) as live:
            while True:
                done = until()
                spent = time.monotonic() - begin
                live.update(self._table('' if done else f'{doing}, {spent:.0f} s'), refresh=True)
                if done or spent > limit:
                    return done
                time.sleep(REFRESH)

    # ---- a terminal

    def _table(self, doing: str) -> RenderableType:
        parts: list[RenderableType] = [self._guests()]
        if self._watch.timeline.at:
            parts.append(self._stages())
        parts += [Text(f'{who}: {why}', 'yellow') for who, why in self._troubles()]
        if doing:
            parts.append(Text(f'  … {doing}', 'dim'))
        return Group(*parts)

    def _guests(self) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0), header_style='bold')
        for head in ('Guest', 'Nova', 'Beats', 'Heard', 'Missed', 'Gnocchi'):
            table.add_column(head, justify='left' if head in ('Guest', 'Nova') else 'right')
        for head in ('Aodh alarm', 'Recovery', 'Boots'):
            table.add_column(head)
        for name, view in self._watch.views.items():
            heard = '-' if view.last_seen is None else f'{time.time() - view.last_seen:.1f} s'
            over = view.missed is not None and view.missed >= view.limit
            table.add_row(
                name,
                _coloured(view.nova),
                str(view.beats),
                heard,
                Text(f'{_known(view.missed)}/{view.limit}', 'bold red' if over else ''),
                _known(view.gnocchi),
                _coloured(view.aodh),
                _coloured(view.recovery),
                _known(view.boots),
            )
        return table

    def _stages(self) -> Table:
        at = self._watch.timeline.settled()
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(justify='right')
        for _ in range(2):
            table.add_column()
        for key, value in at.items():
            table.add_row(
                Text(f'{value - at["freeze"]:+.1f} s', 'bold'),
                Text(clock(value), 'dim'),
                Text(STAGES[key], 'green' if key in ('recovered', 'alarm_ok') else ''),
            )
        return table

    # ---- a pipe

    def _tell_changes(self) -> bool:
        lines = [f'{who}: {why}' for who, why in self._troubles() if self._first(f'{who}{why}')]
        for name, view in self._watch.views.items():
            now = View(**{f.name: getattr(view, f.name) for f in fields(View)})
            old = self._shown.get(name, View())
            changes = [
                f'{text} {getattr(now, key)}'
                for key, text in CHANGES.items()
                if getattr(now, key) != getattr(old, key)
            ]
            if changes:
                lines.append(f'{name:8}  {", ".join(changes)}')
            self._shown[name] = now
        at = self._watch.timeline.settled()
        for key, value in at.items():
            if self._first(f'stage {key}'):
                after = value - at['freeze']
                lines.append(f'>> {STAGES[key]} at {clock(value)} ({after:+.1f} s)')
        for line in lines:
            self._console.print(f'{self._since()}  {line}', markup=False, highlight=False)
        return bool(lines)

    def _first(self, told: str) -> bool:
        new = told not in self._told
        self._told.add(told)
        return new

    def _since(self) -> str:
        freeze = self._watch.timeline.at.get('freeze')
        return clock(time.time()) if freeze is None else f'{time.time() - freeze:+8.1f} s'

    def _troubles(self) -> list[tuple[str, str]]:
        return list(self._watch.trouble.copy().items())


def _known(value: object) -> str:
    return '-' if value is None else str(value)


def _coloured(value: str | None) -> Text:
    unusual = '' if value in (None, '-') else 'yellow'
    return Text(_known(value), COLOURS.get(value or '', unusual))
