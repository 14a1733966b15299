"""/v1/policies: recovery policies."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

from aodh_ha import opts
from aodh_ha.db import guests, policies, queue
from aodh_ha.exceptions import InvalidRequest, NotFound
from aodh_ha.rules import policy as rules
from aodh_ha.rules.document import Document
from aodh_ha.rules.policy import Budget, Policy, Step
from aodh_ha.rules.replay import replay
from webhook.auth import Caller, caller, require, scope
from webhook.policies import POLICY_DELETE_OPERATOR, POLICY_SAVE_OPERATOR
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('policies', __name__)

RESERVED = ('replay',)
"""Names that are paths of their own."""

REPLAY_SINCE = 7 * 86400.0
REPLAY_LONGEST = 3650 * 86400.0
REPLAY_MOST = 200
"""Recoveries that one replay looks at, the newest."""


def view(policy: Policy, kind: str) -> dict[str, Any]:
    """A policy as it is shown, with its scope; durations in seconds, shares from 0 to 1."""
    return {
        'name': policy.name,
        'version': policy.version,
        'scope': kind,
        'heartbeat': {
            'interval': policy.interval,
            'missed': policy.missed,
            'boot_grace': policy.boot_grace,
        },
        'match': {'groups': list(policy.match.groups), 'stacks': list(policy.match.stacks)},
        'preserve': sorted(policy.preserve),
        'steps': [_step(s) for s in policy.steps],
        'budget': _budget(policy.budget),
        'priority': policy.priority,
        'suspect': policy.suspect,
        'fencing': policy.fencing,
        'on_exhausted': policy.on_exhausted,
        'dry_run': policy.dry_run,
        'allow_data_loss': policy.allow_data_loss,
        'document': policy.document,
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        'action': step.action,
        'type': step.type,
        'name': step.name_of_hook or None,
        'when': step.applies,
        'attempts': step.attempts,
        'verify': step.verify,
        'delay': step.delay,
        'backoff': step.backoff,
        'hold': step.hold,
        'healthy': step.healthy,
        'approval': step.approval,
        'snapshot': step.snapshot,
        'intensity': _rate(step.intensity),
    }


def _budget(budget: Budget) -> dict[str, Any]:
    storm = budget.storm
    return {
        'concurrent': budget.concurrent,
        'concurrent_share': budget.concurrent_share,
        'per_window': _rate(budget.per_window),
        'per_guest': _rate(budget.per_guest),
        'storm': None if storm is None else {'share': storm[0], 'seconds': storm[1]},
        'reset': budget.reset,
    }


def _rate(rate: tuple[int, float] | None) -> dict[str, Any] | None:
    return None if rate is None else {'times': rate[0], 'seconds': rate[1]}


@blueprint.get('/policies')
def listing() -> Response:
    """Every policy that the project may use."""
    who = caller('aodh_ha:policy:get')
    with state().database.read() as connection:
        found = policies.find(connection, who.project_id)
    return jsonify({'policies': [view(p, kind) for kind, p in found]})


@blueprint.get('/policies/<name>')
def show(name: str) -> Response:
    """One policy."""
    who = caller('aodh_ha:policy:get')
    with state().database.read() as connection:
        for kind, policy in policies.find(connection, who.project_id):
            if policy.name == name:
                return jsonify({'policy': view(policy, kind)})
    raise NotFound(f'no policy {name[:64]!r} in this project')


@blueprint.put('/policies/<name>')
def save(name: str) -> Response:
    """Write the project's own policy, or with ``?scope=operator`` one that every project may use.

    Recoveries under way keep the version they began with.
    """
    who = caller('aodh_ha:policy:save')
    owner, kind = _owner(who, POLICY_SAVE_OPERATOR)
    policy = document(fields.body({'document'}))
    if policy.name != name:
        raise InvalidRequest(f'the document is named {policy.name!r}, the URL {name[:64]!r}')
    if name in RESERVED:
        raise InvalidRequest(f'a policy cannot be called {name}; choose another name')
    here = state()
    if owner == policies.OPERATOR:
        _check_hooks(policy, here.conf.hooks.names)
    else:
        # One that fences must not be a project's to run: it would switch off others' host.
        _check_hooks(policy, opts.hooks_for_projects(here.conf))
        rules.bounded(policy, *opts.bounds(here.conf))
    saved = here.database.run(lambda c: policies.save(c, owner, policy, here.clock()))
    return jsonify({'policy': view(saved, kind)})


@blueprint.post('/policies/replay')
def replayed() -> Response:
    """What a policy would have done about past recoveries, by the evidence that was kept then."""
    project_id = scope(caller('aodh_ha:policy:replay'))
    data = fields.body({'document', 'since', 'guest'})
    policy = document(data)
    since = fields.number(data, 'since', REPLAY_SINCE, 1, REPLAY_LONGEST)
    server_id = fields.uuid(data, 'guest') if data.get('guest') is not None else None
    begin = state().clock() - since
    with state().database.read() as connection:
        found = queue.find(connection, project_id, server_id, limit=REPLAY_MOST + 1)
        found = [r for r in found if r.created_at >= begin]
        past = [(r, queue.history(connection, r.id)) for r in found[:REPLAY_MOST]]
        names = guests.names(connection, {r.server_id for r, _ in past})
    shown = [
        {
            'recovery_id': recovery.id,
            'server_id': recovery.server_id,
            'guest_name': names.get(recovery.server_id, ''),
            'created_at': fields.iso(recovery.created_at),
            'status': recovery.status,
            'did': list(line.did),
            'would': list(line.would),
            'remark': line.remark,
        }
        for (recovery, _), line in zip(past, replay(policy, past), strict=True)
    ]
    return jsonify({'replay': shown, 'truncated': len(found) > REPLAY_MOST})


@blueprint.delete('/policies/<name>')
def delete(name: str) -> tuple[str, int]:
    """Delete a policy of the project or the operator; a wider one of that name is seen again."""
    who = caller('aodh_ha:policy:delete')
    owner, _ = _owner(who, POLICY_DELETE_OPERATOR)
    if not rules.NAME.fullmatch(name):
        raise NotFound('no policy has such a name')
    state().database.run(lambda c: policies.delete(c, owner, name))
    return '', 204


def _check_hooks(policy: Policy, known: list[str]) -> None:
    """Refuse a policy that names a hook which the configuration does not have for it."""
    doc = Document(policy.document)
    named: list[tuple[tuple[str | int, ...], str]] = [
        (('steps', n, 'name'), s.name_of_hook) for n, s in enumerate(policy.steps) if s.name_of_hook
    ]
    if policy.fencing != rules.FORCED_DOWN:
        named.append((('fencing',), policy.fencing))
    if policy.on_exhausted != 'notify':
        named.append((('on_exhausted',), policy.on_exhausted))
    for path, name in named:
        if name not in known:
            have = f'it has {", ".join(sorted(known))}' if known else 'it has none'
            raise doc.fail(path, f'the configuration has no hook {name} for this policy; {have}')


def document(data: dict[str, Any]) -> Policy:
    """The policy in the body; raises InvalidPolicy with the line."""
    text = data.get('document')
    if not isinstance(text, str):
        raise InvalidRequest('document must be the YAML text of the policy')
    return rules.parse(text)


def _owner(who: Caller, rule: str) -> tuple[str, str]:
    """Whose policy is meant: the project to store it under, and the scope's name."""
    wanted = request.args.get('scope', 'project')
    if wanted == 'operator':
        require(rule, who)
        return policies.OPERATOR, wanted
    if wanted != 'project':
        raise InvalidRequest('scope must be project or operator')
    return who.project_id, wanted
