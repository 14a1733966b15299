"""Reading request bodies, and writing times; errors name the field."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from flask import request
from werkzeug.exceptions import RequestEntityTooLarge

from aodh_ha.exceptions import InvalidRequest, NotFound
from aodh_ha.rules.heartbeat import is_uuid, json_object

LIMIT = 1000
"""The most entries of one listing."""


def raw(limit: int | None = None) -> bytes:
    """The body, of at most ``limit`` bytes or the application's; else the answer is 413."""
    if limit is not None:
        request.max_content_length = limit
    data = request.get_data()
    most = request.max_content_length
    # Werkzeug cuts a chunked body off at the limit, where it should refuse it.
    if request.content_length is None and most is not None and len(data) >= most:
        raise RequestEntityTooLarge
    return data


def body(known: set[str], *, optional: bool = False) -> dict[str, Any]:
    """The JSON object of the request, with no field but the known ones."""
    content = raw()
    if optional and not content:
        return {}
    data = json_object(content)
    unknown = sorted(set(data) - known)
    if unknown:
        raise InvalidRequest(
            f'unknown field {unknown[0][:64]!r}; known are {", ".join(sorted(known))}'
        )
    return data


def uuid(data: dict[str, Any], name: str) -> str:
    """A required UUID, in lower case with hyphens."""
    value = data.get(name)
    text = value.lower() if isinstance(value, str) else value
    if not is_uuid(text):
        raise InvalidRequest(f'{name} must be a UUID')
    return str(text)


def text(data: dict[str, Any], name: str, default: str, pattern: re.Pattern[str]) -> str:
    """A string that matches the pattern."""
    value = data.get(name, default)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise InvalidRequest(f'{name} must match {pattern.pattern}')
    return value


def line(data: dict[str, Any], name: str, most: int = 255) -> str:
    """A string of one printable line, empty when it is left out."""
    value = data.get(name, '')
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise InvalidRequest(f'{name} must be one line of at most {most} printable characters')
    return value


def flag(data: dict[str, Any], name: str) -> bool:
    """True or false, which it is when it is left out."""
    value = data.get(name, False)
    if not isinstance(value, bool):
        raise InvalidRequest(f'{name} must be true or false')
    return value


def choice(data: dict[str, Any], name: str, known: Collection[str]) -> str:
    """A required word out of the known ones."""
    value = data.get(name)
    if not isinstance(value, str) or value not in known:
        raise InvalidRequest(f'{name} must be one of {", ".join(known)}')
    return value


def moment(data: dict[str, Any], name: str) -> float | None:
    """A time in ISO 8601 with its offset, as seconds since the epoch; None when left out."""
    value = data.get(name)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
        if found is not None and found.utcoffset() is not None:
            return found.timestamp()
    except (ValueError, OverflowError):
        pass
    raise InvalidRequest(
        f'{name} must be a time in ISO 8601 with its offset, such as 2027-01-31T22:00:00Z'
    )


def number(data: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    """A number within bounds."""
    value = data.get(name)
    if value is None:
        return default
    if type(value) not in (int, float) or not low <= value <= high:
        raise InvalidRequest(f'{name} must be a number from {low:g} to {high:g}')
    return float(value)


def whole(data: dict[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number within bounds."""
    value = number(data, name, default, low, high)
    if value != int(value):
        raise InvalidRequest(f'{name} must be a whole number')
    return int(value)


def page() -> tuple[str, int]:
    """The ``marker`` and ``limit`` of a listing."""
    raw = request.args.get('limit', str(LIMIT))
    if not re.fullmatch('[0-9]{1,9}', raw) or not 1 <= int(raw) <= LIMIT:
        raise InvalidRequest(f'limit must be a whole number from 1 to {LIMIT}')
    return marker(), int(raw)


def marker() -> str:
    """The id that the listing goes on after."""
    found = request.args.get('marker', '')
    if found and not is_uuid(found):
        raise InvalidRequest('marker must be the UUID in "next" of the page before')
    return found


def switch(name: str) -> bool | None:
    """A parameter of the query that is 0 or 1; None when it is left out."""
    value = request.args.get(name)
    if value not in (None, '0', '1'):
        raise InvalidRequest(f'{name} must be 0 or 1')
    return None if value is None else value == '1'


def guest_filter() -> str | None:
    """The ``guest`` that a listing is narrowed to."""
    found = request.args.get('guest', '').lower() or None
    if found and not is_uuid(found):
        raise InvalidRequest('guest must be a server UUID')
    return found


def known_uuid(value: str) -> str:
    """A UUID from the path or query; raises NotFound for what can name nothing of ours."""
    if not is_uuid(value.lower()):
        raise NotFound('ids here are UUIDs, such as a server has')
    return value.lower()


def iso(seconds: float | None) -> str | None:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z')
