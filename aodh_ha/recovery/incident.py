"""What many recoveries have in common: a dead host, which is fenced once, and a storm."""

from collections.abc import Callable
from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import Database, incidents, leases, notifications, queue
from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.actions.base import Runner
from aodh_ha.recovery.actions.hook import facts
from aodh_ha.recovery.evidence import Taken
from aodh_ha.rules import guards
from aodh_ha.rules.evidence import Evidence, Incident
from aodh_ha.rules.recovery import Recovery

FENCING = 120.0
"""Seconds for which one worker has the fencing of a host to itself; a hook that takes longer
may be run a second time, which fencing has to bear."""

UNDER_WAY = 'another recovery sees to that'
"""What fence() answers while it is being tried for another guest of the host."""


def join(
    database: Database, recovery: Recovery, taken: Taken, now: float
) -> tuple[Recovery, Taken]:
    """Make the recovery of a guest on a dead host part of that host's incident."""
    evidence = taken.evidence
    host = evidence.server.host if evidence.server else None
    if not evidence.host_down or not host:
        return recovery, taken
    reason = f'Nova says that host {host} is down'
    known = evidence.incident
    if known is None or recovery.incident_id != known.id:
        known = _open(database, recovery, incidents.HOST, host, reason, now)
    taken = replace(taken, evidence=replace(evidence, incident=known))
    return replace(recovery, incident_id=known.id), taken


def storm(database: Database, recovery: Recovery, evidence: Evidence, now: float) -> None:
    """Make the recovery part of a storm's incident, which a person is told of once."""
    name = evidence.fleet.cause or 'unknown'
    with database.read() as connection:
        known = incidents.get_open(connection, incidents.STORM, name)
    if known is None or recovery.incident_id != known.id:
        _open(database, recovery, incidents.STORM, name, evidence.fleet.storm, now)


def _open(
    database: Database, recovery: Recovery, kind: str, name: str, reason: str, now: float
) -> Incident:
    def work(connection: sa.Connection) -> Incident:
        incident, _ = incidents.open_(connection, kind, name, reason, now)
        if recovery.incident_id != incident.id:
            queue.joined(connection, recovery, now, incident.id, reason)
        if incidents.notified(connection, incident.id):
            notifications.add(connection, now, kind, f'{reason} (incident {incident.id})')
        return incident

    return database.run(work)


def fence(
    database: Database,
    hooks: Runner,
    recovery: Recovery,
    evidence: Evidence,
    hook: str,
    clock: Callable[[], float],
) -> str:
    """Have the operator's hook cut the host off; why not, or empty when it did.

    Only one of the host's recoveries does it at a time, and not more often than every
    guards.RECHECK seconds.
    """
    incident = evidence.incident
    assert incident is not None  # noqa: S101 - join() has opened it
    name = f'fence:{incident.id}'

    def take(connection: sa.Connection) -> bool:
        queue.fenced(connection, recovery, {'updated_at': clock()})
        return leases.take(connection, name, recovery.id, clock(), FENCING)

    if not database.run(take):
        return UNDER_WAY
    try:
        told = facts(recovery, evidence, f'host {incident.name} is down') | {'kind': 'fence'}
        result = hooks.run(hook, told)
        ok, output = result.ok, result.output
    except ActionRefused as e:
        ok, output = False, e.detail

    def done(connection: sa.Connection) -> None:
        now = clock()
        data = {'hook': hook, 'host': incident.name, 'output': output}
        if ok:
            incidents.fenced(connection, incident.id, now, f'hook {hook}')
            leases.release(connection, name, recovery.id)
            queue.note(connection, recovery, now, 'fenced', f'{incident.name} by {hook}', data)
        else:
            # Kept for a while: the next try is not made at once by the next of the host's guests.
            leases.take(connection, name, recovery.id, now, guards.RECHECK - 1)
            message = f'{incident.name}: {output}'
            queue.note(connection, recovery, now, 'fencing_failed', message, data)

    database.run(done)
    return '' if ok else f'the hook {hook} failed: {output}'
