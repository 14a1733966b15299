"""The environment variables of the services."""

import os

from cloud.settings import HOME, REPO, Settings

_DROPPED = ('http_proxy', 'https_proxy', 'all_proxy', 'pythonpath', 'pythonhome', 'virtual_env')


def environment(s: Settings) -> dict[str, str]:
    """The caller's environment without what would lead a service astray, plus devcloud's."""
    env = {
        k: v
        for k, v in os.environ.items()
        if not k.startswith(('OS_', 'DEVCLOUD_', 'AODH_HA_')) and k.lower() not in _DROPPED
    }
    env.update(
        PATH=f'{s.bin}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        HOME=str(s.data),
        TMPDIR=str(s.data / 'tmp'),
        LC_ALL='C.UTF-8',
        PYTHONUNBUFFERED='1',
        PYTHONWARNINGS='ignore',
        OS_KEYSTONE_CONFIG_DIR=str(s.etc / 'keystone'),
        OS_PLACEMENT_CONFIG_DIR=str(s.etc / 'placement'),
        OS_GLANCE_CONFIG_DIR=str(s.etc / 'glance'),
        OS_NOVA_CONFIG_DIR=str(s.etc / 'nova'),
        AODH_HA_CONFIG_FILE=str(s.etc / 'aodh-ha' / 'aodh-ha.conf'),
        # The compute driver and the Cinder driver find the guests and volumes by these.
        DEVCLOUD_STATE=str(s.state),
        DEVCLOUD_HOME=str(HOME),
        DEVCLOUD_PORT=str(s.port),
        DEVCLOUD_REPO=str(REPO),
        DEVCLOUD_VENV=str(s.venv),
    )
    return env


def rabbitmq_environment(s: Settings) -> dict[str, str]:
    """RabbitMQ takes most of its settings from variables; it shares nothing with Debian's own."""
    folder = s.data / 'rabbitmq'
    return environment(s) | {
        'HOME': str(folder),
        'RABBITMQ_NODENAME': 'devcloud@localhost',
        'RABBITMQ_DIST_PORT': str(s.port_of('rabbitmq-dist')),
        'RABBITMQ_MNESIA_BASE': str(folder),
        'RABBITMQ_LOG_BASE': str(folder),
        'RABBITMQ_LOGS': '-',
        'RABBITMQ_PID_FILE': str(folder / 'pid'),
        'RABBITMQ_CONF_ENV_FILE': str(folder / 'none'),
        'RABBITMQ_CONFIG_FILE': str(s.etc / 'rabbitmq' / 'rabbitmq.conf'),
        'RABBITMQ_ENABLED_PLUGINS_FILE': str(folder / 'plugins'),
        'RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS': (
            '-kernel inet_dist_use_interface {127,0,0,1} +S 2:2 +sbwt none'
        ),
        'ERL_EPMD_ADDRESS': '127.0.0.1',
        'ERL_EPMD_PORT': str(s.port_of('epmd')),
    }
