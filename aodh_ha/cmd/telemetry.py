"""``aodh-ha telemetry prepare``: what Gnocchi needs before meters can be published."""

import argparse
import sys

from cliff.command import Command

from aodh_ha import opts
from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.clients.session import service_session


class Prepare(Command):
    """Create the resource type and the archive policy of the meters in Gnocchi.

    Needs the right to do so, as the admin role of the service user gives it. A second call
    only looks, and fails when what is there is not what aodh-ha needs.
    """

    # It speaks to Gnocchi as the service user, not as the operator who calls it.
    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Options of this command."""
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        parser.add_argument(
            '--config-file',
            metavar='FILE',
            action='append',
            default=[],
            help='configuration of aodh-ha; may be repeated '
            f'(default: AODH_HA_CONFIG_FILE or {opts.DEFAULT_FILE})',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Raises ConfigurationError, CloudAway or ActionRefused; cliff prints it."""
        conf = opts.load([f'--config-file={f}' for f in parsed_args.config_file])
        gnocchi = Gnocchi(service_session(conf), conf.gnocchi.region_name, conf.gnocchi.interface)
        for thing in gnocchi.prepare():
            done = 'created' if thing.created else 'exists already'
            sys.stdout.write(f'{thing.kind} {thing.name}: {done}\n')
