"""``aodh-ha db upgrade``."""

import argparse
import sys

from aodh_ha.cmd.options import ServiceCommand
from aodh_ha.db import Database, migrate


class Upgrade(ServiceCommand):
    """Create the database's tables, or bring them up to date. May be run again at any time."""

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Raises ConfigurationError or DatabaseAway; cliff prints it."""
        before, after = migrate.upgrade(Database(self.load(parsed_args).database.connection))
        if before == after:
            sys.stdout.write(f'The database is at revision {after} already.\n')
        else:
            sys.stdout.write(f'The database went from revision {before or "none"} to {after}.\n')
