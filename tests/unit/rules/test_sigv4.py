"""Our way to compute a signature is Keystone's way."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keystoneclient.contrib.ec2.utils import Ec2Signer

from aodh_ha.rules import sigv4
from aodh_ha.rules.sigv4 import Request, Unsigned

DATE = '20261122T214718Z'
AT = 1795384038.0
SCOPE = '20261122/0/127/aws4_request'
TEXT = st.text(st.characters(codec='utf-8', exclude_characters='\r\n'), max_size=12)


def header(signature='0' * 64, names='host;x-amz-date', credential=f'AK/{SCOPE}'):
    return f'AWS4-HMAC-SHA256 Credential={credential},SignedHeaders={names},Signature={signature}'


def request(verb='POST', params=None, headers=None, **more):
    values = {
        'verb': verb,
        'host': 'ha.example.org:8003',
        'path': '/v1/',
        'params': params or {},
        'headers': {'Authorization': header(), 'X-Amz-Date': DATE, 'Host': 'ha.example.org:8003'}
        if headers is None
        else headers,
        'body_hash': hashlib.sha256(b'body').hexdigest(),
    }
    return Request(**(values | more))


def keystones(asked, secret, host=None):
    """The signature that Keystone computes."""
    credentials = {
        'params': {} if asked.verb == 'POST' and asked.headers else dict(asked.params),
        'verb': asked.verb,
        'host': host or asked.host,
        'path': asked.path,
        'headers': dict(asked.headers),
        'body_hash': asked.body_hash,
    }
    return Ec2Signer(secret).generate(credentials)


@settings(max_examples=50)
@given(
    st.sampled_from(['GET', 'POST']),
    st.dictionaries(TEXT, TEXT, max_size=4),
    st.sampled_from(['host;x-amz-date', 'host', 'content-type;host;x-amz-date', 'host;user-agent']),
    st.sampled_from(['Boto/2.49.0', 'Boto/2.9.1', 'x']),
    TEXT.filter(bool),
)
def test_version_4_is_what_keystone_computes(verb, params, names, agent, secret):
    params = {k: v for k, v in params.items() if not k.startswith(('Signature', 'X-Amz'))}
    headers = {
        'Authorization': header(names=names),
        'X-Amz-Date': DATE,
        'Host': 'ha.example.org:8003',
        'Content-Type': ' application/x ',
        'User-Agent': agent,
    }
    asked = request(verb, params, headers)
    good = keystones(asked, secret)
    signed = replace(asked, headers=headers | {'Authorization': header(good, names)})
    claim = sigv4.read(signed)
    assert (claim.access, claim.signed_at) == ('AK', AT)
    assert sigv4.agrees(signed, claim, secret)
    assert not sigv4.agrees(signed, claim, secret + 'x')
    assert not sigv4.agrees(replace(signed, body_hash='0' * 64), claim, secret)


@settings(max_examples=50)
@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=4), TEXT.filter(bool), st.booleans())
def test_version_2_is_what_keystone_computes(params, secret, port):
    params = params | {
        'AWSAccessKeyId': 'AK',
        'SignatureVersion': '2',
        'SignatureMethod': 'HmacSHA256',
        'Timestamp': '2026-11-22T21:47:18Z',
    }
    asked = request(params=params, headers={})
    good = keystones(asked, secret, asked.host if port else 'ha.example.org')
    signed = replace(asked, params=params | {'Signature': good})
    claim = sigv4.read(signed)
    assert (claim.access, claim.signed_at) == ('AK', AT)
    assert sigv4.agrees(signed, claim, secret)
    assert not sigv4.agrees(replace(signed, path='/v1'), claim, secret)


@pytest.mark.parametrize(
    ('changes', 'params', 'code'),
    [
        ({'Authorization': 'AWS4-HMAC-SHA256'}, {}, 'IncompleteSignature'),
        ({'Authorization': header(names='x-amz-date')}, {}, 'IncompleteSignature'),
        ({'Authorization': header(credential='AK/20261122/r/aws4_request')}, {}, 'Incomplete'),
        ({'Authorization': header('F' * 64)}, {}, 'IncompleteSignature'),
        ({'X-Amz-Date': '2026-11-22T21:47:18Z'}, {}, 'IncompleteSignature'),
        ({'X-Amz-Date': '20261322T214718Z'}, {}, 'IncompleteSignature'),
        ({'X-Amz-Date': '20261123T000000Z'}, {}, 'SignatureDoesNotMatch'),
        ({}, {'SignatureVersion': '2'}, 'IncompleteSignature'),
        ({'Authorization': ''}, {'SignatureVersion': '0'}, 'IncompleteSignature'),
        ({'Authorization': ''}, {'SignatureVersion': '1'}, 'IncompleteSignature'),
        ({'Authorization': ''}, {'X-Amz-Signature': '0' * 64}, 'IncompleteSignature'),
        ({'Authorization': ''}, {}, 'MissingAuthenticationToken'),
    ],
)
def test_what_is_no_signature(changes, params, code):
    asked = request(params=params)
    with pytest.raises(Unsigned) as raised:
        sigv4.read(replace(asked, headers=asked.headers | changes))
    assert raised.value.code.startswith(code)
