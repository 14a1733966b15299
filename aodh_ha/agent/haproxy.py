"""HAProxy's statistics, by the names that cfn-push-stats gave them.

The counters are HAProxy's own: they count from its start.
"""

import socket
import time

TIMEOUT = 5.0  # seconds for all of it
LIMIT = 1 << 20  # bytes of statistics that are read
FRONTEND, BACKEND, SERVER = '0', '1', '2'
COUNTED = {
    FRONTEND: {
        'req_tot': 'RequestCount',
        'hrsp_4xx': 'HTTPCode_ELB_4XX',
        'hrsp_5xx': 'HTTPCode_ELB_5XX',
    },
    BACKEND: {
        'hrsp_2xx': 'HTTPCode_Backend_2XX',
        'hrsp_3xx': 'HTTPCode_Backend_3XX',
        'hrsp_4xx': 'HTTPCode_Backend_4XX',
        'hrsp_5xx': 'HTTPCode_Backend_5XX',
    },
}


def statistics(where: str) -> 'list[dict[str, object]]':
    """The metrics of the HAProxy whose stats socket (a path) or stats page (a URL) this is.

    Raises OSError, also when it does not answer in time, or ValueError when that is no HAProxy.
    """
    return parse(fetch(where))


def fetch(where: str) -> str:
    """`show stat` in CSV, from the socket or, with ;csv, from the page."""
    if '://' not in where:
        return _from_socket(where)
    from .transport import TransportError, exchange, shown

    url = where if where.endswith(';csv') else where + ';csv'
    try:
        reply = exchange('GET', url, timeout=TIMEOUT, limit=LIMIT, proxied=False)
    except TransportError as e:
        raise OSError('{}: {}'.format(shown(where), e)) from e
    if reply.status != 200:
        raise OSError('{}: HTTP {}'.format(shown(where), reply.status))
    return reply.body.decode('utf-8', 'replace')


def _from_socket(path: str) -> str:
    until = time.monotonic() + TIMEOUT
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(TIMEOUT)
        try:
            s.connect(path)
        except OSError as e:
            raise OSError('{}: {}'.format(path, e.strerror or e)) from e
        s.sendall(b'show stat\n')
        data = b''
        while len(data) < LIMIT:
            s.settimeout(max(0.01, until - time.monotonic()))
            more = s.recv(65536)
            if not more:
                break
            data += more
    return data.decode('utf-8', 'replace')


def parse(text: str) -> 'list[dict[str, object]]':
    """HAProxy's CSV in metrics: sums over all proxies, the latency of the slowest check.

    A server that is not checked is used by HAProxy, and counts as healthy; one in maintenance
    or drained was taken out by somebody, and counts as neither.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].startswith('# pxname,'):
        raise ValueError('that is not the CSV of HAProxy: {!r}'.format(text[:40]))
    columns = lines[0][2:].split(',')
    counts = {}  # type: dict[str, int]
    latency = 0.0
    healthy = unhealthy = 0
    for line in lines[1:]:
        row = dict(zip(columns, line.split(',')))
        kind = row.get('type', '')
        for column, name in COUNTED.get(kind, {}).items():
            if row.get(column, '').isdigit():
                counts[name] = counts.get(name, 0) + int(row[column])
        if row.get('check_duration', '').isdigit():
            latency = max(latency, int(row['check_duration']) / 1000.0)
        if kind == SERVER:
            status = row.get('status', '')
            healthy += status.startswith(('UP', 'no check'))
            unhealthy += status.startswith(('DOWN', 'NOLB'))
    found = [_metric(name, count, 'Counter') for name, count in counts.items()]
    found.append(_metric('Latency', latency, 'Seconds'))
    found.append(_metric('HealthyHostCount', healthy, 'Counter'))
    found.append(_metric('UnHealthyHostCount', unhealthy, 'Counter'))
    return found


def _metric(name: str, value: float, unit: str) -> 'dict[str, object]':
    return {'name': name, 'value': value, 'unit': unit}
