"""``aodh-ha telemetry prepare``: what Gnocchi needs before meters can be published."""

import argparse
import sys

from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.clients.session import service_session
from aodh_ha.cmd.options import ServiceCommand


class Prepare(ServiceCommand):
    """Create the resource type and the archive policy of the meters in Gnocchi.

    Needs the right to do so, as the admin role of the service user gives it. A second call
    only looks, and fails when what is there is not what aodh-ha needs.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Raises ConfigurationError, CloudAway or ActionRefused; cliff prints it."""
        conf = self.load(parsed_args)
        gnocchi = Gnocchi(service_session(conf), conf.gnocchi.region_name, conf.gnocchi.interface)
        for thing in gnocchi.prepare():
            done = 'created' if thing.created else 'exists already'
            sys.stdout.write(f'{thing.kind} {thing.name}: {done}\n')
