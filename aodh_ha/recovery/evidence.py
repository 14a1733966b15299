"""What is known before acting, taken anew for each action."""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import sqlalchemy as sa

from aodh_ha.db import Database, attempts, gateways, guests, incidents, silences
from aodh_ha.db.models import recoveries
from aodh_ha.exceptions import ActionRefused, CloudAway, NotFound
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import enrolment, escalation, gateway, guards, storm
from aodh_ha.rules.evidence import Evidence, Fleet, Host, Server
from aodh_ha.rules.guest import ENROLLED, Guest
from aodh_ha.rules.holdings import Holdings
from aodh_ha.rules.masking import masked
from aodh_ha.rules.policy import Policy, Step
from aodh_ha.rules.recovery import LEFT_ALONE

LOG = logging.getLogger(__name__)

T = TypeVar('T')

ACTIONS = 10
"""Entries of Nova's log that are kept."""

CONSOLE_LINES = 200

AGE = 2.0
"""Seconds for which it is taken as known who is silent."""

WEEK = 7 * 86400.0

NEIGHBOURS = ('stack.heal', 'stack.rebuild', 'stack.recreate')
"""Steps before which it has to be known what the other servers of the stack have, and whether
anybody wants them left alone."""

_PAGE = 1000


@dataclass(frozen=True)
class Settings:
    """When silent guests are a storm; see rules.storm."""

    share: float = 0.3
    window: float = 60.0
    minimum: int = 5


def stricter(settings: Settings, policy: Policy) -> Settings:
    """As the operator configured, or as the policy says where that holds back more."""
    if policy.budget.storm is None:
        return settings
    share, window = policy.budget.storm
    return replace(settings, share=min(settings.share, share), window=max(settings.window, window))


class Surveys:
    """Who else is silent, looked up anew every AGE seconds: in a storm thousands ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[Settings, str, frozenset[str]], tuple[float, Fleet]] = {}

    def fleet(
        self,
        connection: sa.Connection,
        guest: Guest,
        down_hosts: set[str],
        now: float,
        settings: Settings,
    ) -> Fleet:
        """As fleet(); may be AGE seconds old."""
        key = (settings, guest.group_name, frozenset(down_hosts))
        with self._lock:
            self._kept = {k: v for k, v in self._kept.items() if 0 <= now - v[0] < AGE}
            if key not in self._kept:
                self._kept[key] = (now, fleet(connection, guest, down_hosts, now, settings))
            return self._kept[key][1]


@dataclass(frozen=True)
class Taken:
    """The evidence, and what of it could not be had because a part of the cloud is away."""

    evidence: Evidence
    away: str = ''
    """Empty; or which part did not answer about what the server has or where it belongs."""


def take(
    cloud: Cloud,
    database: Database,
    guest: Guest,
    listening_since: float | None,
    now: float,
    settings: Settings = Settings(),
    surveys: Surveys | None = None,
    clock: Callable[[], float] | None = None,
) -> Taken:
    """Heartbeats and plans as the database knows them, the server as the cloud shows it.

    ``now`` is when the guest was read. The cloud may take many seconds to answer, and the
    database is then looked at by the ``clock``: measured by ``now``, gateways that ticked
    meanwhile would seem to be none, and a storm among guests that nobody hears no storm.

    Raises CloudAway when Nova does not answer. A server that it does not know is evidence, not
    an error. What console() and neighbours() add costs more, and is only taken before acting.
    """
    missed = 0 if listening_since is None else guest.missed(now, listening_since)
    bare = Evidence(now, missed, guest.last_seen, None, None, listening_since)
    try:
        server = cloud.server(guest.server_id)
        actions = cloud.instance_actions(guest.server_id)
    except NotFound:
        return Taken(bare)
    ours = cloud.user_id()
    host = _host(cloud, server)
    away: list[str] = []
    member = _softly(lambda: cloud.member(server), away)
    holdings = _softly(lambda: cloud.holdings(server, member), away)
    activity = _softly(lambda: cloud.activity(server.id, now), [])
    down = {host.name} if host and not host.up else set[str]()
    present = clock() if clock else now
    with database.read() as connection:
        incident = server.host and incidents.get_open(connection, incidents.HOST, server.host)
        made = attempts.request_ids(connection, guest.server_id)
        evidence = replace(
            bare,
            server=server,
            last_request_id=actions[0].request_id if actions else None,
            host=host,
            # What was done with a project's rights is ours, too, whoever's name it has.
            actions=tuple(
                replace(a, user_id=ours) if a.request_id in made else a for a in actions[:ACTIONS]
            ),
            holdings=holdings,
            member=member,
            activity=activity,
            services={s.name: s.state for s in guest.services},
            opted_out=guest.opted_out or opted_out(server),
            silences=silences.covering(connection, guest, server.host or '', present),
            fleet=(surveys or Surveys()).fleet(connection, guest, down, present, settings),
            past=attempts.past(connection, guest.server_id, present - WEEK),
            incident=incident or None,
            user_id=ours,
            boot_id=guest.boot_id,
        )
    return Taken(evidence, '; '.join(away))


def console(cloud: Cloud, evidence: Evidence) -> Evidence:
    """With what the guest printed last and what its hypervisor says, where they can be had."""
    server = evidence.server
    # A dead host answers neither, and Nova's API waits a minute for it: with ten guests on the
    # host all its threads would.
    if server is None or evidence.host_down:
        return evidence
    text = _softly(lambda: cloud.console(server.id, CONSOLE_LINES), [])
    diagnostics = _softly(lambda: cloud.diagnostics(server.id), [])
    return replace(evidence, console=masked(text or ''), diagnostics=diagnostics or {})


def neighbours(
    cloud: Cloud, database: Database, evidence: Evidence, step: Step, now: float
) -> Evidence:
    """With what the other servers have that the step would replace, and who is to be left alone:
    a step that heals passes them over, though they are silent."""
    member, server = evidence.member, evidence.server
    if step.action not in NEIGHBOURS or member is None or server is None:
        return evidence
    others: dict[str, Holdings | None] = {}
    excused: dict[str, str] = {}
    for server_id, name in member.siblings:
        away: list[str] = []
        if server_id == server.id:
            continue
        seen = _softly(partial(_server, cloud, server_id), away)
        why = _softly(partial(_excuse, cloud, database, seen, now), away) if seen else ''
        if why:
            excused[name] = why
            if step.action == 'stack.heal':
                continue
        if step.action == 'stack.heal' and not away and not _failed(database, server_id, seen, now):
            continue
        place = replace(member, resource_name=name)
        others[server_id] = _softly(partial(cloud.holdings, seen, place), []) if seen else None
    return replace(evidence, others=others, excused=excused)


def watched(database: Database, evidence: Evidence, step: Step) -> Evidence:
    """With the servers of the stack whose guests have to be heard again after the step."""
    member = evidence.member
    if step.action not in escalation.WHOLE or member is None:
        return evidence
    with database.read() as connection:
        seen = guests.last_seen(connection, (server_id for server_id, _ in member.siblings))
    return replace(evidence, watched=tuple(n for i, n in member.siblings if seen.get(i)))


def opted_out(server: Server) -> bool:
    """Whether its owner wants nothing to be done to it."""
    return enrolment.opted_out(server.metadata)


def fleet(
    connection: sa.Connection,
    guest: Guest,
    down_hosts: set[str],
    now: float,
    settings: Settings = Settings(),
) -> Fleet:
    """Who else is silent."""
    down = {i.name for i in incidents.find(connection, open_only=True) if i.kind == incidents.HOST}
    listening = {way: gateways.listening_since(connection, now, way) for way in gateway.GAPS}
    everybody = _everybody(connection)
    return storm.survey(
        everybody,
        listening,
        down | down_hosts,
        now,
        share=settings.share,
        window=settings.window,
        minimum=settings.minimum,
        group=guest.group_name,
        excused=_excused(connection, everybody, now),
        since=incidents.dismissed_at(connection, incidents.STORM),
    )


def _everybody(connection: sa.Connection) -> list[Guest]:
    found: list[Guest] = []
    while True:
        after = found[-1].server_id if found else ''
        page = guests.find(connection, status=ENROLLED, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found


def _excused(connection: sa.Connection, everybody: Sequence[Guest], now: float) -> set[str]:
    """Those whose present silence was looked into, and is wanted by a person."""
    rows = connection.execute(
        sa.select(recoveries.c.server_id, recoveries.c.episode).where(
            recoveries.c.status == LEFT_ALONE, recoveries.c.finished_at > now - storm.MEMORY
        )
    ).all()
    known = {(r.server_id, r.episode) for r in rows}
    return {g.server_id for g in everybody if (g.server_id, g.episode('heartbeat')) in known}


def _failed(database: Database, server_id: str, seen: Server | None, now: float) -> bool:
    """Whether a server of the stack has failed, too: gone, in ERROR, or its guest is silent."""
    if seen is None or seen.vm_state == 'error':
        return True
    with database.read() as connection:
        try:
            guest = guests.get(connection, server_id)
        except NotFound:
            return False
        since = gateways.listening_since(connection, now, guest.way)
    return since is not None and guest.missed(now, since) >= guest.missed_limit


def _excuse(cloud: Cloud, database: Database, server: Server, now: float) -> str:
    """Why nothing may be done to a server; empty: it may."""
    if opted_out(server):
        return 'its metadata says aodh_ha:opt_out'
    actions = cloud.instance_actions(server.id) if server.vm_state == 'stopped' else []
    if wanted := guards.wanted_so(server, actions):
        return wanted
    with database.read() as connection:
        try:
            guest = guests.get(connection, server.id)
        except NotFound:
            return ''
        if silences.covering(connection, guest, server.host or '', now):
            return 'it is in maintenance'
    return ''


def _server(cloud: Cloud, server_id: str) -> Server | None:
    try:
        return cloud.server(server_id)
    except NotFound:
        return None


def _host(cloud: Cloud, server: Server) -> Host | None:
    if not server.host:
        return None
    try:
        return cloud.host(server.host)
    except (NotFound, ActionRefused):
        return None


def _softly(read: Callable[[], T], away: list[str]) -> T | None:
    """What a part of the cloud says; None when it has nothing or does not answer."""
    try:
        return read()
    except CloudAway as e:
        away.append(e.detail)
        LOG.info('evidence is incomplete: %s', e.detail)
    except (NotFound, ActionRefused) as e:
        LOG.info('evidence is incomplete: %s', e.detail)
    return None
