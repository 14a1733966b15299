"""Gunicorn's settings by aodh-ha's configuration.

``gunicorn -c python:webhook.gunicorn_conf 'webhook.wsgi:create()'``
"""

from aodh_ha import opts

_conf = opts.load()


def _address(host: str, port: int) -> str:
    # An IPv6 address stands in brackets.
    return f'[{host}]:{port}' if ':' in host else f'{host}:{port}'


bind = [_address(str(_conf.webhook.host), _conf.webhook.port)]
if _conf.cloudwatch.enabled:
    bind.append(_address(str(_conf.cloudwatch.host), _conf.cloudwatch.port))
# One process: a beat's sequence is then checked against those that wait to be written.
# Threads carry the load; several hosts share it.
workers = 1
worker_class = 'webhook.workers.Worker'
threads = _conf.webhook.threads
timeout = 30
graceful_timeout = 10
keepalive = 30
# No access log: the path of a callback is its credential.
accesslog = None
control_socket_disable = True
