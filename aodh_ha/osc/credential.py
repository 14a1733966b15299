"""``aodh-ha credential``: with whose rights the recoveries of a project act."""

import argparse
import pathlib
import time
import uuid
from collections.abc import Callable
from typing import Any

from osc_lib.exceptions import CommandError

from aodh_ha.exceptions import AodhHAError
from aodh_ha.osc import fields
from aodh_ha.osc.command import Command, Lister, Row, ShowOne, of_all_projects

Object = dict[str, Any]

WAIT = 30.0
"""Seconds until Keystone's answer is waited for no more; a worker asks it about once a second."""

POLL = 0.5

ROLE = 'member'


class NotTaken(AodhHAError):
    """Keystone refuses the credential"""


class CreateCredential(ShowOne):
    """Hand a credential over, with which the project's recoveries act from then on.

    Without one they act with the rights of aodh-ha's own user, if the operator allows it; with one,
    never. By default an application credential of yours is made in Keystone for it.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            '--application-credential',
            metavar='ID',
            help='One that there is already; its secret comes with --secret-file',
        )
        which.add_argument(
            '--trust',
            metavar='ID',
            help="A trust of the project whose trustee is aodh-ha's own user (ask your operator)",
        )
        parser.add_argument(
            '--secret-file',
            metavar='FILE',
            help='File whose first line is the secret; -: standard input',
        )
        parser.add_argument(
            '--role',
            metavar='NAME',
            action='append',
            help=f'Role of the application credential that is made; may be repeated (default: '
            f'{ROLE})',
        )
        parser.add_argument(
            '--replace', action='store_true', help='In the place of the one that the project has'
        )
        parser.add_argument(
            '--wait',
            action=argparse.BooleanOptionalAction,
            default=True,
            help=f'Wait, {WAIT:g} s at most, until Keystone was asked about it (default)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Hand it over."""
        _fitting(parsed_args)
        made = not (parsed_args.application_credential or parsed_args.trust)
        body = self._made(parsed_args) if made else self._given(parsed_args)
        try:
            credential = self.api.create_credential(replace=parsed_args.replace, **body)
        except Exception:
            if made:
                self.identity.delete(body['keystone_id'])
            raise
        if parsed_args.wait:
            found = credential['id']
            credential = checked(lambda: self.api.credential(found))
        if credential['status'] == 'refused':
            raise NotTaken(
                f'{credential["status_reason"]}; no recovery of the project acts until it is '
                f'replaced (--replace) or forgotten: credential delete {credential["id"]}'
            )
        if credential['status'] == 'pending' and parsed_args.wait:
            self.warn('no worker has asked Keystone about it yet; see: credential list')
        return _shown(credential)

    def _made(self, parsed_args: argparse.Namespace) -> Object:
        name, roles = f'aodh-ha {uuid.uuid4()}', parsed_args.role or [ROLE]
        keystone_id, secret = self.identity.create(name, roles)
        return {'type': 'application_credential', 'keystone_id': keystone_id, 'secret': secret}

    def _given(self, parsed_args: argparse.Namespace) -> Object:
        if parsed_args.trust:
            return {'type': 'trust', 'keystone_id': parsed_args.trust}
        return {
            'type': 'application_credential',
            'keystone_id': parsed_args.application_credential,
            'secret': self._secret(parsed_args.secret_file),
        }

    def _secret(self, file: str | None) -> str:
        # Never an argument: every user of the machine sees those.
        if file is None:
            self.note('Secret of the application credential, one line:')
        if file in (None, '-'):
            return str(self.app.stdin.readline()).strip()
        return pathlib.Path(str(file)).read_text(encoding='utf-8').partition('\n')[0].strip()


class ListCredentials(Lister):
    """List the credential of the project, or of all projects"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        of_all_projects(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('ID', 'Type', 'Keystone ID', 'Status', 'Reason', 'Checked At', 'Used At')
        return (*columns, 'Project ID'), (
            (
                c['id'],
                c['type'],
                c['keystone_id'],
                c['status'],
                fields.Maybe(c['status_reason'] or None),
                fields.Maybe(c['checked_at']),
                fields.Maybe(c['used_at']),
                c['project_id'],
            )
            for c in self.api.project_credentials(all_projects=parsed_args.all_projects)
        )


class ShowCredential(ShowOne):
    """Show a credential; its secret is shown to nobody"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('credential', metavar='CREDENTIAL', help='Credential (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Show."""
        return _shown(self.api.credential(parsed_args.credential))


class DeleteCredentials(Command):
    """Forget credentials; in Keystone they stay, until their owner deletes them there"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('credentials', metavar='CREDENTIAL', nargs='+', help='Credential (id)')
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Forget."""
        self.each(parsed_args.credentials, self.api.delete_credential)


def checked(
    look: Callable[[], Object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Object:
    """The credential as soon as Keystone was asked about it, or as it is after WAIT seconds."""
    end = clock() + WAIT
    while True:
        found = look()
        if found['status'] != 'pending' or clock() >= end:
            return found
        sleep(POLL)


def _fitting(parsed_args: argparse.Namespace) -> None:
    given = bool(parsed_args.application_credential or parsed_args.trust)
    if given and parsed_args.role:
        raise CommandError('--role is for one that is made')
    if parsed_args.secret_file and not parsed_args.application_credential:
        raise CommandError('--secret-file needs --application-credential')


def _shown(credential: Object) -> Row:
    shown = credential | {
        'status_reason': fields.Maybe(credential['status_reason'] or None),
        'checked_at': fields.Maybe(credential['checked_at']),
        'used_at': fields.Maybe(credential['used_at']),
    }
    return tuple(shown), tuple(shown.values())
