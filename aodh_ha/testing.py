"""Fakes for tests, ours and yours: a clock that is set by hand, and a Nova in memory.

``FakeNova`` keeps the contract of ``recovery.cloud.Cloud``; one test suite runs against it and
against the real client, so what is shown with the fake holds for Nova as far as that suite goes.
Nothing here sleeps, opens a socket or reads the machine's clock.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound, OutcomeUnknown
from aodh_ha.rules.evidence import InstanceAction, Server

START = 1_800_000_000.0
"""Where a new clock stands: seconds since the epoch, in January 2027."""

DONE, DROPPED = 'done', 'dropped'
"""What became of an action whose answer is lost: Nova took it, or it never got there."""


class Clock:
    """The time, in seconds since the epoch; call it to read it."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time that was set."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Let time pass, or with a negative number set the clock back; returns the new time."""
        self.now += seconds
        return self.now


@dataclass(frozen=True)
class Taken:
    """An action that FakeNova took."""

    server_id: str
    action: str
    """As in Nova's log: ``reboot`` or ``rebuild``."""
    kind: str | None
    """``soft`` or ``hard``, of a reboot."""
    at: float
    request_id: str


class FakeNova:
    """A Nova in memory, which misbehaves as it is told.

    ``away``: reads raise CloudAway, actions OutcomeUnknown, and nothing is done.
    ``lose_answer``: DONE or DROPPED; the next actions raise OutcomeUnknown after, or without,
    being taken. ``refuse``: actions by their name in a policy (``server.reboot soft``) or in
    Nova's log (``reboot``) that raise ActionRefused with this text.
    ``on_action`` is called with each action that was taken: let the guest come back there.
    """

    def __init__(self, clock: Callable[[], float], user_id: str = 'the-service-user') -> None:
        self._clock = clock
        self._user_id = user_id
        self._servers: dict[str, Server] = {}
        self._log: dict[str, list[InstanceAction]] = {}
        self._numbers = itertools.count(1)
        self.away = False
        self.lose_answer: str | None = None
        self.refuse: dict[str, str] = {}
        self.on_action: Callable[[Taken], object] = lambda taken: None
        self.on_read: Callable[[str], object] = lambda server_id: None
        self.taken: list[Taken] = []
        """Every action that was taken, oldest first; by ours only, not by others()."""

    # ---- the world

    def add(self, server_id: str, project_id: str, **values: Any) -> Server:
        """Boot a server: ACTIVE, unless the values (fields of Server) say otherwise."""
        server = Server(
            id=server_id,
            project_id=project_id,
            name=f'server-{server_id[:8]}',
            status='ACTIVE',
            vm_state='active',
            task_state=None,
            power_state=1,
            locked=False,
            host='host1',
            image_id='11111111-1111-4111-8111-111111111111',
        )
        self._servers[server_id] = replace(server, **values)
        self._log[server_id] = []
        self.others(server_id, 'create')
        return self._servers[server_id]

    def change(self, server_id: str, **values: Any) -> Server:
        """Let a server be otherwise: ``change(id, vm_state='stopped', status='SHUTOFF')``."""
        self._servers[server_id] = replace(self._servers[server_id], **values)
        return self._servers[server_id]

    def delete(self, server_id: str) -> None:
        """Delete a server; Nova knows nothing of it any more."""
        del self._servers[server_id]
        del self._log[server_id]

    def others(self, server_id: str, action: str, user_id: str = 'its-owner') -> str:
        """Somebody else does something to a server; returns the request id."""
        return self._record(server_id, action, user_id)

    # ---- the contract

    def user_id(self) -> str:
        """See Cloud."""
        self._answer()
        return self._user_id

    def server(self, server_id: str) -> Server:
        """See Cloud."""
        self._answer()
        self.on_read(server_id)
        try:
            return self._servers[server_id]
        except KeyError:
            raise NotFound(f'Nova: no server {server_id}') from None

    def instance_actions(self, server_id: str) -> list[InstanceAction]:
        """See Cloud."""
        self._answer()
        if server_id not in self._servers:
            raise NotFound(f'Nova: no server {server_id}')
        return list(self._log[server_id])

    def reboot(self, server_id: str, kind: str) -> str | None:
        """See Cloud. As in Nova, a soft reboot needs a running server, a hard one does not."""
        if kind not in ('soft', 'hard'):
            raise ValueError(f'a reboot is soft or hard, not {kind!r}')
        states = ('active',) if kind == 'soft' else ('active', 'stopped', 'error', 'paused')
        return self._act(server_id, 'reboot', kind, states)

    def rebuild(self, server_id: str, image_id: str) -> str | None:
        """See Cloud. As in Nova, refused while another task runs on the server."""
        server = self._servers.get(server_id)
        if not self.away and server and server.task_state:
            raise ActionRefused(f'Nova answered 409: task_state {server.task_state}')
        return self._act(server_id, 'rebuild', None, ('active', 'stopped', 'error'))

    def _act(
        self, server_id: str, action: str, kind: str | None, states: tuple[str, ...]
    ) -> str | None:
        if self.away or self.lose_answer == DROPPED:
            raise OutcomeUnknown('Nova: the connection broke off')
        server = self._servers.get(server_id)
        if server is None:
            raise ActionRefused(f'Nova answered 404: no server {server_id}')
        named = f'server.{action} {kind}' if kind else f'server.{action}'
        for name in (named, action):
            if name in self.refuse:
                raise ActionRefused(self.refuse[name])
        if server.vm_state not in states:
            raise ActionRefused(f'Nova answered 409: vm_state {server.vm_state}')
        request_id = self._record(server_id, action, self._user_id)
        taken = Taken(server_id, action, kind, self._clock(), request_id)
        self.taken.append(taken)
        self.on_action(taken)
        if self.lose_answer == DONE:
            raise OutcomeUnknown('Nova: the connection broke off')
        return request_id

    def _record(self, server_id: str, action: str, user_id: str) -> str:
        request_id = f'req-{next(self._numbers):08d}-0000-4000-8000-000000000000'
        started = datetime.fromtimestamp(self._clock(), UTC).strftime('%Y-%m-%dT%H:%M:%S.%f')
        self._log[server_id].insert(0, InstanceAction(action, request_id, user_id, started))
        return request_id

    def _answer(self) -> None:
        if self.away:
            raise CloudAway('Nova: no answer')
