"""Recovery policies: what to do about a guest in trouble, in which order, keeping what."""

import functools
import re
from dataclasses import dataclass, field
from typing import Any

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.rules.document import Document

PRESERVABLE = ('volumes', 'fixed_ips', 'floating_ips', 'root_disk', 'ephemeral')
"""What a policy can tell to keep; see rules.preservation."""
NAME = re.compile(r'[A-Za-z0-9][A-Za-z0-9_.-]{0,62}')
MAX_DOCUMENT = 60_000
"""Bytes in UTF-8; MariaDB's TEXT ends at 65,535."""

# When a step applies; see rules.escalation.applies.
ALWAYS, SERVICE, HOST_UP, HOST_DOWN, OFF = 'always', 'service', 'host_up', 'host_down', 'off'
WHEN = (ALWAYS, SERVICE, HOST_UP, HOST_DOWN, OFF)

GENTLE, ANY = 'gentle', 'any'
FORCED_DOWN = 'forced_down'


@dataclass(frozen=True)
class Kind:
    """What there is to know about an action before it is made."""

    types: tuple[str | None, ...] = (None,)
    when: str = ALWAYS
    """Where the policy does not say."""
    gentle: bool = False
    """May be tried on a guest that is only suspect: silent, yet its disk or network work."""
    operator_only: bool = False
    """Only a policy of the operator's may have it."""
    needs: str = ''
    """A key that the step cannot do without."""
    destroys: str = ''
    """What of ``preserve`` it can never keep; what depends on the server is known later."""
    data_loss: bool = False
    """Only with ``allow_data_loss: true``."""
    boots: bool = False
    """Whether the guest boots by it: its next heartbeats carry another boot id."""
    in_stack: bool = False
    """Needs a server that Heat has made."""


ACTIONS: dict[str, Kind] = {
    'service.restart': Kind(when=SERVICE, gentle=True),
    'server.reboot': Kind(('soft', 'hard'), when=HOST_UP, boots=True),
    'server.start': Kind(when=OFF, boots=True),
    'server.rebuild': Kind(when=HOST_UP, destroys='root_disk', boots=True),
    'server.evacuate': Kind(when=HOST_DOWN, operator_only=True, boots=True),
    'server.migrate': Kind(when=HOST_UP, operator_only=True, boots=True),
    'server.replace': Kind(destroys='root_disk', boots=True, in_stack=True),
    'stack.heal': Kind(destroys='root_disk', boots=True, in_stack=True),
    'stack.rebuild': Kind(destroys='root_disk', boots=True, in_stack=True),
    'stack.recreate': Kind(destroys='root_disk', data_loss=True, boots=True, in_stack=True),
    'notify': Kind(gentle=True),
    'hook': Kind(gentle=True, needs='name'),
}
DEAD_HOST = ('server.evacuate', 'server.replace', 'stack.heal', 'stack.rebuild', 'stack.recreate')
"""What may be done to a server on a dead host, once that is fenced: else the old server may
still write to the volumes that the new one gets."""


@dataclass(frozen=True)
class Step:
    """One rung of the ladder. Durations are seconds."""

    action: str
    """One of ACTIONS."""
    type: str | None = None
    """``soft`` or ``hard``, of a reboot."""
    attempts: int = 1
    verify: float = 120.0
    """How long a newer heartbeat is waited for after the action."""
    name_of_hook: str = ''
    """Of a ``hook``: as the operator's configuration names it."""
    when: str = ''
    """As in WHEN; empty: as is usual for the action."""
    delay: float = 0.0
    """To wait before the first attempt."""
    backoff: float = 0.0
    """To wait before the second attempt; doubled for each further one."""
    hold: float = 0.0
    """How long the guest must stay well before the step counts as having helped."""
    healthy: bool = False
    """Whether the newer heartbeat must also report every service healthy."""
    approval: bool = False
    """Whether a person must approve it first."""
    snapshot: bool = False
    """Whether an image of the server is made before it."""
    intensity: tuple[int, float] | None = None
    """At most so many times in so many seconds for one guest, over all its recoveries."""

    @property
    def kind(self) -> Kind:
        """What its action is."""
        return ACTIONS[self.action]

    @property
    def applies(self) -> str:
        """When it is of use; one of WHEN."""
        return self.when or self.kind.when

    @property
    def name(self) -> str:
        """As it is shown: ``server.reboot soft``."""
        more = self.type or self.name_of_hook
        return f'{self.action} {more}' if more else self.action


@dataclass(frozen=True)
class Budget:
    """How much may be done at once. A share counts of the guests under the policy."""

    concurrent: int | None = None
    concurrent_share: float | None = None
    per_window: tuple[int, float] | None = None
    """At most so many recoveries in so many seconds, of all guests under the policy."""
    per_guest: tuple[int, float] | None = (5, 3600.0)
    """At most so many recoveries that acted, in so many seconds, of one guest."""
    storm: tuple[float, float] | None = None
    """The share of the guests that, falling silent within so many seconds, is a storm."""
    reset: float = 1800.0
    """A guest that was well for so long begins anew: nothing earlier counts against it."""


@dataclass(frozen=True)
class Match:
    """Guests that the policy is for without being told one by one."""

    groups: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    """Ids or names of Heat stacks."""


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
    match: Match = Match()
    budget: Budget = Budget()
    priority: int = 50
    """Higher goes first when the budget is short; 0 to 100."""
    suspect: str = GENTLE
    """What a guest gets that is silent but still does I/O: gentle steps only, or any."""
    fencing: str = FORCED_DOWN
    """What must be before an evacuation: Nova's ``forced_down``, or the name of a hook."""
    on_exhausted: str = 'notify'
    """``notify``, or the name of a hook."""
    dry_run: bool = False
    allow_data_loss: bool = False
    own: bool = False
    """It is a project's own: what the operator allows those is asked before each step."""


_STEP_KEYS = (
    *('action', 'type', 'attempts', 'verify', 'name', 'when', 'delay', 'backoff', 'hold'),
    *('healthy', 'approval', 'snapshot', 'intensity'),
)
_KEYS = (
    *('name', 'heartbeat', 'match', 'preserve', 'steps', 'budget', 'priority', 'suspect'),
    *('fencing', 'on_exhausted', 'dry_run', 'allow_data_loss'),
)
_HEARTBEAT_KEYS = ('interval', 'missed', 'boot_grace')
_BUDGET_KEYS = ('concurrent', 'per_window', 'per_guest', 'storm', 'reset')


# Every read of a recovery parses its policy, and YAML takes 2 ms: a listing would take seconds.
@functools.lru_cache(maxsize=256)
def parse(text: str, version: int = 1) -> Policy:
    """Read a policy from YAML; raises InvalidPolicy with the line and the fix."""
    if len(text.encode(errors='replace')) > MAX_DOCUMENT:
        raise InvalidPolicy(f'longer than {MAX_DOCUMENT} bytes')
    doc = Document(text)
    data = doc.keys(doc.data, (), _KEYS)
    name = doc.name(data, (), 'name', NAME)
    preserve = data.get('preserve', [])
    if not isinstance(preserve, list) or any(p not in PRESERVABLE for p in preserve):
        raise doc.fail(('preserve',), f'must be a list of {", ".join(PRESERVABLE)}')
    beat = doc.keys(data.get('heartbeat', {}), ('heartbeat',), _HEARTBEAT_KEYS)
    match = doc.keys(data.get('match', {}), ('match',), ('groups', 'stacks'))
    raw = data.get('steps')
    if not isinstance(raw, list) or not 1 <= len(raw) <= 20:
        raise doc.fail(('steps',), 'must be a list of 1 to 20 steps')
    allow_data_loss = doc.flag(data, (), 'allow_data_loss')
    steps = tuple(_step(doc, n, s, frozenset(preserve), allow_data_loss) for n, s in enumerate(raw))
    _check_order(doc, steps)
    return Policy(
        name=name,
        version=version,
        steps=steps,
        preserve=frozenset(preserve),
        interval=doc.seconds(beat, ('heartbeat',), 'interval', 10.0, 1, 3600),
        missed=doc.count(beat, ('heartbeat',), 'missed', 3, 1000),
        boot_grace=doc.seconds(beat, ('heartbeat',), 'boot_grace', 120.0, 0, 86400),
        document=text,
        match=Match(doc.words(match, ('match',), 'groups'), doc.words(match, ('match',), 'stacks')),
        budget=_budget(doc, data),
        priority=doc.count(data, (), 'priority', 50, 100, 0),
        suspect=doc.choice(data, (), 'suspect', GENTLE, (GENTLE, ANY)),
        fencing=_hook_or(doc, data, 'fencing', FORCED_DOWN),
        on_exhausted=_hook_or(doc, data, 'on_exhausted', 'notify'),
        dry_run=doc.flag(data, (), 'dry_run'),
        allow_data_loss=allow_data_loss,
    )


def _hook_or(doc: Document, data: dict[str, Any], key: str, default: str) -> str:
    return doc.name({key: default} | data, (), key, NAME)


def _budget(doc: Document, data: dict[str, Any]) -> Budget:
    path = ('budget',)
    raw = doc.keys(data.get('budget', {}), path, _BUDGET_KEYS)
    concurrent, share = doc.amount(raw, path, 'concurrent')
    standard = Budget()
    return Budget(
        concurrent=concurrent,
        concurrent_share=share,
        per_window=_times(doc.rate(raw, path, 'per_window')),
        per_guest=_times(doc.rate(raw, path, 'per_guest')) or standard.per_guest,
        storm=doc.rate(raw, path, 'storm', percent=True),
        reset=doc.seconds(raw, path, 'reset', standard.reset, 60, 7 * 86400),
    )


def _times(rate: tuple[float, float] | None) -> tuple[int, float] | None:
    return (int(rate[0]), rate[1]) if rate else None


def _step(doc: Document, n: int, raw: Any, preserve: frozenset[str], allow_data_loss: bool) -> Step:
    path = ('steps', n)
    data = doc.keys(raw, path, _STEP_KEYS)
    action, kind = data.get('action'), data.get('type')
    if not isinstance(action, str) or action not in ACTIONS:
        raise doc.fail((*path, 'action'), f'must be one of {", ".join(ACTIONS)}')
    about = ACTIONS[action]
    if kind not in about.types:
        kinds = ', '.join(k for k in about.types if k)
        fix = f'must be one of {kinds}' if kinds else f'{action} has no type; remove it'
        raise doc.fail((*path, 'type'), fix)
    if ('name' in data) != (about.needs == 'name'):
        fix = 'a hook needs the name that the configuration gives it'
        raise doc.fail((*path, 'name'), fix if about.needs else f'{action} has no name; remove it')
    if about.destroys and about.destroys in preserve:
        raise doc.fail(
            (*path, 'action'),
            f'{_a(action)} empties the root disk, which preserve keeps: remove the step or '
            f'{about.destroys}',
        )
    if about.data_loss and not allow_data_loss:
        raise doc.fail(
            (*path, 'action'),
            f'{action} deletes volumes and addresses: write allow_data_loss: true, or remove it',
        )
    if about.data_loss and preserve:
        raise doc.fail(
            (*path, 'action'), f'{action} preserves nothing: remove the step or preserve'
        )
    return Step(
        action=action,
        type=kind,
        attempts=doc.count(data, path, 'attempts', 1, 10),
        verify=doc.seconds(data, path, 'verify', 120.0, 1, 3600),
        name_of_hook=doc.name(data, path, 'name', NAME) if about.needs else '',
        when=doc.choice(data, path, 'when', '', WHEN) if 'when' in data else '',
        delay=doc.seconds(data, path, 'delay', 0.0, 0, 3600),
        backoff=doc.seconds(data, path, 'backoff', 0.0, 0, 3600),
        hold=doc.seconds(data, path, 'hold', 0.0, 0, 3600),
        healthy=doc.flag(data, path, 'healthy'),
        approval=doc.flag(data, path, 'approval'),
        snapshot=doc.flag(data, path, 'snapshot'),
        intensity=_times(doc.rate(data, path, 'intensity')),
    )


def _a(action: str) -> str:
    """``a rebuild``, ``stack.heal``: how a sentence about an action begins."""
    return 'a rebuild' if action == 'server.rebuild' else action


def _check_order(doc: Document, steps: tuple[Step, ...]) -> None:
    """Refuse steps that can never run, and a ladder that goes up again."""
    seen: dict[tuple[str, str | None, str, str], int] = {}
    for n, step in enumerate(steps):
        key = (step.action, step.type, step.name_of_hook, step.applies)
        if key in seen and step.action not in ('notify', 'hook'):
            raise doc.fail(
                ('steps', n),
                f'{step.name} stands in step {seen[key]} already; write attempts: there',
            )
        seen[key] = n
        if step.action == 'server.evacuate' and step.applies not in (HOST_DOWN, ALWAYS):
            raise doc.fail(('steps', n, 'when'), 'Nova evacuates only from a host that is down')
        if step.action == 'service.restart' and step.applies not in (SERVICE, ALWAYS):
            raise doc.fail(('steps', n, 'when'), 'service.restart needs a guest that is heard')
        if step.action == 'server.reboot' and step.type == 'soft':
            hard = next((m for m, s in enumerate(steps[:n]) if s.type == 'hard'), None)
            if hard is not None and steps[hard].applies == step.applies:
                raise doc.fail(
                    ('steps', n), f'a soft reboot after the hard one of step {hard}: swap them'
                )


def bounded(policy: Policy, actions: frozenset[str], most: Budget) -> None:
    """Refuse a project's policy that goes beyond what the operator allows; raises InvalidPolicy."""
    doc = Document(policy.document)
    for n, step in enumerate(policy.steps):
        if step.kind.operator_only:
            raise doc.fail(
                ('steps', n, 'action'),
                f"{step.action} may stand only in the operator's policies; remove it",
            )
        if step.action not in actions:
            raise doc.fail(
                ('steps', n, 'action'),
                f'the operator allows {", ".join(sorted(actions))}; remove {step.action}',
            )
    mine = policy.budget
    for key, rate, limit in (
        ('per_window', mine.per_window, most.per_window),
        ('per_guest', mine.per_guest, most.per_guest),
    ):
        # A budget that is left out has no bound, so it goes beyond the operator's, too.
        if limit and (rate is None or rate[0] / rate[1] > limit[0] / limit[1]):
            raise doc.fail(
                ('budget', key), f'the operator allows {limit[0]} in {limit[1]:g}s at most'
            )
    if most.concurrent and not 0 < (mine.concurrent or 0) <= most.concurrent:
        raise doc.fail(
            ('budget', 'concurrent'),
            f'the operator allows {most.concurrent} at most; write a number, not a share',
        )
