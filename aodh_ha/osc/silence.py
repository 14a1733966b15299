"""``aodh-ha silence``: maintenance windows, in which nothing is done to whom they cover."""

import argparse
from datetime import UTC, datetime
from typing import Any

from aodh_ha.osc import fields
from aodh_ha.osc.alarm import guest_id
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects

Object = dict[str, Any]


class CreateSilence(ShowOne):
    """Begin or plan a maintenance window, in which nothing is recovered"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        whom = parser.add_mutually_exclusive_group(required=True)
        whom.add_argument('--guest', metavar='GUEST', help='A guest (name, or id of its server)')
        whom.add_argument('--group', metavar='NAME', help='The guests of this group')
        whom.add_argument(
            '--project',
            metavar='ID',
            nargs='?',
            const='',
            help='The guests of your project, or (administrators) of another one',
        )
        whom.add_argument(
            '--host', metavar='NAME', help='Whoever is on this compute host (administrators)'
        )
        whom.add_argument('--all', action='store_true', help='Everybody (administrators)')
        end = parser.add_mutually_exclusive_group(required=True)
        end.add_argument(
            '--for',
            dest='duration',
            metavar='DURATION',
            type=fields.duration,
            help='How long, such as 90m, 4h or 2d; 30 days at most',
        )
        end.add_argument(
            '--until',
            metavar='TIME',
            type=fields.moment,
            help='When it ends, such as 2027-01-31T22:00 (local time) or 2027-01-31T22:00Z',
        )
        parser.add_argument(
            '--from',
            dest='start',
            metavar='TIME',
            type=fields.moment,
            help='When it begins (default: now)',
        )
        parser.add_argument('--reason', metavar='TEXT', help='Why, for those who wonder')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Create."""
        scope, value = self._whom(parsed_args)
        return _shown(
            self.api.create_silence(
                scope=scope,
                value=value,
                starts_at=parsed_args.start,
                ends_at=parsed_args.until,
                duration=parsed_args.duration,
                reason=parsed_args.reason,
            )
        )

    def _whom(self, parsed_args: argparse.Namespace) -> tuple[str, str | None]:
        if parsed_args.guest is not None:
            return 'guest', guest_id(self.api, parsed_args.guest)
        for scope in ('group', 'host', 'project'):
            value = getattr(parsed_args, scope)
            if value is not None:
                return scope, value
        return 'all', None


class ListSilences(Lister):
    """List the maintenance windows that are active or planned"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--ended', action='store_true', help='Those that have ended, too')
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('ID', 'Scope', 'Value', 'Status', 'Starts At', 'Ends At', 'Left', 'By', 'Reason')
        now = datetime.now(UTC).isoformat()
        found = self.api.silences(ended=parsed_args.ended, all_projects=parsed_args.all_projects)
        return columns, (
            (
                s['id'],
                s['scope'],
                s['value'],
                s['status'],
                s['starts_at'],
                s['ends_at'],
                fields.Seconds(
                    fields.seconds_between(now, s['ends_at']) if s['status'] == 'active' else None
                ),
                s['author'],
                s['reason'],
            )
            for s in found
        )


class EndSilence(Command):
    """End maintenance windows now"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            'silences', metavar='SILENCE', nargs='+', help='Maintenance window (id)'
        )
        of_all_projects(parser, "Another project's, too")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """End."""
        everywhere = parsed_args.all_projects
        self.each(parsed_args.silences, lambda i: self.api.end_silence(i, all_projects=everywhere))


def _shown(silence: Object) -> Row:
    lasts = fields.seconds_between(silence['starts_at'], silence['ends_at'])
    shown = silence | {'lasts': fields.Seconds(lasts)}
    return tuple(shown), tuple(shown.values())
