"""``aodh-ha guest``: which servers' guests are watched."""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

from cliff.columns import FormattableColumn

from aodh_ha.exceptions import AodhHAError, Conflict, NotFound
from aodh_ha.osc import carriers, fields
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects
from aodh_ha.rules.enrolment import CREDENTIALS, ENROLL, OPT_OUT, POLICY
from aodh_ha.rules.enrolment import credentials as as_metadata

Object = dict[str, Any]

WAIT = 30.0
"""Seconds until a pending guest is given up on; a worker looks about once a second."""
POLL = 0.5


class NotEnrolled(AodhHAError):
    """The guest was not enrolled"""


class EnrollGuest(ShowOne):
    """Enrol a server's guest, and show how its agent is configured"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('server', metavar='SERVER', help='Server (name or id)')
        parser.add_argument(
            '--policy',
            metavar='NAME',
            help="Recovery policy of the guest; '': the one that matches its group or stack, else "
            'stateful (default: that, or as it was)',
        )
        parser.add_argument(
            '--group',
            metavar='NAME',
            help="Group that the guest belongs to; '': to none (default: none, or as it was)",
        )
        parser.add_argument(
            '--interval',
            metavar='DURATION',
            type=fields.duration,
            help='Time between two heartbeats, such as 10s (default: as it was, if the guest is '
            "enrolled and neither policy nor group is given; else the policy's)",
        )
        parser.add_argument(
            '--missed',
            metavar='N',
            type=int,
            help='Heartbeats missed before the alarm (default: as for --interval)',
        )
        parser.add_argument(
            '--boot-grace',
            metavar='DURATION',
            type=fields.duration,
            help='Time for the first heartbeat after a boot (default: as for --interval)',
        )
        parser.add_argument(
            '--metadata',
            action='store_true',
            help="Write gateways and key into the server's metadata, where the agent finds them "
            'through the metadata service or the config drive; the key is not printed then',
        )
        parser.add_argument(
            '--wait',
            action=argparse.BooleanOptionalAction,
            default=True,
            help=f'Wait, {WAIT:g} s at most, until the guest is enrolled or refused (default)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Enrol."""
        server = self.servers.find(parsed_args.server)
        answer = self.api.enroll(
            server.id,
            policy=parsed_args.policy,
            group=parsed_args.group,
            interval=parsed_args.interval,
            missed=parsed_args.missed,
            boot_grace=parsed_args.boot_grace,
        )
        guest, credentials = answer['guest'], answer['credentials']
        if parsed_args.wait and guest['status'] == 'pending':
            guest = settled(lambda: dict(self.api.guest(server.id)['guest']))
        if guest['status'] == 'refused':
            raise NotEnrolled(f'{server.name or server.id}: {guest["status_reason"]}')
        if parsed_args.metadata:
            self.servers.set_metadata(server.id, metadata(credentials))
            config = "# nothing to configure: the agent reads the server's metadata"
        else:
            config = agent_config(credentials, guest['interval'])
        shown = {
            'id': guest['id'],
            'name': guest['name'] or server.name,
            'status': guest['status'],
            'policy': _policy(guest),
            'group': fields.Maybe(guest['group'] or None),
            'interval': fields.Seconds(guest['interval']),
            'missed_limit': guest['missed_limit'],
            'boot_grace': fields.Seconds(guest['boot_grace']),
            'gateways': ', '.join(credentials['gateways']),
            'generation': credentials['generation'],
            'metadata': 'written' if parsed_args.metadata else 'not written (--metadata)',
            'agent_config': config,
        }
        return tuple(shown), tuple(shown.values())


class ListGuests(Lister):
    """List the enrolled guests and when each was last heard"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        everywhere = parsed_args.all_projects
        columns = ['ID', 'Name', 'Status', 'Silent For', 'Missed', 'Beats', 'Services']
        columns += ['Policy', 'Group']
        if everywhere:
            columns.append('Project ID')

        def row(guest: Object) -> tuple[Any, ...]:
            cells = (
                guest['id'],
                guest['name'],
                guest['status'],
                fields.Seconds(guest['silent_for']),
                fields.Maybe(guest['missed']),
                guest['beats'],
                fields.Services(guest['services']),
                _policy(guest),
                fields.Maybe(guest['group'] or None),
            )
            return (*cells, guest['project_id']) if everywhere else cells

        return columns, (row(g) for g in self.api.guests(all_projects=everywhere))


class ShowGuest(ShowOne):
    """Show a guest and what lately happened to it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('guest', metavar='GUEST', help='Guest (name, or id of its server)')
        parser.add_argument(
            '--events', metavar='N', type=int, default=10, help='Newest events shown (default: 10)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        found = self.api.find_guest(parsed_args.guest)
        answer = self.api.guest(found['id'])
        guest, events = answer['guest'], answer['events']
        shown = guest | {
            'policy': _policy(guest),
            'interval': fields.Seconds(guest['interval']),
            'boot_grace': fields.Seconds(guest['boot_grace']),
            'silent_for': fields.Seconds(guest['silent_for']),
            'last_seen': fields.Maybe(guest['last_seen']),
            'missed': fields.Maybe(guest['missed']),
            'boot_id': fields.Maybe(guest['boot_id']),
            'seen_by': fields.Maybe(guest['seen_by']),
            'services': fields.Services(guest['services']),
            'previous_until': fields.Maybe(guest['previous_until']),
            'refusals': fields.Refusals(guest['refusals']),
            'metrics': fields.Metrics(guest['metrics']),
            'events': fields.Events(events[-parsed_args.events :] if parsed_args.events else []),
        }
        return tuple(shown), tuple(shown.values())


class ForgetGuest(Command):
    """Forget guests: their keys are void, their alarms and metadata are deleted"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            'guests', metavar='GUEST', nargs='+', help='Guest (name, or id of its server)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Forget."""
        self.each(parsed_args.guests, self._forget)

    def _forget(self, name_or_id: str) -> None:
        guest = self.api.find_guest(name_or_id)
        for alarm in list(self.api.alarms(guest['id'])):
            carriers.delete(self.api, self.aodh, alarm)
        self.api.forget_guest(guest['id'])
        try:
            found = self.servers.metadata_keys(guest['id'])
            self.servers.delete_metadata(guest['id'], found & set(CREDENTIALS))
            if found & {ENROLL, POLICY}:
                self.warn(
                    f"{guest['id']} is forgotten, but its server's metadata ask for enrolment "
                    f'({", ".join(sorted(found & {ENROLL, POLICY}))}): it is enrolled again as '
                    f'soon as Nova is asked for its metadata; {OPT_OUT}=true there prevents that'
                )
        except NotFound:
            pass  # the server is gone, and its metadata with it
        except AodhHAError as e:
            self.warn(
                f'{guest["id"]} is forgotten and its key is void, but its metadata '
                f'({", ".join(CREDENTIALS)}) may still be there: {e.detail}'
            )


def settled(
    look: Callable[[], Object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Object:
    """The guest as soon as it is not pending; raises Conflict after WAIT seconds."""
    end = clock() + WAIT
    for guest in _every(look, sleep):
        if guest['status'] != 'pending':
            return guest
        if clock() >= end:
            break
    raise Conflict(
        f'{guest["id"]} is still pending after {WAIT:g} s: no worker has asked Nova about it; '
        'check that aodh-ha-worker (or aodh-ha serve) runs, then: guest show'
    )


def _every(look: Callable[[], Object], sleep: Callable[[float], None]) -> Iterator[Object]:
    while True:
        yield look()
        sleep(POLL)


class _ByMatch(FormattableColumn[str]):
    """A guest's policy."""

    def human_readable(self) -> str:
        """Its name; of one that was not named, how it is found."""
        return self._value or '(by match)'


def _policy(guest: Object) -> _ByMatch:
    return _ByMatch(guest['policy'])


def metadata(credentials: Object) -> dict[str, str]:
    """The metadata that the agent looks for."""
    return as_metadata(credentials['gateways'], credentials['key'], credentials['generation'])


def agent_config(credentials: Object, interval: float) -> str:
    """The agent's configuration file, /etc/aodh-ha/agent.conf."""
    return '\n'.join(
        (
            '[agent]',
            f'gateways = {", ".join(credentials["gateways"])}',
            f'guest = {credentials["guest"]}',
            f'key = {credentials["key"]}',
            f'generation = {credentials["generation"]}',
            f'interval = {interval:g}s',
        )
    )
