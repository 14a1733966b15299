"""``aodh-ha watch``: what CloudWatch alarms of Heat templates look at."""

import argparse
from typing import Any

from cliff.columns import FormattableColumn

from aodh_ha.osc import fields
from aodh_ha.osc.command import Lister, Row, ShowOne, of_all_projects
from aodh_ha.rules.watch import COMPARISONS

_SIGNS = {'ge': '>=', 'gt': '>', 'lt': '<', 'le': '<='}


class _Dimensions(FormattableColumn[dict[str, str]]):
    """What a sample must have."""

    def human_readable(self) -> str:
        """One on each line, or a dash."""
        return '\n'.join(f'{name}={value}' for name, value in self._value.items()) or '-'


class ListWatches(Lister):
    """List the CloudWatch alarms of Heat templates, with their number now"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('--stack', metavar='STACK', help='Of this stack (name or id)')
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        found = self.api.watches(all_projects=parsed_args.all_projects)
        wanted = parsed_args.stack
        columns = ('ID', 'Name', 'Stack', 'Looks At', 'Value', 'Fires At', 'Alarm', 'Problem')
        return columns, (
            (
                w['id'],
                w['name'],
                fields.Maybe(w['stack_name'] or None),
                f'{w["statistic"]} of {w["metric"]}',
                fields.Maybe(w['value']),
                f'{_SIGNS[COMPARISONS[w["comparison"]]]} {w["threshold"]:g}',
                w['alarm'],
                fields.Maybe(w['problem'] or None),
            )
            for w in found
            if wanted in (None, w['stack_id'], w['stack_name'])
        )


class ShowWatch(ShowOne):
    """Show what a CloudWatch alarm of a Heat template looks at, and its number now"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            'watch', metavar='WATCH', help='Watch (id, or its name, which is its physical one)'
        )
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        everywhere = parsed_args.all_projects
        watch = self.api.find_watch(parsed_args.watch, all_projects=everywhere)
        shown: dict[str, Any] = watch | {
            name: fields.Maybe(watch[name] or None)
            for name in ('stack_id', 'stack_name', 'aodh_alarm_id', 'problem')
        }
        shown |= {
            'value': fields.Maybe(watch['value']),
            'dimensions': _Dimensions(watch['dimensions']),
        }
        return tuple(shown), tuple(shown.values())
