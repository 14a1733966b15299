"""The whole chain, live: one of two guests freezes, and is recovered with all that it had.

    make demo DEMO_ARGS='--keep'

Exit code 0 only if it really happened, 1 if not, 130 when interrupted. Whatever this run
started is stopped at its end, unless --keep.
"""

import argparse
import json
import os
import pathlib
import signal
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import report
from cloud import Cloud, Guest, Object, without_proxies
from keystoneauth1.exceptions import ClientException
from openstack.exceptions import SDKException
from rich.console import Console
from rich.text import Text
from screen import Screen
from shell import DEVCLOUD, HERE, DemoError, Devcloud, aodh_ha, log_in, program, shown
from timeline import SLACK
from watch import FRESH, Watch

VICTIM, BYSTANDER = NAMES = ('demo-db', 'demo-web')
POLICY = HERE / 'policy.yaml'
READY_LIMIT = 240.0
"""Seconds until both guests were heard twice, and Gnocchi and Aodh know of them."""
CHAIN_LIMIT = 300.0
"""Seconds from the freeze until Aodh's alarm is ok again; it takes about 100."""
PIPE_WIDTH = 120


class Demo:
    """One run. Its steps stand in `play`, in their order."""

    def __init__(self, console: Console, options: argparse.Namespace) -> None:
        self.console = console
        self.options = options
        self.begin = time.monotonic()
        self.devcloud = Devcloud()
        self.cloud: Cloud | None = None
        self.variables: dict[str, str] = {}

    def play(self) -> int:
        """The whole run; returns the exit code."""
        self.title('A control plane, and aodh-ha in it')
        self.say(f'$ DEVCLOUD_HA=serve {shown(DEVCLOUD)} up')
        self.devcloud.up()
        self.variables = self.devcloud.environment()
        log_in(self.variables)
        state = pathlib.Path(self.variables['DEVCLOUD_STATE'])
        cloud = self.cloud = Cloud(self.devcloud, state)

        self.title('Two servers')
        self.remove_leftovers(cloud)
        victim, bystander = self.boot(cloud)
        self.title('Their guests are enrolled, and each gets an alarm')
        self.enroll(victim, bystander)
        victim.before, bystander.before = map(cloud.look_inside, (victim, bystander))

        with Watch(cloud, victim, bystander) as watch:
            screen = Screen(self.console, watch)
            self.title('Heartbeats arrive, Gnocchi has the meters, Aodh evaluates the alarms')
            if not screen.follow(watch.ready, READY_LIMIT, 'waiting for two heartbeats each'):
                raise DemoError(
                    f'not within {READY_LIMIT:g} s: two heartbeats of each guest, data in Gnocchi '
                    f'not older than {FRESH:g} s, both alarms ok'
                )
            self.title(f'{victim.name} freezes')
            self.say(f'$ {shown(DEVCLOUD)} fault freeze {victim.name}')
            self.devcloud.fault('freeze', victim.id)
            watch.frozen(time.time())
            screen.follow(watch.ended, CHAIN_LIMIT, 'waiting for what comes next')
        return self.conclude(cloud, watch)

    # ---- the steps

    def remove_leftovers(self, cloud: Cloud) -> None:
        """An earlier run may have been kept, or killed."""
        with self.working('looking for leftovers of an earlier run'):
            enrolled = cloud.enrolled(set(NAMES))
            if enrolled:
                aodh_ha('guest', 'forget', *enrolled)
            gone = cloud.remove(set(NAMES))
        if gone or enrolled:
            self.say(f'  removed what an earlier run left: {", ".join(gone) or "its guests"}')

    def boot(self, cloud: Cloud) -> list[Guest]:
        """Both servers, with something to lose in each."""
        with self.working('booting two servers'):
            guests = cloud.boot(NAMES)
        with self.working('attaching a volume, writing data and a marker'):
            cloud.attach_volume(guests[0])
            for guest in guests:
                cloud.write(guest)
        for guest in guests:
            volume = f', volume {guest.volume[:8]} attached' if guest.volume else ''
            self.say(f'  {guest.name:8}  {guest.address}{volume}; data and marker written')
        return guests

    def enroll(self, *guests: Guest) -> None:
        """With the commands that any user has."""
        policy = self.command('policy', 'create', shown(POLICY))
        steps = ', then '.join(s.removeprefix('server.') for s in _steps(policy))
        self.say(f'  version {policy["version"]}: {steps}; preserves {policy["preserve"]}')
        for guest in guests:
            arguments = ('--policy', policy['name'], '--metadata')
            row = self.command('guest', 'enroll', guest.name, *arguments)
            guest.resource = self.cloud_guest(guest)['resource_id']
            self.say(
                f'  {row["status"]}: a heartbeat every {row["interval"]:g} s to {row["gateways"]}, '
                f'{row["missed_limit"]} may be missed; metadata {row["metadata"]}'
            )
        for guest in guests:
            row = self.command('alarm', 'create', guest.name)
            guest.alarm = row['aodh_alarm_id']
            self.say(f'  {row["aodh_name"]}: {row["meter"]} >= {row["threshold"]}')

    def cloud_guest(self, guest: Guest) -> Object:
        """The guest as aodh-ha's API shows it."""
        assert self.cloud is not None  # noqa: S101 - play() made it
        return dict(self.cloud.get('aodh-ha', f'/v1/guests/{guest.id}')['guest'])

    def conclude(self, cloud: Cloud, watch: Watch) -> int:
        """Look at everything again, and tell what was found."""
        guests = (watch.victim, watch.bystander)
        with self.working('looking at both guests again'):
            evidence = report.Evidence(
                {g.name: cloud.look_inside(g) for g in guests},
                {g.name: cloud.instance_actions(g.id) for g in guests},
            )
        found = report.expectations(watch, evidence)
        limit = report.target(watch, SLACK)
        report.show_timeline(self.console, watch.timeline, limit)
        report.show_proof(self.console, guests, evidence)
        report.show_expectations(self.console, found)
        failed = [item for item in found if not item.met]
        spent = time.monotonic() - self.begin
        self.write(
            ok=not failed,
            total_seconds=round(spent, 1),
            **watch.timeline.as_dict(limit),
            expectations=[vars(item) for item in found],
        )
        self.console.print()
        if failed:
            text = f'{len(failed)} of {len(found)} expectations failed, after {spent:.0f} s'
            self.console.print(Text(text, 'bold red'))
            return 1
        text = (
            f'{watch.victim.name} was recovered, verified by its heartbeat; '
            f'{len(found)} expectations met; {spent:.0f} s in all'
        )
        self.console.print(Text(text, 'bold green'))
        return 0

    # ---- the end

    def clean_up(self) -> None:
        """Stop what this run started. Others' servers and services go on."""
        self.console.print()
        if self.cloud is not None and self.devcloud.ran_before:
            with self.working("removing the demo's servers, guests and alarms"):
                enrolled = self.cloud.enrolled(set(NAMES))
                if enrolled:
                    aodh_ha('guest', 'forget', *enrolled)
                self.cloud.remove(set(NAMES))
        self.devcloud.stop_what_was_started()

    def tell_how_to_go_on(self) -> None:
        """What --keep leaves behind."""
        if self.cloud is None:
            return
        devcloud, ha = shown(DEVCLOUD), shown(pathlib.Path(program('aodh-ha')))
        addresses = self.cloud.addresses()
        clouds = self.variables['OS_CLIENT_CONFIG_FILE']
        lines = [f'  {name:9}  {address}' for name, address in addresses.items()]
        lines += [
            f'  {"webhook":9}  {addresses["aodh-ha"]}/healthz',
            '',
            f'  export OS_CLIENT_CONFIG_FILE={clouds} OS_CLOUD=devcloud',
        ]
        if 'DEVCLOUD_STATE' in os.environ:
            lines.append(f'  export DEVCLOUD_STATE={self.variables["DEVCLOUD_STATE"]}')
        lines += [
            f'  {ha} guest list',
            f'  {ha} recovery list',
            f'  {devcloud} guests',
            f'  {devcloud} fault panic {BYSTANDER} --healed-by soft    (fault --help: the others)',
            f'  {devcloud} logs aodh-ha-serve -f',
            f'  {ha} guest forget {VICTIM} {BYSTANDER}',
            f'  {devcloud} down    (stops all of it; wipe also removes what is stored)',
        ]
        self.title('It goes on running')
        for line in lines:
            self.say(line)

    # ---- telling

    def write(self, **found: object) -> None:
        """What --json asks for."""
        if self.options.json:
            self.options.json.write_text(json.dumps(found, indent=1) + '\n')

    def title(self, text: str) -> None:
        """What comes now."""
        self.console.print()
        self.console.print(Text(text, 'bold'))

    def say(self, text: str) -> None:
        """A line as it is."""
        style = 'cyan' if text.startswith('$ ') else ''
        self.console.print(Text(text, style), soft_wrap=True)

    def command(self, *arguments: str) -> Object:
        """Show a command of aodh-ha, run it, return what it shows."""
        self.say(f'$ aodh-ha {" ".join(arguments)}')
        with self.working('…'):
            return aodh_ha(*arguments)

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """A sign of life on a terminal, a line on a pipe."""
        if self.console.is_terminal:
            with self.console.status(what):
                yield
            return
        if what != '…':
            self.say(f'  {what}')
        yield


def _steps(policy: Object) -> list[str]:
    return [f'{s["action"]} {s.get("type") or ""}'.strip() for s in policy['steps']]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='demo', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--keep', action='store_true', help='leave everything running, and print its addresses'
    )
    parser.add_argument(
        '--json', metavar='FILE', type=pathlib.Path, help='write the seconds of each stage there'
    )
    return parser.parse_args()


def interrupt(number: int, _frame: object) -> None:
    """SIGTERM and SIGHUP end the demo in order, as Ctrl-C does."""
    raise KeyboardInterrupt(signal.Signals(number).name)


def main() -> int:
    """Play, and leave the machine as it was."""
    options = arguments()
    without_proxies()
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPE_WIDTH)
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    code, demo = 1, None
    try:
        demo = Demo(console, options)
        code = demo.play()
    except (DemoError, SDKException, ClientException) as e:
        console.print(Text(f'demo: {e}', 'bold red'), soft_wrap=True)
        if demo:
            demo.write(ok=False, error=str(e))
    except KeyboardInterrupt:
        code = 130
        console.print(Text('interrupted', 'bold red'))
    except Exception:
        traceback.print_exc()  # a defect of the demo; what it started is stopped nevertheless
    if demo is None:
        return code
    # Nobody is helped by half a clean-up; it is bounded.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        if options.keep and code != 130:
            demo.tell_how_to_go_on()
        else:
            demo.clean_up()
    except Exception as e:
        console.print(Text(f'demo: cleaning up: {e}', 'bold red'), soft_wrap=True)
        return code or 1
    return code
