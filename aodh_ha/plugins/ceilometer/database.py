"""aodh-ha's database, as Ceilometer's agents are told of it."""

from typing import Any

from oslo_config import cfg

from aodh_ha.db.database import Database
from aodh_ha.exceptions import ConfigurationError

GROUP = 'aodh_ha'

OPTS = [
    cfg.StrOpt(
        'connection',
        secret=True,
        help="SQLAlchemy URL of aodh-ha's database: what its own configuration says under "
        '[database] connection. SQLite only while the agent runs on the same host.',
    ),
]


def connection(conf: Any) -> str:
    """The database's URL from ceilometer.conf; raises ConfigurationError."""
    conf.register_opts(OPTS, group=GROUP)
    url = conf[GROUP].connection
    if not url:
        raise ConfigurationError(
            f"[{GROUP}] connection is missing in ceilometer.conf; set it to aodh-ha's "
            '[database] connection'
        )
    return str(url)


def open_database(conf: Any) -> Database:
    """The database; raises ConfigurationError. Nothing is opened yet, so it survives a fork."""
    return Database(connection(conf))
