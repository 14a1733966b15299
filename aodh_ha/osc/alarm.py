"""``aodh-ha alarm``: an alarm is a row of ours and the Aodh alarm that carries it."""

import argparse
from typing import TYPE_CHECKING, Any

from aodh_ha.exceptions import AodhHAError, NotFound, OutcomeUnknown
from aodh_ha.osc import carriers, fields
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects
from aodh_ha.rules.alarm import RESTARTER, TRIGGERS, with_trust
from aodh_ha.rules.heartbeat import is_uuid

if TYPE_CHECKING:
    from aodh_ha.osc.client import Client

Object = dict[str, Any]

SEVERITIES = ('low', 'moderate', 'critical')
"""As Aodh has them."""

MISSING, UNKNOWN = 'missing', 'unknown'
"""States of an Aodh alarm that is not there, and of one that Aodh does not tell about now."""


class NotCreated(AodhHAError):
    """The alarm was not created"""


class CreateAlarm(ShowOne):
    """Create an alarm that starts a recovery: in Aodh, under your own project"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('guest', metavar='GUEST', help='Guest (name, or id of its server)')
        parser.add_argument(
            '--on',
            choices=tuple(TRIGGERS),
            default='heartbeat',
            help='What fires it: heartbeats missed, or a failing service (default: heartbeat)',
        )
        parser.add_argument(
            '--threshold',
            metavar='N',
            type=int,
            help="Heartbeats missed, or failed checks of a service (default: the guest's limit, 3)",
        )
        parser.add_argument(
            '--name', help='What a template calls it: "cfn-push-stats --watch NAME" in the guest'
        )
        parser.add_argument(
            '--severity', choices=SEVERITIES, help='As Aodh shows it (default: critical)'
        )
        parser.add_argument(
            '--trust',
            action='store_true',
            help="Let the alarm's callback bring your rights (a trust for Aodh), with which the "
            'recovery acts where the project handed no credential over',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Create ours, then Aodh's, then link them; what does not end well is taken back."""
        guest = self.api.find_guest(parsed_args.guest)
        answer = self.api.create_alarm(
            guest['id'], parsed_args.on, parsed_args.threshold, parsed_args.name
        )
        alarm, definition = answer['alarm'], answer['definition']
        if parsed_args.trust:
            definition = with_trust(definition)
        if parsed_args.severity:
            definition['severity'] = parsed_args.severity
        try:
            carrier = self.aodh.create(definition)
        except AodhHAError as e:
            hint = ''
            if isinstance(e, OutcomeUnknown):
                hint = f'; if Aodh has an alarm called {definition["name"]!r} now, delete it there'
            raise NotCreated(f'{e.detail}; {self._take_back(alarm)}{hint}') from e
        try:
            alarm = self.api.link_alarm(alarm['id'], carrier['alarm_id'])
        except AodhHAError as e:
            undone = self._take_back(alarm | {'aodh_alarm_id': carrier['alarm_id']})
            raise NotCreated(f'{e.detail}; {undone}') from e
        return _shown(alarm, carrier)

    def _take_back(self, alarm: Object) -> str:
        try:
            carriers.delete(self.api, self.aodh, alarm)
        except AodhHAError as e:
            return f'taking it back failed too ({e.detail}), so run: alarm delete {alarm["id"]}'
        return 'what was made of it has been deleted again'


class ListAlarms(Lister):
    """List the alarms, with their state here and in Aodh"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--guest', metavar='GUEST', help='Of this guest (name, or id of its server)'
        )
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        everywhere = parsed_args.all_projects
        wanted = guest_id(self.api, parsed_args.guest)
        alarms = list(self.api.alarms(wanted, all_projects=everywhere))
        states = self._states(everywhere) if alarms else {}
        columns = (
            *('ID', 'Server ID', 'Trigger', 'Threshold', 'State', 'Aodh State', 'Aodh Alarm'),
            'Problem',
        )
        return columns, (
            (
                a['id'],
                a['server_id'],
                a['trigger'],
                a['threshold'],
                a['state'],
                _state(a, states),
                fields.Maybe(a['aodh_alarm_id']),
                fields.Maybe(a['problem'] or None),
            )
            for a in alarms
        )

    def _states(self, everywhere: bool) -> dict[str, str] | None:
        try:
            found = self.aodh.list_all() if everywhere else self.aodh.list()
            return {a['alarm_id']: a['state'] for a in found}
        except AodhHAError as e:
            self.warn(f"Aodh's states are not known: {e.detail}")
            return None


class ShowAlarm(ShowOne):
    """Show an alarm, with its state here and in Aodh"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('alarm', metavar='ALARM', help='Alarm (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        alarm = self.api.alarm(parsed_args.alarm)
        carrier: Object = {'state': MISSING}
        try:
            if alarm['aodh_alarm_id']:
                carrier = self.aodh.get(alarm['aodh_alarm_id'])
        except NotFound:
            pass
        except AodhHAError as e:
            self.warn(f"Aodh's state is not known: {e.detail}")
            carrier = {'state': UNKNOWN}
        return _shown(alarm, carrier)


class DeleteAlarm(Command):
    """Delete alarms, in Aodh and here"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('alarms', metavar='ALARM', nargs='+', help='Alarm (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete."""
        self.each(
            parsed_args.alarms, lambda i: carriers.delete(self.api, self.aodh, self.api.alarm(i))
        )


def _state(alarm: Object, states: dict[str, str] | None) -> object:
    if alarm['trigger'] == RESTARTER:
        return fields.Maybe(None)  # any alarm may call it, none is its own
    return UNKNOWN if states is None else states.get(alarm['aodh_alarm_id'], MISSING)


def guest_id(api: 'Client', name_or_id: str | None) -> str | None:
    """The server's id of a guest; an id is taken as it is: the guest may be forgotten by now."""
    if name_or_id is None or is_uuid(name_or_id.lower()):
        return name_or_id and name_or_id.lower()
    return str(api.find_guest(name_or_id)['id'])


def _shown(alarm: Object, carrier: Object) -> Row:
    shown = alarm | {
        'aodh_alarm_id': fields.Maybe(alarm['aodh_alarm_id']),
        'problem': fields.Maybe(alarm['problem'] or None),
        'state_at': fields.Maybe(alarm['state_at']),
        'aodh_state': carrier['state'],
        'aodh_state_reason': fields.Maybe(carrier.get('state_reason')),
        'aodh_name': fields.Maybe(carrier.get('name')),
        'severity': fields.Maybe(carrier.get('severity')),
    }
    return tuple(shown), tuple(shown.values())
