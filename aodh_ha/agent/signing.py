"""The signatures between a guest and its gateway.

HMAC-SHA256 over everything that must not be changed, keyed with the guest's
own key, of which the ASCII bytes are taken as they are.
"""

import hashlib
import hmac

SCHEME = 'AODH-HA-HMAC-SHA256'


def _hmac(key: str, *parts: object) -> str:
    text = '\n'.join(str(p) for p in parts)
    return hmac.new(key.encode('ascii'), text.encode('ascii'), hashlib.sha256).hexdigest()


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
    digest = hashlib.sha256(body).hexdigest()
    signature = _hmac(key, method, path, guest, generation, time, sequence, digest)
    return '{} guest="{}", generation="{}", time="{}", sequence="{}", signature="{}"'.format(
        SCHEME, guest, generation, time, sequence, signature
    )


def reply_is_genuine(key: str, status: int, sequence: int, body: bytes, signature: str) -> bool:
    """Whether the reply comes from one who knows the key, to this very request."""
    expected = _hmac(key, 'reply', status, sequence, hashlib.sha256(body).hexdigest())
    return hmac.compare_digest(expected.encode(), signature.strip().encode('utf-8', 'replace'))
