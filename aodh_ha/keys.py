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


def load_master_key(path: str, *, create: bool = True) -> bytes:
    """The master key in ``path``; with ``create`` made when the file is absent.

    ``create`` is for a service on one host: on several each would make a key of its own, and
    refuse what the others have handed out. Raises ConfigurationError.
    """
    file = pathlib.Path(path)
    if create:
        create_master_key(path)
    try:
        key = _decoded(file.read_text().strip())
    except FileNotFoundError:
        raise ConfigurationError(
            f'[secrets] master_key_file {path} does not exist. Every host needs the same: copy it '
            'from another one, or on the first run "aodh-ha secrets create"'
        ) from None
    except OSError as e:
        raise ConfigurationError(f'[secrets] master_key_file {path}: {e.strerror}') from None
    except ValueError:
        key = b''
    if len(key) < SIZE:
        raise ConfigurationError(
            f'[secrets] master_key_file {path} must hold {SIZE} bytes in base64, as "aodh-ha '
            'secrets create" writes them; with a new key every guest has to be enrolled again'
        )
    return key


def _decoded(text: str) -> bytes:
    # Both alphabets: "openssl rand -base64 32" writes the one with + and /.
    return base64.b64decode(text.replace('-', '+').replace('_', '/'), validate=True)


def create_master_key(path: str) -> bool:
    """Make a key, for its owner only, unless the file exists; returns whether it was made.

    Who makes one at the same time agrees on the first. Raises ConfigurationError.
    """
    file = pathlib.Path(path)
    try:
        return not file.exists() and _create(file)
    except OSError as e:
        raise ConfigurationError(f'[secrets] master_key_file {path}: {e.strerror}') from None


def _create(file: pathlib.Path) -> bool:
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
        return False
    finally:
        new.unlink()
    return True


def guest_key(master: bytes, server_id: str, generation: int) -> str:
    """The key of a guest: 43 characters of base64, different for each generation."""
    text = f'guest:{server_id}:{generation}'.encode()
    digest = hmac.digest(master, text, 'sha256')
    return base64.urlsafe_b64encode(digest).decode().rstrip('=')


def signing_secret(master: bytes) -> bytes:
    """What callback URLs are signed with."""
    return hmac.new(master, b'callback-urls', hashlib.sha256).digest()
