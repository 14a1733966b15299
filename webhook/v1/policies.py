"""/v1/policies: recovery policies."""

from typing import Any

from flask import Blueprint, Response, jsonify

from aodh_ha.db import policies
from aodh_ha.exceptions import InvalidRequest, NotFound
from aodh_ha.rules import policy as rules
from aodh_ha.rules.policy import Policy
from webhook.auth import caller
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('policies', __name__)


def view(policy: Policy, scope: str) -> dict[str, Any]:
    """A policy as it is shown; durations in seconds."""
    return {
        'name': policy.name,
        'version': policy.version,
        'scope': scope,
        'heartbeat': {
            'interval': policy.interval,
            'missed': policy.missed,
            'boot_grace': policy.boot_grace,
        },
        'preserve': sorted(policy.preserve),
        'steps': [
            {'action': s.action, 'type': s.type, 'attempts': s.attempts, 'verify': s.verify}
            for s in policy.steps
        ],
        'document': policy.document,
    }


@blueprint.get('/policies')
def listing() -> Response:
    """Every policy that the project may use."""
    who = caller('aodh_ha:policy:get')
    with state().database.read() as connection:
        found = policies.find(connection, who.project_id)
    return jsonify({'policies': [view(p, scope) for scope, p in found]})


@blueprint.get('/policies/<name>')
def show(name: str) -> Response:
    """One policy."""
    who = caller('aodh_ha:policy:get')
    with state().database.read() as connection:
        for scope, policy in policies.find(connection, who.project_id):
            if policy.name == name:
                return jsonify({'policy': view(policy, scope)})
    raise NotFound(f'no policy {name[:64]!r} in this project')


@blueprint.put('/policies/<name>')
def save(name: str) -> Response:
    """Write the project's own policy; recoveries under way keep the version they began with."""
    who = caller('aodh_ha:policy:save')
    document = fields.body({'document'}).get('document')
    if not isinstance(document, str):
        raise InvalidRequest('document must be the YAML text of the policy')
    policy = rules.parse(document)
    if policy.name != name:
        raise InvalidRequest(f'the document is named {policy.name!r}, the URL {name[:64]!r}')
    here = state()
    saved = here.database.run(lambda c: policies.save(c, who.project_id, policy, here.clock()))
    return jsonify({'policy': view(saved, 'project')})


@blueprint.delete('/policies/<name>')
def delete(name: str) -> tuple[str, int]:
    """Delete the project's own policy; a built-in one of that name is seen again."""
    who = caller('aodh_ha:policy:delete')
    if not rules.NAME.fullmatch(name):
        raise NotFound('no policy has such a name')
    state().database.run(lambda c: policies.delete(c, who.project_id, name))
    return '', 204
