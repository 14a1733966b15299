"""/v1/incidents: dead hosts and storms, which many recoveries have in common."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha.db import audit, guests, incidents, queue
from aodh_ha.exceptions import Conflict
from aodh_ha.rules.evidence import Incident
from webhook.auth import caller
from webhook.state import state
from webhook.v1 import fields, recoveries

blueprint = Blueprint('incidents', __name__)


def view(incident: Incident) -> dict[str, Any]:
    """An incident as it is shown."""
    return {
        'id': incident.id,
        'kind': incident.kind,
        'name': incident.name,
        'status': 'open' if incident.closed_at is None else 'closed',
        'reason': incident.reason,
        'opened_at': fields.iso(incident.opened_at),
        'closed_at': fields.iso(incident.closed_at),
        'fenced_at': fields.iso(incident.fenced_at),
        'fenced_by': incident.fenced_by,
    }


@blueprint.get('/incidents')
def listing() -> Response:
    """The newest incidents, newest first; ``?open=1`` those that are open."""
    caller('aodh_ha:incident:get')
    open_only = fields.switch('open') or False
    _, limit = fields.page()
    with state().database.read() as connection:
        found = incidents.find(connection, open_only, limit)
    return jsonify({'incidents': [view(i) for i in found]})


@blueprint.get('/incidents/<incident_id>')
def show(incident_id: str) -> Response:
    """One incident and the recoveries that are part of it, of every project."""
    caller('aodh_ha:incident:get')
    with state().database.read() as connection:
        incident = incidents.get(connection, fields.known_uuid(incident_id))
        found = queue.find(connection, incident_id=incident.id)
        names = guests.names(connection, {r.server_id for r in found})
    shown = [recoveries.view(r, names.get(r.server_id, '')) for r in found]
    return jsonify({'incident': view(incident), 'recoveries': shown})


@blueprint.post('/incidents/<incident_id>/close')
def close(incident_id: str) -> Response:
    """Close it: what a storm held back goes on."""
    who = caller('aodh_ha:incident:close')
    wanted = fields.known_uuid(incident_id)
    reason = fields.line(fields.body({'reason'}, optional=True), 'reason')
    now = state().clock()

    def work(connection: sa.Connection) -> Incident:
        incident = incidents.get(connection, wanted)
        if incident.closed_at is not None:
            raise Conflict(f'the incident was closed at {fields.iso(incident.closed_at)}')
        why = who.user_id + (f': {reason}' if reason else '')
        closed = f'{incident.reason}{incidents.BY_A_PERSON}{why}'
        incidents.close(connection, wanted, now, closed)
        audit.record(
            connection,
            now,
            'incident_closed',
            f'{incident.kind} {incident.name} by user {why}',
            data={'incident_id': wanted},
        )
        return incidents.get(connection, wanted)

    return jsonify({'incident': view(state().database.run(work))})
