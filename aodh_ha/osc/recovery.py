"""``aodh-ha recovery``: what was done about guests that fell silent."""

import argparse
from typing import Any

from cliff.columns import FormattableColumn

from aodh_ha.osc import fields
from aodh_ha.osc.alarm import guest_id
from aodh_ha.osc.command import Lister, Row, ShowOne, of_all_projects

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
        of_all_projects(parser)
        parser.add_argument(
            '--limit', metavar='N', type=fields.count, help='The newest N (default: 1000)'
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        everywhere = parsed_args.all_projects
        found = self.api.recoveries(
            guest_id(self.api, parsed_args.guest),
            active=parsed_args.active,
            all_projects=everywhere,
            limit=parsed_args.limit,
        )
        columns = ['ID', 'Guest', 'Trigger', 'Status', 'Held By', 'Began', 'Took', 'Policy']
        columns.append('Reason')
        if everywhere:
            columns.append('Project ID')

        def row(recovery: Object) -> tuple[Any, ...]:
            cells = (
                recovery['id'],
                recovery['guest_name'] or recovery['server_id'],
                recovery['trigger'],
                recovery['status'],
                fields.Maybe(recovery['guard'] or None),
                recovery['created_at'],
                fields.Seconds(
                    fields.seconds_between(recovery['created_at'], recovery['finished_at'])
                ),
                f'{recovery["policy"]} v{recovery["policy_version"]}',
                recovery['reason'],
            )
            return (*cells, recovery['project_id']) if everywhere else cells

        return columns, (row(r) for r in found)


class _OfRecovery(ShowOne):
    """A command about one recovery"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('recovery', metavar='RECOVERY', help='Recovery (id)')
        of_all_projects(parser, "Another project's, too")
        return parser


class ShowRecovery(_OfRecovery):
    """Show a recovery, its attempts and its timeline"""

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        answer = self.api.recovery(parsed_args.recovery, all_projects=parsed_args.all_projects)
        recovery = answer['recovery']
        shown = _readable(recovery) | {
            'attempts': fields.Attempts(answer['attempts']),
            'timeline': fields.Timeline(answer['events'], recovery['created_at']),
        }
        return tuple(shown), tuple(shown.values())


class ExplainRecovery(_OfRecovery):
    """Explain where a recovery stands: what was done, what holds it back, what comes next"""

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Explain."""
        answer = self.api.explain_recovery(
            parsed_args.recovery, all_projects=parsed_args.all_projects
        )
        recovery, found = answer['recovery'], answer['explanation']
        shown = {
            'id': recovery['id'],
            'guest': recovery['guest_name'] or recovery['server_id'],
            'policy': f'{recovery["policy"]} v{recovery["policy_version"]}',
            'status': recovery['status'],
            'summary': found['summary'],
            'held_by': Held(found['held']),
            'ladder': Ladder(found['steps']),
            'decisions': fields.Words(found['decisions']),
        }
        return tuple(shown), tuple(shown.values())


class ApproveRecovery(_OfRecovery):
    """Approve the step that waits for it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--step',
            metavar='N',
            type=fields.step,
            help='The step that is meant, from 1; refused if another one waits by now',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Approve."""
        everywhere = parsed_args.all_projects
        shown = _readable(
            self.api.approve_recovery(
                parsed_args.recovery, parsed_args.step, all_projects=everywhere
            )
        )
        return tuple(shown), tuple(shown.values())


class CancelRecovery(_OfRecovery):
    """End a recovery: nothing more is done until the guest was heard and falls silent again"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        parser.add_argument('--reason', metavar='TEXT', default='', help='Why')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Cancel."""
        everywhere = parsed_args.all_projects
        shown = _readable(
            self.api.cancel_recovery(
                parsed_args.recovery, parsed_args.reason, all_projects=everywhere
            )
        )
        return tuple(shown), tuple(shown.values())


class Held(FormattableColumn[Object | None]):
    """What holds a recovery back."""

    def human_readable(self) -> str:
        """The guard, what it means, and until when."""
        held = self._value
        if not held:
            return 'nothing'
        again = held['looks_again_at']
        return f'{held["guard"]}: {held["meaning"]}' + (
            f'; looks again at {again}' if again else ''
        )


class Ladder(fields.Lines):
    """The steps of a recovery's policy, and what became of each."""

    def line(self, item: Object) -> str:
        """Step, how it stands, why."""
        tries = f' ({item["tries"]} of {item["attempts"]})' if item['attempts'] > 1 else ''
        return f'{item["step"] + 1}. {item["name"]}  {item["status"]}{tries}: {item["why"]}'


def _readable(recovery: Object) -> Object:
    took = fields.seconds_between(recovery['created_at'], recovery['finished_at'])
    maybe = ('finished_at', 'alarm_id', 'admitted_at', 'incident_id')
    return (
        recovery
        | {name: fields.Maybe(recovery[name]) for name in maybe}
        | {
            'approved_step': fields.StepNumber(recovery['approved_step']),
            'guard': fields.Maybe(recovery['guard'] or None),
            'took': fields.Seconds(took),
        }
    )
