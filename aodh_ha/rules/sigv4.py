"""AWS signatures of requests, versions 4 and 2: what a request says of its own, and the HMACs.

Written to agree with Keystone's ec2tokens, which has the last word about a signature: see
keystoneclient.contrib.ec2.utils.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

V4, V2 = '4', '2'
ALGORITHM = 'AWS4-HMAC-SHA256'

_V4 = re.compile(
    r'AWS4-HMAC-SHA256 +Credential=(?P<credential>[^,\s]{1,400}), *'
    r'SignedHeaders=(?P<headers>[a-z0-9;-]{1,400}), *Signature=(?P<signature>[0-9a-f]{64})'
)
_CREDENTIAL = re.compile(
    r'(?P<access>[\w.+=-]{1,128})/(\d{8})/([^/\s]{1,64})/([^/\s]{1,64})/aws4_request'
)
_V2_SIGNATURE = re.compile(r'[A-Za-z0-9+/]{43}=')
_ACCESS = re.compile(r'[\w.+=-]{1,128}')
_DATE = re.compile(r'\d{8}T\d{6}Z')
# Boto before 2.9.3 signed a host without its port, and Keystone makes up for that.
_OLD_BOTO = re.compile(r'Boto/2\.[0-9]\.[0-2]')


class Unsigned(Exception):
    """The request has no signature of a kind that is taken; ``code`` is AWS's word for it"""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class Request:
    """A signed request. ``params`` are those of the query or of the form, never of both."""

    verb: str
    host: str
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    """As Keystone wants them: ``Authorization``, ``X-Amz-Date``, each word with a capital."""
    body_hash: str
    """Hex SHA-256 of the body."""


@dataclass(frozen=True)
class Claim:
    """Who a request says it is from, and when it was signed; not yet believed."""

    version: str
    access: str
    signature: str
    signed_at: float
    """Seconds since the epoch by the guest's clock."""

    @property
    def digest(self) -> str:
        """Names this signature: whatever else of a request changes, it is the same request."""
        text = '\n'.join((self.version, self.access, self.signature))
        return hashlib.sha256(text.encode()).hexdigest()


def read(request: Request) -> Claim:
    """What a request claims; raises Unsigned.

    Versions 0 and 1 are refused: they sign too little of a request. So are signatures in a URL:
    whoever sees the URL has them.
    """
    header = request.headers.get('Authorization', '')
    named = request.params.get('SignatureVersion')
    if header and named is None and 'Signature' not in request.params:
        return _read_v4(request, header)
    if header:
        raise Unsigned(
            'IncompleteSignature', 'a request is signed by its header, or by parameters; not both'
        )
    if named == V2:
        return _read_v2(request)
    if named is not None:
        raise Unsigned('IncompleteSignature', 'the signature must be of version 4 or 2')
    if 'X-Amz-Signature' in request.params or 'X-Amz-Algorithm' in request.params:
        raise Unsigned('IncompleteSignature', 'a signature in the URL is not taken; use the header')
    raise Unsigned(
        'MissingAuthenticationToken', 'sign the request with AWS signature version 4 or 2'
    )


def _read_v4(request: Request, header: str) -> Claim:
    found = _V4.fullmatch(header.strip())
    scope = _CREDENTIAL.fullmatch(found['credential']) if found else None
    if found is None or scope is None:
        raise Unsigned(
            'IncompleteSignature',
            f'Authorization must be {ALGORITHM} Credential=KEY/DATE/REGION/SERVICE/aws4_request, '
            'SignedHeaders=NAMES, Signature=HEX',
        )
    if 'host' not in found['headers'].split(';'):
        raise Unsigned('IncompleteSignature', 'the header host must be signed')
    date = request.headers.get('X-Amz-Date', '')
    at = _seconds(date) if _DATE.fullmatch(date) else None
    if at is None:
        raise Unsigned('IncompleteSignature', 'X-Amz-Date must have the form 20260131T235959Z')
    if not date.startswith(scope[2]):
        raise Unsigned('SignatureDoesNotMatch', 'X-Amz-Date has another day than the credential')
    return Claim(V4, scope['access'], found['signature'], at)


def _read_v2(request: Request) -> Claim:
    params = request.params
    access, signature = params.get('AWSAccessKeyId', ''), params.get('Signature', '')
    if params.get('SignatureMethod') != 'HmacSHA256':
        raise Unsigned('IncompleteSignature', 'SignatureMethod must be HmacSHA256')
    if not _ACCESS.fullmatch(access) or not _V2_SIGNATURE.fullmatch(signature):
        raise Unsigned('IncompleteSignature', 'AWSAccessKeyId and Signature must be given')
    at = _seconds(params.get('Timestamp', ''))
    if at is None:
        raise Unsigned('IncompleteSignature', 'Timestamp must have the form 2026-01-31T23:59:59Z')
    return Claim(V2, access, signature, at)


def _seconds(text: str) -> float | None:
    """A time in ISO 8601, in UTC where it names no zone."""
    try:
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def agrees(request: Request, claim: Claim, secret: str) -> bool:
    """Whether the claim's signature is made with this secret."""
    if claim.version == V4:
        good = [_sign_v4(request, secret)]
    else:
        without_port = request.host.rpartition(':')[0] or request.host
        good = [_sign_v2(request, secret, host) for host in (request.host, without_port)]
    return any(hmac.compare_digest(g.encode(), claim.signature.encode()) for g in good)


def _query(params: Mapping[str, str]) -> str:
    return '&'.join(f'{quote(k, safe="")}={quote(params[k], safe="-_~")}' for k in sorted(params))


def _sign_v2(request: Request, secret: str, host: str) -> str:
    params = {k: v for k, v in request.params.items() if k != 'Signature'}
    text = '\n'.join((request.verb, host, request.path, _query(params)))
    return base64.b64encode(_hmac(secret.encode(), text)).decode()


def _sign_v4(request: Request, secret: str) -> str:
    found = _V4.fullmatch(request.headers['Authorization'].strip())
    if found is None:
        return ''
    scope = found['credential'].split('/')[1:]
    known = {k.lower(): v.strip() for k, v in request.headers.items()}
    if _OLD_BOTO.match(known.get('user-agent', '')):
        known['host'] = known.get('host', '').split(':')[0]
    names = found['headers'].split(';')
    lines = [
        request.verb,
        request.path,
        # Of a POST the parameters are in the body, whose hash is signed.
        '' if request.verb == 'POST' else _query(request.params),
        *(f'{name}:{known[name]}' for name in names if name in known),
        '',
        found['headers'],
        request.body_hash,
    ]
    canonical = hashlib.sha256('\n'.join(lines).encode()).hexdigest()
    text = '\n'.join((ALGORITHM, request.headers['X-Amz-Date'], '/'.join(scope), canonical))
    key = f'AWS4{secret}'.encode()
    for part in scope:
        key = _hmac(key, part)
    return _hmac(key, text).hex()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
