"""The command line."""

import argparse
import os
import signal
import subprocess
import sys

from cloud import lifecycle
from cloud.configs.clients import CLOUDS, openrc
from cloud.install import InstallError
from cloud.process import StopError
from cloud.settings import OFFSETS, Settings, UsageError, load
from cloud.waiting import NotReadyError

DESCRIPTION = """\
A real OpenStack control plane for one machine, on loopback: Keystone, Placement,
Glance, Neutron, Nova, Cinder, Heat, Gnocchi, Aodh, Ceilometer, RabbitMQ, MariaDB.
No Docker, systemd or KVM; its guests are process trees."""

VARIABLES = """\
variables (`up` remembers them in the state folder; only DEVCLOUD_STATE must be repeated):
  DEVCLOUD_STATE      state folder                        (<repository>/.devcloud)
  DEVCLOUD_VENV       virtual environment, may be shared  (<state>/../.devcloud-venv)
  DEVCLOUD_PORT       first of 100 ports on 127.0.0.1     (21000)
  DEVCLOUD_EVAL       seconds between Aodh's evaluations  (5)
  DEVCLOUD_INTERVAL   seconds between published samples   (5)
  DEVCLOUD_HOSTS      compute hosts                       (host1 host2)
  DEVCLOUD_SKIP       services not to start               ()
  DEVCLOUD_HA         aodh-ha: serve, split or none       (serve)
  DEVCLOUD_HA_BIN     where its programs are              (<repository>/.venv/bin)
  DEVCLOUD_DATABASE   aodh-ha's: sqlite, mariadb or a URL (sqlite)
  DEVCLOUD_PUBLISHER  its meters by ceilometer or gnocchi (ceilometer)
  DEVCLOUD_STORM      silent guests that make a storm     (20)

ports, counted from DEVCLOUD_PORT:
"""


def _parser() -> argparse.ArgumentParser:
    ports = [f'{name} {offset}' for name, offset in OFFSETS.items()]
    lines = [', '.join(ports[i : i + 5]) for i in range(0, len(ports), 5)]
    parser = argparse.ArgumentParser(
        prog='devcloud',
        description=DESCRIPTION,
        epilog=VARIABLES + '\n'.join(f'  {x}' for x in lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest='verb', required=True, metavar='VERB')
    verbs.add_parser('up', help='install what is missing and start what is down')
    verbs.add_parser('down', help='stop everything that was started here; the state stays')
    verbs.add_parser('status', help='one line a service; exit 1 if any is down')
    env = verbs.add_parser('env', help='print shell lines that log a user in')
    env.add_argument('user', nargs='?', default='admin', choices=sorted(CLOUDS.values()))
    verbs.add_parser('wipe', help='down, and remove the state (the virtual environment stays)')
    for verb, text in (
        ('start', 'start services again, and wait until they answer'),
        ('stop', 'stop services (SIGTERM, and SIGKILL after 20 s)'),
        ('kill', 'kill services (SIGKILL), as a crash would'),
        ('restart', 'stop and start services'),
    ):
        verbs.add_parser(verb, help=text).add_argument('name', nargs='+')
    logs = verbs.add_parser('logs', help="show the end of a service's log")
    logs.add_argument('name', metavar='NAME', help='a service, or setup-PROGRAM')
    logs.add_argument('-n', '--lines', type=int, default=50, help='how many lines (50)')
    logs.add_argument('-f', '--follow', action='store_true', help='go on until interrupted')
    verbs.add_parser('guests', help='list the guests (guests --help says more)', add_help=False)
    verbs.add_parser('fault', help='break a guest or host (fault --help says how)', add_help=False)
    return parser


def _logs(s: Settings, name: str, lines: int, follow: bool) -> None:
    path = s.log / f'{name}.log'
    if not path.exists():
        known = sorted(p.stem for p in s.log.glob('*.log')) if s.log.is_dir() else []
        raise UsageError(f'no log of {name}; there are: {" ".join(known) or "none"}')
    subprocess.run(['tail', *(['-F'] if follow else []), f'-n{lines}', str(path)], check=False)


def _dispatch(s: Settings, args: argparse.Namespace, rest: list[str]) -> int:
    if args.verb == 'status':
        return 1 if lifecycle.status(s) else 0
    if args.verb == 'env':
        print(openrc(s, args.user), end='')
        return 0
    if args.verb == 'logs':
        _logs(s, args.name, args.lines, args.follow)
        return 0
    if args.verb in ('guests', 'fault'):
        return lifecycle.guests(s, args.verb, *rest)
    if not s.state.exists() and args.verb != 'up':
        print(f'devcloud: {s.state} does not exist: nothing to do')
        return 0 if args.verb in ('down', 'wipe') else 1
    # Before anything is written or removed: DEVCLOUD_STATE may name somebody's home.
    if s.state.exists() and not s.ours() and any(s.state.iterdir()):
        raise UsageError(f'{s.state} is not empty, and no devcloud made it; choose another folder')
    with lifecycle.alone(s):
        if args.verb in ('up', 'down', 'wipe'):
            getattr(lifecycle, args.verb)(s)
        if args.verb in ('stop', 'restart'):
            lifecycle.signal_services(s, args.name, signal.SIGTERM)
        if args.verb == 'kill':
            lifecycle.signal_services(s, args.name, signal.SIGKILL)
        if args.verb in ('start', 'restart'):
            lifecycle.start_services(s, args.name)
    return 0


def main() -> int:
    parser = _parser()
    args, rest = parser.parse_known_args()
    if rest and args.verb not in ('guests', 'fault'):
        parser.error(f'unrecognized arguments: {" ".join(rest)}')
    try:
        return _dispatch(load(), args, rest)
    except (UsageError, InstallError, NotReadyError, StopError) as error:
        print(f'devcloud: {error}', file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Whoever read it has enough, as head does; else Python says so once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print('devcloud: interrupted; `up` goes on where it stopped', file=sys.stderr)
        return 130
