"""Errors as an operator reads them: one line, what was wrong and what to do."""

import sys

from osc_lib.exceptions import CommandError

from aodh_ha.exceptions import AodhHAError

_CAUSES = ('connection refused', 'timed out', 'name or service not known', 'no route to host')


def explain(error: Exception) -> str | None:
    """An expected error as one line, title and detail; None for one that is a defect."""
    text = ' '.join(str(error).split())
    if isinstance(error, AodhHAError):
        return f'{error.title}: {" ".join(error.detail.split())}'
    if isinstance(error, CommandError):
        return text
    if isinstance(error, OSError) and error.filename:
        return f'{error.filename}: {error.strerror}'
    # Only what is loaded can have raised it; loading them to find out would take a second.
    ksa = sys.modules.get('keystoneauth1.exceptions')
    sdk = sys.modules.get('openstack.exceptions')
    if ksa and isinstance(error, ksa.Unauthorized):
        return f'Keystone refused the login: {text}'
    if ksa and isinstance(error, ksa.ConnectionError | ksa.DiscoveryFailure):
        where = text.partition(': ')[0]
        return (
            f'Keystone does not answer: {where} ({reason(error)}); '
            'check auth_url (--os-auth-url, OS_AUTH_URL)'
        )
    if ksa and isinstance(error, ksa.ClientException):
        return f'The login failed: {text}'
    if sdk and isinstance(error, sdk.ConfigException):
        hint = '; give --os-cloud, OS_* variables or --os-* options' if 'Missing' in text else ''
        return f'The settings of the login are not usable: {text.rstrip(".")}{hint}'
    return None


def reason(error: Exception) -> str:
    """The operating system's words in a connection error: the rest is layers of libraries."""
    text = str(error)
    for cause in _CAUSES:
        if cause in text.lower():
            return cause
    return text.rpartition(': ')[2].strip('()\'"')[:200] or type(error).__name__
