"""The stations of one recovery, what lies between them, and how both are written down. Pure."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

STAGES = {
    'beat': 'last heartbeat',
    'freeze': 'guest freezes',
    'missed': 'missed heartbeats reach the limit',
    'gnocchi': 'the limit is reached in Gnocchi, too',
    'alarm': 'Aodh: alarm',
    'callback': 'callback committed, recovery opened',
    'soft': 'worker: soft reboot',
    'soft_unverified': 'soft reboot: no heartbeat came',
    'hard': 'worker: hard reboot',
    'heartbeat': 'first heartbeat again',
    'recovered': 'recovered',
    'alarm_ok': 'Aodh: ok again',
}
"""In the order of their times. All but two are told by who did it, to the millisecond."""

OBSERVED = ('missed', 'gnocchi')
"""Seen by asking again and again: up to half a second late, so never later than what follows."""


@dataclass(frozen=True)
class Leg:
    """What happens between two stages."""

    key: str
    begin: str
    end: str
    title: str
    style: str


LEGS = (
    Leg('healthy', 'beat', 'freeze', 'still well', 'green'),
    Leg('counting', 'freeze', 'missed', 'silence is counted', 'yellow'),
    Leg('publishing', 'missed', 'gnocchi', 'Ceilometer, Gnocchi', 'yellow'),
    Leg('evaluating', 'gnocchi', 'alarm', 'Aodh evaluator', 'yellow'),
    Leg('notifying', 'alarm', 'callback', 'Aodh notifier, webhook', 'yellow'),
    Leg('deciding', 'callback', 'soft', 'worker takes evidence', 'cyan'),
    Leg('soft_reboot', 'soft', 'soft_unverified', 'soft reboot, in vain', 'red'),
    Leg('escalating', 'soft_unverified', 'hard', 'worker takes evidence', 'cyan'),
    Leg('hard_reboot', 'hard', 'heartbeat', 'hard reboot, boot, agent', 'cyan'),
    Leg('verifying', 'heartbeat', 'recovered', 'worker verifies', 'cyan'),
    Leg('clearing', 'recovered', 'alarm_ok', 'Aodh goes back to ok', 'green'),
)

SLACK = 15.0
"""Seconds on top of the missed intervals within which Aodh's callback has to be committed."""


@dataclass
class Timeline:
    """When each stage was reached, in seconds since the epoch."""

    at: dict[str, float] = field(default_factory=dict)

    def settled(self) -> dict[str, float]:
        """The times in order: what was only observed is put before what followed from it."""
        found: dict[str, float] = {}
        later = float('inf')
        for key in reversed(STAGES):
            if key not in self.at:
                continue
            at = min(self.at[key], later) if key in OBSERVED else self.at[key]
            found[key] = later = at
        return {key: found[key] for key in STAGES if key in found}

    def between(self, begin: str, end: str) -> float | None:
        """Seconds from one stage to another, if both were reached."""
        at = self.settled()
        return at[end] - at[begin] if begin in at and end in at else None

    def legs(self) -> list[tuple[Leg, float, float]]:
        """Each leg with its begin, in seconds since the first stage, and its length."""
        at = self.settled()
        first = min(at.values(), default=0.0)
        return [
            (leg, at[leg.begin] - first, at[leg.end] - at[leg.begin])
            for leg in LEGS
            if leg.begin in at and leg.end in at
        ]

    def as_dict(self, target: float) -> dict[str, Any]:
        """For programs; all durations in seconds."""
        at = self.settled()
        freeze = at.get('freeze', 0.0)
        totals = {
            'silence_to_callback': self.between('beat', 'callback'),
            'freeze_to_callback': self.between('freeze', 'callback'),
            'callback_to_recovered': self.between('callback', 'recovered'),
            'freeze_to_recovered': self.between('freeze', 'recovered'),
            'silence_to_recovered': self.between('beat', 'recovered'),
        }
        silence = totals['silence_to_callback']
        return {
            'stages': {
                key: {
                    'at': datetime.fromtimestamp(value).astimezone().isoformat(),
                    'since_freeze': round(value - freeze, 3),
                }
                for key, value in at.items()
            },
            'seconds': {leg.key: round(length, 3) for leg, _, length in self.legs()},
            'totals': {k: None if v is None else round(v, 3) for k, v in totals.items()},
            'target': {
                'silence_to_callback': target,
                'met': None if silence is None else silence <= target,
            },
        }


def bar(begin: float, length: float, whole: float, width: int) -> tuple[int, int]:
    """Cells to leave out and cells to fill, so that every leg shows and none runs over."""
    if whole <= 0:
        return 0, 0
    start = min(round(begin / whole * width), width - 1)
    end = min(round((begin + length) / whole * width), width)
    return start, max(1, end - start)
