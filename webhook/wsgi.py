"""For gunicorn: ``gunicorn -c python:webhook.gunicorn_conf 'webhook.wsgi:create()'``."""

from flask import Flask

from aodh_ha import opts
from webhook.app import create_app
from webhook.probe import Probe


def create() -> Flask:
    """The application by AODH_HA_CONFIG_FILE or /etc/aodh-ha/aodh-ha.conf."""
    conf = opts.load()
    opts.setup_logging(conf)
    probe = Probe(conf.webhook.host, conf.webhook.port)
    bridge = Probe(conf.cloudwatch.host, conf.cloudwatch.port, 'cloudwatch')
    app = create_app(conf, reachable=probe, bridge_reachable=bridge)
    probe.start()
    if conf.cloudwatch.enabled:
        bridge.start()
    return app
