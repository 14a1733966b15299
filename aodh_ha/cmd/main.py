"""``aodh-ha``: the operators' commands and the service's, in one program.

A cliff application. What takes long to import (openstacksdk, keystoneauth1, Flask) is imported by
the command that uses it; osc_lib's own shell imports it all at its start, 2 s on a small machine.
"""

import argparse
import ast
import importlib.metadata
import importlib.util
import logging
import pathlib
import sys
from typing import Any

from cliff import app, commandmanager

from aodh_ha import __version__
from aodh_ha.osc import login, plugin

NAMESPACE = 'aodh_ha.cli'
DESCRIPTION = 'High availability for OpenStack guests: heartbeats, alarms, verified recovery.'


class Commands(commandmanager.CommandManager):
    """The commands of an entry point group, each imported only when it is run."""

    def load_commands(self, namespace: str) -> None:
        """As cliff's, which imports them all."""
        self.group_list.append(namespace)
        for entry in importlib.metadata.entry_points(group=namespace):
            self.commands[entry.name.replace('_', ' ')] = entry


class Shell(app.App):
    """The application. Only commands that ask ``client_manager`` for something need a login."""

    NAME = 'aodh-ha'
    LOG = logging.getLogger('aodh-ha')

    client_manager: login.ClientManager

    def __init__(self, **streams: Any) -> None:
        super().__init__(
            description=DESCRIPTION,
            version=__version__,
            command_manager=Commands(NAMESPACE),
            deferred_help=True,
            **streams,
        )

    def build_option_parser(
        self,
        description: str | None,
        version: str | None,
        argparse_kwargs: dict[str, Any] | None = None,
    ) -> argparse.ArgumentParser:
        """cliff's options, those of the login and those of our API."""
        # No abbreviations: "--log" is for a command to define, not short for --log-file.
        more = {'prog': self.NAME, 'allow_abbrev': False} | (argparse_kwargs or {})
        parser: argparse.ArgumentParser = super().build_option_parser(description, version, more)
        login.add_options(parser)
        plugin.build_option_parser(parser)
        return parser

    def configure_logging(self) -> None:
        """Warnings to the console, more with -v; in files what was asked for."""
        if self.options.debug:
            self.options.verbose_level = 3
        root = logging.getLogger()
        level = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO}.get(
            self.options.verbose_level, logging.DEBUG
        )
        root.setLevel(level)
        handlers: list[logging.Handler] = [logging.StreamHandler(self.stderr)]
        handlers[0].setFormatter(logging.Formatter(self.CONSOLE_MESSAGE_FORMAT))
        if self.options.log_file:
            handlers.append(logging.FileHandler(self.options.log_file))
            handlers[1].setFormatter(logging.Formatter(self.LOG_FILE_MESSAGE_FORMAT))
        for handler in handlers:
            root.addHandler(handler)
        # Deprecations in dependencies are no news to an operator.
        logging.captureWarnings(level <= logging.INFO)
        # What they warn of comes back as an error, or is none of an operator's business.
        for chatty in ('stevedore', 'cliff', 'keystoneauth.identity'):
            if level == logging.WARNING:
                logging.getLogger(chatty).setLevel(logging.ERROR)

    def initialize_app(self, argv: list[str]) -> None:
        """Nothing is read yet, no clouds.yaml either."""
        self.client_manager = login.ClientManager(self.options)

    def print_help_if_requested(self) -> None:
        """The options and the commands; cliff's looks up whose each command is, 0.1 s."""
        if not self.options.deferred_help:
            return
        self.parser.print_help(self.stdout)
        self.stdout.write('\nCommands:\n')
        width = max(len(name) for name, _ in self.command_manager)
        for name, entry in sorted(self.command_manager):
            self.stdout.write(f'  {name:<{width}}  {summary(entry)}\n')
        raise SystemExit(0)


def summary(entry: commandmanager.EntryPointT) -> str:
    """First line of a command's docstring, from the source: importing them all takes 2 s."""
    if isinstance(entry, commandmanager.EntryPointWrapper):
        text = entry.command_class.__doc__ or ''
    else:
        spec = importlib.util.find_spec(entry.module)
        if spec is None or spec.origin is None:
            return '(not installed)'
        body = ast.parse(pathlib.Path(spec.origin).read_text(encoding='utf-8')).body
        classes = {n.name: n for n in body if isinstance(n, ast.ClassDef)}
        text = (entry.attr in classes and ast.get_docstring(classes[entry.attr])) or ''
    return text.strip().partition('\n')[0]


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit code. Without one the help is shown, not a prompt."""
    given = sys.argv[1:] if argv is None else argv
    return int(Shell().run(given or ['--help']))


if __name__ == '__main__':
    sys.exit(main())
