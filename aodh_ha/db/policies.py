"""Recovery policies: the built-in ones, the operator's, and each project's own."""

from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any

import sqlalchemy as sa

from aodh_ha.db.database import rowcount
from aodh_ha.db.models import policies
from aodh_ha.exceptions import NotFound
from aodh_ha.rules import policy as rules
from aodh_ha.rules.guest import Guest
from aodh_ha.rules.policy import Policy

DEFAULT = 'stateful'
"""The built-in policy that loses nothing."""

OPERATOR = ''
"""The project of policies that every project may use."""


@cache
def builtin() -> dict[str, Policy]:
    """The policies that are shipped, by name; version 0."""
    folder = resources.files('aodh_ha') / 'policies'
    found = [rules.parse(f.read_text(), 0) for f in folder.iterdir() if f.name.endswith('.yaml')]
    return {p.name: p for p in found}


def _policy(row: Any) -> Policy:
    policy = rules.parse(row.document, row.version)
    return replace(policy, own=row.project_id != OPERATOR)


def get(connection: sa.Connection, project_id: str, name: str) -> Policy:
    """The policy of this name: the project's own, else the operator's, else a built-in one."""
    rows = connection.execute(
        sa.select(policies)
        .where(policies.c.name == name, policies.c.project_id.in_((project_id, OPERATOR)))
        .order_by(policies.c.project_id.desc())
    ).all()
    if rows:
        return _policy(rows[0])
    if name in builtin():
        return builtin()[name]
    raise NotFound(f'no policy {name!r}; see "aodh-ha policy list"')


def of_guest(connection: sa.Connection, guest: Guest) -> Policy:
    """The guest's policy: the one it was told, or that its server's metadata name; else one that
    is for its group, else for its stack; else the default one, which loses nothing.

    Whoever names a policy that does not exist (any more) gets the default one too: what was
    meant is not known, and another that happens to match may do more than was meant.
    """
    for name in (guest.policy, guest.metadata_policy):
        if name:
            try:
                return get(connection, guest.project_id, name)
            except NotFound:
                return builtin()[DEFAULT]
    policy = _matching(connection, guest)
    if policy:
        return policy
    return get(connection, guest.project_id, DEFAULT)


def _matching(connection: sa.Connection, guest: Guest) -> Policy | None:
    """The policy that is for the guest's group, else for its stack.

    Of several the project's own goes before the operator's, then the first by name.
    """
    stacks = {guest.stack_id, guest.stack_name} - {''}
    if not guest.group_name and not stacks:
        return None
    own, operators = [
        [p for scope, p in find(connection, guest.project_id) if scope == wanted]
        for wanted in ('project', 'operator')
    ]
    for policy in [*own, *operators]:
        if guest.group_name and guest.group_name in policy.match.groups:
            return policy
    for policy in [*own, *operators]:
        if stacks & set(policy.match.stacks):
            return policy
    return None


def find(connection: sa.Connection, project_id: str) -> list[tuple[str, Policy]]:
    """Every policy the project may use, by name, each with its scope.

    One of the project's own hides the operator's of the same name, and that a built-in one.
    """
    found = {p.name: ('built-in', p) for p in builtin().values()}
    for owner, scope in ((OPERATOR, 'operator'), (project_id, 'project')):
        rows = connection.execute(sa.select(policies).where(policies.c.project_id == owner))
        for row in rows.all():
            found[row.name] = (scope, _policy(row))
    return [found[name] for name in sorted(found)]


def save(connection: sa.Connection, project_id: str, policy: Policy, now: float) -> Policy:
    """Store a policy of a project, or OPERATOR, as its next version.

    Recoveries under way keep theirs.
    """
    same = sa.and_(policies.c.project_id == project_id, policies.c.name == policy.name)
    values = {'document': policy.document, 'updated_at': now}
    # Counted by the database: the row is locked from here on, so no version is given twice.
    newer = policies.update().where(same).values(version=policies.c.version + 1, **values)
    if not rowcount(connection.execute(newer)):
        first = {'project_id': project_id, 'name': policy.name, 'version': 1}
        connection.execute(policies.insert().values(first | values))
    version = connection.execute(sa.select(policies.c.version).where(same)).scalar_one()
    return replace(policy, version=version)


def delete(connection: sa.Connection, project_id: str, name: str) -> None:
    """Delete a policy of a project's own, or OPERATOR's; raises NotFound."""
    result = connection.execute(
        policies.delete().where(policies.c.project_id == project_id, policies.c.name == name)
    )
    if not result.rowcount:
        raise NotFound(f'this project has no policy {name!r} of its own')
