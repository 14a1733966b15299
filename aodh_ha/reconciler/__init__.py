"""The reconciler: compares what is with what should be, so that nothing hangs on one message.

Duties, each under a lease of its own, so that a part of the cloud that does not answer keeps
only its own part waiting.
"""

import time
from collections.abc import Callable

from oslo_config import cfg

from aodh_ha.callbacks import CallbackURLs
from aodh_ha.clients.aodh import Aodh
from aodh_ha.db import Database, cloudwatch, watches
from aodh_ha.duties import Duty
from aodh_ha.reconciler.alarms import Alarms
from aodh_ha.reconciler.credentials import CHECK, Credentials
from aodh_ha.reconciler.enrolling import Enrolling
from aodh_ha.reconciler.housekeeping import Housekeeping
from aodh_ha.reconciler.incidents import Incidents
from aodh_ha.reconciler.marks import Marks
from aodh_ha.reconciler.watching import Watching
from aodh_ha.reconciler.whereabouts import Whereabouts
from aodh_ha.recovery.cloud import Cloud

OFTEN = 10.0
"""Seconds between two looks at what cannot wait for a whole round."""

HOUSEKEEPING = 600.0


def duties(
    conf: cfg.ConfigOpts,
    database: Database,
    cloud: Cloud,
    aodh: Aodh,
    urls: CallbackURLs,
    master_key: bytes,
    clock: Callable[[], float] = time.time,
) -> list[Duty]:
    """What a worker does besides recoveries, to be given to it; ``urls`` for alarms it creates."""
    every: float = conf.worker.reconcile_interval
    often = min(every, OFTEN)
    return [
        Duty('reconciler', every, Alarms(conf, database, aodh).reconcile),
        Duty('watching', often, Watching(database, aodh, urls, clock).look),
        Duty('whereabouts', often, Whereabouts(conf, database, cloud, aodh, clock).look),
        Duty('incidents', often, Incidents(conf, database, cloud).reconcile),
        Duty('enrolment_rules', every, Enrolling(conf, database, cloud, master_key, clock).look),
        Duty('service_failures', often, _service_failures(conf, database)),
        Duty('marks', often, Marks(conf, database, cloud, master_key, clock).take_back),
        Duty('credentials', CHECK, Credentials(conf, database, cloud, master_key, clock).check),
        Duty('housekeeping', HOUSEKEEPING, Housekeeping(conf, database).prune),
    ]


def _service_failures(conf: cfg.ConfigOpts, database: Database) -> Callable[[float], int]:
    """What was told to the CloudWatch bridge counts no more after a while, without another word
    of the guest."""
    period: float = conf.cloudwatch.failure_period

    def settle(now: float) -> int:
        done = database.run(lambda c: cloudwatch.settle_all(c, now, period))
        return done + database.run(lambda c: watches.settle_all(c, now))

    return settle
