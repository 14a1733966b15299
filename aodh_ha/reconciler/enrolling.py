"""Applies the enrolment rules to servers that exist already."""

import logging
import time
from collections.abc import Callable, Mapping

from oslo_config import cfg

from aodh_ha import keys, opts
from aodh_ha.db import Database, enrolment
from aodh_ha.exceptions import ActionRefused, AodhHAError, NotFound, NotNow
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules.enrolment import Candidate, Rule, credentials, wish
from aodh_ha.rules.evidence import Server

LOG = logging.getLogger(__name__)

ACTIVE = 'ACTIVE'
"""Status of servers that are enrolled; one that is being built asks for itself as it boots."""

BATCH = 50
"""Guests that are enrolled in one look: each is a request to Nova."""

CHUNK = 500


class Enrolling:
    """Enrols servers that a rule wants, and brings them their credentials."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        cloud: Cloud,
        master_key: bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._cloud = cloud
        self._master_key = master_key
        self._clock = clock
        self._write: bool = conf.enrolment.write_metadata
        self._gateways = opts.gateways(conf)
        self._refused: dict[str, str] = {}
        """Servers whose metadata Nova does not let us write, and why; told once."""

    def look(self, now: float) -> None:
        """Enrol some of those that are to be. Raises CloudAway, DatabaseAway."""
        with self._database.read() as connection:
            rules = enrolment.find(connection)
        if not rules:
            return
        servers = self._candidates(rules)
        self._refused = {k: v for k, v in self._refused.items() if k in servers}
        # Those that were refused come last: they must not keep others out of the batch.
        wanted = sorted(servers.values(), key=lambda s: (s.server_id in self._refused, s.server_id))
        for server in wanted[:BATCH]:
            self._enroll(server)

    def _candidates(self, rules: list[Rule]) -> dict[str, Candidate]:
        """Servers that rules want and that have no guest yet, by id."""
        of_project: dict[str, list[Rule]] = {}
        for rule in rules:
            of_project.setdefault(rule.project_id, []).append(rule)
        operators = of_project.pop(enrolment.OPERATOR, [])
        stacks = self._stacks({r.stack_id for r in rules} - {''})
        found: dict[str, Candidate] = {}
        for project_id in [None] if operators else sorted(of_project):
            for server in self._cloud.servers_of(project_id):
                candidate = _candidate(server, stacks)
                theirs = [*of_project.get(server.project_id, ()), *operators]
                if server.status == ACTIVE and wish(candidate, theirs):
                    found[server.id] = candidate
        ids = sorted(found)
        unknown: set[str] = set()
        for start in range(0, len(ids), CHUNK):
            with self._database.read() as connection:
                unknown |= enrolment.unknown(connection, ids[start : start + CHUNK])
        return {i: found[i] for i in ids if i in unknown}

    def _stacks(self, ids: set[str]) -> dict[str, frozenset[str]]:
        """The servers of each stack that a rule names."""
        found = {}
        for stack_id in sorted(ids):
            try:
                found[stack_id] = self._cloud.servers_in(stack_id)
            except AodhHAError as e:
                # Rules that ask for no stack need no Heat.
                LOG.warning('servers of stack %s are enrolled later: %s', stack_id, e.detail)
        return found

    def _enroll(self, server: Candidate) -> None:
        """Bring the credentials first: a guest that never got any would be silent for ever."""
        generation = enrolment.new_generation()
        if not self._deliver(server.server_id, generation):
            return
        now = self._clock()
        guest = self._database.run(lambda c: enrolment.enroll(c, server, now, generation))
        if guest is None:
            return
        LOG.info('guest %s is enrolled by %s', guest.server_id, guest.enrolled_by)
        if guest.generation != generation:
            # Somebody else has enrolled it in between, and its key is another one.
            self._deliver(server.server_id, guest.generation)

    def _deliver(self, server_id: str, generation: int) -> bool:
        if not self._write:
            return True
        key = keys.guest_key(self._master_key, server_id, generation)
        try:
            self._cloud.set_metadata(server_id, credentials(self._gateways, key, generation))
        except (NotFound, NotNow) as e:
            LOG.info('server %s is enrolled later: %s', server_id, e.detail)
            return False
        except ActionRefused as e:
            if self._refused.get(server_id) != e.detail:
                LOG.warning(
                    'server %s is not enrolled, though a rule wants it: its metadata cannot be '
                    'written: %s',
                    server_id,
                    e.detail,
                )
            self._refused[server_id] = e.detail
            return False
        except AodhHAError as e:
            LOG.warning('server %s is enrolled later: %s', server_id, e.detail)
            return False
        self._refused.pop(server_id, None)
        return True


def _candidate(server: Server, stacks: Mapping[str, frozenset[str]]) -> Candidate:
    mine = frozenset(stack_id for stack_id, members in stacks.items() if server.id in members)
    return Candidate(server.id, server.project_id, server.name, server.metadata, server.tags, mine)
