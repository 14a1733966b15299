"""A stack that is deleted and created again."""

from collections.abc import Callable, Mapping
from typing import Any

from heatclient import exc as heat
from keystoneauth1 import exceptions as ksa

from aodh_ha.clients.heat_calls import act, before, refusal, request_id
from aodh_ha.exceptions import ActionRefused, NotNow, OutcomeUnknown
from aodh_ha.rules.holdings import Member

DELETION = 240.0
"""Seconds that a call waits for a stack to be deleted; another call goes on waiting."""

POLL = 2.0

NAME_FREED = 30.0
"""Seconds after a deletion within which the stack's name is free again."""


def look(client: Any, which: str) -> Any:
    """A stack, before an action on it; None when there is none (any more)."""

    def shown() -> Any:
        try:
            root = client.stacks.get(which, resolve_outputs=False)
        except heat.HTTPNotFound:
            return None
        return None if root.stack_status == 'DELETE_COMPLETE' else root

    return before(shown)


class Recreation:
    """Goes on from what it finds, so it may be called again."""

    def __init__(
        self, client: Any, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """``client``: of Heat, with a token of the stack's project."""
        self._client, self._clock, self._sleep = client, clock, sleep

    def make(self, member: Member, known: Mapping[str, Any]) -> str | None:
        """See Cloud.recreate_stack; ``known`` is its definition."""
        self._delete(member)
        until = self._clock() + NAME_FREED
        while not look(self._client, known['name']):
            try:
                return self._create(known)
            except heat.HTTPConflict as e:
                # Heat says DELETE_COMPLETE a moment before it frees the name (seen).
                if self._clock() >= until:
                    raise refusal(e) from None
            self._sleep(POLL)
        return None

    def _create(self, known: Mapping[str, Any]) -> str | None:
        data = {
            'stack_name': known['name'],
            'template': known['template'],
            'environment': known['environment'],
            'files': known['files'],
            'timeout_mins': known['timeout_mins'],
            'disable_rollback': known['disable_rollback'],
        }
        if known['tags']:
            data['tags'] = ','.join(known['tags'])

        try:
            return request_id(self._client.http_client.post('/stacks', data=data))
        except heat.HTTPConflict:
            raise
        except (heat.BaseException, ksa.ClientException) as e:
            raise refusal(e) from None

    def _delete(self, member: Member) -> None:
        """Delete the member's root stack, and wait for that."""
        which = f'{member.root_name}/{member.root_id}'
        root = look(self._client, which)
        if root is None:
            return
        first = root.stack_status
        if first != 'DELETE_IN_PROGRESS':
            if first.endswith('IN_PROGRESS'):
                raise NotNow(f'the stack {root.stack_name} is {first}')
            act(lambda: self._client.stacks.delete(which))
        # A deletion that failed before shows for a moment as if this one had.
        began = first != 'DELETE_FAILED'
        until = self._clock() + DELETION
        while self._clock() < until:
            self._sleep(POLL)
            try:
                root = look(self._client, which)
            except NotNow as e:
                raise OutcomeUnknown(e.detail) from None
            if root is None:
                return
            began = began or root.stack_status == 'DELETE_IN_PROGRESS'
            if began and root.stack_status == 'DELETE_FAILED':
                raise ActionRefused(f'Heat: {root.stack_status_reason}')
        raise OutcomeUnknown(f'the stack {member.root_name} is still being deleted')
