"""/v1/silences: maintenance windows, in which nothing is done to whom they cover."""

import uuid
from typing import Any

import sqlalchemy as sa
from flask import Blueprint, Response, jsonify

from aodh_ha.db import audit, guests, silences
from aodh_ha.db.policies import OPERATOR
from aodh_ha.exceptions import Conflict, InvalidRequest, NotFound
from aodh_ha.rules.evidence import Silence
from aodh_ha.rules.guest import ENROLLED
from aodh_ha.rules.policy import NAME
from webhook import policies
from webhook.auth import Caller, allowed, caller, require, scope
from webhook.state import state
from webhook.v1 import fields

blueprint = Blueprint('silences', __name__)

LONGEST = 30 * 86400.0
"""Seconds of one window: what is silenced longer should be forgotten, or opted out."""
FURTHEST = 366 * 86400.0
"""Seconds until a window may begin."""
MOST = 1000
"""Windows of one project that have not ended."""

_HOST = 255
_PROJECT = 64


def view(silence: Silence, now: float) -> dict[str, Any]:
    """A maintenance window as it is shown."""
    status = 'planned' if silence.starts_at > now else 'active'
    return {
        'id': silence.id,
        'project_id': silence.project_id,
        'scope': silence.scope,
        'value': silence.value,
        'status': 'ended' if silence.ends_at <= now else status,
        'starts_at': fields.iso(silence.starts_at),
        'ends_at': fields.iso(silence.ends_at),
        'author': silence.author,
        'reason': silence.reason,
        'created_at': fields.iso(silence.created_at),
    }


@blueprint.get('/silences')
def listing() -> Response:
    """Windows that are active or planned; with ``?ended=1`` the ended ones too."""
    who = caller('aodh_ha:silence:get')
    project_id = scope(who)
    ended = fields.switch('ended')
    now = state().clock()
    until = None if ended else now
    with state().database.read() as connection:
        found = list(silences.find(connection, project_id, until))
        if project_id is not None:
            # What covers everybody is everybody's business; hosts are the operator's.
            operators = allowed(policies.SILENCE_OPERATOR, who)
            found += [
                s
                for s in silences.find(connection, OPERATOR, until)
                if operators or s.scope == 'all'
            ]
    found.sort(key=lambda s: (s.starts_at, s.id), reverse=True)
    return jsonify({'silences': [view(s, now) for s in found[: fields.LIMIT]]})


@blueprint.post('/silences')
def create() -> tuple[Response, int]:
    """Plan a window, or begin one now. It always has an end."""
    who = caller('aodh_ha:silence:create')
    data = fields.body({'scope', 'value', 'starts_at', 'ends_at', 'duration', 'reason'})
    kind = fields.choice(data, 'scope', silences.SCOPES)
    reason = fields.line(data, 'reason')
    here = state()
    now = here.clock()
    starts_at, ends_at = _window(data, now)

    def work(connection: sa.Connection) -> Silence:
        project_id, value = _whom(connection, who, kind, data)
        if len(list(silences.find(connection, project_id, now))) >= MOST:
            raise Conflict(f'{MOST} windows have not ended; end some of them first')
        silence = Silence(
            id=str(uuid.uuid4()),
            project_id=project_id,
            scope=kind,
            value=value,
            starts_at=starts_at,
            ends_at=ends_at,
            author=who.user_id,
            reason=reason,
            created_at=now,
        )
        silences.add(connection, silence)
        _record(connection, now, silence, 'silenced', f'until {fields.iso(ends_at)}', who)
        return silence

    return jsonify({'silence': view(here.database.run(work), now)}), 201


@blueprint.delete('/silences/<silence_id>')
def end(silence_id: str) -> tuple[str, int]:
    """End a window now; one that was only planned never begins."""
    who = caller('aodh_ha:silence:end')
    wanted = fields.known_uuid(silence_id)
    owners: list[str | None] = [scope(who)]
    if owners != [None] and allowed(policies.SILENCE_OPERATOR, who):
        owners.append(OPERATOR)
    now = state().clock()

    def work(connection: sa.Connection) -> None:
        for owner in owners:
            try:
                silence = silences.end(connection, wanted, owner, now)
            except NotFound:
                continue
            if silence.ends_at == now:
                _record(connection, now, silence, 'silence_ended', 'ended', who)
            return
        raise NotFound('no maintenance window of this project has this id')

    state().database.run(work)
    return '', 204


def _window(data: dict[str, Any], now: float) -> tuple[float, float]:
    """Beginning and end, which is given as a time or as a duration."""
    start, end = fields.moment(data, 'starts_at'), fields.moment(data, 'ends_at')
    # What has begun already covers nothing of the past.
    start = now if start is None else max(start, now)
    if start > now + FURTHEST:
        raise InvalidRequest(f'starts_at must be within {FURTHEST / 86400:g} days')
    if (end is None) == (data.get('duration') is None):
        raise InvalidRequest('give ends_at, or duration in seconds: a window has an end')
    if end is None:
        end = start + fields.number(data, 'duration', 0, 1, LONGEST)
    if not start < end <= start + LONGEST:
        raise InvalidRequest(
            f'ends_at must be after now and after starts_at, by {LONGEST / 86400:g} days at most'
        )
    return start, end


def _whom(
    connection: sa.Connection, who: Caller, kind: str, data: dict[str, Any]
) -> tuple[str, str]:
    """The project that the window belongs to, and what it covers there."""
    if kind == 'guest':
        guest = guests.get(connection, fields.uuid(data, 'value'), scope(who))
        if guest.status != ENROLLED:
            # Whose server it is, is not known yet: a stranger's window must not cover it.
            raise Conflict(f'the guest is {guest.status}: {guest.status_reason or "wait a second"}')
        return guest.project_id, guest.server_id
    if kind == 'group':
        return who.project_id, fields.text(data, 'value', '', NAME)
    value = fields.line(data, 'value', _PROJECT if kind == 'project' else _HOST)
    if kind == 'project' and value in ('', who.project_id):
        return who.project_id, who.project_id
    require(policies.SILENCE_OPERATOR, who)
    if kind == 'project':
        return value, value
    if (kind == 'host') != bool(value):
        needed = "must be the host's name" if kind == 'host' else 'has no place with scope all'
        raise InvalidRequest(f'value {needed}')
    return OPERATOR, value


def _record(
    connection: sa.Connection, now: float, silence: Silence, kind: str, what: str, who: Caller
) -> None:
    reason = f': {silence.reason}' if silence.reason else ''
    whom = f'{silence.scope} {silence.value}'.strip()
    audit.record(
        connection,
        now,
        kind,
        f'{whom} {what} by user {who.user_id}{reason}',
        project_id=silence.project_id or None,
        server_id=silence.value if silence.scope == 'guest' else None,
        data={'silence_id': silence.id},
    )
