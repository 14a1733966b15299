"""Imports run downward only, as the architecture draws it; read from the source, nothing is run."""

import ast
import pathlib
import sys
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]

# What each part may import of this project, itself aside. A part that is missing here fails.
BELOW_DB = {'aodh_ha.rules', 'aodh_ha.exceptions', 'aodh_ha.opts', 'aodh_ha.metrics'}
BELOW_PUBLISHERS = BELOW_DB | {'aodh_ha.db', 'aodh_ha.clients'}
BELOW_RECOVERY = BELOW_PUBLISHERS | {'aodh_ha.publishers', 'aodh_ha.keys'}
BELOW_WORKER = BELOW_RECOVERY | {'aodh_ha.recovery'}
ALLOWED = {
    'aodh_ha.agent': set(),
    'aodh_ha.exceptions': set(),
    'aodh_ha.options': {'aodh_ha.rules'},
    'aodh_ha.opts': {'aodh_ha.exceptions', 'aodh_ha.rules', 'aodh_ha.options'},
    'aodh_ha.keys': {'aodh_ha.exceptions'},
    'aodh_ha.metrics': {'aodh_ha.rules', 'aodh_ha.exceptions', 'aodh_ha.opts'},
    'aodh_ha.rules': {'aodh_ha.exceptions'},
    'aodh_ha.db': BELOW_DB,
    'aodh_ha.clients': BELOW_DB,
    'aodh_ha.publishers': BELOW_PUBLISHERS,
    'aodh_ha.callbacks': {'aodh_ha.exceptions', 'aodh_ha.rules', 'aodh_ha.keys'},
    'aodh_ha.recovery': BELOW_RECOVERY,
    'aodh_ha.testing': BELOW_WORKER,
    'aodh_ha.duties': BELOW_DB | {'aodh_ha.db'},
    'aodh_ha.enrolment': BELOW_WORKER,
    'aodh_ha.notifier': BELOW_WORKER,
    'aodh_ha.reconciler': BELOW_WORKER | {'aodh_ha.duties', 'aodh_ha.callbacks'},
    'aodh_ha.worker': BELOW_WORKER | {'aodh_ha.duties', 'aodh_ha.reconciler', 'aodh_ha.keys'},
    # Heat's resources speak to our API and to Aodh as operators' commands do, by the same code.
    'aodh_ha.plugins': BELOW_WORKER | {'aodh_ha.worker', 'aodh_ha.reconciler', 'aodh_ha.osc'},
    # Operators' commands speak to our API; to Aodh, Keystone, and to Nova for who owns a server,
    # directly.
    'aodh_ha.osc': BELOW_DB
    | {f'aodh_ha.clients.{name}' for name in ('aodh', 'identity', 'servers')},
    # A callback must be answered whatever Nova or Heat do: webhook never sees clients or recovery.
    'webhook': BELOW_DB | {'aodh_ha.db', 'aodh_ha.keys', 'aodh_ha.callbacks'},
    'aodh_ha.cmd': BELOW_WORKER
    | {'aodh_ha.worker', 'aodh_ha.reconciler', 'aodh_ha.osc', 'aodh_ha.keys', 'webhook'}
    | {'aodh_ha.duties', 'aodh_ha.enrolment', 'aodh_ha.notifier', 'aodh_ha.callbacks'},
}

# Libraries that have one place, and that place.
ONLY_IN = {
    **dict.fromkeys(['novaclient', 'heatclient', 'aodhclient', 'gnocchiclient'], 'aodh_ha.clients'),
    **dict.fromkeys(['ceilometer', 'aodh', 'heat', 'eventlet'], 'aodh_ha.plugins'),
}
NOWHERE = {'keystoneclient', 'tooz', 'flask_restful', 'testscenarios'}

# rules/ does no I/O, and the clock is an argument.
IMPURE = {
    *('http', 'os', 'random', 'socket', 'subprocess', 'threading', 'time', 'urllib.request'),
    *('flask', 'keystoneauth1', 'oslo_config', 'oslo_log', 'requests', 'sqlalchemy'),
}


# In its zipapp the agent is a package of its own.
AGENT_MAY_IMPORT = sys.stdlib_module_names | {'aodh_ha_agent', '_sha2'}  # 3.12 has _sha2


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(f'{part}.') for part in parts)


def part_of(module: str) -> str:
    """Return the part a module belongs to: webhook, aodh_ha.db, … or aodh_ha for its __init__."""
    first, *rest = module.split('.')
    return f'{first}.{rest[0]}' if first == 'aodh_ha' and rest else first


def imports(module: str, source: str, *, package: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and full name of everything imported, wherever in the file it stands."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                here = module.split('.') if package else module.split('.')[:-1]
                here = here[: len(here) - node.level + 1]
                base = '.'.join([*here, *([base] if base else [])])
            yield from ((node.lineno, f'{base}.{alias.name}') for alias in node.names)


def violations(module: str, source: str, *, package: bool = False) -> list[str]:
    """Return one sentence for each import that runs against the architecture."""
    part = part_of(module)
    if part == 'aodh_ha':
        allowed: set[str] = set()
    elif part in ALLOWED:
        allowed = ALLOWED[part]
    else:
        return [f'{part} has no place in ALLOWED: say what it may import']
    found = []
    for line, name in imports(module, source, package=package):
        library = name.split('.')[0]
        if name == 'aodh_ha.__version__' and part != 'aodh_ha.agent':
            continue
        if library in {'aodh_ha', 'webhook'}:
            if not within(name, allowed | {part}):
                found.append(f'{module}:{line} {part} must not import {name}')
        elif library in {'tests', 'deploy'}:
            found.append(f'{module}:{line} {name} is not part of the product')
        elif library in NOWHERE or (library in ONLY_IN and part != ONLY_IN[library]):
            found.append(
                f'{module}:{line} {library} belongs in {ONLY_IN.get(library, "no module")}'
            )
        elif part == 'aodh_ha.rules' and within(name, IMPURE):
            found.append(f'{module}:{line} rules are pure: no {name}')
        elif part == 'aodh_ha.agent' and library not in AGENT_MAY_IMPORT:
            found.append(f'{module}:{line} the agent has only the standard library, not {library}')
    return found


def modules() -> list[pathlib.Path]:
    return sorted(path for top in ('aodh_ha', 'webhook') for path in (ROOT / top).rglob('*.py'))


def test_imports_run_downward_only():
    found = []
    assert modules()
    for path in modules():
        names = list(path.relative_to(ROOT).with_suffix('').parts)
        package = names[-1] == '__init__'
        module = '.'.join(names[:-1] if package else names)
        found += violations(module, path.read_text(encoding='utf-8'), package=package)
    assert not found, '\n'.join(found)


def test_the_agent_is_written_for_python_3_6():
    for path in (ROOT / 'aodh_ha/agent').rglob('*.py'):
        ast.parse(path.read_text(encoding='utf-8'), str(path), feature_version=(3, 6))


@pytest.mark.parametrize(
    ('module', 'source', 'words'),
    [
        ('aodh_ha.rules.policy', 'from aodh_ha.db import models', 'must not import aodh_ha.db'),
        ('aodh_ha.rules.policy', 'import time', 'pure: no time'),
        ('aodh_ha.rules.policy', 'import urllib.request', 'pure: no urllib.request'),
        ('aodh_ha.db.queue', 'import aodh_ha.clients.nova', 'must not import aodh_ha.clients.nova'),
        ('aodh_ha.db.queue', 'from ..recovery import engine', 'import aodh_ha.recovery.engine'),
        ('aodh_ha.clients.nova', 'from aodh_ha.db import guests', 'import aodh_ha.db.guests'),
        ('aodh_ha.recovery.engine', 'from aodh_ha import worker', 'import aodh_ha.worker'),
        ('aodh_ha.recovery.actions.reboot', 'import novaclient', 'belongs in aodh_ha.clients'),
        ('aodh_ha.reconciler', 'from .worker import Worker', 'import aodh_ha.worker.Worker'),
        ('aodh_ha.worker', 'from aodh_ha.plugins import ceilometer', 'import aodh_ha.plugins'),
        ('aodh_ha.worker', 'import eventlet', 'belongs in aodh_ha.plugins'),
        ('aodh_ha.osc.guest', 'from aodh_ha.clients import heat', 'import aodh_ha.clients.heat'),
        ('aodh_ha.osc.guest', 'from aodh_ha import db', 'must not import aodh_ha.db'),
        ('webhook.app', 'from aodh_ha.clients import nova', 'must not import aodh_ha.clients.nova'),
        ('webhook.v1.alarms', 'from aodh_ha import recovery', 'must not import aodh_ha.recovery'),
        ('webhook.app', 'def f():\n    from aodh_ha.worker import x', 'webhook.app:2'),
        ('webhook.app', 'from aodh_ha import *', 'must not import aodh_ha.*'),
        ('aodh_ha.agent.main', 'from aodh_ha import exceptions', 'import aodh_ha.exceptions'),
        ('aodh_ha.agent.main', 'from aodh_ha import __version__', 'import aodh_ha.__version__'),
        ('aodh_ha.agent.main', 'import requests', 'only the standard library'),
        ('aodh_ha.cmd.serve', 'import tooz', 'belongs in no module'),
        ('aodh_ha.cmd.serve', 'from tests import conftest', 'not part of the product'),
        ('aodh_ha.helpers', '', 'no place in ALLOWED'),
    ],
)
def test_an_import_that_runs_upward_is_found(module, source, words):
    (found,) = violations(module, source)
    assert words in found


@pytest.mark.parametrize(
    ('module', 'source'),
    [
        ('aodh_ha.clients.nova', 'import novaclient.client'),
        ('aodh_ha.plugins.ceilometer.pollster', 'from ceilometer.polling import plugin_base'),
        ('aodh_ha.recovery.engine', 'from aodh_ha.clients import nova\nfrom . import evidence'),
        ('aodh_ha.osc.alarm', 'from aodh_ha.clients import aodh\nimport aodh_ha.clients.servers'),
        ('aodh_ha.rules.heartbeat', 'import hmac, urllib.parse\nfrom datetime import datetime'),
        ('aodh_ha.cmd.serve', 'import webhook.app\nfrom aodh_ha import worker'),
        ('webhook.v1.alarms', 'from aodh_ha.db import queue\nfrom webhook import errors'),
        ('webhook.app', 'from aodh_ha import __version__, keys'),
        ('aodh_ha.agent.main', 'from .transport import exchange\nimport aodh_ha.agent.checks'),
    ],
)
def test_an_import_that_runs_downward_is_not(module, source):
    assert violations(module, source) == []


def test_a_relative_import_in_a_package_is_read_from_that_package():
    assert list(imports('aodh_ha.db', 'from . import queue', package=True)) == [
        (1, 'aodh_ha.db.queue')
    ]
    assert list(imports('aodh_ha.db.queue', 'from . import models')) == [(1, 'aodh_ha.db.models')]
