"""POST /v1/heartbeats: the guests' door."""

import json
from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa
from flask import Blueprint, Response, request

from aodh_ha import keys
from aodh_ha.db import audit, commands
from aodh_ha.db.commands import Command
from aodh_ha.db.guests import Beat
from aodh_ha.db.refusals import NOBODY
from aodh_ha.exceptions import (
    AodhHAError,
    BadSignature,
    ClockSkew,
    DatabaseAway,
    NotFound,
    ReplayedSequence,
    TooMany,
)
from aodh_ha.rules import heartbeat
from aodh_ha.rules.guest import REFUSED, Guest
from aodh_ha.rules.heartbeat import Claim, Result, ServiceEvent
from webhook.errors import reply_to
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('heartbeats', __name__)

SIGNATURE = 'X-Aodh-HA-Signature'

EVENTS_AN_HOUR = 256
"""Of a guest's services: as many as an agent keeps; what a guest says beyond that is dropped."""


@blueprint.post('/heartbeats')
def receive() -> Response:
    """Take a heartbeat: 202, or the reason why not, signed for the guest that asked.

    The answer carries the commands that wait for this guest.
    """
    here = state()
    if here.intake.broken:
        raise DatabaseAway(here.intake.broken)
    body = fields.raw(heartbeat.MAX_BODY)
    try:
        claim = heartbeat.parse_authorization(request.headers.get('Authorization'))
    except BadSignature:
        here.refusals.count(NOBODY, 'malformed', request.remote_addr)
        raise
    key, guest, waiting = _authenticate(claim, body)
    try:
        response = _accept(claim, guest, waiting, body)
    except AodhHAError as e:
        if isinstance(e, (ClockSkew, ReplayedSequence)):
            reason = 'clock_skew' if isinstance(e, ClockSkew) else 'replayed_sequence'
            here.refusals.count(claim.guest, reason, request.remote_addr)
        response = reply_to(e)
    response.headers[SIGNATURE] = heartbeat.sign_reply(
        key, response.status_code, claim.sequence, response.get_data()
    )
    return response


def _authenticate(claim: Claim, body: bytes) -> tuple[str, Guest, list[Command]]:
    """The guest's key, its record, and the commands that wait for it.

    Raises BadSignature, the same for whatever is wrong.
    The signature is checked before the guest is looked up in earnest, so an answer tells
    nobody which guests there are.
    """
    here = state()
    key = keys.guest_key(here.master_key, claim.guest, claim.generation)
    try:
        heartbeat.verify(claim, key, 'POST', '/v1/heartbeats', body)
    except BadSignature:
        here.refusals.count(claim.guest, 'bad_signature', request.remote_addr)
        raise
    # Counted only now: else a stranger could use up what a guest may send.
    if not here.pace.allows(claim.guest):
        here.refusals.count(claim.guest, 'too_many', request.remote_addr)
        raise TooMany(f'a guest may send {here.conf.webhook.heartbeat_rate:g} heartbeats a second')
    try:
        guest, waiting = here.lookup.find(claim.guest)
    except NotFound:
        here.refusals.count(claim.guest, 'not_enrolled', request.remote_addr)
        raise BadSignature('this guest is not enrolled (any more); enrol it') from None
    if guest.status == REFUSED or not guest.accepts(claim.generation, here.clock()):
        reason = 'wrong_project' if guest.status == REFUSED else 'old_generation'
        here.refusals.count(claim.guest, reason, request.remote_addr)
        raise BadSignature('this key is not valid any more; enrol the guest again')
    return key, guest, waiting


def _accept(claim: Claim, guest: Guest, waiting: list[Command], body: bytes) -> Response:
    here = state()
    now = here.clock()
    heartbeat.verify_time(claim, now, here.conf.webhook.clock_skew)
    last = max(guest.sequence, here.intake.last_sequence(guest.server_id))
    if claim.sequence <= last:
        raise _replayed(claim, last)
    report = heartbeat.parse_report(body)
    services = heartbeat.carried(report.services, guest.services)
    # As the services are, so are the results committed before the answer: after it the guest
    # does not tell them again.
    told = {r.id for r in report.results}
    if told:
        results = report.results
        here.database.run(lambda c: _finish(c, guest, results, now))
    if report.events:
        events = report.events
        here.database.run(lambda c: _note(c, guest, events, now))
    report = replace(report, services=services, results=(), events=())
    beat = Beat(guest.server_id, now, claim.sequence, report)
    take = here.intake.add if services == guest.services else here.intake.write_now
    if not take(beat):
        raise _replayed(claim, here.intake.last_sequence(guest.server_id))
    answer = {
        'interval': guest.interval,
        'server_time': now,
        'sequence': claim.sequence,
        # So that an old reply cannot be played back to a guest that was rebuilt and counts
        # its sequence anew.
        'time': claim.time,
        # Another than the guest's own: it was given a new key, and reads it where it got this one.
        'generation': guest.generation,
        'commands': _hand_out([c for c in waiting if c.id not in told], now),
    }
    return Response(json.dumps(answer), 202, mimetype='application/json')


def _finish(connection: sa.Connection, guest: Guest, results: Sequence[Result], now: float) -> None:
    for r in results:
        if not commands.finish(
            connection, guest.server_id, r.id, r.ok, r.detail, now, refused=r.refused
        ):
            continue
        command = commands.get(connection, r.id)
        audit.record(
            connection,
            now,
            'command',
            f'{command.name}: {command.status}: {command.result}',
            project_id=guest.project_id,
            server_id=guest.server_id,
            recovery_id=command.recovery_id,
        )


def _note(
    connection: sa.Connection, guest: Guest, events: Sequence[ServiceEvent], now: float
) -> None:
    """Put what happened to the services into the audit trail, once each, and so many an hour."""
    before = audit.of_guest(connection, guest.server_id, EVENTS_AN_HOUR, kind='service')
    known = {e.data.get('id') for e in before}
    room = EVENTS_AN_HOUR - sum(e.data.get('heard', 0.0) > now - 3600 for e in before)
    for e in [e for e in events if e.id not in known][: max(0, room)]:
        late = f' ({e.ago:.0f} s before it was heard of)' if e.ago > 2 * guest.interval else ''
        audit.record(
            connection,
            now - e.ago,
            'service',
            f'{e.service}: {e.state}{late}' + (e.detail and f': {e.detail}'),
            project_id=guest.project_id,
            server_id=guest.server_id,
            data={'id': e.id, 'service': e.service, 'state': e.state, 'heard': now},
        )


def _hand_out(waiting: list[Command], now: float) -> list[dict[str, object]]:
    """The commands as the reply carries them: their time in seconds, since clocks differ."""
    new = [c.id for c in waiting if c.status == commands.QUEUED]
    if new:
        state().database.run(lambda c: commands.handed(c, new, now))
    return [
        {
            'id': c.id,
            'kind': c.kind,
            'arguments': c.arguments,
            'expires_in': round(c.expires_at - now, 3),
        }
        for c in waiting
    ]


def _replayed(claim: Claim, last: int) -> ReplayedSequence:
    return ReplayedSequence(
        f'sequence {claim.sequence} is not newer than {last}; go on after last_sequence', last
    )
