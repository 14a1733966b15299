"""Secrets that the database keeps, encrypted with keys derived from the master key."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from cryptography.fernet import Fernet, InvalidToken

from aodh_ha.exceptions import ActionRefused


def seal(value: Mapping[str, Any], master_key: bytes, purpose: str) -> str:
    """Encrypted for the database; raises ActionRefused where there is no key.

    ``purpose``: what is sealed for one cannot be opened as if it were another.
    """
    if not master_key:
        raise ActionRefused(f'without a master key no {purpose} can be kept')
    return _fernet(master_key, purpose).encrypt(json.dumps(value).encode()).decode()


def unseal(sealed: str, master_key: bytes, purpose: str) -> dict[str, Any]:
    """What seal() was given; raises ActionRefused when the key is another one."""
    if not master_key:
        raise ActionRefused(f'without a master key no {purpose} can be read')
    try:
        found: dict[str, Any] = json.loads(_fernet(master_key, purpose).decrypt(sealed.encode()))
    except InvalidToken:
        raise ActionRefused(f'the {purpose} was sealed with another master key') from None
    return found


def _fernet(master_key: bytes, purpose: str) -> Fernet:
    key = hmac.new(master_key, purpose.encode(), hashlib.sha256).digest()
    return Fernet(base64.urlsafe_b64encode(key))
