"""Lists devcloud's guests and breaks them.

    devcloud guests [--json]
    devcloud fault NAME ...

Reads DEVCLOUD_STATE, and DEVCLOUD_PORT for the guests' network.
"""

import argparse
import json
import os
import pathlib
import sys

if not __package__:
    sys.path[0] = str(pathlib.Path(__file__).resolve().parents[1])
from guests import faults, machine

GRACE = 5.0  # seconds that `down` gives all guests together with their host

SIMPLE = {
    'service-dies': (faults.service_dies, 'SIGKILL to the service'),
    'service-hangs': (faults.service_hangs, 'SIGSTOP to the service'),
    'service-breaks': (
        faults.service_breaks,
        'the service dies and does not start before a rebuild',
    ),
    'agent-dies': (faults.agent_dies, 'SIGKILL to the guest agent'),
    'agent-restarts': (faults.agent_restarts, 'the agent is stopped and started, as by an update'),
    'freeze': (faults.freeze, 'SIGSTOP to the whole guest'),
    'shuts-down': (faults.shuts_down, 'poweroff inside the guest, which Nova was not asked for'),
    'crashes': (faults.crashes, 'SIGKILL to the whole guest, as if its hypervisor had crashed'),
    'heal': (faults.heal, 'undo what can be undone without a boot'),
}


def table(state: pathlib.Path) -> list[dict[str, object]]:
    """A row a guest, as it is now."""
    rows = []
    for m in machine.machines(state):
        record = m.record
        rows.append(
            {
                'host': m.host,
                'name': record.get('name', ''),
                'uuid': m.uuid,
                'state': 'down' if record.get('resume') else m.power(),
                'boots': record.get('boots', 0),
                'boot': record.get('boot', ''),
                'boot_id': record.get('boot_id', ''),
                'pids': {k: v[0] for k, v in m.processes.items()} if m.alive() else {},
                'port': _port(m),
                'faults': faults.present(m),
            }
        )
    return rows


def _port(m: machine.Machine) -> int | None:
    try:
        return int((m.root / 'run' / 'web.port').read_text())
    except (OSError, ValueError):
        return None


def show(rows: list[dict[str, object]]) -> None:
    heads = ('host', 'name', 'uuid', 'state', 'boots', 'boot', 'port', 'pids', 'faults')
    cells = [heads] + [
        tuple(
            ' '.join(f'{k}={v}' for k, v in row['pids'].items()) if h == 'pids'
            else ', '.join(row['faults']) or '-' if h == 'faults'
            else str(row[h] if row[h] is not None else '-')
            for h in heads
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in cells) for i in range(len(heads))]
    for line in cells:
        print('  '.join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip())


def down(state: pathlib.Path, resume: bool = True) -> None:
    """Stop all guests; their hosts will start them again, as after a planned maintenance.

    Without `resume` they are not coming back, and there is no time for an orderly end.
    """
    for m in machine.machines(state):
        power = m.power()
        if resume and power != machine.SHUTDOWN:
            m.save(resume=True)  # first, or Nova would take the end for the guest's own
            if power == machine.RUNNING:
                m.shutdown(GRACE)
        m.kill()


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog='devcloud', description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    verbs = p.add_subparsers(dest='verb', metavar='VERB')
    listing = verbs.add_parser('guests', help='list the guests')
    listing.add_argument('--json', action='store_true', help='one JSON array')
    verbs.add_parser('down', help='stop all guests until their hosts start again')
    verbs.add_parser('kill', help='SIGKILL to all guests, for good')
    fault = verbs.add_parser('fault', help='break something')
    names = fault.add_subparsers(dest='fault', required=True, metavar='NAME')
    for name, (_, text) in SIMPLE.items():
        names.add_parser(name, help=text).add_argument('server', metavar='SERVER')
    panic = names.add_parser('panic', help='the kernel panics, again at each weaker boot')
    panic.add_argument('server', metavar='SERVER')
    panic.add_argument('--healed-by', choices=faults.HEALED_BY, default='hard')
    names.add_parser(
        'host-dies', help='SIGKILL to nova-compute and all guests of a host'
    ).add_argument('host', metavar='HOST')
    for name, text in (
        ('net-cut', 'no packet of the guest arrives any more'),
        ('net-heal', 'undo net-cut'),
    ):
        names.add_parser(name, help=text).add_argument('server', metavar='SERVER|all')
    clock = names.add_parser('clock', help="the guest's wall clock jumps: +3600, -3600")
    clock.add_argument('server', metavar='SERVER')
    clock.add_argument('seconds', metavar='SECONDS', type=int)
    return p


def inject(state: pathlib.Path, args: argparse.Namespace) -> str:
    """Do it; what to tell the user."""
    name = args.fault
    if name in ('net-cut', 'net-heal'):
        {'net-cut': faults.net_cut, 'net-heal': faults.net_heal}[name](state, args.server)
        return f'{name} {args.server}'
    if name == 'host-dies':
        count = faults.host_dies(state, args.host)
        return f'{args.host}: nova-compute and {count} guests killed'
    found = faults.find(state, args.server)
    if name == 'panic':
        faults.panic(found, args.healed_by)
    elif name == 'clock':
        faults.clock(found, args.seconds)
    else:
        SIMPLE[name][0](found)
    return f'{name} {found.record.get("name")} ({found.uuid} on {found.host})'


def main() -> int:
    given = sys.argv[1:]
    if not given or given[0] in ('--json', '--help', '-h'):
        given = ['guests', *given]
    args = parser().parse_args(given)
    if not os.environ.get('DEVCLOUD_STATE'):
        print('devcloud: DEVCLOUD_STATE is not set; call it by `devcloud guests`', file=sys.stderr)
        return 1
    state = pathlib.Path(os.environ['DEVCLOUD_STATE']).absolute()
    try:
        if args.verb == 'guests':
            rows = table(state)
            print(json.dumps(rows, indent=1)) if args.json else show(rows)
        elif args.verb in ('down', 'kill'):
            down(state, resume=args.verb == 'down')
        else:
            print(inject(state, args))
    except faults.FaultError as error:
        print(f'devcloud: {error}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
