"""/v1/recoveries: what is being done, and what was done and why."""

from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha.db import audit, guests, orders, queue
from aodh_ha.exceptions import InvalidRequest, NotFound
from aodh_ha.rules import explain
from aodh_ha.rules.recovery import Attempt, Recovery
from webhook import concealing, explanation, policies
from webhook.auth import Caller, allowed, caller, scope
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
        'guard': recovery.guard,
        'priority': recovery.priority,
        'admitted_at': fields.iso(recovery.admitted_at),
        'approved_step': recovery.approved_step,
        'incident_id': recovery.incident_id,
        'group': recovery.group_name,
        'host': recovery.host,
        'dry_run': recovery.policy.dry_run,
    }


def evidence_for(who: Caller, evidence: dict[str, Any]) -> dict[str, Any]:
    """Evidence as the caller may see it: how other projects' guests are is the operator's."""
    if 'fleet' not in evidence or allowed(policies.ALL_PROJECTS, who):
        return evidence
    fleet = {k: v for k, v in evidence['fleet'].items() if k in ('storm', 'group', 'window')}
    return evidence | {'fleet': fleet}


def view_attempt(attempt: Attempt, who: Caller) -> dict[str, Any]:
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
        'heard_at': fields.iso(attempt.heard_at),
        'dry_run': attempt.dry_run,
        'evidence': evidence_for(who, attempt.evidence),
        'proof': attempt.proof,
    }


def data_for(who: Caller, data: dict[str, Any]) -> dict[str, Any]:
    """The data of an event, as evidence_for()."""
    if 'evidence' not in data:
        return data
    return data | {'evidence': evidence_for(who, data['evidence'])}


@blueprint.get('/recoveries')
def listing() -> Response:
    """The newest recoveries, of one guest with ``?guest=``, the active ones with ``?active=1``."""
    who = caller('aodh_ha:recovery:get')
    project_id = scope(who)
    server_id = fields.guest_filter()
    active = fields.switch('active')
    marker, limit = fields.page()
    with state().database.read() as connection:
        after = _after(connection, marker, project_id) if marker else None
        found = queue.find(connection, project_id, server_id, active, limit, after=after)
        names = guests.names(connection, {r.server_id for r in found})
        shown = [view(r, names.get(r.server_id, '')) for r in found]
        last = found[-1].id if len(found) == limit else None
        return jsonify(concealing.hosts(connection, who, {'recoveries': shown, 'next': last}))


def _after(connection: sa.Connection, marker: str, project_id: str | None) -> Recovery:
    try:
        return queue.get(connection, marker, project_id)
    except NotFound:
        raise InvalidRequest('marker names no recovery of this project') from None


@blueprint.get('/recoveries/<recovery_id>')
def show(recovery_id: str) -> Response:
    """One recovery with its attempts and its audit trail."""
    who = caller('aodh_ha:recovery:get')
    project_id = scope(who)
    with state().database.read() as connection:
        recovery = queue.get(connection, fields.known_uuid(recovery_id), project_id)
        attempts = queue.history(connection, recovery.id)
        events = audit.of_recovery(connection, recovery.id)
        names = guests.names(connection, {recovery.server_id})
        trail = [
            {
                'at': fields.iso(e.at),
                'kind': e.kind,
                'message': e.message,
                'data': data_for(who, e.data),
            }
            for e in events
        ]
        answer = {
            'recovery': view(recovery, names.get(recovery.server_id, '')),
            'attempts': [view_attempt(a, who) for a in attempts],
            'events': trail,
        }
        return jsonify(concealing.hosts(connection, who, answer))


@blueprint.get('/recoveries/<recovery_id>/explain')
def explained(recovery_id: str) -> Response:
    """Where it stands and why, and what becomes of each step of its ladder."""
    who = caller('aodh_ha:recovery:get')
    project_id = scope(who)
    with state().database.read() as connection:
        recovery = queue.get(connection, fields.known_uuid(recovery_id), project_id)
        history = queue.history(connection, recovery.id)
        events = audit.of_recovery(connection, recovery.id)
        names = guests.names(connection, {recovery.server_id})
        shown = view(recovery, names.get(recovery.server_id, ''))
        found = explanation.explain(recovery, history)
        found['decisions'] = explain.explain(recovery, history, events)
        answer = {'recovery': shown, 'explanation': found}
        evidence = [a.evidence for a in history]
        return jsonify(concealing.hosts(connection, who, answer, evidence))


@blueprint.post('/recoveries/<recovery_id>/approve')
def approve(recovery_id: str) -> Response:
    """Approve the step that waits for it; ``step`` says which one the person saw."""
    who = caller('aodh_ha:recovery:approve')
    project_id = scope(who)
    data = fields.body({'step'}, optional=True)
    step = fields.whole(data, 'step', 0, 0, 100) if data.get('step') is not None else None
    now = state().clock()

    def work(connection: sa.Connection) -> dict[str, Any]:
        recovery = queue.get(connection, fields.known_uuid(recovery_id), project_id)
        history = queue.history(connection, recovery.id)
        orders.approve(connection, recovery, history, step, now, f'user {who.user_id}')
        return _shown(connection, who, recovery.id)

    return jsonify(state().database.run(work))


@blueprint.post('/recoveries/<recovery_id>/cancel')
def cancel(recovery_id: str) -> Response:
    """End it as left alone. The same silence opens no other; the next one does."""
    who = caller('aodh_ha:recovery:cancel')
    project_id = scope(who)
    reason = fields.line(fields.body({'reason'}, optional=True), 'reason')
    now = state().clock()

    def work(connection: sa.Connection) -> dict[str, Any]:
        recovery = queue.get(connection, fields.known_uuid(recovery_id), project_id)
        orders.cancel(connection, recovery, now, f'user {who.user_id}', reason)
        return _shown(connection, who, recovery.id)

    return jsonify(state().database.run(work))


def _shown(connection: sa.Connection, who: Caller, recovery_id: str) -> dict[str, Any]:
    recovery = queue.get(connection, recovery_id)
    names = guests.names(connection, {recovery.server_id})
    shown = view(recovery, names.get(recovery.server_id, ''))
    return concealing.hosts(connection, who, {'recovery': shown})
