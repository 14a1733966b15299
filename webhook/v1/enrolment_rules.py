"""/v1/enrolment-rules: which servers are enrolled without anybody naming them."""

import uuid
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify, request

from aodh_ha.db import audit, enrolment, policies
from aodh_ha.db.enrolment import OPERATOR
from aodh_ha.exceptions import InvalidRequest
from aodh_ha.rules.enrolment import TAG, Rule
from aodh_ha.rules.policy import NAME
from webhook.auth import Caller, caller, require, scope
from webhook.policies import ENROLMENT_RULE_OPERATOR
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('enrolment_rules', __name__)

MOST_TEXT = 255
"""Characters of a key, a value or a pattern."""


def view(rule: Rule) -> dict[str, Any]:
    """A rule as it is shown; conditions that it does not have are null."""
    key = rule.metadata_key
    return {
        'id': rule.id,
        'name': rule.name,
        'scope': 'project' if rule.project_id else 'operator',
        'project_id': rule.project_id or None,
        'match': {
            'tag': rule.tag or None,
            'metadata': {key: rule.metadata_value} if key else None,
            'server_name': rule.server_name or None,
            'stack': rule.stack_id or None,
        },
        'policy': rule.policy,
        'group': rule.group_name,
        'author': rule.author,
        'created_at': fields.iso(rule.created_at),
    }


@blueprint.get('/enrolment-rules')
def listing() -> Response:
    """The rules that are for the project's servers, the operator's last."""
    project_id = scope(caller('aodh_ha:enrolment_rule:get'))
    with state().database.read() as connection:
        found = enrolment.find(connection, project_id)
    return jsonify({'enrolment_rules': [view(r) for r in found]})


@blueprint.get('/enrolment-rules/<rule_id>')
def show(rule_id: str) -> Response:
    """One rule."""
    project_id = scope(caller('aodh_ha:enrolment_rule:get'))
    with state().database.read() as connection:
        rule = enrolment.get(connection, fields.known_uuid(rule_id), project_id)
    return jsonify({'enrolment_rule': view(rule)})


@blueprint.post('/enrolment-rules')
def create() -> tuple[Response, int]:
    """Have the project's servers enrolled that meet every condition; none: all of them."""
    who = caller('aodh_ha:enrolment_rule:create')
    data = fields.body({'name', 'match', 'policy', 'group'})
    project_id = _owner(who)
    for name in ('policy', 'group'):
        if data.get(name, '') != '':
            fields.text(data, name, '', NAME)
    now = state().clock()
    rule = Rule(
        id=str(uuid.uuid4()),
        project_id=project_id,
        name=fields.text(data, 'name', '', NAME),
        policy=data.get('policy', ''),
        group_name=data.get('group', ''),
        author=who.user_id,
        created_at=now,
        **_conditions(data.get('match', {})),
    )

    def work(connection: sa.Connection) -> None:
        if rule.policy:
            policies.get(connection, project_id, rule.policy)  # it must exist now
        enrolment.add(connection, rule)
        _record(connection, rule, now, 'enrolment_rule_created', who)

    state().database.run(work)
    return jsonify({'enrolment_rule': view(rule)}), 201


@blueprint.delete('/enrolment-rules/<rule_id>')
def delete(rule_id: str) -> tuple[str, int]:
    """Delete a rule; guests that it has enrolled stay so."""
    who = caller('aodh_ha:enrolment_rule:delete')
    project_id = scope(who)
    now = state().clock()

    def work(connection: sa.Connection) -> None:
        rule = enrolment.get(connection, fields.known_uuid(rule_id), project_id)
        if rule.project_id == OPERATOR:
            require(ENROLMENT_RULE_OPERATOR, who)
        enrolment.delete(connection, rule.id)
        _record(connection, rule, now, 'enrolment_rule_deleted', who)

    state().database.run(work)
    return '', 204


def _owner(who: Caller) -> str:
    wanted = request.args.get('scope', 'project')
    if wanted == 'project':
        return who.project_id
    if wanted != 'operator':
        raise InvalidRequest('scope must be project or operator')
    require(ENROLMENT_RULE_OPERATOR, who)
    return OPERATOR


def _conditions(match: Any) -> dict[str, str]:
    known = ('tag', 'metadata', 'server_name', 'stack')
    if not isinstance(match, dict) or not set(match) <= set(known):
        raise InvalidRequest(f'match must be an object with some of {", ".join(known)}')
    given = {k: v for k, v in match.items() if v is not None}
    found = {'server_name': fields.line(given, 'server_name', MOST_TEXT)}
    if 'tag' in given:
        found['tag'] = fields.text(given, 'tag', '', TAG)
    if 'stack' in given:
        found['stack_id'] = fields.uuid(given, 'stack')
    if 'metadata' in given:
        pairs = given['metadata']
        if not isinstance(pairs, dict) or len(pairs) != 1:
            raise InvalidRequest('metadata must be an object with one key; value "": any')
        ((key, value),) = pairs.items()
        found['metadata_key'] = fields.line({'key of metadata': key}, 'key of metadata')
        found['metadata_value'] = fields.line({'value of metadata': value}, 'value of metadata')
        if not key:
            raise InvalidRequest('metadata must be an object with one key; value "": any')
    return found


def _record(connection: sa.Connection, rule: Rule, now: float, kind: str, who: Caller) -> None:
    audit.record(
        connection,
        now,
        kind,
        f'{rule.name} by user {who.user_id}',
        project_id=rule.project_id or None,
        data={'enrolment_rule_id': rule.id},
    )
