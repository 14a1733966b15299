"""``aodh-ha telemetry``: what Gnocchi and Ceilometer need before meters can be published."""

import argparse
import sys

from aodh_ha.clients.gnocchi import Gnocchi
from aodh_ha.clients.session import service_session
from aodh_ha.cmd.options import ServiceCommand
from aodh_ha.db import Database, metrics
from aodh_ha.rules.alarm import METRIC, archive_policy


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


class Definitions(ServiceCommand):
    """Print the meters of the guests' metrics for Ceilometer's gnocchi_resources.yaml.

    Ceilometer's Gnocchi publisher drops a meter that is not declared there, and takes no pattern.
    These are the names that guests reported in the last day; they belong under ``metrics`` of
    the resource type aodh_ha_guest. The direct publisher needs none of this.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Raises ConfigurationError or DatabaseAway; cliff prints it."""
        with Database(self.load(parsed_args).database.connection).read() as connection:
            names = metrics.names(connection)
        for name in names:
            meter = f'{METRIC}{name}'
            sys.stdout.write(
                f'      {meter}:\n        archive_policy_name: {archive_policy(meter)}\n'
            )
