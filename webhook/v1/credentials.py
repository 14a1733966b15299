"""/v1/credentials: what a project hands over so that its recoveries run with its own rights."""

import re
import uuid
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha.db import credentials
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.rights import APPLICATION_CREDENTIAL, HANDED_OVER, Credential
from webhook.auth import caller, scope
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('credentials', __name__)

KEYSTONE_ID = re.compile(r'[\w.-]{1,64}', re.ASCII)

MOST_SECRET = 1024
"""Characters; Keystone makes secrets of 86."""


def view(credential: Credential) -> dict[str, Any]:
    """A credential as it is shown: never with its secret."""
    return {
        'id': credential.id,
        'project_id': credential.project_id,
        'type': credential.kind,
        'keystone_id': credential.reference,
        'status': credential.status,
        'status_reason': credential.status_reason,
        'author': credential.author,
        'created_at': fields.iso(credential.created_at),
        'checked_at': fields.iso(credential.checked_at),
        'used_at': fields.iso(credential.used_at),
    }


@blueprint.get('/credentials')
def listing() -> Response:
    """The project's credential, which is one at most; with ``?all_projects=1`` everybody's."""
    project_id = scope(caller('aodh_ha:credential:get'))
    with state().database.read() as connection:
        found = credentials.find(connection, project_id)
    return jsonify({'credentials': [view(c) for c in found]})


@blueprint.get('/credentials/<credential_id>')
def show(credential_id: str) -> Response:
    """One credential."""
    project_id = scope(caller('aodh_ha:credential:get'))
    with state().database.read() as connection:
        found = credentials.get(connection, fields.known_uuid(credential_id), project_id)
    return jsonify({'credential': view(found)})


@blueprint.post('/credentials')
def create() -> tuple[Response, int]:
    """Hand one over for the caller's project; a worker sees within seconds what Keystone says."""
    who = caller('aodh_ha:credential:create')
    replace = bool(fields.switch('replace'))
    data = fields.body({'type', 'keystone_id', 'secret'})
    kind = fields.choice(data, 'type', HANDED_OVER)
    here = state()
    credential = Credential(
        id=str(uuid.uuid4()),
        project_id=who.project_id,
        kind=kind,
        reference=fields.text(data, 'keystone_id', '', KEYSTONE_ID),
        author=who.user_id,
        created_at=here.clock(),
    )
    secret = _secret(data, kind)
    here.database.run(
        lambda c: credentials.put(c, credential, secret, here.master_key, replace=replace)
    )
    return jsonify({'credential': view(credential)}), 201


@blueprint.delete('/credentials/<credential_id>')
def delete(credential_id: str) -> tuple[str, int]:
    """Forget it at once; a recovery under way acts no more with it."""
    who = caller('aodh_ha:credential:delete')
    project_id = scope(who)
    now = state().clock()

    def work(connection: sa.Connection) -> None:
        found = credentials.get(connection, fields.known_uuid(credential_id), project_id)
        credentials.delete(connection, found, now, who.user_id)

    state().database.run(work)
    return '', 204


def _secret(data: dict[str, Any], kind: str) -> str:
    if kind != APPLICATION_CREDENTIAL:
        if 'secret' in data:
            raise InvalidRequest('secret: a trust has none; its trustee is the service user')
        return ''
    secret = fields.line(data, 'secret', MOST_SECRET)
    if not secret:
        raise InvalidRequest('secret: the one that Keystone showed when it made the credential')
    return secret
