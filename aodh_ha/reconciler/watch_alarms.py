"""The Aodh alarms of watches: one that is not there, or calls nobody, will never fire."""

from collections.abc import Sequence

import sqlalchemy as sa

from aodh_ha.db import Database, watches
from aodh_ha.reconciler.carriers import UNLINKED, Broken, Carriers, by_itself, tell, watched
from aodh_ha.rules.watch import Watch

PAGE = 500

AGAIN = 'write the watch again (one of a stack: check the stack, then update it)'
GONE = f'its Aodh alarm no longer exists: {AGAIN}'
NONE = f'no Aodh alarm carries it: {AGAIN}'
DISABLED = 'its Aodh alarm is disabled: enable it, or delete the watch'
ELSEWHERE = f'its Aodh alarm does not call the restarters that it was made for: {AGAIN}'
ASTRAY = f'its Aodh alarm looks at something else: {AGAIN}'

MANY = '{number} watches: {problem}; see "aodh-ha watch list --all-projects"'


class WatchAlarms:
    """What is found is told once, as of guests' alarms."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._elsewhere: set[str] = set()
        """Watches of which that was seen in the last round."""

    def all(self) -> list[Watch]:
        """Every watch, as it is now. Raises DatabaseAway."""
        found: list[Watch] = []
        with self._database.read() as connection:
            while True:
                page = watches.find(connection, None, found[-1].id if found else '', PAGE)
                found += page
                if len(page) < PAGE:
                    return found

    def compare(self, found: Sequence[Watch], carriers: Carriers, now: float) -> None:
        """With what was read before Aodh's list was taken. Raises DatabaseAway."""
        problems: dict[str, list[Watch]] = {}
        before, self._elsewhere = self._elsewhere, set()
        for watch in found:
            with by_itself(f'watch {watch.id}'):
                problem = _problem(watch, carriers, now)
                if problem == ELSEWHERE and watch.problem != ELSEWHERE:
                    # An update writes ours first, then Aodh's: a round may be between the two.
                    self._elsewhere.add(watch.id)
                    if watch.id not in before:
                        continue
                if problem != watch.problem:
                    problems.setdefault(problem, []).append(watch)
        for problem, those in problems.items():
            self._tell(problem, those, now)

    def _tell(self, problem: str, found: Sequence[Watch], now: float) -> None:
        def work(connection: sa.Connection) -> None:
            servers = watches.targets(connection, found)
            told = [
                _broken(watch, servers.get(watch.id))
                for watch in found
                if watches.set_problem(connection, watch.id, problem)
            ]
            tell(connection, told, problem, MANY, now)

        self._database.run(work)


def _problem(watch: Watch, carriers: Carriers, now: float) -> str:
    """Why it will never call; empty when it would. Raises CloudAway."""
    if watch.aodh_alarm_id is None:
        return NONE if now - watch.created_at > UNLINKED else ''
    carrier = carriers.get(watch.aodh_alarm_id)
    if carrier is None:
        return GONE if watch.problem == GONE or carriers.is_gone(watch.aodh_alarm_id) else ''
    if not carrier.get('enabled', True):
        return DISABLED
    # What else its actions call is not ours, and may be changed in Aodh as well.
    if not set(watch.restarters) <= set(carriers.called(carrier)):
        return ELSEWHERE
    return '' if watched(carrier) == watch.resource_id else ASTRAY


def _broken(watch: Watch, server_id: str | None) -> Broken:
    what = f'watch {watch.name}'
    return Broken(what, what, watch.project_id, server_id, watch.id, watch.aodh_alarm_id)
