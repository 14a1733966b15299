"""``aodh-ha serve``: webhook and worker in one process tree, the embedded default."""

import argparse
import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import time
from types import FrameType

import sqlalchemy as sa

from aodh_ha import keys, opts
from aodh_ha.cmd.options import ServiceCommand
from aodh_ha.db import Database, migrate
from aodh_ha.exceptions import DatabaseAway

WEBHOOK = ['-m', 'gunicorn', '-c', 'python:webhook.gunicorn_conf', 'webhook.wsgi:create()']
WORKER = ['-m', 'aodh_ha.cmd.worker']

RESTART = 1.0
"""Seconds before a child that died is started again."""
AWAY = 2.0
"""Seconds until a database that did not answer is asked again."""
GRACE = 20.0
"""Seconds that children get to stop before they are killed."""

PR_SET_PDEATHSIG = 1


class Serve(ServiceCommand):
    """Run the webhook and a worker; upgrades the database first.

    The same processes as "aodh-ha serve --no-worker" and "aodh-ha-worker" started apart, for
    one host; each is started again when it dies. SIGTERM stops both.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """With --no-worker."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            '--no-worker',
            action='store_true',
            help='the webhook only; run aodh-ha-worker apart, on any number of hosts',
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Runs until it is told to stop. Raises ConfigurationError."""
        conf = self.load(parsed_args)
        database = Database(conf.database.connection)
        # What is wrong with the key is told here, not by a child that is started over and over.
        keys.load_master_key(conf.secrets.master_key_file, create=database.is_sqlite)
        _make_folder(conf.database.connection)
        _upgrade(database)
        database.close()
        environment = opts.environment(conf)
        if parsed_args.no_worker:
            os.execve(sys.executable, [sys.executable, *WEBHOOK], environment)
        return Supervisor({'webhook': WEBHOOK, 'worker': WORKER}, environment).run()


def _make_folder(url: str) -> None:
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == 'sqlite' and parsed.database:
        pathlib.Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)


def _upgrade(database: Database) -> None:
    """Bring the schema up to date; a database that is away is waited for."""
    told = ''
    while True:
        try:
            migrate.upgrade(database)
        except DatabaseAway as e:
            if e.detail != told:
                sys.stderr.write(f'waiting for the database: {e.detail}\n')
                told = e.detail
            time.sleep(AWAY)
        else:
            return


class Supervisor:
    """Keeps a set of child processes running until it is told to stop."""

    def __init__(self, commands: dict[str, list[str]], environment: dict[str, str]) -> None:
        self._commands = commands
        self._environment = environment
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def run(self) -> int:
        """Start the children, restart those that die; returns 0 after SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._stopping:
            for name, command in self._commands.items():
                child = self._children.get(name)
                if child is None or child.poll() is not None:
                    if child is not None:
                        sys.stderr.write(
                            f'{name} ended with {child.returncode}, starting it again\n'
                        )
                    self._children[name] = self._start(command)
            time.sleep(RESTART)
        self._end()
        return 0

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, *command],
            env=self._environment,
            preexec_fn=_die_with_parent,
        )

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _end(self) -> None:
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        until = time.monotonic() + GRACE
        for child in self._children.values():
            try:
                child.wait(max(0.1, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()


def _die_with_parent() -> None:
    # One process tree: after a kill -9 of the parent no child is left without a supervisor.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
