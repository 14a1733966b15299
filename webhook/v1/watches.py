"""/v1/watches: CloudWatch alarms of templates, which Heat's plugin writes."""

import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha.callbacks import ALARM
from aodh_ha.db import alarms, watches
from aodh_ha.exceptions import AodhHAError, InvalidRequest
from aodh_ha.rules import watch as rules
from aodh_ha.rules.alarm import RESTARTER
from aodh_ha.rules.cloudwatch import MAX_DIMENSIONS, MOST, plain
from aodh_ha.rules.watch import COMPARISONS, LONGEST, STATISTICS, Watch
from webhook.auth import caller, scope
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('watches', __name__)

ACTIONS = ('alarm_actions', 'ok_actions', 'insufficient_data_actions')
MOST_ACTIONS = 10
URL = re.compile('[!-~]{1,2048}')
FIELDS = {
    *('name', 'stack_id', 'stack_name', 'namespace', 'metric', 'dimensions', 'statistic'),
    *('period', 'evaluation_periods', 'comparison', 'threshold', *ACTIONS),
}


def view(watch: Watch, value: float | None) -> dict[str, Any]:
    """A watch as it is shown."""
    return {
        'id': watch.id,
        'project_id': watch.project_id,
        'name': watch.name,
        'stack_id': watch.stack_id,
        'stack_name': watch.stack_name,
        'namespace': watch.namespace,
        'metric': watch.metric,
        'dimensions': dict(watch.dimensions),
        'statistic': watch.statistic,
        'period': watch.period,
        'evaluation_periods': watch.evaluation_periods,
        'comparison': watch.comparison,
        'threshold': watch.threshold,
        'value': value,
        'alarm': watch.breaches(value),
        'resource_id': watch.resource_id,
        'aodh_alarm_id': watch.aodh_alarm_id,
        'problem': watch.problem,
        'created_at': fields.iso(watch.created_at),
    }


@blueprint.get('/watches')
def listing() -> Response:
    """The project's watches, each with its number now."""
    project_id = scope(caller('aodh_ha:alarm:get'))
    marker, limit = fields.page()
    with state().database.read() as connection:
        found = watches.find(connection, project_id, marker, limit)
        known = watches.values(connection, found, state().clock())
    last = found[-1].id if len(found) == limit else None
    return jsonify({'watches': [view(w, v) for w, v in known], 'next': last})


@blueprint.get('/watches/<watch_id>')
def show(watch_id: str) -> Response:
    """One watch."""
    project_id = scope(caller('aodh_ha:alarm:get'))
    with state().database.read() as connection:
        watch = watches.get(connection, fields.known_uuid(watch_id), project_id)
        return jsonify({'watch': _shown(connection, watch)})


@blueprint.post('/watches')
def create() -> tuple[Response, int]:
    """A watch, and the definition of its alarm to give to Aodh."""
    project_id = caller('aodh_ha:alarm:create').project_id
    data = fields.body(FIELDS)
    now = state().clock()

    def work(connection: sa.Connection) -> dict[str, Any]:
        new = _read(connection, data, project_id, str(uuid.uuid4()), None, now)
        watches.add(connection, new)
        return _answer(connection, new, data)

    return jsonify(state().database.run(work)), 201


@blueprint.put('/watches/<watch_id>')
def change(watch_id: str) -> Response:
    """Which Aodh alarm carries it, or all of it anew; then the definition for that alarm."""
    project_id = scope(caller('aodh_ha:alarm:create'))
    data = fields.body({*FIELDS, 'aodh_alarm_id'})
    wanted = fields.known_uuid(watch_id)

    def work(connection: sa.Connection) -> dict[str, Any]:
        old = watches.get(connection, wanted, project_id)
        if 'aodh_alarm_id' in data:
            if len(data) > 1:
                raise InvalidRequest('aodh_alarm_id must stand alone')
            watches.link(connection, wanted, fields.uuid(data, 'aodh_alarm_id'))
            return {'watch': _shown(connection, watches.get(connection, wanted))}
        new = _read(
            *(connection, data, old.project_id, old.id, old.aodh_alarm_id, old.created_at),
        )
        new = replace(new, problem=old.problem)
        if new.window > old.window:
            new = replace(new, created_at=state().clock())  # what came before is forgotten
        watches.put(connection, new)
        return _answer(connection, new, data)

    return jsonify(state().database.run(work))


@blueprint.delete('/watches/<watch_id>')
def delete(watch_id: str) -> tuple[str, int]:
    """Delete it."""
    project_id = scope(caller('aodh_ha:alarm:delete'))
    wanted = fields.known_uuid(watch_id)

    def work(connection: sa.Connection) -> None:
        watches.get(connection, wanted, project_id)
        watches.delete(connection, wanted)

    state().database.run(work)
    return '', 204


def _shown(connection: sa.Connection, watch: Watch) -> dict[str, Any]:
    ((_, value),) = watches.values(connection, [watch], state().clock())
    return view(watch, value)


def _answer(connection: sa.Connection, watch: Watch, data: dict[str, Any]) -> dict[str, Any]:
    actions = {name: _urls(data, name) for name in ACTIONS}
    return {
        'watch': _shown(connection, watch),
        'definition': rules.definition(watch, actions),
    }


def _read(
    connection: sa.Connection,
    data: dict[str, Any],
    project_id: str,
    watch_id: str,
    aodh_alarm_id: str | None,
    created_at: float,
) -> Watch:
    """What a request says; raises InvalidRequest."""
    name, namespace = (_required(data, field) for field in ('name', 'namespace'))
    period = fields.whole(data, 'period', 60, 1, LONGEST)
    periods = fields.whole(data, 'evaluation_periods', 1, 1, LONGEST)
    if period * periods > LONGEST:
        raise InvalidRequest(f'period times evaluation_periods must be at most {LONGEST} s')
    threshold = fields.number(data, 'threshold', math.nan, -MOST, MOST)
    if math.isnan(threshold):
        raise InvalidRequest('threshold must be given')
    return Watch(
        id=watch_id,
        project_id=project_id,
        name=name,
        stack_id=fields.line(data, 'stack_id', 64),
        stack_name=fields.line(data, 'stack_name'),
        namespace=namespace,
        metric=plain(_required(data, 'metric')),
        dimensions=_dimensions(data),
        statistic=fields.choice(data, 'statistic', STATISTICS),
        period=period,
        evaluation_periods=periods,
        comparison=fields.choice(data, 'comparison', COMPARISONS),
        threshold=threshold,
        restarters=_restarters(connection, _urls(data, 'alarm_actions'), project_id),
        aodh_alarm_id=aodh_alarm_id,
        created_at=created_at,
    )


def _required(data: dict[str, Any], name: str) -> str:
    value = fields.line(data, name)
    if not value:
        raise InvalidRequest(f'{name} must be given')
    return value


def _dimensions(data: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    given = data.get('dimensions') or {}
    if not isinstance(given, dict) or len(given) > MAX_DIMENSIONS:
        raise InvalidRequest(f'dimensions must be an object of at most {MAX_DIMENSIONS} strings')
    for name in given:
        fields.line({'dimensions': name}, 'dimensions')
    return tuple(sorted((name, fields.line(given, name)) for name in given))


def _urls(data: dict[str, Any], name: str) -> Sequence[str]:
    given = data.get(name) or []
    fits = isinstance(given, list) and len(given) <= MOST_ACTIONS
    if not fits or not all(isinstance(u, str) and URL.fullmatch(u) for u in given):
        raise InvalidRequest(f'{name} must be a list of at most {MOST_ACTIONS} URLs')
    return given


def _restarters(connection: sa.Connection, urls: Sequence[str], project_id: str) -> tuple[str, ...]:
    """The restarters of the project that these URLs, if they are ours, are for."""
    found = []
    for url in urls:
        try:
            alarm_id = state().urls.read(ALARM, url.rpartition('/')[2])
            alarm = alarms.get(connection, alarm_id, project_id)
        except AodhHAError:
            continue  # anybody else's URL
        if alarm.trigger == RESTARTER:
            found.append(alarm.id)
    return tuple(dict.fromkeys(found))
