#!/usr/bin/env python3
"""aodh-ha's hook `fence` in devcloud: the host is dead for certain, and Nova knows it.

    fence.py STATE

AODH_HA_HOST names the host. Its nova-compute and guests are killed, then its compute service is
forced down: the order matters, for an evacuation may begin as soon as Nova believes it.
"""

import json
import os
import pathlib
import sys
import urllib.request

sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
from cloud.settings import PASSWORD, Settings, load  # noqa: E402
from guests import faults  # noqa: E402

LIMIT = 20.0
"""Seconds a service has to answer."""


def ask(method: str, url: str, body: object, token: str = '') -> tuple[object, str]:
    """The JSON answer and, from Keystone, the token."""
    request = urllib.request.Request(
        url,
        json.dumps(body).encode() if body else None,
        {
            'Content-Type': 'application/json',
            'X-Auth-Token': token,
            'OpenStack-API-Version': 'compute 2.53',
        },
        method=method,
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=LIMIT) as answer:
        return json.load(answer), answer.headers.get('X-Subject-Token', '')


def log_in(s: Settings) -> str:
    domain = {'name': 'Default'}
    user = {'name': 'admin', 'domain': domain, 'password': PASSWORD}
    auth = {
        'identity': {'methods': ['password'], 'password': {'user': user}},
        'scope': {'project': {'name': 'admin', 'domain': domain}},
    }
    return ask('POST', f'{s.auth_url}/auth/tokens', {'auth': auth})[1]


def force_down(s: Settings, host: str) -> None:
    services = f'{s.url("nova-api")}/v2.1/os-services'
    token = log_in(s)
    found = ask('GET', f'{services}?binary=nova-compute&host={host}', None, token)[0]
    for service in found['services']:  # type: ignore[index]
        ask('PUT', f'{services}/{service["id"]}', {'forced_down': True}, token)


def main() -> None:
    host = os.environ.get('AODH_HA_HOST', '')
    settings = load({'DEVCLOUD_STATE': sys.argv[1]})
    if host not in settings.hosts:
        sys.exit(f'AODH_HA_HOST: {host!r} is none of {" ".join(settings.hosts)}')
    killed = faults.host_dies(settings.state, host)
    force_down(settings, host)
    print(f'{host}: {killed} guests killed, forced down')


if __name__ == '__main__':
    main()
