"""What the commands share: the clients, and errors as one line each."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from osc_lib import exceptions as osc
from osc_lib.command import command

from aodh_ha.osc.errors import explain

if TYPE_CHECKING:
    from aodh_ha.clients.aodh import Aodh
    from aodh_ha.clients.identity import ApplicationCredentials
    from aodh_ha.clients.servers import Servers
    from aodh_ha.osc.client import Client

Row = tuple[Sequence[str], Iterable[Any]]


class _Clients:
    """The clients, each imported when a command first needs it, and the user's session in them."""

    app: Any

    @cached_property
    def api(self) -> 'Client':
        """Ours."""
        client: Client = self.app.client_manager.aodh_ha
        return client

    @cached_property
    def aodh(self) -> 'Aodh':
        """Aodh's."""
        from aodh_ha.clients.aodh import Aodh

        manager = self.app.client_manager
        return Aodh(manager.session, manager.region_name or None, manager.interface)

    @cached_property
    def identity(self) -> 'ApplicationCredentials':
        """Keystone's."""
        from aodh_ha.clients.identity import ApplicationCredentials

        return ApplicationCredentials(self.app.client_manager.session)

    @cached_property
    def servers(self) -> 'Servers':
        """Nova's."""
        from aodh_ha.clients.servers import Servers

        manager = self.app.client_manager
        return Servers(manager.session, manager.region_name or None, manager.interface)

    def get_epilog(self) -> str:
        """None: cliff's reads the records of all installed packages, 0.1 s, for a plugin's name."""
        return ''

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run, and turn what an operator can do something about into one line."""
        try:
            return int(super().run(parsed_args))  # type: ignore[misc]  # of the mixed-in class
        except Exception as e:
            line = explain(e)
            if line is None:
                raise
            raise osc.CommandError(line) from e

    def warn(self, line: str) -> None:
        """Tell something that is no failure."""
        self.app.stderr.write(f'Warning: {line}\n')

    def note(self, line: str) -> None:
        """Tell people something beside the output, which programs read."""
        self.app.stderr.write(f'{line}\n')

    def each(self, names: Sequence[str], do: Callable[[str], None]) -> None:
        """Do it for all of them; one that fails does not keep the others from it."""
        failed = 0
        for name in names:
            try:
                do(name)
            except Exception as e:
                line = explain(e)
                if line is None or len(names) == 1:
                    raise
                failed += 1
                self.app.stderr.write(f'{name}: {line}\n')
        if failed:
            raise osc.CommandError(f'{failed} of {len(names)} failed')


def of_all_projects(parser: argparse.ArgumentParser, what: str = 'Of all projects') -> None:
    """The option with which an administrator sees beyond the project."""
    parser.add_argument('--all-projects', action='store_true', help=f'{what} (administrators)')


class Command(_Clients, command.Command):
    """A command that prints nothing, or its own lines."""


class Lister(_Clients, command.Lister):
    """A command that prints a table."""


class ShowOne(_Clients, command.ShowOne):
    """A command that prints one thing."""
