"""Definitions of stacks that are being recreated, sealed: they may have passwords in them."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet, InvalidToken

from aodh_ha.db.models import definitions
from aodh_ha.exceptions import ActionRefused


def seal(definition: Mapping[str, Any], master_key: bytes) -> str:
    """Encrypted for the database; raises ActionRefused where there is no key."""
    if not master_key:
        raise ActionRefused('without a master key the definition of a stack cannot be kept')
    return _fernet(master_key).encrypt(json.dumps(definition).encode()).decode()


def unseal(sealed: str, master_key: bytes) -> dict[str, Any]:
    """What seal() was given; raises ActionRefused when the key is another one."""
    try:
        found: dict[str, Any] = json.loads(_fernet(master_key).decrypt(sealed.encode()))
    except InvalidToken:
        raise ActionRefused('the definition of the stack was sealed with another key') from None
    return found


def keep(connection: sa.Connection, attempt_id: str, sealed: str, now: float) -> None:
    """Keep a sealed definition for the time of an attempt."""
    values = {'attempt_id': attempt_id, 'sealed': sealed, 'created_at': now}
    connection.execute(definitions.insert().values(values))


def get(connection: sa.Connection, attempt_id: str) -> str | None:
    """The sealed definition of an attempt."""
    query = sa.select(definitions.c.sealed).where(definitions.c.attempt_id == attempt_id)
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def forget(connection: sa.Connection, attempt_id: str) -> None:
    """The stack is there again, or a person's matter."""
    connection.execute(definitions.delete().where(definitions.c.attempt_id == attempt_id))


def _fernet(master_key: bytes) -> Fernet:
    key = hmac.new(master_key, b'stack-definitions', hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))
