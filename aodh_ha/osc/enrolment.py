"""``aodh-ha enrolment rule``: which servers are enrolled without anybody naming them."""

import argparse
from typing import Any

from aodh_ha.exceptions import NotFound
from aodh_ha.osc import fields
from aodh_ha.osc.client import one
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects
from aodh_ha.rules.heartbeat import is_uuid

Object = dict[str, Any]


def pair(text: str) -> tuple[str, str]:
    """A key of metadata, or key=value; for argparse."""
    key, _, value = text.partition('=')
    if not key:
        raise argparse.ArgumentTypeError(f'{text!r} is neither KEY nor KEY=VALUE')
    return key, value


class CreateRule(ShowOne):
    """Have servers enrolled by themselves: all of the project, or those that meet conditions"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('name', metavar='NAME', help='Name of the rule')
        parser.add_argument('--tag', metavar='TAG', help='Only servers that have this tag')
        parser.add_argument(
            '--metadata',
            metavar='KEY[=VALUE]',
            type=pair,
            help='Only servers whose metadata have this key, with this value if one is given',
        )
        parser.add_argument(
            '--server-name',
            metavar='PATTERN',
            help="Only servers whose name matches this pattern, such as 'web-*'",
        )
        parser.add_argument(
            '--stack',
            metavar='ID',
            help='Only servers of this Heat stack, at any depth; those that come later, too',
        )
        parser.add_argument(
            '--policy',
            metavar='NAME',
            help='Recovery policy of the guests, where their metadata name no other (default: the '
            'one that matches)',
        )
        parser.add_argument('--group', metavar='NAME', help='Group that the guests belong to')
        parser.add_argument(
            '--operator',
            action='store_true',
            help='For the servers of every project (administrators)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Create."""
        match: Object = {
            'tag': parsed_args.tag,
            'server_name': parsed_args.server_name,
            'stack': parsed_args.stack,
        }
        if parsed_args.metadata:
            key, value = parsed_args.metadata
            match['metadata'] = {key: value}
        rule = self.api.create_enrolment_rule(
            operator=parsed_args.operator,
            name=parsed_args.name,
            match={k: v for k, v in match.items() if v is not None},
            policy=parsed_args.policy,
            group=parsed_args.group,
        )
        return _shown(rule)


class ListRules(Lister):
    """List the enrolment rules that are for the project's servers"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('ID', 'Name', 'Scope', 'Conditions', 'Policy', 'Group', 'Project ID')
        return columns, (
            (
                r['id'],
                r['name'],
                r['scope'],
                fields.Conditions(r['match']),
                fields.Maybe(r['policy'] or None),
                fields.Maybe(r['group'] or None),
                fields.Maybe(r['project_id']),
            )
            for r in self.api.enrolment_rules(all_projects=parsed_args.all_projects)
        )


class ShowRule(ShowOne):
    """Show an enrolment rule"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('rule', metavar='RULE', help='Rule (name or id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        return _shown(_named(self.api.enrolment_rules(), parsed_args.rule))


class DeleteRules(Command):
    """Delete enrolment rules; guests that they have enrolled stay so"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('rules', metavar='RULE', nargs='+', help='Rule (name or id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete."""
        known = self.api.enrolment_rules()

        def delete(name_or_id: str) -> None:
            self.api.delete_enrolment_rule(_named(known, name_or_id)['id'])

        self.each(parsed_args.rules, delete)


def _named(rules: list[Object], name_or_id: str) -> Object:
    """The rule of this id or name; the project's own before the operator's."""
    key = 'id' if is_uuid(name_or_id.lower()) else 'name'
    wanted = name_or_id.lower() if key == 'id' else name_or_id
    found = [r for r in rules if r[key] == wanted]
    own = [r for r in found if r['project_id']]
    if not found:
        raise NotFound(f'no enrolment rule {name_or_id!r}; see: enrolment rule list')
    return one(own or found, f'rules are called {name_or_id!r}', lambda r: str(r['id']))


def _shown(rule: Object) -> Row:
    shown = rule | {
        'project_id': fields.Maybe(rule['project_id']),
        'match': fields.Conditions(rule['match']),
        'policy': fields.Maybe(rule['policy'] or None),
        'group': fields.Maybe(rule['group'] or None),
    }
    return tuple(shown), tuple(shown.values())
