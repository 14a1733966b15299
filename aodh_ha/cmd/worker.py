"""``aodh-ha-worker``: carries out recoveries until it is told to stop."""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from aodh_ha import enrolment, opts
from aodh_ha.clients.cloud import OpenStack
from aodh_ha.clients.session import call_limit, service_session
from aodh_ha.cmd import crash
from aodh_ha.db import Database
from aodh_ha.duties import Duty
from aodh_ha.enrolment import Enrolment
from aodh_ha.exceptions import AodhHAError
from aodh_ha.publishers import direct_publisher
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
    publisher = direct_publisher(conf, database, session)
    duties = [Duty('enrolment', enrolment.INTERVAL, Enrolment(database, cloud).confirm)]
    if publisher:
        duties.append(Duty('publisher', conf.publisher.interval, publisher.publish_once))
    worker = Worker(conf, database, cloud, duties, engine=doing)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
