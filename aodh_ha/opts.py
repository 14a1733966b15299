"""Configuration: options of oslo.config, loaded into an object that is passed, never global."""

import os
import pathlib
import socket
from collections.abc import Sequence
from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_log import log

from aodh_ha.exceptions import ConfigurationError

DEFAULT_FILE = '/etc/aodh-ha/aodh-ha.conf'
SERVICE_GROUP = 'service_credentials'

database_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'connection',
        default='sqlite:////var/lib/aodh-ha/aodh-ha.sqlite',
        secret=True,
        help='SQLAlchemy URL: sqlite:////path, postgresql+psycopg://… or mysql+pymysql://… '
        '(SQLite only while everything runs on one host).',
    ),
]

secrets_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'master_key_file',
        default='/var/lib/aodh-ha/master.key',
        help="File with the key from which guests' keys and callback URLs are derived; made, "
        'readable by its owner only, when it is absent. The same on every host.',
    ),
]

webhook_opts: list[cfg.Opt] = [
    cfg.HostAddressOpt('host', default='127.0.0.1', help='Address to listen on.'),
    cfg.PortOpt('port', default=8787, help='Port to listen on.'),
    cfg.URIOpt(
        'public_url',
        default='http://127.0.0.1:8787',
        schemes=['http', 'https'],
        help='Where Aodh and the guests reach this service, without /v1.',
    ),
    cfg.IntOpt('threads', default=32, min=2, max=1000, help='Request threads of the process.'),
    cfg.FloatOpt(
        'clock_skew',
        default=300.0,
        min=1,
        help="Seconds that a guest's clock may differ; only for freshness, times are ours.",
    ),
    cfg.FloatOpt(
        'callback_lifetime',
        default=0.0,
        min=0,
        help='Seconds after which a callback URL expires; 0: with its alarm.',
    ),
]

worker_opts: list[cfg.Opt] = [
    cfg.IntOpt('concurrency', default=8, min=1, max=256, help='Recoveries at once.'),
    cfg.FloatOpt('lease', default=15.0, min=3, help='Seconds; renewed every third of it.'),
    cfg.FloatOpt('poll', default=0.5, min=0.1, help='Seconds between two looks at the queue.'),
    cfg.StrOpt('name', default=socket.gethostname(), help='Shown as the holder of leases.'),
]

publisher_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'driver',
        default='gnocchi',
        choices=[
            ('gnocchi', 'the worker writes to Gnocchi directly'),
            ('ceilometer', "Ceilometer's central agent polls; the worker writes nothing"),
        ],
        help='Which way the meters go.',
    ),
    cfg.FloatOpt('interval', default=5.0, min=1, help='Seconds between two writes.'),
]


def _endpoint_opts() -> list[cfg.Opt]:
    return [
        cfg.StrOpt('region_name', help='Region in the catalog.'),
        cfg.StrOpt(
            'interface',
            default='internal',
            choices=['public', 'internal', 'admin'],
            help='Interface in the catalog.',
        ),
    ]


GROUPS: dict[str, list[cfg.Opt]] = {
    'database': database_opts,
    'secrets': secrets_opts,
    'webhook': webhook_opts,
    'worker': worker_opts,
    'publisher': publisher_opts,
    'nova': _endpoint_opts(),
    'gnocchi': _endpoint_opts(),
}


def list_opts() -> list[tuple[str, list[Any]]]:
    """For oslo-config-generator."""
    service = loading.get_auth_common_conf_options() + loading.get_session_conf_options()
    return [*GROUPS.items(), (SERVICE_GROUP, service)]


def load(args: Sequence[str] | None = None) -> cfg.ConfigOpts:
    """The configuration from command line, files and environment.

    ``args`` are oslo.config's own (``--config-file F``). Without one, AODH_HA_CONFIG_FILE or
    /etc/aodh-ha/aodh-ha.conf is read, where it exists. Raises ConfigurationError.
    """
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    for group, options in GROUPS.items():
        conf.register_opts(options, group=group)
    loading.register_auth_conf_options(conf, SERVICE_GROUP)
    loading.register_session_conf_options(conf, SERVICE_GROUP)
    file = os.environ.get('AODH_HA_CONFIG_FILE', DEFAULT_FILE)
    default = [file] if pathlib.Path(file).exists() else []
    if not default and 'AODH_HA_CONFIG_FILE' in os.environ:
        raise ConfigurationError(f'AODH_HA_CONFIG_FILE names {file}, which does not exist')
    try:
        conf(
            list(args or []),
            project='aodh-ha',
            default_config_files=default,
            default_config_dirs=[],
        )
        for group, options in GROUPS.items():
            for option in options:
                getattr(conf[group], option.dest)  # a bad value is told now, not at first use
    except (cfg.Error, ValueError) as e:
        raise ConfigurationError(str(e)) from None
    return conf


def setup_logging(conf: cfg.ConfigOpts) -> None:
    """oslo.log by the configuration; the clients' own chatter only when debugging."""
    quiet = [
        'keystoneauth=WARNING',
        'urllib3=WARNING',
        'keystonemiddleware=WARNING',
        'novaclient=WARNING',
        'alembic=WARNING',
        'oslo_policy=WARNING',
        'stevedore=WARNING',
    ]
    log.set_defaults(default_log_levels=quiet)
    log.setup(conf, 'aodh-ha')
