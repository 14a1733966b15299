"""Wait for the compute hosts. Without the SDK, whose import takes longer than all the rest."""

import sys
import time

import login

LIMIT = 120.0
"""Seconds until all compute hosts have to be there."""


def present(session):
    """Names of the hosts that are up and, being mapped to the cell, can be scheduled to."""

    def ask(path, key):
        return session.get(login.URLS['nova-api'] + '/v2.1' + path).json()[key]

    services = ask('/os-services?binary=nova-compute', 'services')
    up = {x['host'] for x in services if x['state'] == 'up'}
    return up & {x['hypervisor_hostname'] for x in ask('/os-hypervisors', 'hypervisors')}


def main():
    session = login.admin()
    end = time.monotonic() + LIMIT
    missing = set(login.HOSTS)
    while missing and time.monotonic() < end:
        missing = set(login.HOSTS) - present(session)
        time.sleep(0.3)
    if missing:
        sys.exit(f'not up within {LIMIT:.0f} s: {" ".join(sorted(missing))}')


if __name__ == '__main__':
    main()
