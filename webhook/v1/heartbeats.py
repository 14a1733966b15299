"""POST /v1/heartbeats: the guests' door."""

import json

from flask import Blueprint, Response, request

from aodh_ha import keys
from aodh_ha.db import guests
from aodh_ha.db.guests import Beat
from aodh_ha.exceptions import (
    AodhHAError,
    BadSignature,
    DatabaseAway,
    NotFound,
    ReplayedSequence,
)
from aodh_ha.rules import heartbeat
from aodh_ha.rules.guest import REFUSED, Guest
from aodh_ha.rules.heartbeat import Claim
from webhook.errors import reply_to
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('heartbeats', __name__)

SIGNATURE = 'X-Aodh-HA-Signature'


@blueprint.post('/heartbeats')
def receive() -> Response:
    """Take a heartbeat: 202, or the reason why not, signed for the guest that asked."""
    here = state()
    if here.intake.broken:
        raise DatabaseAway(here.intake.broken)
    body = fields.raw(heartbeat.MAX_BODY)
    claim = heartbeat.parse_authorization(request.headers.get('Authorization'))
    key, guest = _authenticate(claim, body)
    try:
        response = _accept(claim, guest, body)
    except AodhHAError as e:
        response = reply_to(e)
    response.headers[SIGNATURE] = heartbeat.sign_reply(
        key, response.status_code, claim.sequence, response.get_data()
    )
    return response


def _authenticate(claim: Claim, body: bytes) -> tuple[str, Guest]:
    """The guest's key and record; raises BadSignature, the same for whatever is wrong.

    The signature is checked before the guest is looked up in earnest, so an answer tells
    nobody which guests there are.
    """
    here = state()
    key = keys.guest_key(here.master_key, claim.guest, claim.generation)
    heartbeat.verify(claim, key, 'POST', '/v1/heartbeats', body)
    try:
        with here.database.read() as connection:
            guest = guests.get(connection, claim.guest)
    except NotFound:
        raise BadSignature('this guest is not enrolled (any more); enrol it') from None
    if guest.generation != claim.generation or guest.status == REFUSED:
        raise BadSignature('this key is not valid any more; enrol the guest again')
    return key, guest


def _accept(claim: Claim, guest: Guest, body: bytes) -> Response:
    here = state()
    now = here.clock()
    heartbeat.verify_time(claim, now, here.conf.webhook.clock_skew)
    last = max(guest.sequence, here.intake.last_sequence(guest.server_id))
    if claim.sequence <= last:
        raise _replayed(claim, last)
    report = heartbeat.parse_report(body)
    beat = Beat(guest.server_id, now, claim.sequence, report)
    take = here.intake.add if report.services == guest.services else here.intake.write_now
    if not take(beat):
        raise _replayed(claim, here.intake.last_sequence(guest.server_id))
    answer = {
        'interval': guest.interval,
        'server_time': now,
        'sequence': claim.sequence,
        'commands': [],
    }
    return Response(json.dumps(answer), 202, mimetype='application/json')


def _replayed(claim: Claim, last: int) -> ReplayedSequence:
    return ReplayedSequence(
        f'sequence {claim.sequence} is not newer than {last}; go on after last_sequence', last
    )
