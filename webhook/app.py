"""The Flask application."""

import atexit
import time
from collections.abc import Callable

from flask import Flask, Response, g, jsonify
from oslo_config import cfg

from aodh_ha import __version__, keys
from aodh_ha.callbacks import CallbackURLs
from aodh_ha.db import Database
from aodh_ha.exceptions import DatabaseAway
from webhook import auth, errors
from webhook.cloudwatch.door import open_bridge
from webhook.intake import Intake
from webhook.lookup import Lookup
from webhook.pace import Pace
from webhook.refusals import Refusals
from webhook.state import State, state
from webhook.v1 import (
    alarms,
    credentials,
    enrolment_rules,
    guests,
    heartbeats,
    incidents,
    policies,
    recoveries,
    silences,
    vendordata,
    watches,
)

MAX_BODY = 128 * 1024
"""Bytes; a policy is the largest thing that is sent. The guests' and Aodh's doors allow less."""


def create_app(
    conf: cfg.ConfigOpts,
    clock: Callable[[], float] = time.time,
    reachable: Callable[[], bool] = lambda: True,
    bridge_reachable: Callable[[], bool] = lambda: True,
) -> Flask:
    """The application, by this configuration; raises ConfigurationError.

    The database may be away: then everything answers 503 until it is back. ``reachable``
    tells whether requests get through to us; only then do we count as listening.
    ``bridge_reachable`` likewise to the CloudWatch bridge's port.
    """
    database = Database(conf.database.connection)
    # On several hosts each would make a key of its own.
    master_key = keys.load_master_key(conf.secrets.master_key_file, create=database.is_sqlite)
    # The prefix keeps a host called ceilometer from being taken for Ceilometer's agent.
    name = f'webhook:{conf.worker.name}:{conf.webhook.port}'
    intake = Intake(database, name, clock, reachable)
    refusals = Refusals(database, clock)
    urls = CallbackURLs(master_key, conf.webhook.public_url, conf.webhook.callback_lifetime, clock)
    app = Flask('webhook')
    app.config['MAX_CONTENT_LENGTH'] = MAX_BODY
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.extensions['aodh_ha'] = State(
        *(conf, database, master_key, urls, intake, refusals, clock, Lookup(database, clock)),
        pace=Pace(conf.webhook.heartbeat_rate),
    )
    app.extensions['aodh_ha_policy'] = auth.policy_enforcer(conf)
    errors.register(app)
    operators = (alarms, credentials, watches, guests, policies, recoveries, silences, incidents)
    for module in (heartbeats, vendordata, enrolment_rules, *operators):
        app.register_blueprint(module.blueprint, url_prefix='/v1')
    app.add_url_rule('/healthz', view_func=healthz)
    app.after_request(_name_request)
    app.wsgi_app = auth.OperatorsDoor(app.wsgi_app, conf)  # type: ignore[method-assign]
    if conf.cloudwatch.enabled:
        doors, listening = open_bridge(app, app.extensions['aodh_ha'], bridge_reachable)
        app.wsgi_app = doors  # type: ignore[method-assign]
        listening.start()
        atexit.register(listening.close)
        app.extensions['aodh_ha_bridge'] = listening
    intake.start()
    atexit.register(intake.close)
    refusals.start()
    atexit.register(refusals.close)
    return app


def healthz() -> Response:
    """200 while heartbeats and callbacks can be kept, else 503."""
    broken = state().intake.broken
    if broken:
        raise DatabaseAway(broken)
    return jsonify({'status': 'ok', 'version': __version__})


def _name_request(response: Response) -> Response:
    response.headers['X-Openstack-Request-Id'] = g.get('request_id') or errors.request_id()
    return response
