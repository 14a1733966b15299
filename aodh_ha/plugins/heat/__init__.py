"""Resource types for Heat's templates; loaded by the one file in deploy/heat/plugins."""

import importlib
from typing import Any

MODULES = (
    *('policy', 'heartbeat', 'alarms', 'group'),
    *('harestarter', 'cloudwatch', 'instance', 'waitcondition', 'accesskey'),
)
"""Modules here that have a ``resource_mapping``. They import Heat; this one does not."""


def resource_mapping() -> dict[str, Any]:
    """Classes by resource type, as Heat asks a plugin's module for them."""
    found: dict[str, Any] = {}
    for name in MODULES:
        found |= importlib.import_module(f'{__name__}.{name}').resource_mapping()
    return found


def constraint_mapping() -> dict[str, Any]:
    """Constraints of properties by name, likewise."""
    client = importlib.import_module(f'{__name__}.client')
    return {'aodh_ha.policy': client.PolicyConstraint}
