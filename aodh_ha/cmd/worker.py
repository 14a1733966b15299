"""``aodh-ha-worker``: carries out recoveries until it is told to stop."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha import enrolment, keys, notifier, opts, reconciler
from aodh_ha.callbacks import CallbackURLs
from aodh_ha.clients.aodh import Aodh
from aodh_ha.clients.cloud import OpenStack
from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.clients.session import call_limit, service_session
from aodh_ha.cmd import crash
from aodh_ha.db import Database
from aodh_ha.duties import Duty
from aodh_ha.enrolment import Enrolment
from aodh_ha.exceptions import AodhHAError
from aodh_ha.notifier import Notifier
from aodh_ha.publishers import direct_publisher
from aodh_ha.reconciler.leftovers import Leftovers
from aodh_ha.recovery.hooks import Hooks
from aodh_ha.worker import Worker, engine

LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Console entry point; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog='aodh-ha-worker',
        description='Carries out recoveries. SIGTERM stops it: what it '
        'holds is given back, and another worker goes on.',
    )
    parser.add_argument(
        '--config-file',
        metavar='FILE',
        action='append',
        default=[],
        help=f'default: AODH_HA_CONFIG_FILE or {opts.DEFAULT_FILE}',
    )
    parsed = parser.parse_args(argv)
    try:
        conf = opts.load([f'--config-file={f}' for f in parsed.config_file])
        opts.setup_logging(conf)
        session = service_session(conf)
        database = Database(conf.database.connection)
        cloud = OpenStack(conf, session)
        at = crash.boundary(os.environ)
        doing = engine(conf, database, cloud, call_limit=call_limit(session), at=at)
    except AodhHAError as e:
        sys.stderr.write(f'aodh-ha-worker: {e.title}: {e.detail}\n')
        return 1
    duties = _duties(conf, database, cloud, session)
    worker = Worker(conf, database, cloud, duties, engine=doing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    return 0


def _duties(
    conf: cfg.ConfigOpts, database: Database, cloud: OpenStack, session: Session
) -> list[Duty]:
    aodh = Aodh(session, conf.aodh.region_name, conf.aodh.interface)
    gnocchi = Gnocchi(session, conf.gnocchi.region_name, conf.gnocchi.interface)
    master_key = keys.load_master_key(conf.secrets.master_key_file, create=database.is_sqlite)
    urls = CallbackURLs(master_key, conf.webhook.public_url, conf.webhook.callback_lifetime)
    notifications = Notifier(conf, database, Hooks(conf))
    found = [
        Duty('enrolment', enrolment.INTERVAL, Enrolment(database, cloud).confirm),
        Duty('notifications', notifier.INTERVAL, notifications.deliver),
        *reconciler.duties(conf, database, cloud, aodh, urls, master_key),
        Duty('leftovers', reconciler.OFTEN, Leftovers(conf, database, gnocchi).clear),
    ]
    publisher = direct_publisher(conf, database, session)
    if publisher:
        found.append(Duty('publisher', conf.publisher.interval, publisher.publish_once))
    return found


if __name__ == '__main__':
    sys.exit(main())
