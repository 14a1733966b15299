"""The end of the demo: where the seconds went, what was kept, and whether it really happened."""

from collections.abc import Sequence
from dataclasses import dataclass

from cloud import Guest, Object
from rich.console import Console
from rich.table import Table
from rich.text import Text
from screen import clock
from timeline import STAGES, Timeline, bar
from watch import HARD, SOFT, Watch

KEPT = ('address', 'volumes', 'data', 'where', 'marker')
TITLES = {
    'address': 'fixed IP',
    'volumes': 'volume',
    'data': "service's data",
    'where': 'where the data lies',
    'marker': 'marker on the root disk',
    'boots': 'boots',
    'boot_id': "guest's boot id",
}


CELL = 36
"""Characters of a value in the table; boot ids differ in the first already."""


@dataclass(frozen=True)
class Evidence:
    """What was found when it was over, by the guest's name."""

    after: dict[str, Object]
    actions: dict[str, list[Object]]
    """Nova's instance actions, oldest first."""


@dataclass(frozen=True)
class Expectation:
    """Something that has to be so, and what was found."""

    what: str
    met: bool
    found: str


def expectations(watch: Watch, evidence: Evidence) -> list[Expectation]:
    """All that has to hold for the demo to have shown what it says."""
    victim, bystander = watch.victim, watch.bystander
    recovery, attempts = watch.recovery, watch.attempts
    result: list[Expectation] = []

    def expect(what: str, met: bool, found: object) -> None:
        result.append(Expectation(what, met, str(found)))

    ended = f'{recovery.get("status", "no recovery")}: {recovery.get("reason", "-")}'
    expect(f'recovered by {HARD}', ended == f'recovered: by {HARD}', ended)
    tried = [(a['action'], a['status']) for a in attempts]
    expect(
        'after a soft reboot that no heartbeat verified',
        tried == [(SOFT, 'unverified'), (HARD, 'succeeded')],
        ', '.join(f'{action} {status}' for action, status in tried) or 'nothing was tried',
    )
    missing = [text for key, text in STAGES.items() if key not in watch.timeline.at]
    expect('every stage was seen', not missing, '; '.join(missing) or f'{len(STAGES)} stages')

    done = evidence.actions[victim.name]
    names = [a['action'] for a in done]
    wanted = ['create', 'attach_volume', 'reboot', 'reboot']
    expect(
        f'Nova did to {victim.name} just this: {", ".join(wanted)}',
        names == wanted,
        ', '.join(names),
    )
    reboots = [a['request_id'] for a in done if a['action'] == 'reboot']
    asked = [a['request_id'] for a in attempts]
    expect(
        "both reboots are the recovery's own requests",
        len(asked) == 2 and reboots == asked,
        f'{_numbers(reboots)} in Nova, {_numbers(asked)} in the recovery',
    )
    for key in KEPT:
        before, after = victim.before[key], evidence.after[victim.name][key]
        expect(f'{victim.name}: {TITLES[key]} is kept', before == after, _plain(after))
    boots = [victim.before['boots'], evidence.after[victim.name]['boots']]
    # A frozen guest does not shut down, so the soft reboot never got as far as a boot.
    expect(f'{victim.name} was booted once more', boots[1] == boots[0] + 1, boots[1] - boots[0])

    other = watch.views[bystander.name]
    names = [a['action'] for a in evidence.actions[bystander.name]]
    expect(f'Nova did nothing to {bystander.name}', names == ['create'], ', '.join(names))
    expect(
        f'{bystander.name}: no alarm, no recovery, below its limit of missed heartbeats',
        (other.alarms, other.recovery) == (0, '-') and other.most_missed < other.limit,
        f'{other.alarms} alarms, recovery {other.recovery}, {other.most_missed} missed at most',
    )
    expect(
        f'{bystander.name} is as it was',
        bystander.before == evidence.after[bystander.name],
        _differences(bystander.before, evidence.after[bystander.name]) or 'all is the same',
    )
    return result


def target(watch: Watch, slack: float) -> float:
    """Seconds from the last heartbeat within which the callback has to be committed."""
    view = watch.views[watch.victim.name]
    return view.limit * view.interval + slack


def show_timeline(console: Console, timeline: Timeline, limit: float) -> None:
    """Seconds for each leg, with bars to look at."""
    legs = timeline.legs()
    if not legs:
        return
    at = timeline.settled()
    whole = max(begin + length for _, begin, length in legs)
    width = max(20, min(70, console.width - 50))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style='bold', title_justify='left')
    table.add_column('seconds', justify='right')
    table.add_column('from')
    table.add_column('what', no_wrap=True)
    table.add_column('', no_wrap=True)
    for leg, begin, length in legs:
        skip, fill = bar(begin, length, whole, width)
        drawn = Text('·' * skip, 'dim') + Text('█' * fill, leg.style)
        table.add_row(f'{length:.1f}', Text(clock(at[leg.begin]), 'dim'), leg.title, drawn)
    console.print()
    console.print(Text('Timeline', 'bold'))
    console.print(table)
    console.print()
    silence = timeline.between('beat', 'callback')
    if silence is not None:
        met = silence <= limit
        verdict = Text('met' if met else 'NOT met', 'green' if met else 'bold red')
        line = Text.assemble(
            f'last heartbeat to callback {silence:6.1f} s   ',
            f'target: at most 3 intervals + 15 s = {limit:.0f} s: ',
            verdict,
        )
        console.print(line)
    for text, first, last in (
        ('callback to recovered     ', 'callback', 'recovered'),
        ('freeze to recovered       ', 'freeze', 'recovered'),
        ('last heartbeat to the next', 'beat', 'heartbeat'),
    ):
        took = timeline.between(first, last)
        if took is not None:
            console.print(f'{text} {took:6.1f} s', highlight=False)


def show_proof(console: Console, guests: Sequence[Guest], evidence: Evidence) -> None:
    """What was there before the fault and after the recovery, side by side."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style='bold')
    for head in ('guest', 'what', 'before', 'after'):
        table.add_column(head, overflow='fold')
    for guest in guests:
        after = evidence.after[guest.name]
        for key, title in TITLES.items():
            old, new = (_plain(x[key])[:CELL] for x in (guest.before, after))
            style = 'green' if old == new else 'red' if key in KEPT else 'cyan'
            table.add_row(guest.name if key == KEPT[0] else '', title, old, Text(new, style))
        names = ', '.join(a['action'] for a in evidence.actions[guest.name])
        table.add_row('', "Nova's actions", '', names)
    console.print()
    console.print(Text('What was kept, and what was done', 'bold'))
    console.print(table)


def show_expectations(console: Console, found: Sequence[Expectation]) -> None:
    """A line each."""
    console.print()
    for item in found:
        mark = Text('  ok    ', 'green') if item.met else Text('  FAILED', 'bold red')
        text = '' if item.met else f': found {item.found}'
        console.print(Text.assemble(mark, f' {item.what}{text}'))


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ', '.join(f'{v[:8]} on {k}' for k, v in value.items()) or 'none'
    return str(value)


def _numbers(request_ids: Sequence[str | None]) -> str:
    return ' '.join((i or '-').removeprefix('req-')[:8] for i in request_ids) or 'none'


def _differences(before: Object, after: Object) -> str:
    return ', '.join(
        f'{TITLES.get(k, k)}: {_plain(before[k])} -> {_plain(after[k])}'
        for k in before
        if before[k] != after[k]
    )
