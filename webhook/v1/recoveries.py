"""/v1/recoveries: what is being done, and what was done and why."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from aodh_ha.db import audit, guests, queue
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.recovery import Attempt, Recovery
from webhook.auth import caller, scope
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('recoveries', __name__)


def view(recovery: Recovery, guest_name: str) -> dict[str, Any]:
    """A recovery as it is shown."""
    return {
        'id': recovery.id,
        'server_id': recovery.server_id,
        'guest_name': guest_name,
        'project_id': recovery.project_id,
        'trigger': recovery.trigger,
        'status': recovery.status,
        'reason': recovery.reason,
        'policy': recovery.policy.name,
        'policy_version': recovery.policy.version,
        'created_at': fields.iso(recovery.created_at),
        'updated_at': fields.iso(recovery.updated_at),
        'finished_at': fields.iso(recovery.finished_at),
        'callbacks': recovery.callbacks,
        'alarm_id': recovery.alarm_id,
    }


def view_attempt(attempt: Attempt) -> dict[str, Any]:
    """An attempt as it is shown, with the evidence it was based on."""
    return {
        'step': attempt.step,
        'number': attempt.number,
        'action': attempt.action,
        'status': attempt.status,
        'intended_at': fields.iso(attempt.intended_at),
        'sent_at': fields.iso(attempt.sent_at),
        'verify_until': fields.iso(attempt.verify_until),
        'finished_at': fields.iso(attempt.finished_at),
        'request_id': attempt.request_id,
        'detail': attempt.detail,
        'evidence': attempt.evidence,
    }


@blueprint.get('/recoveries')
def listing() -> Response:
    """The newest recoveries, of one guest with ``?guest=``, the active ones with ``?active=1``."""
    project_id = scope(caller('aodh_ha:recovery:get'))
    server_id = fields.guest_filter()
    wanted = request.args.get('active')
    if wanted not in (None, '0', '1'):
        raise InvalidRequest('active must be 0 or 1')
    active = None if wanted is None else wanted == '1'
    _, limit = fields.page()
    with state().database.read() as connection:
        found = queue.find(connection, project_id, server_id, active, limit)
        names = guests.names(connection, {r.server_id for r in found})
    return jsonify({'recoveries': [view(r, names.get(r.server_id, '')) for r in found]})


@blueprint.get('/recoveries/<recovery_id>')
def show(recovery_id: str) -> Response:
    """One recovery with its attempts and its audit trail."""
    project_id = scope(caller('aodh_ha:recovery:get'))
    with state().database.read() as connection:
        recovery = queue.get(connection, fields.known_uuid(recovery_id), project_id)
        attempts = queue.history(connection, recovery.id)
        events = audit.of_recovery(connection, recovery.id)
        names = guests.names(connection, {recovery.server_id})
    trail = [
        {'at': fields.iso(e.at), 'kind': e.kind, 'message': e.message, 'data': e.data}
        for e in events
    ]
    return jsonify(
        {
            'recovery': view(recovery, names.get(recovery.server_id, '')),
            'attempts': [view_attempt(a) for a in attempts],
            'events': trail,
        }
    )
