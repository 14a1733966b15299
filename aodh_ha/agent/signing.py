"""The signatures between a guest and its gateway.

HMAC-SHA256 over everything that must not be changed, keyed with the guest's
own key, of which the ASCII bytes are taken as they are.
"""

# hashlib and hmac load OpenSSL's library, 3 MB of the 15 MB that this program
# may take in a guest; Python's own SHA-256 gives the same digests.
try:
    from _sha2 import sha256  # type: ignore[import-not-found]
except ImportError:  # before Python 3.12
    try:
        from _sha256 import sha256  # type: ignore[import-not-found]
    except ImportError:  # a Python that was built without it
        from hashlib import sha256

SCHEME = 'AODH-HA-HMAC-SHA256'
BLOCK = 64  # bytes, of SHA-256
INNER = bytes(n ^ 0x36 for n in range(256))
OUTER = bytes(n ^ 0x5C for n in range(256))


def _hmac(key: str, *parts: object) -> str:
    """RFC 2104."""
    secret = key.encode('ascii')
    if len(secret) > BLOCK:
        secret = sha256(secret).digest()
    secret = secret.ljust(BLOCK, b'\0')
    text = '\n'.join(str(p) for p in parts).encode('utf-8', 'replace')
    inner = sha256(secret.translate(INNER) + text).digest()
    return str(sha256(secret.translate(OUTER) + inner).hexdigest())


def authorization(
    key: str,
    method: str,
    path: str,
    guest: str,
    generation: str,
    time: int,
    sequence: int,
    body: bytes,
) -> str:
    """The Authorization header of a request; `time` in Unix seconds."""
    digest = sha256(body).hexdigest()
    signature = _hmac(key, method, path, guest, generation, time, sequence, digest)
    return '{} guest="{}", generation="{}", time="{}", sequence="{}", signature="{}"'.format(
        SCHEME, guest, generation, time, sequence, signature
    )


def reply_is_genuine(key: str, status: int, sequence: int, body: bytes, signature: str) -> bool:
    """Whether the reply comes from one who knows the key, to this very request."""
    expected = _hmac(key, 'reply', status, sequence, sha256(body).hexdigest())
    # Compared by a hash of each, so that the time which it takes tells nothing of either.
    return _hmac(key, expected) == _hmac(key, signature.strip())
