"""Which samples are signs of life, and of whom. Imports nothing of Ceilometer."""

import datetime
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import sqlalchemy as sa

from aodh_ha.db import guests
from aodh_ha.rules.alarm import HEARTBEAT
from aodh_ha.rules.heartbeat import is_uuid

DEFAULT_METER = HEARTBEAT

FRESH = 60.0
"""Seconds. Older samples come from a queue that was stuck, and say nothing about now."""

DELTA = 'delta'

MOST = 1000
"""Heartbeats that one sample may tell of; more is a mistake, and no column overflows."""


class Sample(Protocol):
    """What is read of a ceilometer.sample.Sample."""

    name: str
    type: str
    volume: Any
    resource_id: Any
    timestamp: Any
    resource_metadata: Any


@dataclass(frozen=True)
class Sign:
    """Signs of life of one server."""

    server_id: str
    at: float
    """Of the newest, in seconds since the epoch; never in the future."""
    count: int
    meter: str
    """Of the newest."""


def signs(samples: Iterable[Sample], meters: Collection[str], now: float) -> list[Sign]:
    """The signs of life in these samples, one a server, by server id.

    Our own meters carry the guest's resource id, never the server's, so a sample of ours that
    passes through the pipeline can't keep a silent guest alive.
    """
    found: dict[str, Sign] = {}
    for sample in samples:
        if sample.name not in meters:
            continue
        server_id = _server(sample)
        at = _seconds(sample.timestamp)
        volume = _number(sample.volume)
        if server_id is None or at is None or at < now - FRESH or not volume > 0:
            continue
        before = found.get(server_id)
        sign = Sign(
            server_id=server_id,
            # A clock that is ahead must not make the guest look alive in the future.
            at=min(at, now),
            # A delta counts heartbeats; any other value is one sign of life, however large.
            count=min(max(1, int(volume)), MOST) if sample.type == DELTA else 1,
            meter=sample.name,
        )
        if before is not None:
            newest = max(before, sign, key=lambda s: s.at)
            sign = Sign(server_id, newest.at, before.count + sign.count, newest.meter)
        found[server_id] = sign
    # In one order everywhere, so that two agents never wait for each other's rows.
    return [found[server_id] for server_id in sorted(found)]


def record(connection: sa.Connection, found: Iterable[Sign]) -> int:
    """Write signs of life; returns how many were of enrolled guests, the others are ignored."""
    return sum(
        guests.write_life(connection, s.server_id, s.at, s.count, f'ceilometer:{s.meter}')
        for s in found
    )


def _server(sample: Sample) -> str | None:
    metadata = sample.resource_metadata
    instance = metadata.get('instance_id') if isinstance(metadata, dict) else None
    # Nova's disks and ports have resource ids of their own, and name their instance here.
    for candidate in (instance, sample.resource_id):
        if is_uuid(candidate):
            return str(candidate)
    return None


def _seconds(timestamp: Any) -> float | None:
    """A sample's timestamp: ISO 8601, in UTC where it names no zone (as Ceilometer writes)."""
    try:
        at = datetime.datetime.fromisoformat(str(timestamp))
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def _number(volume: Any) -> float:
    try:
        value = float(volume)
    except (TypeError, ValueError):
        return 0.0
    return value if value < float('inf') else 0.0
