"""The services: how each is started and how it shows that it is ready."""

import dataclasses
import os
import pwd
from collections.abc import Mapping

from cloud.environment import environment, rabbitmq_environment
from cloud.settings import HOME, PASSWORD, Settings


@dataclasses.dataclass(frozen=True)
class Service:
    """One process group. `path` is asked by HTTP; without it an open port is enough."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    port: int | None = None
    path: str | None = None


_WSGI = {
    'keystone': ('from keystone.wsgi.api import application', []),
    'placement-api': ('from placement.wsgi.api import application', []),
    'glance-api': ('from glance.wsgi.api import application', []),
    'neutron-api': (
        'from neutron.wsgi.api import application',
        ['neutron/neutron.conf', 'neutron/ml2_conf.ini'],
    ),
    'nova-api': ('from nova.wsgi.osapi_compute import application', []),
    'nova-metadata': ('from nova.wsgi.metadata import application', []),
    'cinder-api': ('from cinder.wsgi.api import application', ['cinder/cinder.conf']),
    'heat-api': ('from heat.wsgi.api import application', ['heat/heat.conf']),
    'heat-api-cfn': ('from heat.wsgi.cfn import application', ['heat/heat.conf']),
    'gnocchi-api': ('from gnocchi.wsgi.api import application', ['gnocchi/gnocchi.conf']),
    'aodh-api': (
        'from aodh.api import app\napplication = app.build_wsgi_app(sys.argv[1:])',
        ['aodh/aodh.conf'],
    ),
}


_AT_ONCE = {
    # Keystone 30 keeps a request's token in its middleware, which all threads share: with two
    # requests at once one of them is sometimes judged by the other's (seen as a 403 to Heat).
    'keystone': ('--workers=3', '--worker-class=sync'),
}
"""How an API takes several requests at once, where it is not by threads."""


def _module(api: str) -> str:
    return 'devcloud_' + api.replace('-', '_')


def wsgi_modules(s: Settings) -> dict[str, str]:
    """Source of one small module an API: most projects read sys.argv when they are imported."""
    modules = {}
    for api, (source, files) in _WSGI.items():
        argv = [api] + [x for f in files for x in ('--config-file', str(s.etc / f))]
        modules[f'{_module(api)}.py'] = f'import sys\n\nsys.argv = {argv!r}\n{source}\n'
    return modules


def queue(s: Settings) -> list[Service]:
    """RabbitMQ, and Erlang's port mapper, which it would otherwise start on a common port."""
    rabbit = rabbitmq_environment(s)
    port = s.port_of('epmd')
    epmd = ('/usr/bin/epmd', '-address', '127.0.0.1', '-port', str(port))
    server = ('/usr/lib/rabbitmq/bin/rabbitmq-server',)
    return [
        Service('epmd', epmd, rabbit, port),
        Service('rabbitmq', server, rabbit, s.port_of('rabbitmq')),
    ]


def mariadb(s: Settings) -> Service:
    folder = s.data / 'mysql'
    command = (
        '/usr/sbin/mariadbd',
        '--no-defaults',
        f'--user={pwd.getpwuid(os.geteuid()).pw_name}',
        f'--datadir={folder}',
        f'--socket={s.data}/mysql.sock',
        f'--pid-file={folder}/pid',
        '--bind-address=127.0.0.1',
        f'--port={s.port_of("mariadb")}',
        '--max-connections=1000',
        '--innodb-buffer-pool-size=256M',
        # A power cut may lose a second: nobody's data is here.
        '--innodb-flush-log-at-trx-commit=0',
        '--sync-binlog=0',
        '--skip-log-bin',
        '--skip-name-resolve',
        '--character-set-server=utf8mb4',
        '--performance-schema=OFF',
    )
    return Service('mariadb', command, environment(s), s.port_of('mariadb'))


def apis(s: Settings) -> list[Service]:
    return [
        Service(
            api,
            (
                str(s.bin / 'gunicorn'),
                f'--bind=127.0.0.1:{s.port_of(api)}',
                *_AT_ONCE.get(api, ('--workers=1', '--worker-class=gthread', '--threads=8')),
                '--timeout=180',
                '--graceful-timeout=3',
                f'--worker-tmp-dir={s.data}/tmp',
                # Longer than any client is idle: one that asks while its connection is being
                # closed sees it reset (2 of 370 requests after 5 s, on a busy machine).
                '--keep-alive=300',
                f'--name=devcloud-{api}',
                f'--pythonpath={s.apps}',
                '--no-control-socket',
                f'{_module(api)}:application',
            ),
            environment(s),
            s.port_of(api),
            '/',
        )
        for api in _WSGI
    ]


def daemons(s: Settings) -> list[Service]:
    """Services of the control plane and the compute hosts that need nothing but the APIs."""
    commands = {
        'nova-conductor': ['nova-conductor', 'nova/nova.conf'],
        'nova-scheduler': ['nova-scheduler', 'nova/nova.conf'],
        **{f'nova-compute-{h}': ['nova-compute', f'nova/nova-{h}.conf'] for h in s.hosts},
        'cinder-scheduler': ['cinder-scheduler', 'cinder/cinder.conf'],
        'cinder-volume': ['cinder-volume', 'cinder/cinder.conf'],
        'heat-engine': ['heat-engine', 'heat/heat.conf'],
        'gnocchi-metricd': ['gnocchi-metricd', 'gnocchi/gnocchi.conf'],
        'aodh-evaluator': ['aodh-evaluator', 'aodh/aodh.conf'],
        'aodh-notifier': ['aodh-notifier', 'aodh/aodh.conf'],
        'aodh-listener': ['aodh-listener', 'aodh/aodh.conf'],
    }
    port = s.port_of('guest-net')
    switch = (
        str(s.bin / 'python'),
        str(HOME / 'guests' / 'switch.py'),
        f'--port={port}',
        f'--state={s.state}',
        f'--metadata={s.port_of("nova-metadata")}',
        f'--secret={PASSWORD}',
    )
    return [
        Service('guest-net', switch, environment(s), port),
        *(_daemon(s, name, *command) for name, command in commands.items()),
    ]


def ha(s: Settings) -> list[Service]:
    """aodh-ha's own processes, from the project's virtual environment."""
    program = str(s.ha_bin / 'aodh-ha')
    port = s.port_of('aodh-ha')
    env = ha_environment(s)
    if s.ha == 'serve':
        return [Service('aodh-ha-serve', (program, 'serve'), env, port, '/healthz')]
    if s.ha == 'split':
        return [
            Service('aodh-ha-webhook', (program, 'serve', '--no-worker'), env, port, '/healthz'),
            Service('aodh-ha-worker', (str(s.ha_bin / 'aodh-ha-worker'),), env),
        ]
    return []


def ha_environment(s: Settings) -> dict[str, str]:
    env = environment(s)
    return env | {'PATH': f'{s.ha_bin}:{env["PATH"]}'}


def agents(s: Settings) -> list[Service]:
    """Ceilometer's agents: they come last, because they need resource types in Gnocchi."""
    conf = 'ceilometer/ceilometer.conf'
    found = [_daemon(s, 'ceilometer-notification', 'ceilometer-agent-notification', conf)]
    # With the direct publisher there is nothing to poll: that is a cloud without this agent.
    if s.publisher == 'ceilometer':
        found.append(
            _daemon(
                s, 'ceilometer-central', 'ceilometer-polling', conf, '--polling-namespaces=central'
            )
        )
    return found


def _daemon(s: Settings, name: str, program: str, conf: str, *more: str) -> Service:
    command = (str(s.bin / program), '--config-file', str(s.etc / conf), *more)
    return Service(name, command, environment(s))


def everything(s: Settings) -> list[Service]:
    """All services that these settings ask for, in the order of their start."""
    found = [*queue(s), mariadb(s), *apis(s), *daemons(s), *ha(s), *agents(s)]
    return [x for x in found if x.name not in s.skip]
