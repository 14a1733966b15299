"""CloudWatch's callers, signed by botocore's code and, as version 2, by the words of AWS."""

import base64
import datetime
import hashlib
import hmac
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from werkzeug.test import TestResponse

from tests.functional.http.service import Service

HOST = 'ha.example.org:8003'
FORM = 'application/x-www-form-urlencoded; charset=UTF-8'
NAMESPACE = '{http://monitoring.amazonaws.com/doc/2010-08-01/}'


def put(*metrics: tuple[str, Any], unit: str = 'Counter', **dimensions: str) -> dict[str, str]:
    """The parameters that cfn-push-stats sends."""
    params = {
        'Action': 'PutMetricData',
        'Version': '2010-08-01',
        'Namespace': 'system/linux',
    }
    for n, (name, value) in enumerate(metrics, 1):
        member = f'MetricData.member.{n}'
        params |= {
            f'{member}.MetricName': name,
            f'{member}.Unit': unit,
            f'{member}.Value': str(value),
        }
        for m, (key, text) in enumerate(dimensions.items(), 1):
            params[f'{member}.Dimensions.member.{m}.Name'] = key
            params[f'{member}.Dimensions.member.{m}.Value'] = text
    return params


@dataclass
class Caller:
    """An access key at the bridge's door."""

    service: Service
    access: str
    secret: str
    port: int = 8003

    def signed(
        self, params: dict[str, str], method: str = 'POST', path: str = '/v1/', ago: float = 0
    ) -> dict[str, Any]:
        """The arguments of a request, signed so many seconds ago by the service's clock."""
        at = datetime.datetime.fromtimestamp(self.service.clock() - ago, datetime.UTC)
        body = urlencode(params) if method == 'POST' else ''
        url = f'http://{HOST}{path}'
        request = AWSRequest(
            method,
            url,
            data=body,
            params=params if method == 'GET' else None,
            headers={'Content-Type': FORM} if body else {},
        )
        request.context['timestamp'] = at.strftime('%Y%m%dT%H%M%SZ')
        auth = SigV4Auth(Credentials(self.access, self.secret), 'monitoring', 'RegionOne')
        request.headers['X-Amz-Date'] = request.context['timestamp']
        request.headers['Host'] = HOST
        text = auth.string_to_sign(request, auth.canonical_request(request))
        auth._inject_signature_to_request(request, auth.signature(text, request))
        headers = dict(request.headers.items())
        return {
            'path': path,
            'method': method,
            'data': body,
            'query_string': urlencode(params, quote_via=quote) if method == 'GET' else '',
            'headers': headers,
            'base_url': f'http://ha.example.org:{self.port}',
        }

    def signed_v2(self, params: dict[str, str], path: str = '/v1/') -> dict[str, Any]:
        """As signed(), by version 2."""
        at = datetime.datetime.fromtimestamp(self.service.clock(), datetime.UTC)
        params = params | {
            'AWSAccessKeyId': self.access,
            'SignatureVersion': '2',
            'SignatureMethod': 'HmacSHA256',
            'Timestamp': at.strftime('%Y-%m-%dT%H:%M:%SZ'),
        }
        query = '&'.join(f'{quote(k, "")}={quote(params[k], "-_~")}' for k in sorted(params))
        text = '\n'.join(('POST', HOST, path, query))
        digest = hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).digest()
        return {
            'path': path,
            'method': 'POST',
            'data': urlencode(params | {'Signature': base64.b64encode(digest).decode()}),
            'headers': {'Content-Type': FORM, 'Host': HOST},
            'base_url': f'http://ha.example.org:{self.port}',
        }

    def send(self, request: dict[str, Any], **changes: Any) -> TestResponse:
        """The answer to a request, which is XML whatever it is."""
        answer = self.service.client.open(**(request | changes))
        well_formed(answer)
        return answer

    def call(self, params: dict[str, str], **more: Any) -> TestResponse:
        """Signed and sent."""
        return self.send(self.signed(params, **more))


def well_formed(answer: TestResponse) -> ET.Element:
    """The answer's root element."""
    assert answer.mimetype == 'text/xml', answer.get_data()[:300]
    return ET.fromstring(answer.get_data())  # noqa: S314 - what our own service wrote


def code(answer: TestResponse) -> tuple[int, str]:
    """Status and code of an error."""
    found = well_formed(answer).findtext(f'{NAMESPACE}Error/{NAMESPACE}Code')
    return answer.status_code, str(found)


def texts(answer: TestResponse, name: str) -> list[str]:
    """The texts of all elements of this name."""
    return [e.text or '' for e in well_formed(answer).iter(f'{NAMESPACE}{name}')]
