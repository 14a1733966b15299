"""/v1/alarms: the operators' alarms, and the door that Aodh's notifier comes through."""

import re
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request

from aodh_ha.callbacks import ALARM, TELEMETRY
from aodh_ha.db import alarms, audit, callback_tokens, gateways, guests, policies, queue, watches
from aodh_ha.exceptions import Conflict, Gone, InvalidRequest, NotFound
from aodh_ha.rules import alarm as rules
from aodh_ha.rules.alarm import Alarm, Notification
from aodh_ha.rules.guest import ENROLLED, Guest
from webhook.auth import caller, scope
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('alarms', __name__)

MAX_NOTIFICATION = 64 * 1024
"""Bytes; Aodh's notification has under 2 KiB."""

MAX_TOKEN = 8192
"""Characters; Keystone's have some 200, or 700 where they are JSON Web Signatures."""

NUMBER = re.compile(r'\d+')


def view(alarm: Alarm) -> dict[str, Any]:
    """An alarm as it is shown."""
    return {
        'id': alarm.id,
        'server_id': alarm.server_id,
        'project_id': alarm.project_id,
        'name': alarm.name,
        'trigger': alarm.trigger,
        'meter': rules.TRIGGERS.get(alarm.trigger, ''),
        'threshold': alarm.threshold,
        'aodh_alarm_id': alarm.aodh_alarm_id,
        'state': alarm.state,
        'state_at': fields.iso(alarm.state_at),
        'problem': alarm.problem,
        'created_at': fields.iso(alarm.created_at),
    }


# ---- Aodh's door


@blueprint.post('/alarms/<token>')
def notified(token: str) -> tuple[Response, int]:
    """Aodh says that an alarm changed: committed, then 202; a worker does the rest."""
    here = state()
    alarm_id = here.urls.read(ALARM, token)
    notification = rules.parse_notification(fields.raw(MAX_NOTIFICATION))
    rights = _rights() if here.conf.credentials.callback_tokens else ''

    def work(connection: sa.Connection) -> dict[str, Any]:
        answer = take(connection, alarm_id, notification)
        if rights and answer['recovery']:
            keep = callback_tokens.keep
            keep(connection, answer['recovery'], rights, here.master_key, here.clock())
        return answer

    return jsonify(here.database.run(work)), 202


def _rights() -> str:
    """The token of a ``trust+http(s)`` action, empty where there is none. Whose it is, a worker
    asks Keystone, on which a callback must not depend."""
    found = request.headers.get('X-Auth-Token', '')
    if len(found) > MAX_TOKEN or not (found.isascii() and found.isprintable()):
        raise InvalidRequest(f'X-Auth-Token must be a token of at most {MAX_TOKEN} characters')
    return found


def take(connection: sa.Connection, alarm_id: str, notification: Notification) -> dict[str, Any]:
    """Note an alarm's new state, and open a recovery if what we heard ourselves says so too."""
    now = state().clock()
    alarm = _alarm_of(connection, alarm_id, notification)
    guest = guests.get(connection, alarm.server_id)
    if alarm.state != notification.current:
        audit.record(
            connection,
            now,
            'alarm',
            f'{alarm.trigger}: {notification.current}',
            project_id=alarm.project_id,
            server_id=alarm.server_id,
            data={'alarm_id': alarm.id, 'reason': notification.reason},
        )
    alarms.set_state(connection, alarm.id, notification.current, now)
    if notification.current != rules.ALARM:
        return {'recovery': None, 'decision': f'noted: {notification.current}'}
    trigger, refusal = _decide(connection, alarm, guest, now)
    if refusal:
        if alarm.state != notification.current or _changed(connection, alarm, refusal):
            audit.record(
                connection,
                now,
                'not_opened',
                refusal,
                project_id=alarm.project_id,
                server_id=alarm.server_id,
                data={'alarm_id': alarm.id},
            )
        return {'recovery': None, 'decision': refusal}
    policy = policies.of_guest(connection, guest)
    recovery, opened = queue.enqueue(
        connection,
        guest,
        policy,
        trigger,
        alarm.id,
        notification.reason or 'the alarm fired',
        now,
    )
    return {'recovery': recovery.id, 'decision': 'opened' if opened else 'joined'}


def _decide(connection: sa.Connection, alarm: Alarm, guest: Guest, now: float) -> tuple[str, str]:
    """What triggers the recovery that an alarm asks for, and why it does not; else empty."""
    listening = gateways.listening_since(connection, now, guest.way)
    if alarm.trigger != rules.RESTARTER:
        return alarm.trigger, rules.why_not_recover(
            guest, alarm.trigger, listening, now, alarm.threshold
        )
    # Who calls a restarter's URL, and why, is not signed: what we heard ourselves counts.
    watches.settle(connection, guest.server_id, now)
    guest = guests.get(connection, guest.server_id)
    calling = watches.of_restarters(connection, alarm.project_id, [alarm.id])
    firing = [w for w, v in watches.values(connection, calling, now) if w.breaches(v)]
    silent = rules.why_not_recover(guest, 'heartbeat', listening, now)
    if not silent and (not calling or any(w.is_of_silence for w in firing)):
        return 'heartbeat', ''
    failing = rules.why_not_recover(guest, 'service', listening, now)
    if not failing and (not calling or any(not w.is_of_silence for w in firing)):
        return 'service', ''
    if calling and not firing:
        return 'heartbeat', 'no watch that calls this URL is in alarm, by what was heard'
    return 'heartbeat', f'{silent or "it is silent"}; {failing or "a service fails"}'


def _changed(connection: sa.Connection, alarm: Alarm, refusal: str) -> bool:
    """Whether this alarm was last refused for another reason; other numbers are no other reason.

    An alarm that lasts is repeated every evaluation; the trail needs each reason once.
    """
    before = audit.of_guest(connection, alarm.server_id, 20, kind='not_opened')
    last = next((e for e in reversed(before) if e.data.get('alarm_id') == alarm.id), None)
    return last is None or NUMBER.sub('', last.message) != NUMBER.sub('', refusal)


@blueprint.post('/telemetry/<token>')
def telemetry(token: str) -> tuple[Response, int]:
    """Aodh has insufficient data: telemetry is broken. Noted; nothing is ever recovered."""
    alarm_id = state().urls.read(TELEMETRY, token)
    notification = rules.parse_notification(fields.raw(MAX_NOTIFICATION))
    state().database.run(lambda c: _note_telemetry(c, alarm_id, notification))
    return jsonify({'recovery': None, 'decision': 'noted: telemetry is broken'}), 202


def _note_telemetry(connection: sa.Connection, alarm_id: str, notification: Notification) -> None:
    now = state().clock()
    alarm = _alarm_of(connection, alarm_id, notification)
    if alarm.state == notification.current:
        return  # Aodh repeats it every evaluation; the trail needs it once
    alarms.set_state(connection, alarm.id, notification.current, now)
    audit.record(
        connection,
        now,
        'telemetry',
        f'no data for the alarm: {notification.reason}',
        project_id=alarm.project_id,
        server_id=alarm.server_id,
        data={'alarm_id': alarm.id},
    )


def _alarm_of(connection: sa.Connection, alarm_id: str, notification: Notification) -> Alarm:
    try:
        alarm = alarms.get(connection, alarm_id)
        guests.get(connection, alarm.server_id)
    except NotFound:
        raise Gone('the alarm or its guest was deleted; delete the Aodh alarm too') from None
    if alarm.aodh_alarm_id and alarm.aodh_alarm_id != notification.alarm_id:
        raise Conflict('this URL belongs to another Aodh alarm')
    return alarm


# ---- the operators'


@blueprint.get('/alarms')
def listing() -> Response:
    """The project's alarms, of one guest with ``?guest=``."""
    project_id = scope(caller('aodh_ha:alarm:get'))
    marker, limit = fields.page()
    with state().database.read() as connection:
        found = alarms.find(connection, project_id, fields.guest_filter(), marker, limit)
    last = found[-1].id if len(found) == limit else None
    return jsonify({'alarms': [view(a) for a in found], 'next': last})


@blueprint.get('/alarms/<alarm_id>')
def show(alarm_id: str) -> Response:
    """One alarm."""
    project_id = scope(caller('aodh_ha:alarm:get'))
    with state().database.read() as connection:
        return jsonify(
            {'alarm': view(alarms.get(connection, fields.known_uuid(alarm_id), project_id))}
        )


@blueprint.post('/alarms')
def create() -> tuple[Response, int]:
    """An alarm for an enrolled guest, and the definition to give to Aodh; of a restarter the URL
    that other alarms' actions may call."""
    project_id = scope(caller('aodh_ha:alarm:create'))
    data = fields.body({'server_id', 'trigger', 'threshold', 'name'})
    server_id = fields.uuid(data, 'server_id')
    trigger = data.get('trigger', 'heartbeat')
    known = (*rules.TRIGGERS, rules.RESTARTER)
    if not isinstance(trigger, str) or trigger not in known:
        raise InvalidRequest(f'trigger must be one of {", ".join(known)}')
    name = fields.line(data, 'name')
    here = state()

    def work(connection: sa.Connection) -> dict[str, Any]:
        guest = guests.get(connection, server_id, project_id)
        if guest.status != ENROLLED:
            raise Conflict(f'the guest is {guest.status}: {guest.status_reason or "wait a second"}')
        default = rules.default_threshold(guest, trigger)
        threshold = fields.whole(data, 'threshold', default, 1, 1000)
        alarm = replace(rules.new(guest, trigger, threshold, here.clock()), name=name)
        alarms.add(connection, alarm)
        return _to_be_called(connection, alarm)

    return jsonify(here.database.run(work)), 201


@blueprint.put('/alarms/<alarm_id>')
def change(alarm_id: str) -> Response:
    """Which Aodh alarm carries it, or another threshold or name; with what Aodh is to be given."""
    project_id = scope(caller('aodh_ha:alarm:create'))
    data = fields.body({'aodh_alarm_id', 'threshold', 'name'})
    here = state()

    def work(connection: sa.Connection) -> dict[str, Any]:
        alarm = alarms.get(connection, fields.known_uuid(alarm_id), project_id)
        if 'aodh_alarm_id' in data:
            if alarm.trigger == rules.RESTARTER:
                raise InvalidRequest('a restarter has no Aodh alarm: any may call its URL')
            alarms.link(connection, alarm.id, fields.uuid(data, 'aodh_alarm_id'))
        threshold = fields.whole(data, 'threshold', alarm.threshold, 1, 1000)
        name = fields.line(data, 'name') if 'name' in data else alarm.name
        alarms.change(connection, alarm.id, threshold, name)
        changed = alarms.get(connection, alarm.id)
        if set(data) <= {'aodh_alarm_id'}:
            return {'alarm': view(changed)}
        return _to_be_called(connection, changed)

    return jsonify(here.database.run(work))


def _to_be_called(connection: sa.Connection, alarm: Alarm) -> dict[str, Any]:
    """An alarm, and what Aodh is to be given; of a restarter its URL."""
    urls = state().urls
    if alarm.trigger == rules.RESTARTER:
        return {'alarm': view(alarm), 'url': urls.url(ALARM, alarm.id)}
    guest = guests.get(connection, alarm.server_id)
    return {'alarm': view(alarm), 'definition': urls.definition(guest, alarm)}


@blueprint.delete('/alarms/<alarm_id>')
def delete(alarm_id: str) -> tuple[str, int]:
    """Delete it; its callback URLs are void at once."""
    project_id = scope(caller('aodh_ha:alarm:delete'))

    def work(connection: sa.Connection) -> None:
        alarms.get(connection, fields.known_uuid(alarm_id), project_id)
        alarms.delete(connection, alarm_id.lower())

    state().database.run(work)
    return '', 204
