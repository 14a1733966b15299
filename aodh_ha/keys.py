"""The master key, and what is derived from it; none of the derived ones is stored."""

import base64
import hashlib
import hmac
import os
import pathlib
import secrets

from aodh_ha.exceptions import ConfigurationError

SIZE = 32
"""Bytes of the master key."""


def load_master_key(path: str) -> bytes:
    """The master key in ``path``; made, for its owner only, when the file is absent.

    Raises ConfigurationError.
    """
    file = pathlib.Path(path)
    try:
        if not file.exists():
            _create(file)
        text = file.read_text().strip()
        key = base64.urlsafe_b64decode(text)
    except OSError as e:
        raise ConfigurationError(f'[secrets] master_key_file {path}: {e.strerror}') from None
    except ValueError:
        key = b''
    if len(key) < SIZE:
        raise ConfigurationError(
            f'[secrets] master_key_file {path} must hold {SIZE} bytes in base64; delete it to have '
            'a new one made (every guest then has to be enrolled again)'
        )
    return key


def _create(file: pathlib.Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f'.{file.name}.{os.getpid()}.{secrets.token_hex(4)}')
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, 'wb') as f:
        f.write(base64.urlsafe_b64encode(secrets.token_bytes(SIZE)) + b'\n')
        f.flush()
        os.fsync(f.fileno())
    try:
        # A link fails where a rename would replace: two processes agree on the first key.
        os.link(new, file)
    except FileExistsError:
        pass
    finally:
        new.unlink()


def guest_key(master: bytes, server_id: str, generation: int) -> str:
    """The key of a guest: 43 characters of base64, different for each generation."""
    text = f'guest:{server_id}:{generation}'.encode()
    digest = hmac.new(master, text, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip('=')


def signing_secret(master: bytes) -> bytes:
    """What callback URLs are signed with."""
    return hmac.new(master, b'callback-urls', hashlib.sha256).digest()
