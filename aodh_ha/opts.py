"""Configuration: options of oslo.config, loaded into an object that is passed, never global."""

import os
import pathlib
import shlex
from collections.abc import Sequence
from typing import Any

from keystoneauth1 import loading
from oslo_config import cfg
from oslo_log import log

from aodh_ha.exceptions import ConfigurationError, InvalidPolicy
from aodh_ha.options import GROUPS, SCOPES, hook_opts
from aodh_ha.rules.budget import Limits
from aodh_ha.rules.document import Document
from aodh_ha.rules.policy import ACTIONS, FORCED_DOWN, NAME, Budget

DEFAULT_FILE = '/etc/aodh-ha/aodh-ha.conf'
FILE_VARIABLE = 'AODH_HA_CONFIG_FILE'
SERVICE_GROUP = 'service_credentials'

HOOK = 'hook:'
"""What the name of a hook's own group begins with."""


def list_opts() -> list[tuple[str, list[Any]]]:
    """For oslo-config-generator."""
    service = loading.get_auth_common_conf_options() + loading.get_session_conf_options()
    return [*GROUPS.items(), (f'{HOOK}name', hook_opts), (SERVICE_GROUP, service)]


def load(args: Sequence[str] | None = None) -> cfg.ConfigOpts:
    """The configuration from command line, files and environment.

    ``args`` are oslo.config's own (``--config-file F``). Without one, what AODH_HA_CONFIG_FILE
    names is read (several files with a colon between them, later ones overriding earlier ones),
    or /etc/aodh-ha/aodh-ha.conf, where it exists. Raises ConfigurationError.
    """
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    for group, options in GROUPS.items():
        conf.register_opts(options, group=group)
    loading.register_auth_conf_options(conf, SERVICE_GROUP)
    loading.register_session_conf_options(conf, SERVICE_GROUP)
    try:
        conf(
            list(args or []),
            project='aodh-ha',
            default_config_files=_default_files(),
            default_config_dirs=[],
        )
        for group, options in GROUPS.items():
            for option in options:
                getattr(conf[group], option.dest)  # a bad value is told now, not at first use
        _register_hooks(conf)
        _ports(conf)
        limits(conf)
        bounds(conf)
    except (cfg.Error, ValueError) as e:
        raise ConfigurationError(str(e)) from None
    return conf


def _default_files() -> list[str]:
    named = os.environ.get(FILE_VARIABLE)
    if named is None:
        return [DEFAULT_FILE] if pathlib.Path(DEFAULT_FILE).exists() else []
    files = [f for f in named.split(os.pathsep) if f]
    for file in files:
        if not pathlib.Path(file).exists():
            raise ConfigurationError(f'{FILE_VARIABLE} names {file}, which does not exist')
    return files


def environment(conf: cfg.ConfigOpts) -> dict[str, str]:
    """Our environment with what a child process needs to load the same configuration."""
    files = [str(pathlib.Path(f).absolute()) for f in conf.config_file or []]
    return os.environ | ({FILE_VARIABLE: os.pathsep.join(files)} if files else {})


def _ports(conf: cfg.ConfigOpts) -> None:
    """Raises ConfigurationError when two doors would be one."""
    if conf.cloudwatch.enabled and conf.cloudwatch.port == conf.webhook.port:
        raise ConfigurationError(
            f'[cloudwatch] port = {conf.cloudwatch.port} is that of [webhook]: give it another one'
        )


def _register_hooks(conf: cfg.ConfigOpts) -> None:
    """Read the groups of the hooks that are named; raises ConfigurationError."""
    for name in conf.hooks.names:
        if not NAME.fullmatch(name) or name in (FORCED_DOWN, 'notify'):
            raise ConfigurationError(
                f'[hooks] names: {name!r} cannot be a name; take 1 to 63 letters, digits, dots, '
                f'hyphens, underscores, and neither {FORCED_DOWN} nor notify'
            )
        group = conf[_register_hook(conf, name)]
        if bool(group.command) == bool(group.url):
            raise ConfigurationError(f'[{HOOK}{name}] must have either a command or a url')
        try:
            shlex.split(group.command or '')
        except ValueError as e:
            raise ConfigurationError(f'[{HOOK}{name}] command: {e}') from None
    wanted = conf.notifications.hook
    if wanted and wanted not in conf.hooks.names:
        raise ConfigurationError(
            f'[notifications] hook = {wanted}: add {wanted} to [hooks] names, and a group '
            f'[{HOOK}{wanted}] with its command or url'
        )


def _register_hook(conf: cfg.ConfigOpts, name: str) -> str:
    group = f'{HOOK}{name}'
    conf.register_opts(hook_opts, group=group)
    for option in hook_opts:
        getattr(conf[group], option.dest)
    return group


def hooks_for_projects(conf: cfg.ConfigOpts) -> list[str]:
    """The hooks that projects' own policies may name."""
    return [name for name in conf.hooks.names if conf[f'{HOOK}{name}'].for_projects]


def limits(conf: cfg.ConfigOpts) -> Limits:
    """The operator's budget; raises ConfigurationError."""
    scopes = {'all': conf.budget.concurrent} | {
        scope: conf.budget[f'concurrent_per_{scope}'] for scope in SCOPES
    }
    return Limits(
        concurrent={scope: most for scope, most in scopes.items() if most},
        per_window=_rate('budget', 'per_window', conf.budget.per_window),
    )


def gateways(conf: cfg.ConfigOpts) -> list[str]:
    """Where guests send their heartbeats, without /v1."""
    return [g.rstrip('/') for g in conf.webhook.gateways or [conf.webhook.public_url]]


def bounds(conf: cfg.ConfigOpts) -> tuple[frozenset[str], Budget]:
    """What projects' own policies may have, as rules.policy.bounded takes it.

    Raises ConfigurationError.
    """
    group = conf.policies
    for action in group.allowed_actions:
        if action not in ACTIONS:
            known = ', '.join(ACTIONS)
            raise ConfigurationError(
                f'[policies] allowed_actions: no action {action!r}; known are {known}'
            )
    most = Budget(
        concurrent=group.most_concurrent or None,
        per_window=_rate('policies', 'most_per_window', group.most_per_window),
        per_guest=_rate('policies', 'most_per_guest', group.most_per_guest),
    )
    return frozenset(group.allowed_actions), most


def _rate(group: str, name: str, value: str) -> tuple[int, float] | None:
    if not value:
        return None
    try:
        rate = Document('{}').rate({name: value}, (), name)
    except InvalidPolicy as e:
        problem = e.detail.partition(f'{name}: ')[2]
        raise ConfigurationError(f'[{group}] {name} = {value}: {problem}') from None
    return (int(rate[0]), rate[1]) if rate else None


def setup_logging(conf: cfg.ConfigOpts) -> None:
    """oslo.log by the configuration; the clients' own chatter only when debugging."""
    quiet = [
        'keystoneauth=WARNING',
        'urllib3=WARNING',
        'keystonemiddleware=WARNING',
        'novaclient=WARNING',
        'alembic=WARNING',
        'oslo_policy=WARNING',
        'stevedore=WARNING',
    ]
    log.set_defaults(default_log_levels=quiet)
    log.setup(conf, 'aodh-ha')
