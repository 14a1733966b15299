"""``aodh-ha-worker``: carries out recoveries until it is told to stop."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence

from aodh_ha import enrolment, opts
from aodh_ha.clients.nova import Nova
from aodh_ha.clients.session import service_session
from aodh_ha.db import Database
from aodh_ha.duties import Duty
from aodh_ha.enrolment import Enrolment
from aodh_ha.exceptions import AodhHAError
from aodh_ha.publishers import direct_publisher
from aodh_ha.worker import Worker

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
    except AodhHAError as e:
        sys.stderr.write(f'aodh-ha-worker: {e.title}: {e.detail}\n')
        return 1
    nova = Nova(session, conf.nova.region_name, conf.nova.interface)
    publisher = direct_publisher(conf, database, session)
    duties = [Duty('enrolment', enrolment.INTERVAL, Enrolment(database, nova).confirm)]
    if publisher:
        duties.append(Duty('publisher', conf.publisher.interval, publisher.publish_once))
    worker = Worker(conf, database, nova, duties)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run()
    return 0


if __name__ == '__main__':
    sys.exit(main())
