"""Names of compute hosts are the operator's: a tenant sees what Nova shows him instead."""

import hashlib
import re
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.models import guests, incidents
from webhook import policies
from webhook.auth import Caller, allowed

SHOWN = 12
"""Characters of Nova's hostId in place of a host's name: enough to tell hosts apart."""


def host_id(project_id: str, host: str) -> str:
    """The beginning of the hostId by which Nova's API calls the host to this project's users.

    Source: Nova's ``utils.generate_hostid``, SHA-224 over project and host.
    """
    return hashlib.sha224(f'{project_id}{host}'.encode()).hexdigest()[:SHOWN]


def hosts(
    connection: sa.Connection, who: Caller, answer: dict[str, Any], evidence: Any = None
) -> dict[str, Any]:
    """An answer as the caller may see it: unchanged for who may see every project.

    ``answer`` is what will be JSON; reasons of recoveries and evidence name hosts in words.
    ``evidence`` is what it rests on, where that is not in the answer: it tells of more hosts.
    """
    if allowed(policies.ALL_PROJECTS, who):
        return answer
    names = set(_named([answer, evidence])) | _known(connection)
    if not names:
        return answer
    longest_first = sorted(names, key=len, reverse=True)
    pattern = re.compile(rf'(?<![\w.-])({"|".join(map(re.escape, longest_first))})(?![\w-])')

    def mend(value: Any) -> Any:
        if isinstance(value, str):
            return pattern.sub(lambda found: host_id(who.project_id, found[0]), value)
        if isinstance(value, dict):
            return {k: mend(v) for k, v in value.items()}
        if isinstance(value, list | tuple):
            return [mend(v) for v in value]
        return value

    return mend(answer)  # type: ignore[no-any-return]


def _named(value: Any) -> Iterator[str]:
    """What the answer itself calls a host: a guest may have left it long ago."""
    if isinstance(value, dict):
        host = value.get('host')
        if isinstance(host, str) and host:
            yield host
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _named(each)


def _known(connection: sa.Connection) -> set[str]:
    here = sa.select(guests.c.host).where(guests.c.host != '').distinct()
    down = sa.select(incidents.c.name).where(incidents.c.kind == 'host').distinct()
    return set(connection.execute(sa.union(here, down)).scalars())
