"""``aodh-ha policy``: what is done about a silent guest, in which order."""

import argparse
from pathlib import Path
from typing import Any

import yaml

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.osc import fields
from aodh_ha.osc.command import Command, Lister, Row, ShowOne

Object = dict[str, Any]


class ListPolicies(Lister):
    """List the recovery policies that the project may use"""

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('Name', 'Scope', 'Version', 'Steps', 'Preserve')
        return columns, (
            (
                p['name'],
                p['scope'],
                p['version'],
                fields.Steps(p['steps']),
                ', '.join(p['preserve']),
            )
            for p in self.api.policies()
        )


class ShowPolicy(ShowOne):
    """Show a recovery policy"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('policy', metavar='POLICY', help='Policy (name)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        return _shown(self.api.policy(parsed_args.policy))


class CreatePolicy(ShowOne):
    """Create a recovery policy from YAML, or a new version of it"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('file', metavar='FILE', help='YAML file, or - for the standard input')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Create."""
        try:
            if parsed_args.file == '-':
                document = self.app.stdin.read()
            else:
                document = Path(parsed_args.file).read_text(encoding='utf-8')
        except UnicodeDecodeError as e:
            raise InvalidPolicy(f'{parsed_args.file}: not text in UTF-8: {e.reason}') from None
        return _shown(self.api.save_policy(_name(document), document))


class DeletePolicy(Command):
    """Delete recovery policies of the project"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('policies', metavar='POLICY', nargs='+', help='Policy (name)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete."""
        self.each(parsed_args.policies, self.api.delete_policy)


def _name(document: str) -> str:
    """The name in the document; the rest is for the service to judge: it may know more than we."""
    try:
        data = yaml.safe_load(document)
    except yaml.YAMLError as e:
        raise InvalidPolicy(f'not YAML: {" ".join(str(e).split())}') from None
    name = data.get('name') if isinstance(data, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidPolicy('name: missing; begin the document with a line such as name: database')
    return name


def _shown(policy: Object) -> Row:
    beat = policy['heartbeat']
    shown = {
        'name': policy['name'],
        'scope': policy['scope'],
        'version': policy['version'],
        'interval': fields.Seconds(beat['interval']),
        'missed': beat['missed'],
        'boot_grace': fields.Seconds(beat['boot_grace']),
        'preserve': ', '.join(policy['preserve']),
        'steps': fields.Steps(policy['steps']),
        'document': policy['document'],
    }
    return tuple(shown), tuple(shown.values())
