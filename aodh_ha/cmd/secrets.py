"""``aodh-ha secrets create``."""

import argparse
import sys

from aodh_ha import keys
from aodh_ha.cmd.options import ServiceCommand


class Create(ServiceCommand):
    """Make the master key, once; every other host needs a copy of the file.

    Does nothing where the file exists.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Raises ConfigurationError; cliff prints it."""
        path = self.load(parsed_args).secrets.master_key_file
        if keys.create_master_key(path):
            sys.stdout.write(f'{path}: made. Copy it to every host, and keep it secret.\n')
        else:
            keys.load_master_key(path, create=False)
            sys.stdout.write(f'{path}: exists already.\n')
