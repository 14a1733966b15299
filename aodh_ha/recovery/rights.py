"""With whose rights a step is made: the project's own where it handed some over, else ours.

Never with more: what the project handed over and Keystone refuses is not made up for by ours.
"""

import sqlalchemy as sa

from aodh_ha.db import Database, callback_tokens, credentials
from aodh_ha.exceptions import ActionRefused
from aodh_ha.rules.policy import Step
from aodh_ha.rules.recovery import Recovery
from aodh_ha.rules.rights import HANDED_OVER, OURS, SERVICE, Rights

NONE = (
    'the project handed no credential over ("aodh-ha credential create"), and the operator lets '
    "no recovery act with the service user's rights"
)


def choose(
    database: Database, recovery: Recovery, step: Step, *, master_key: bytes, service_user: bool
) -> Rights:
    """Whose rights: of the project's credential, else of its alarm's callback, else ours.

    ``service_user``: whether ours may be used at all. A step that only an operator's policy may
    have is the operator's act, as it moves a server between hosts; it is made with ours.
    """
    if step.kind.operator_only:
        return OURS
    project_id = recovery.project_id
    try:
        with database.read() as connection:
            found = credentials.rights(
                connection, project_id, master_key
            ) or callback_tokens.rights(connection, recovery.id, project_id, master_key)
    except ActionRefused as e:
        return Rights(SERVICE, project_id, problem=e.detail)
    if found or service_user:
        return found or OURS
    return Rights(SERVICE, project_id, problem=NONE)


def refused(database: Database, used: Rights, reason: str, now: float) -> None:
    """Note it where the project sees it, and have a person told, once."""

    def work(connection: sa.Connection) -> None:
        for credential in credentials.find(connection, used.project_id):
            # Another one may have been handed over in the meantime.
            if credential.reference == used.reference:
                credentials.refused(connection, credential, now, reason)

    if used.kind in HANDED_OVER:
        database.run(work)
