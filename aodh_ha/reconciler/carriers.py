"""Aodh's alarms as they are, and how the operator is told what is wrong with one of them."""

import logging
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import sqlalchemy as sa
from itsdangerous import BadData, URLSafeTimedSerializer

from aodh_ha.db import audit, notifications
from aodh_ha.exceptions import AodhHAError, NotFound
from aodh_ha.rules import alarm as rules

LOG = logging.getLogger(__name__)

Carrier = dict[str, Any]
"""An alarm as Aodh's API shows it."""

UNLINKED = 600.0
"""Seconds after which an alarm of ours without one in Aodh was not just being created."""

FEW = 3
"""Problems of one kind that are told one by one; more of them have one cause."""


class Aodh(Protocol):
    """What is asked of clients.aodh.Aodh."""

    def list_all(self) -> list[Carrier]:
        """Every project's alarms of our type. Raises CloudAway."""

    def get(self, alarm_id: str) -> Carrier:
        """An alarm. Raises CloudAway or NotFound."""

    def watch(self, alarm_id: str, resource_id: str, description: str) -> None:
        """Let an alarm watch another resource. Raises as delete() does."""

    def delete(self, alarm_id: str) -> None:
        """Delete an alarm. Raises CloudAway, NotFound, ActionRefused or OutcomeUnknown."""


class Carriers:
    """Aodh's alarms at one time, and which of ours each calls."""

    def __init__(self, aodh: Aodh, public_url: str) -> None:
        """Raises CloudAway while Aodh does not answer."""
        self._aodh = aodh
        self._door = f'{public_url.rstrip("/")}/v1/alarms/'
        self._all = {a['alarm_id']: a for a in aodh.list_all()}

    def get(self, aodh_alarm_id: str | None) -> Carrier | None:
        """The one of this id."""
        return self._all.get(aodh_alarm_id or '')

    def by_called(self) -> dict[str, Carrier]:
        """All of them by the alarm of ours that their URL is for."""
        return {i: carrier for carrier in self._all.values() for i in self.called(carrier)}

    def called(self, carrier: Carrier) -> Collection[str]:
        """The alarms of ours for which it calls us, with a trust or without."""
        urls = map(rules.plain, carrier.get(rules.ACTIONS) or [])
        return {_named(url) for url in urls if url.startswith(self._door)} - {''}

    def is_gone(self, aodh_alarm_id: str) -> bool:
        """Whether there is none of this id; raises CloudAway."""
        # A list of many pages may leave one out that moved; only a look at it is certain.
        try:
            self._aodh.get(aodh_alarm_id)
        except NotFound:
            return True
        return False


def watched(carrier: Carrier) -> str | None:
    """The Gnocchi resource that it watches."""
    found: str | None = (carrier.get(f'{carrier["type"]}_rule') or {}).get('resource_id')
    return found


def changed_at(carrier: Carrier) -> float:
    """When it came into its state, in seconds since the epoch; 0: it does not say."""
    try:
        at = datetime.fromisoformat(carrier['state_timestamp'])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return at.replace(tzinfo=at.tzinfo or UTC).timestamp()


def _named(url: str) -> str:
    """The alarm that a callback URL says it is for; empty when it says nothing.

    The signature is the webhook's to check: here nothing is done because of the URL.
    """
    try:
        _, payload = URLSafeTimedSerializer('').loads_unsafe(url.rpartition('/')[2])
    except BadData:
        return ''
    return payload if isinstance(payload, str) else ''


# ---- what is wrong


@dataclass(frozen=True)
class Broken:
    """Something of ours with whose Aodh alarm something is wrong, or is so no more."""

    what: str
    """As an operator is told of it."""
    trigger: str
    project_id: str
    server_id: str | None
    id: str
    aodh_alarm_id: str | None


def record(connection: sa.Connection, broken: Broken, kind: str, message: str, now: float) -> None:
    """Write it into the audit trail."""
    audit.record(
        connection,
        now,
        kind,
        f'{broken.trigger}: {message}',
        project_id=broken.project_id,
        server_id=broken.server_id,
        data={'alarm_id': broken.id, 'aodh_alarm_id': broken.aodh_alarm_id},
    )


def tell(
    connection: sa.Connection, found: Iterable[Broken], problem: str, many: str, now: float
) -> None:
    """Tell the operator what is wrong with these, once each or, as ``many`` says, of all."""
    told = list(found)
    for broken in told:
        kind = 'alarm_broken' if problem else 'alarm_mended'
        message = problem or 'its Aodh alarm is as it should be again'
        record(connection, broken, kind, message, now)
    if problem and len(told) > FEW:
        message = many.format(number=len(told), problem=problem)
        notifications.add(connection, now, 'alarm', message)
    elif problem:
        for broken in told:
            notifications.add(
                connection,
                now,
                'alarm',
                f'{broken.what}: {problem}',
                project_id=broken.project_id,
                server_id=broken.server_id,
            )


@contextmanager
def by_itself(what: str) -> Iterator[None]:
    """What is wrong with one must not keep the others from being looked at."""
    try:
        yield
    except NotFound:
        LOG.info('%s or its guest was deleted meanwhile', what)
    except AodhHAError as e:
        LOG.warning('%s: %s: %s', what, e.title, e.detail)
