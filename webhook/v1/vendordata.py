"""POST /v1/vendordata: Nova asks, for a guest that boots, what it should know.

See nova/api/metadata/vendordata_dynamic.py. Nova waits for the answer, and so does the guest: a
guest that is enrolled costs one read.
"""

import logging
from typing import Any

from flask import Blueprint, Response, jsonify

from aodh_ha.db import enrolment, guests
from aodh_ha.exceptions import InvalidRequest, NotFound, TooMany
from aodh_ha.rules.enrolment import Candidate
from aodh_ha.rules.enrolment import credentials as as_metadata
from aodh_ha.rules.guest import ENROLLED, Guest
from aodh_ha.rules.heartbeat import json_object, storable
from webhook.auth import caller
from webhook.state import state
from webhook.v1 import fields
from webhook.v1.guests import credentials

LOG = logging.getLogger(__name__)

blueprint = Blueprint('vendordata', __name__)

MAX_BODY = 1024 * 1024
"""Bytes: 64 KiB of user data, and 128 metadata of 2 * 255 characters, in JSON's \\uXXXX."""

MAX_NAME = 255
MAX_PROJECT = 64


@blueprint.post('/vendordata')
def answer() -> Response:
    """The credentials of the guest, enrolled now if its metadata or a rule say so; else {}.

    Nova knows whose server it is, so the guest is not pending first.
    """
    caller('aodh_ha:vendordata')
    server = _read(json_object(fields.raw(MAX_BODY)))
    # Nova keeps no answer: a guest that asks in a loop has it ask us as often.
    if not state().pace.allows(f'vendordata {server.server_id}'):
        rate = state().conf.webhook.heartbeat_rate
        raise TooMany(f'vendordata of one server is given out {rate:g} times a second')
    guest = _known(server) or _enrolled(server)
    if guest is None:
        return jsonify({})
    found = credentials(guest)
    return jsonify(as_metadata(found['gateways'], found['key'], found['generation']))


def _read(data: dict[str, Any]) -> Candidate:
    """Nova's request; what is of no use here is not looked at."""
    server_id = fields.uuid(data, 'instance-id')
    project_id = data.get('project-id')
    usable = isinstance(project_id, str) and 0 < len(project_id) <= MAX_PROJECT
    if not usable or not str(project_id).isprintable():
        raise InvalidRequest(f'project-id must be one word of at most {MAX_PROJECT} characters')
    name = data.get('hostname') or ''
    metadata = data.get('metadata') or {}
    if not isinstance(name, str) or not storable(name) or not isinstance(metadata, dict):
        raise InvalidRequest('hostname must be text, and metadata an object')
    return Candidate(
        server_id=server_id,
        project_id=str(project_id),
        name=name[:MAX_NAME],
        metadata={k: v for k, v in metadata.items() if isinstance(v, str)},
    )


def _known(server: Candidate) -> Guest | None:
    """The guest that is enrolled, as nearly all are that ask."""
    with state().database.read() as connection:
        try:
            guest = guests.get(connection, server.server_id, server.project_id)
        except NotFound:
            return None
    return guest if guest.status == ENROLLED else None


def _enrolled(server: Candidate) -> Guest | None:
    now = state().clock()
    with state().database.read() as connection:
        if not enrolment.wanted(connection, server):
            return None
    guest = state().database.run(lambda c: enrolment.enroll(c, server, now))
    if guest is None:
        LOG.warning('server %s is enrolled by another project than Nova says', server.server_id)
    else:
        LOG.info('guest %s is enrolled by vendordata (%s)', guest.server_id, guest.enrolled_by)
    return guest
