"""``aodh-ha policy``: what is done about a silent guest, in which order."""

import argparse
from pathlib import Path
from typing import Any

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.osc import fields
from aodh_ha.osc.alarm import guest_id
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects
from aodh_ha.rules import policy as rules
from aodh_ha.rules.document import Document
from aodh_ha.rules.policy import DEAD_HOST, HOST_DOWN, PRESERVABLE, Policy, Step
from aodh_ha.rules.preservation import ENDANGERED

Object = dict[str, Any]


class ListPolicies(Lister):
    """List the recovery policies that the project may use"""

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('Name', 'Scope', 'Version', 'For', 'Steps', 'Preserve')
        return columns, (
            (
                p['name'],
                p['scope'],
                p['version'],
                fields.Matching(p['match']),
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
        _add_file(parser)
        _add_operator(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Create."""
        document = _read(self, parsed_args.file)
        operator = parsed_args.operator
        return _shown(self.api.save_policy(_name(document), document, operator=operator))


class DeletePolicy(Command):
    """Delete recovery policies of the project"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('policies', metavar='POLICY', nargs='+', help='Policy (name)')
        _add_operator(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete."""
        operator = parsed_args.operator
        self.each(
            parsed_args.policies, lambda name: self.api.delete_policy(name, operator=operator)
        )


class CheckPolicy(Lister):
    """Check a policy without the service, and show its ladder and what each step may destroy"""

    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        _add_file(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Check; what is wrong is an error with its line, and exit code 1."""
        policy = rules.parse(_read(self, parsed_args.file))
        columns = ('Step', 'Action', 'When', 'Attempts', 'Verify', 'Before It', 'May Destroy')
        rows = [
            (
                n,
                step.name,
                step.applies,
                step.attempts,
                fields.Seconds(step.verify),
                before(step),
                endangered(step, policy),
            )
            for n, step in enumerate(policy.steps, 1)
        ]
        self.note(f'{policy.name}: this is a valid policy; {_gist(policy)}')
        return (*columns, 'Refused If It Would Lose'), (
            (*row, kept(step, policy)) for row, step in zip(rows, policy.steps, strict=True)
        )


class ReplayPolicy(Lister):
    """See what a policy would have done about past recoveries; nothing is done or stored"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        _add_file(parser)
        parser.add_argument(
            '--since',
            metavar='DURATION',
            type=fields.duration,
            help='How far back, such as 12h or 30d (default: 7d)',
        )
        parser.add_argument(
            '--guest', metavar='GUEST', help='Only of this guest (name, or id of its server)'
        )
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Replay."""
        document = _read(self, parsed_args.file)
        rules.parse(document)  # told here with its line, before a login
        answer = self.api.replay_policy(
            document,
            parsed_args.since,
            guest_id(self.api, parsed_args.guest),
            all_projects=parsed_args.all_projects,
        )
        if answer['truncated']:
            self.warn(f'only the newest {len(answer["replay"])} recoveries were looked at')
        columns = ('Recovery', 'Guest', 'Began', 'Was', 'Did', 'Would Have Done', 'Remark')
        return columns, (
            (
                r['recovery_id'],
                r['guest_name'] or r['server_id'],
                r['created_at'],
                r['status'],
                fields.Words(r['did']),
                fields.Words(r['would']),
                r['remark'],
            )
            for r in answer['replay']
        )


def before(step: Step) -> str:
    """What has to be before the step is taken."""
    found = [f'wait {step.delay:g}s'] if step.delay else []
    found += ['approval'] if step.approval else []
    found += ['snapshot'] if step.snapshot else []
    if step.action in DEAD_HOST:
        found.append('fencing' if step.applies == HOST_DOWN else 'fencing of a dead host')
    return ', '.join(found)


def endangered(step: Step, policy: Policy) -> str:
    """What the step may destroy on a server that has it, and the policy lets go."""
    may = ENDANGERED.get(step.action, frozenset()) - policy.preserve
    return ', '.join(p for p in PRESERVABLE if p in may) or 'nothing'


def kept(step: Step, policy: Policy) -> str:
    """What the policy keeps the step from destroying: it is refused on a server that has it so."""
    may = ENDANGERED.get(step.action, frozenset()) & policy.preserve
    return ', '.join(p for p in PRESERVABLE if p in may)


def _gist(policy: Policy) -> str:
    found = [f'a heartbeat every {policy.interval:g}s, {policy.missed} missed are a failure']
    if policy.dry_run:
        found.append('dry run: no action is made')
    found.append(f'when all was tried: {policy.on_exhausted}')
    return '; '.join(found)


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('file', metavar='FILE', help='YAML file, or - for the standard input')


def _add_operator(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--operator',
        action='store_true',
        help='The one that every project may use (administrators)',
    )


def _read(command: Any, file: str) -> str:
    try:
        if file == '-':
            return str(command.app.stdin.read())
        return Path(file).read_text(encoding='utf-8')
    except UnicodeDecodeError as e:
        raise InvalidPolicy(f'{file}: not text in UTF-8: {e.reason}') from None


def _name(document: str) -> str:
    """The name in the document; the rest is for the service to judge: it may know more than we."""
    data = Document(document).data
    name = data.get('name') if isinstance(data, dict) else None
    if not isinstance(name, str) or not name:
        raise InvalidPolicy('name: missing; begin the document with a line such as name: database')
    return name


def _shown(policy: Object) -> Row:
    beat, budget = policy['heartbeat'], policy['budget']
    concurrent = budget['concurrent']
    if budget['concurrent_share'] is not None:
        concurrent = f'{budget["concurrent_share"]:.0%}'
    shown = {
        'name': policy['name'],
        'scope': policy['scope'],
        'version': policy['version'],
        'match': fields.Matching(policy['match']),
        'interval': fields.Seconds(beat['interval']),
        'missed': beat['missed'],
        'boot_grace': fields.Seconds(beat['boot_grace']),
        'preserve': ', '.join(policy['preserve']),
        'steps': fields.Steps(policy['steps']),
        'concurrent': fields.Maybe(concurrent),
        'per_window': fields.Rate(budget['per_window']),
        'per_guest': fields.Rate(budget['per_guest']),
        'priority': policy['priority'],
        'suspect': policy['suspect'],
        'fencing': policy['fencing'],
        'on_exhausted': policy['on_exhausted'],
        'dry_run': policy['dry_run'],
        'allow_data_loss': policy['allow_data_loss'],
        'document': policy['document'],
    }
    return tuple(shown), tuple(shown.values())
