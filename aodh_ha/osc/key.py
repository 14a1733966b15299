"""``aodh-ha guest rotate`` and ``revoke``: new keys for guests, and who used wrong ones."""

import argparse
from typing import Any

from aodh_ha.exceptions import AodhHAError, NotFound
from aodh_ha.osc import fields
from aodh_ha.osc.command import Lister, Row, ShowOne
from aodh_ha.osc.guest import agent_config, metadata
from aodh_ha.rules.enrolment import KEY

Object = dict[str, Any]


class NotDelivered(AodhHAError):
    """The new key did not get into the server's metadata"""


class _NewKey(ShowOne):
    """What rotation and revocation have in common: how the new key reaches the guest."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument('guest', metavar='GUEST', help='Guest (name, or id of its server)')
        parser.add_argument(
            '--metadata',
            action=argparse.BooleanOptionalAction,
            default=None,
            help="Write the new key into the server's metadata, and do not print it (default: "
            'where the old one is there)',
        )
        return parser

    def deliver(self, guest: Object, credentials: Object, wanted: bool | None) -> Row:
        """Bring the new key to the guest, as far as that is ours to do, and show it else."""
        try:
            present = KEY in self.servers.metadata_keys(guest['id'])
        except NotFound:
            present = False
        config = agent_config(credentials, guest['interval'])
        if wanted or (wanted is None and present):
            self._write(guest, credentials)
            delivery = "written into the server's metadata"
            config = "# nothing to configure: the agent reads the server's metadata"
        elif guest['enrolled_by'] != 'user' and not present:
            delivery = "by Nova's vendordata, when the agent reads the metadata service again"
            config = '# nothing to configure, unless the guest has a config drive only'
        else:
            delivery = 'yours to do, unless vendordata brings it: put agent_config into the guest'
        shown = {
            'id': guest['id'],
            'name': guest['name'],
            'generation': credentials['generation'],
            'previous_until': fields.Maybe(guest['previous_until']),
            'delivery': delivery,
            'agent_config': config,
        }
        return tuple(shown), tuple(shown.values())

    def _write(self, guest: Object, credentials: Object) -> None:
        try:
            self.servers.set_metadata(guest['id'], metadata(credentials))
        except AodhHAError as e:
            raise NotDelivered(
                f'{e.detail}; generation {credentials["generation"]} is in force, "guest enroll '
                f'--metadata {guest["id"]}" writes its key again'
            ) from None


class RotateKey(_NewKey):
    """Give a guest a new key; the old one is good for a while longer"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--overlap',
            metavar='DURATION',
            type=fields.duration,
            help='How long the old key is good, such as 10m (default: [secrets] '
            'rotation_overlap of the service, 10m)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Rotate."""
        found = self.api.find_guest(parsed_args.guest)
        answer = self.api.rotate_key(found['id'], parsed_args.overlap)
        return self.deliver(answer['guest'], answer['credentials'], parsed_args.metadata)


class RevokeKeys(_NewKey):
    """End every key of a guest at once; it is not heard until it has its new one"""

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """Revoke."""
        found = self.api.find_guest(parsed_args.guest)
        answer = self.api.revoke_keys(found['id'])
        return self.deliver(answer['guest'], answer['credentials'], parsed_args.metadata)


class ListRefusals(Lister):
    """List the heartbeats that were refused, counted by guest and reason"""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """The options."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--all-projects',
            action='store_true',
            help='Of all projects, and of guests that are not enrolled (administrators)',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Row:
        """List."""
        columns = ('Guest', 'Reason', 'Count', 'First At', 'Last At', 'Last From')
        return columns, (
            (
                fields.Maybe(r['guest']),
                r['reason'],
                r['count'],
                r['first_at'],
                r['last_at'],
                r['address'],
            )
            for r in self.api.refusals(all_projects=parsed_args.all_projects)
        )
