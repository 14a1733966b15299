"""Whether what held a recovery back still does, as far as the database alone can tell.

In a storm, or when a host with many guests died, thousands of recoveries wait: to take their whole
evidence every few seconds would bury the cloud under questions.
"""

from dataclasses import replace

import sqlalchemy as sa

from aodh_ha.db import Database, admission, incidents, silences
from aodh_ha.recovery import evidence, turns
from aodh_ha.recovery.evidence import Surveys
from aodh_ha.rules import guards
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.recovery import Recovery, Wait

BUDGET_RECHECK = 5.0
"""Seconds until a recovery asks the budget again."""


def still(
    database: Database,
    recovery: Recovery,
    guest: Guest,
    now: float,
    surveys: Surveys,
    storm: evidence.Settings,
    limits: Limits,
) -> Wait | None:
    """The same guard again, or another recovery's turn; None: look with all evidence."""
    with database.read() as connection:
        turn = turns.hold(connection, recovery, guest.stack_id, now)
    if turn:
        return turn
    if recovery.guard not in ('silence', 'storm', 'budget'):
        return None
    bare = Evidence(now, 0, guest.last_seen, None, None)
    with database.read() as connection:
        if recovery.guard == 'silence':
            covering = silences.covering(connection, guest, guest.host, now)
            return guards.silenced(replace(bare, silences=covering), now)
        if recovery.guard == 'storm':
            if _host_down(connection, guest):
                return None
            fleet = surveys.fleet(connection, guest, set(), now, storm)
            return guards.storm(replace(bare, fleet=fleet))
        why = admission.foresee(connection, recovery, limits, now)
    return Wait(BUDGET_RECHECK, why, 'budget') if why else None


def _host_down(connection: sa.Connection, guest: Guest) -> bool:
    if not guest.host:
        return False
    return incidents.get_open(connection, incidents.HOST, guest.host) is not None
