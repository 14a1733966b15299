"""Commands as a user types them: devcloud's and aodh-ha's."""

import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

HERE = pathlib.Path(__file__).resolve().parent
REPO = HERE.parents[1]
DEVCLOUD = REPO / 'deploy' / 'devcloud' / 'devcloud'
CLOUD = 'devcloud'
"""The demo's user in devcloud's clouds.yaml: an ordinary member of project demo."""

COMMAND_LIMIT = 120.0
UP_LIMIT = 1800.0
"""Seconds; the first `devcloud up` downloads and installs, the later ones take about 70."""
DOWN_LIMIT = 180.0
ASKED, INTERRUPT_LIMIT = 2.0, 20.0
"""Seconds that an interrupted command has to end by itself, and once it was told to."""


class DemoError(Exception):
    """The demo cannot go on; the message says what happened and what to do."""


def program(name: str) -> str:
    """A program of the project's own environment, wherever the demo was called from."""
    found = shutil.which(name) or str(REPO / '.venv' / 'bin' / name)
    if not os.access(found, os.X_OK):
        raise DemoError(f'{name} is not installed; run: make venv')
    return found


def shown(path: pathlib.Path) -> str:
    """A path as one types it here."""
    return os.path.relpath(path) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


class Devcloud:
    """The cloud under the demo, spoken to by its command."""

    def __init__(self) -> None:
        self.ran_before = self.running()

    def up(self) -> None:
        """Start what is down, with aodh-ha; devcloud tells its own progress."""
        environ = dict(os.environ)
        # Somebody's webhook and worker as two processes do as well as one.
        if 'aodh-ha-webhook' not in self.ran_before:
            environ.setdefault('DEVCLOUD_HA', 'serve')
        if _attended([str(DEVCLOUD), 'up'], UP_LIMIT, environ):
            raise DemoError('devcloud did not come up; its lines above say why')

    def stop_what_was_started(self) -> None:
        """Stop the services that did not run before; all of devcloud, if none did."""
        if not self.ran_before:
            _attended([str(DEVCLOUD), 'down'], DOWN_LIMIT)
            return
        started = sorted(self.running() - self.ran_before)
        if started:
            _attended([str(DEVCLOUD), 'stop', *started], DOWN_LIMIT)

    @staticmethod
    def running() -> set[str]:
        """The services that are up."""
        lines = _run([str(DEVCLOUD), 'status'], check=False).splitlines()
        return {line.split()[0] for line in lines if line.split()[1:2] == ['up']}

    @staticmethod
    def environment() -> dict[str, str]:
        """The variables that `devcloud env` sets for an ordinary user."""
        lines = _run([str(DEVCLOUD), 'env', 'demo']).splitlines()
        words = [w for line in lines for w in shlex.split(line.removeprefix('export '))]
        return dict(w.split('=', 1) for w in words)

    @staticmethod
    def guests() -> list[dict[str, Any]]:
        """The guests as the hypervisor sees them."""
        return list(json.loads(_run([str(DEVCLOUD), 'guests', '--json'])))

    @staticmethod
    def fault(*arguments: str) -> None:
        """Break something."""
        _run([str(DEVCLOUD), 'fault', *arguments])


def log_in(variables: dict[str, str]) -> None:
    """Be the demo's user, in this process and in the commands that it runs."""
    for name in [n for n in os.environ if n.startswith(('OS_', 'AODH_HA_'))]:
        del os.environ[name]  # what the caller's shell says about another cloud
    os.environ['OS_CLIENT_CONFIG_FILE'] = variables['OS_CLIENT_CONFIG_FILE']
    os.environ['OS_CLOUD'] = CLOUD


def aodh_ha(*arguments: str) -> dict[str, Any]:
    """Run `aodh-ha`; the object that it shows, if it shows one."""
    command = [program('aodh-ha'), *arguments]
    if arguments[1] in ('create', 'enroll'):
        # What the table would show, in a form that is sure to be read right.
        return dict(json.loads(_run([*command, '-f', 'json'])))
    _run(command)
    return {}


def _run(command: Sequence[str], check: bool = True) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_LIMIT)
    except subprocess.TimeoutExpired:
        raise DemoError(f'{_typed(command)}: no end after {COMMAND_LIMIT:g} s') from None
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise DemoError(f'{_typed(command)}: {said or f"exit code {done.returncode}"}')
    return done.stdout


def _typed(command: Sequence[str]) -> str:
    return shlex.join([pathlib.Path(command[0]).name, *command[1:]])


def _attended(command: Sequence[str], limit: float, environ: dict[str, str] | None = None) -> int:
    """Run a command that shows its progress; when interrupted, let it end in order."""
    sys.stdout.flush()
    with subprocess.Popen(command, env=environ) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            _end(process)
            raise DemoError(f'{_typed(command)}: no end after {limit:g} s') from None
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[bytes]) -> None:
    """At a terminal it got the same Ctrl-C; if not, it is told."""
    try:
        process.wait(ASKED)
        return
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    try:
        process.wait(INTERRUPT_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
