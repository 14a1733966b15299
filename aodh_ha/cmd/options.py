"""What the commands share that read the service's own configuration."""

import argparse

from cliff.command import Command
from oslo_config import cfg

from aodh_ha import opts


class ServiceCommand(Command):
    """A command of the service itself: by its configuration, not as an operator of the cloud."""

    auth_required = False

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """With --config-file."""
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

    def load(self, parsed_args: argparse.Namespace) -> cfg.ConfigOpts:
        """The configuration; raises ConfigurationError, which cliff prints."""
        return opts.load([f'--config-file={f}' for f in parsed_args.config_file])
