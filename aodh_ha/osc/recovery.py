"""``aodh-ha recovery``: what was done about guests that fell silent."""

import argparse
from typing import Any

from aodh_ha.osc import fields
from aodh_ha.osc.alarm import guest_id
from aodh_ha.osc.command import Lister, Row, ShowOne

Object = dict[str, Any]


class ListRecoveries(Lister):
    """List the recoveries, newest first"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--guest', metavar='GUEST', help='Of this guest (name, or id of its server)'
        )
        parser.add_argument('--active', action='store_true', help='Only those under way')
        parser.add_argument(
            '--all-projects', action='store_true', help='Of all projects (administrators)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        everywhere = parsed_args.all_projects
        found = self.api.recoveries(
            guest_id(self.api, parsed_args.guest),
            active=parsed_args.active,
            all_projects=everywhere,
        )
        columns = ['ID', 'Guest', 'Trigger', 'Status', 'Began', 'Took', 'Policy', 'Reason']
        if everywhere:
            columns.append('Project ID')

        def row(recovery: Object) -> tuple[Any, ...]:
            cells = (
                recovery['id'],
                recovery['guest_name'] or recovery['server_id'],
                recovery['trigger'],
                recovery['status'],
                recovery['created_at'],
                fields.Seconds(
                    fields.seconds_between(recovery['created_at'], recovery['finished_at'])
                ),
                f'{recovery["policy"]} v{recovery["policy_version"]}',
                recovery['reason'],
            )
            return (*cells, recovery['project_id']) if everywhere else cells

        return columns, (row(r) for r in found)


class ShowRecovery(ShowOne):
    """Show a recovery, its attempts and its timeline"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('recovery', metavar='RECOVERY', help='Recovery (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        answer = self.api.recovery(parsed_args.recovery)
        recovery = answer['recovery']
        took = fields.seconds_between(recovery['created_at'], recovery['finished_at'])
        shown = recovery | {
            'finished_at': fields.Maybe(recovery['finished_at']),
            'alarm_id': fields.Maybe(recovery['alarm_id']),
            'took': fields.Seconds(took),
            'attempts': fields.Attempts(answer['attempts']),
            'timeline': fields.Timeline(answer['events'], recovery['created_at']),
        }
        return tuple(shown), tuple(shown.values())
