"""``aodh-ha incident``: dead hosts and storms, for the operator of the cloud."""

import argparse
from typing import Any

from aodh_ha.osc import fields
from aodh_ha.osc.command import Lister, Row, ShowOne

Object = dict[str, Any]


class ListIncidents(Lister):
    """List dead hosts and storms, newest first (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--open', action='store_true', help='Only those that last')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('ID', 'Kind', 'Name', 'Status', 'Opened At', 'Lasted', 'Fenced By', 'Reason')
        return columns, (
            (
                i['id'],
                i['kind'],
                i['name'],
                i['status'],
                i['opened_at'],
                fields.Seconds(fields.seconds_between(i['opened_at'], i['closed_at'])),
                fields.Maybe(i['fenced_by'] or None),
                i['reason'],
            )
            for i in self.api.incidents(open_only=parsed_args.open)
        )


class ShowIncident(ShowOne):
    """Show an incident and the recoveries that are part of it (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('incident', metavar='INCIDENT', help='Incident (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        answer = self.api.incident(parsed_args.incident)
        return _shown(answer['incident'], answer['recoveries'])


class CloseIncident(ShowOne):
    """Close an incident: what a storm holds back goes on (administrators)"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('incident', metavar='INCIDENT', help='Incident (id)')
        parser.add_argument('--reason', metavar='TEXT', default='', help='Why')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Close."""
        return _shown(self.api.close_incident(parsed_args.incident, parsed_args.reason))


def _shown(incident: Object, recoveries: list[Object] | None = None) -> Row:
    lasted = fields.seconds_between(incident['opened_at'], incident['closed_at'])
    shown = incident | {
        'closed_at': fields.Maybe(incident['closed_at']),
        'fenced_at': fields.Maybe(incident['fenced_at']),
        'fenced_by': fields.Maybe(incident['fenced_by'] or None),
        'lasted': fields.Seconds(lasted),
    }
    if recoveries is not None:
        shown['recoveries'] = fields.Recoveries(recoveries)
    return tuple(shown), tuple(shown.values())
