"""/v1/guests: enrolment."""

from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha import keys, opts
from aodh_ha.db import (
    alarms,
    audit,
    definitions,
    enrolment,
    gateways,
    guests,
    metrics,
    policies,
    queue,
    refusals,
    succession,
)
from aodh_ha.db.refusals import Refusal
from aodh_ha.exceptions import Conflict
from aodh_ha.rules import gateway
from aodh_ha.rules.alarm import TRIGGERS
from aodh_ha.rules.guest import ENROLLED, PENDING, REFUSED, Guest
from aodh_ha.rules.policy import NAME
from webhook import concealing
from webhook.auth import Caller, caller, scope
from webhook.state import state
from webhook.v1 import fields
from webhook.v1.recoveries import data_for

blueprint = Blueprint('guests', __name__)

LONGEST_OVERLAP = 7 * 86400.0
"""Seconds that an old key may be good after a rotation."""


def view(guest: Guest, now: float, listening: float | None) -> dict[str, Any]:
    """A guest as it is shown; never its key."""
    return {
        'id': guest.server_id,
        'name': guest.name,
        'project_id': guest.project_id,
        'status': guest.status,
        'status_reason': guest.status_reason,
        'policy': guest.policy,
        'group': guest.group_name,
        'interval': guest.interval,
        'missed_limit': guest.missed_limit,
        'boot_grace': guest.boot_grace,
        'generation': guest.generation,
        'previous_until': fields.iso(guest.previous_until if guest.previous_until > now else None),
        'enrolled_by': guest.enrolled_by,
        'enrolled_at': fields.iso(guest.enrolled_at),
        'last_seen': fields.iso(guest.last_seen),
        'silent_for': None if guest.last_seen is None else round(now - guest.last_seen, 3),
        'missed': None if listening is None else guest.missed(now, listening),
        'beats': guest.beats,
        'boot_id': guest.boot_id,
        'seen_by': guest.seen_by,
        'services': [
            {'name': s.name, 'state': s.state, 'failures': s.failures} for s in guest.services
        ],
        'failures': guest.failures,
        'zone': guest.zone,
        'stack_id': guest.stack_id,
        'stack_name': guest.stack_name,
        'opted_out': guest.opted_out,
        'resource_id': guest.resource_id,
    }


def refusal_view(refusal: Refusal) -> dict[str, Any]:
    """Heartbeats that were refused, counted."""
    return {
        'reason': refusal.reason,
        'count': refusal.count,
        'first_at': fields.iso(refusal.first_at),
        'last_at': fields.iso(refusal.last_at),
        'address': refusal.address,
    }


@blueprint.get('/guests')
def listing() -> Response:
    """The project's guests."""
    project_id = scope(caller('aodh_ha:guest:get'))
    marker, limit = fields.page()
    now = state().clock()
    with state().database.read() as connection:
        found = guests.find(connection, project_id, None, marker, limit)
        known = gateways.get_all(connection)
    last = found[-1].server_id if len(found) == limit else None
    return jsonify(
        {
            'guests': [view(g, now, gateway.listening_since(known, now, g.way)) for g in found],
            'next': last,
        }
    )


@blueprint.get('/guests/<server_id>')
def show(server_id: str) -> Response:
    """One guest with its newest events."""
    who = caller('aodh_ha:guest:get')
    project_id = scope(who)
    now = state().clock()
    with state().database.read() as connection:
        guest = guests.get(connection, fields.known_uuid(server_id), project_id)
        listening = gateways.listening_since(connection, now, guest.way)
        events = audit.of_guest(connection, guest.server_id, 30, project_id=guest.project_id)
        policy = policies.of_guest(connection, guest)
        refused = refusals.of_guest(connection, guest.server_id)
        measured = metrics.of_guest(connection, guest.server_id)
        shown = [
            {
                'at': fields.iso(e.at),
                'kind': e.kind,
                'message': e.message,
                'data': data_for(who, e.data),
                'recovery_id': e.recovery_id,
            }
            for e in events
        ]
        trail = concealing.hosts(connection, who, {'events': shown})
    found = view(guest, now, listening) | {
        'policy_in_force': policy.name,
        'refusals': [refusal_view(r) for r in refused],
        'metrics': [
            {'name': m.name, 'value': m.value, 'unit': m.unit, 'at': fields.iso(m.at)}
            for m in measured
        ],
    }
    return jsonify({'guest': found} | trail)


@blueprint.get('/refusals')
def refused_heartbeats() -> Response:
    """What was refused of the project's guests; of all, also what came from no guest."""
    project_id = scope(caller('aodh_ha:guest:get'))
    with state().database.read() as connection:
        found = refusals.find(connection, project_id, fields.LIMIT)
    shown = [{'guest': r.server_id or None} | refusal_view(r) for r in found]
    return jsonify({'refusals': shown})


@blueprint.post('/guests')
def enroll() -> tuple[Response, int]:
    """Enrol a server's guest, or bring its settings up to date; the answer has its key.

    A new guest is pending until a worker saw in Nova that the server is the caller's.
    """
    who = caller('aodh_ha:guest:enroll')
    data = fields.body(
        {'server_id', 'policy', 'group', 'interval', 'missed', 'boot_grace', 'alarms'}
    )
    watch = fields.flag(data, 'alarms')
    server_id = fields.uuid(data, 'server_id')
    for name in ('policy', 'group'):
        if data.get(name, '') != '':
            fields.text(data, name, '', NAME)
    here = state()
    now = here.clock()

    def work(connection: sa.Connection) -> tuple[Guest, bool]:
        known = guests.enrolled(connection, server_id, who.project_id)
        wanted = Guest(
            server_id=server_id,
            project_id=who.project_id,
            status=PENDING,
            status_reason='',
            name='',
            generation=enrolment.new_generation(),
            interval=0,
            missed_limit=0,
            boot_grace=0,
            policy=data.get('policy', known.policy if known else ''),
            enrolled_at=now,
            group_name=data.get('group', known.group_name if known else ''),
        )
        if wanted.policy:
            policies.get(connection, who.project_id, wanted.policy)  # it must exist now
        guest, new = guests.enroll(connection, _timed(connection, wanted, known, data))
        if watch:
            guests.watch(connection, guest, TRIGGERS)
        by = wanted.policy or 'by match'
        audit.record(
            connection,
            now,
            'enrolled',
            f'by user {who.user_id}, policy {by}',
            project_id=who.project_id,
            server_id=server_id,
        )
        return guest, new

    guest, new = here.database.run(work)
    shown = view(guest, now, None)
    return jsonify({'guest': shown, 'credentials': credentials(guest)}), 201 if new else 200


def credentials(guest: Guest) -> dict[str, Any]:
    """What the guest's agent needs; has its key."""
    here = state()
    return {
        'gateways': opts.gateways(here.conf),
        'guest': guest.server_id,
        'generation': guest.generation,
        'key': keys.guest_key(here.master_key, guest.server_id, guest.generation),
    }


@blueprint.get('/guests/<server_id>/credentials')
def show_credentials(server_id: str) -> Response:
    """What its agent needs, once more; for those who may enrol it."""
    project_id = scope(caller('aodh_ha:guest:enroll'))
    with state().database.read() as connection:
        guest = guests.get(connection, fields.known_uuid(server_id), project_id)
    if guest.status == REFUSED:
        raise Conflict(f'the guest is refused: {guest.status_reason}')
    return jsonify({'credentials': credentials(guest)})


@blueprint.post('/guests/<server_id>/successor')
def succeed(server_id: str) -> Response:
    """Another server has taken its place: alarms and recoveries go on under that one's guest."""
    project_id = scope(caller('aodh_ha:guest:enroll'))
    successor = fields.uuid(fields.body({'server_id'}), 'server_id')
    now = state().clock()

    def work(connection: sa.Connection) -> Guest:
        old = guests.get(connection, fields.known_uuid(server_id), project_id)
        new = guests.get(connection, successor, project_id)
        if new.status != ENROLLED:
            raise Conflict(f'the guest {successor} is {new.status}, not enrolled')
        if new.server_id != old.server_id:
            succession.follow(connection, old.server_id, successor, new.generation, now)
        return new

    return jsonify({'guest': view(state().database.run(work), now, None)})


@blueprint.post('/guests/<server_id>/rotate')
def rotate(server_id: str) -> Response:
    """Give a guest a new key; the old one is good for a while longer."""
    who = caller('aodh_ha:guest:rotate')
    data = fields.body({'overlap'}, optional=True)
    usual = state().conf.secrets.rotation_overlap
    overlap = fields.number(data, 'overlap', usual, 0, LONGEST_OVERLAP)
    return _new_key(who, server_id, overlap, 'rotated')


@blueprint.post('/guests/<server_id>/revoke')
def revoke(server_id: str) -> Response:
    """End every key of a guest at once; the answer has its new one."""
    who = caller('aodh_ha:guest:revoke')
    fields.body(set(), optional=True)
    return _new_key(who, server_id, 0.0, 'revoked')


def _new_key(who: Caller, server_id: str, overlap: float, kind: str) -> Response:
    here = state()
    now = here.clock()
    project_id = scope(who)

    def work(connection: sa.Connection) -> Guest:
        guest = guests.get(connection, fields.known_uuid(server_id), project_id)
        if guest.status == REFUSED:
            raise Conflict(f'the guest is refused: {guest.status_reason}')
        guest = guests.rotate(connection, guest, now, overlap)
        old = f'the old one is good for {overlap:g} s more' if overlap else 'no other is good'
        audit.record(
            connection,
            now,
            kind,
            f'by user {who.user_id}: key of generation {guest.generation}, {old}',
            project_id=guest.project_id,
            server_id=guest.server_id,
        )
        return guest

    guest = here.database.run(work)
    return jsonify({'guest': view(guest, now, None), 'credentials': credentials(guest)})


def _timed(
    connection: sa.Connection, guest: Guest, known: Guest | None, data: dict[str, Any]
) -> Guest:
    """The guest with its times: as given, else as they were, else its policy's.

    A policy or group that is given brings its own times.
    """
    policy = policies.of_guest(connection, guest)
    keep = known if known and not {'policy', 'group'} & set(data) else None
    interval = keep.interval if keep else policy.interval
    missed = keep.missed_limit if keep else policy.missed
    boot_grace = keep.boot_grace if keep else policy.boot_grace
    return replace(
        guest,
        interval=fields.number(data, 'interval', interval, 1, 3600),
        missed_limit=fields.whole(data, 'missed', missed, 1, 1000),
        boot_grace=fields.number(data, 'boot_grace', boot_grace, 0, 86400),
    )


@blueprint.delete('/guests/<server_id>')
def forget(server_id: str) -> tuple[str, int]:
    """Forget a guest: its key and callback URLs are void, its recovery ends.

    Not while a recovery recreates its stack, which deletes with it what has it enrolled.
    """
    who = caller('aodh_ha:guest:forget')
    project_id = scope(who)
    now = state().clock()

    def work(connection: sa.Connection) -> None:
        guest = guests.get(connection, fields.known_uuid(server_id), project_id)
        if definitions.under_way(connection, guest.server_id):
            # It is forgotten because its stack is deleted, by a recovery that has to create it
            # again: the guest goes on in the new server, and is forgotten if none comes.
            return
        alarms.delete_of_guest(connection, guest.server_id)
        queue.end_of_guest(connection, guest.server_id, now, 'the guest was forgotten')
        guests.forget(connection, guest.server_id)
        audit.record(
            connection,
            now,
            'forgotten',
            f'by user {who.user_id}',
            project_id=guest.project_id,
            server_id=guest.server_id,
        )

    state().database.run(work)
    return '', 204
