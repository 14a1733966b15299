"""What many recoveries have in common: a compute host that died, or a storm."""

import logging
from collections.abc import Collection

import sqlalchemy as sa
from oslo_config import cfg

from aodh_ha.db import Database, audit, gateways, guests, incidents, notifications
from aodh_ha.exceptions import CloudAway, NotFound
from aodh_ha.recovery import evidence
from aodh_ha.recovery.cloud import Cloud
from aodh_ha.rules import gateway, storm
from aodh_ha.rules.evidence import Fleet, Host, Incident
from aodh_ha.rules.guest import ENROLLED, Guest

LOG = logging.getLogger(__name__)

PAGE = 1000

GONE = 'Nova has no such compute host any more'


class Incidents:
    """Opens incidents and tells a person why; closes them when they are over."""

    def __init__(self, conf: cfg.ConfigOpts, database: Database, cloud: Cloud) -> None:
        self._database = database
        self._cloud = cloud
        self._settings = evidence.Settings(
            share=conf.guards.storm_share / 100,
            window=conf.guards.storm_window,
            minimum=conf.guards.storm_minimum,
        )

    def reconcile(self, now: float) -> None:
        """Raises DatabaseAway."""
        silent = self._silent(now)
        down = self._hosts(silent, now)
        self._storm(silent, down, now)

    def _silent(self, now: float) -> list[Guest]:
        found: list[Guest] = []
        after = ''
        with self._database.read() as connection:
            listening = {
                way: gateways.listening_since(connection, now, way) for way in gateway.GAPS
            }
            while True:
                page = guests.find(connection, status=ENROLLED, after=after, limit=PAGE)
                found += [g for g in page if storm.silent_at(g, listening[g.way], now)]
                if len(page) < PAGE:
                    return found
                after = page[-1].server_id

    # ---- hosts

    def _hosts(self, silent: Collection[Guest], now: float) -> set[str]:
        """Open and close the incidents of hosts; returns those that are down.

        A host that is down while its guests are heard is none of our business.
        """
        with self._database.read() as connection:
            known = {
                i.name: i
                for i in incidents.find(connection, open_only=True)
                if i.kind == incidents.HOST
            }
        down = set()
        for name in sorted({g.host for g in silent if g.host} | set(known)):
            try:
                host = self._host(name)
            except CloudAway as e:
                LOG.warning('whether host %s is up: %s', name, e.detail)
                down |= {name} & set(known)  # as it was
                continue
            if host and not host.up:
                down.add(name)
                self._open_host(host, [g for g in silent if g.host == name], now)
            elif name in known:
                self._close(known[name], 'it is up again' if host else GONE, now)
        return down

    def _host(self, name: str) -> Host | None:
        try:
            return self._cloud.host(name)
        except NotFound:
            return None

    def _open_host(self, host: Host, silent: Collection[Guest], now: float) -> None:
        forced = ' (forced down)' if host.forced_down else ''
        reason = f'Nova says that it is down{forced}; {len(silent)} of its guests are silent'

        def work(connection: sa.Connection) -> None:
            incident, new = incidents.open_(connection, incidents.HOST, host.name, reason, now)
            _tell(connection, incident, new, f'compute host {host.name}: {incident.reason}', now)

        self._database.run(work)

    # ---- storms

    def _storm(self, silent: Collection[Guest], down: set[str], now: float) -> None:
        with self._database.read() as connection:
            known = [
                i for i in incidents.find(connection, open_only=True) if i.kind == incidents.STORM
            ]
            # Any guest: whose group it is in is of no matter here.
            one = next(iter(silent), None)
            fleet = one and evidence.fleet(connection, one, down, now, self._settings)
        if fleet and fleet.storm:
            self._open_storm(fleet, now)
            return
        for incident in known:
            self._close(incident, 'it is over', now)

    def _open_storm(self, fleet: Fleet, now: float) -> None:
        def work(connection: sa.Connection) -> None:
            cause = fleet.cause or 'unknown'
            incident, new = incidents.open_(connection, incidents.STORM, cause, fleet.storm, now)
            if incidents.widen(connection, incident, cause, fleet.storm):
                incident, new = incidents.get(connection, incident.id), True
            _tell(connection, incident, new, incident.reason, now)

        self._database.run(work)

    def _close(self, incident: Incident, why: str, now: float) -> None:
        def work(connection: sa.Connection) -> None:
            reason = f'{incident.reason}; {why}'
            if not incidents.close(connection, incident.id, now, reason):
                return
            name = f'{incident.kind} {incident.name}'
            audit.record(connection, now, 'incident_closed', f'{name}: {why}', data=_data(incident))
            notifications.add(connection, now, incident.kind, f'{name}: {why}')

        self._database.run(work)
        LOG.info('incident %s %s: %s', incident.kind, incident.name, why)


def _tell(
    connection: sa.Connection, incident: Incident, new: bool, message: str, now: float
) -> None:
    """A person is told once, whoever opened the incident; see recovery.engine."""
    if new:
        name = f'{incident.kind} {incident.name}'
        audit.record(
            connection, now, 'incident', f'{name}: {incident.reason}', data=_data(incident)
        )
    if incidents.notified(connection, incident.id):
        notifications.add(connection, now, incident.kind, message)


def _data(incident: Incident) -> dict[str, str]:
    return {'incident_id': incident.id, 'kind': incident.kind, 'name': incident.name}
