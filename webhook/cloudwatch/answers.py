"""The XML that CloudWatch's clients read."""

from collections.abc import Iterable, Mapping
from typing import TypeAlias
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

XMLNS = 'http://monitoring.amazonaws.com/doc/2010-08-01/'

RETRY_AFTER = '5'
"""Seconds, sent with every 503."""

STATUS = {
    'AccessDenied': 403,
    'IncompleteSignature': 400,
    'InternalFailure': 500,
    'InvalidAction': 400,
    'InvalidClientTokenId': 403,
    'InvalidParameterCombination': 400,
    'InvalidParameterValue': 400,
    'MalformedQueryString': 400,
    'MethodNotAllowed': 405,
    'MissingAction': 400,
    'MissingAuthenticationToken': 403,
    'MissingParameter': 400,
    'NotFound': 404,
    'RequestExpired': 400,
    'RequestLimitExceeded': 413,
    'RequestTimeout': 408,
    'ResourceNotFound': 404,
    'ServiceUnavailable': 503,
    'SignatureDoesNotMatch': 403,
}
"""AWS's words for errors, and the status of each; where Heat had the same, its status."""

Node: TypeAlias = 'str | float | Mapping[str, Node] | Iterable[Node]'
"""Text, elements by name, or a list, whose elements are ``member`` in CloudWatch's answers."""


def result(action: str, request_id: str, content: Mapping[str, Node] | None = None) -> Response:
    """The answer to an action that was carried out."""
    body: dict[str, Node] = {} if content is None else {f'{action}Result': content}
    body['ResponseMetadata'] = {'RequestId': request_id}
    return _response(200, f'{action}Response', body, request_id)


def error(code: str, detail: str, request_id: str) -> Response:
    """The answer to a request that was not carried out; see STATUS for the codes."""
    status = STATUS[code]
    kind = 'Receiver' if status >= 500 else 'Sender'
    fault = {'Type': kind, 'Code': code, 'Message': detail}
    response = _response(
        status, 'ErrorResponse', {'Error': fault, 'RequestId': request_id}, request_id
    )
    if status == 503:
        response.headers['Retry-After'] = RETRY_AFTER
    return response


def _response(status: int, name: str, content: Mapping[str, Node], request_id: str) -> Response:
    declaration = '<?xml version="1.0" encoding="UTF-8"?>'
    text = f'{declaration}\n<{name} xmlns="{XMLNS}">{_xml(content)}</{name}>\n'
    response = Response(text, status, mimetype='text/xml')
    response.headers['X-Openstack-Request-Id'] = request_id
    response.headers['x-amzn-RequestId'] = request_id
    return response


def _xml(node: Node) -> str:
    if isinstance(node, str):
        return escape(''.join(c if _allowed(c) else '\ufffd' for c in node))
    if isinstance(node, (int, float)):
        return repr(node)
    if isinstance(node, Mapping):
        return ''.join(f'<{name}>{_xml(value)}</{name}>' for name, value in node.items())
    return ''.join(f'<member>{_xml(each)}</member>' for each in node)


def _allowed(character: str) -> bool:
    """Whether XML 1.0 has the character at all: most of the control characters it has not."""
    return character in '\t\n\r' or (
        ' ' <= character <= '\ud7ff' or '\ue000' <= character <= '\ufffd' or character > '\uffff'
    )
