"""Meters out: how the guests are, told to Gnocchi."""

from keystoneauth1.session import Session
from oslo_config import cfg

from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.db.database import Database
from aodh_ha.publishers.direct import DirectPublisher

__all__ = ['DirectPublisher', 'direct_publisher']


def direct_publisher(
    conf: cfg.ConfigOpts, database: Database, session: Session
) -> DirectPublisher | None:
    """The worker's own publisher; None where Ceilometer's central agent polls instead."""
    if conf.publisher.driver != 'gnocchi':
        return None
    gnocchi = Gnocchi(session, conf.gnocchi.region_name, conf.gnocchi.interface)
    # A gap of a lease is one in which another worker may have published, and counted.
    memory = max(conf.worker.lease, 2 * conf.publisher.interval)
    return DirectPublisher(database, gnocchi, memory)
