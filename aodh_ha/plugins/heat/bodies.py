"""From the properties of Heat's resources to what our API takes; nothing here imports Heat."""

import re
import textwrap
from collections.abc import Mapping
from typing import Any

import yaml

from aodh_ha.exceptions import InvalidPolicy, InvalidRequest
from aodh_ha.osc.guest import agent_config
from aodh_ha.rules import policy as rules
from aodh_ha.rules.document import UNITS

Properties = Mapping[str, Any]

DURATION = r'\d+(\.\d+)?[smh]'
"""As a policy has it: with its unit."""

_UNFIT = re.compile(r'[^A-Za-z0-9_.-]')
_LINE = re.compile(r'line \d+: (?:(?P<path>[^: ]+): )?(?P<problem>.*)', re.DOTALL)


def seconds(duration: str | None) -> float | None:
    """Seconds of a duration with its unit; None stays so."""
    return None if duration is None else float(duration[:-1]) * UNITS[duration[-1]]


def given(properties: Any) -> Any:
    """What was given, at every depth: Heat has None for each property that was not."""
    if isinstance(properties, Mapping):
        return {k: given(v) for k, v in properties.items() if v is not None}
    if isinstance(properties, list | tuple):
        return [given(v) for v in properties]
    return properties


def name(physical: str) -> str:
    """A name as policies and groups have it, from a resource's physical name."""
    return _UNFIT.sub('-', physical)


def policy_document(properties: Properties, default_name: str) -> str:
    """The YAML of a policy; raises InvalidPolicy, without a line, where it is none.

    It is ``document`` as it stands, else made of the other properties.
    """
    stated = {k: v for k, v in given(properties).items() if v not in ([], {})}
    if 'document' in stated:
        others = sorted(set(stated) - {'document', 'name'})
        if others:
            raise InvalidPolicy(f'{others[0]}: not beside document, which says it all')
        text = str(stated['document'])
        found = rules.parse(text)
        if stated.get('name', found.name) != found.name:
            raise InvalidPolicy(f'name: the document is named {found.name!r}')
        return text
    text = yaml.safe_dump({'name': default_name} | stated, sort_keys=False)
    rules.parse(text)
    return text


def policy_name(document: str) -> str:
    """Of a policy's YAML."""
    return rules.parse(document).name


def place(error: InvalidPolicy, document: bool) -> tuple[list[str], str]:
    """The property that is wrong, as a path, and what is wrong with it.

    In a document the line is what helps; in properties nobody sees the lines.
    """
    match = _LINE.fullmatch(error.detail)
    if document or match is None:
        path, _, problem = error.detail.partition(': ')
        known = re.fullmatch(r'[a-z_]+', path) and problem
        return ([path], problem) if known else (['document'] if document else [], error.detail)
    return (match['path'] or '').split('.') if match['path'] else [], match['problem']


def enrolment(properties: Properties) -> dict[str, Any]:
    """What is enrolled with, as Client.enroll takes it; a policy or group that was taken away
    again is none."""
    return {
        'policy': properties['policy'] or '',
        'group': properties['group'] or '',
        'interval': seconds(properties['interval']),
        'missed': properties['missed'],
        'boot_grace': seconds(properties['boot_grace']),
    }


_USER_DATA = """\
#cloud-config
write_files:
  - path: /etc/aodh-ha/agent.conf
    permissions: '0640'
    content: |
{config}
runcmd:
  - [systemctl, try-restart, aodh-ha-agent.service]
"""


def user_data(config: str) -> str:
    """Cloud-config that configures an agent which the image has, and starts it anew."""
    return _USER_DATA.format(config=textwrap.indent(config.strip(), ' ' * 6))


def credentials_user_data(credentials: Mapping[str, Any], interval: float) -> str:
    """Cloud-config with a guest's key; for a guest that is told so otherwise than by metadata."""
    return user_data(agent_config(dict(credentials), interval))


def server_ids(members: Mapping[str, Any] | list[Any]) -> list[str]:
    """The servers among the members of a group, each once; raises InvalidRequest.

    Lists in the list are what ``get_attr: [an autoscaling group, refs]`` gives.
    """
    found: list[str] = []
    for member in members:
        if isinstance(member, list):
            found += server_ids(member)
        elif isinstance(member, str):
            found.append(member.lower())
        elif member is not None:
            raise InvalidRequest(f'servers: {member!r} is no reference to a server')
    return list(dict.fromkeys(found))


def watch(properties: Properties) -> dict[str, Any]:
    """What a CloudWatch alarm looks at, as Client.save_watch takes it; raises InvalidRequest."""
    return {
        'namespace': properties['Namespace'],
        'metric': properties['MetricName'],
        'dimensions': _dimensions(properties['Dimensions'] or []),
        'statistic': properties['Statistic'],
        'period': properties['Period'],
        'evaluation_periods': properties['EvaluationPeriods'],
        'comparison': properties['ComparisonOperator'],
        'threshold': properties['Threshold'],
        'alarm_actions': list(properties['AlarmActions'] or []),
        'ok_actions': list(properties['OKActions'] or []),
        'insufficient_data_actions': list(properties['InsufficientDataActions'] or []),
    }


def _dimensions(given: list[Any]) -> dict[str, str]:
    """Each ``{"Name": n, "Value": v}`` as AWS has it, or ``{n: v}``."""
    found: dict[str, str] = {}
    for one in given:
        if not isinstance(one, Mapping):
            raise InvalidRequest(f'Dimensions: {one!r} is no map of a name and a value')
        named = {one['Name']: one.get('Value', '')} if 'Name' in one else one
        found |= {str(name): str(value) for name, value in named.items()}
    return found
