"""Values that tests begin with; each test changes the fields it is about."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from aodh_ha.db import commands
from aodh_ha.db.commands import Command
from aodh_ha.rules.evidence import Evidence, Server
from aodh_ha.rules.guest import ENROLLED, Guest
from aodh_ha.rules.holdings import HEAT, IMAGE, Holdings, Member, Port, Volume
from aodh_ha.rules.policy import Policy, Step
from aodh_ha.rules.recovery import RUNNING, Attempt, Recovery
from aodh_ha.testing import START

SERVER_ID = '6c1f0c0e-6f0c-4a41-9b0e-2f6f3f0c8f11'
OTHER_ID = '7d2e1d1f-7e1d-4b52-8c1f-3e7e4e1d9e22'
PROJECT = 'a' * 32
OTHER_PROJECT = 'b' * 32

DOCUMENT = """\
name: ladder
heartbeat: {interval: 10s, missed: 3, boot_grace: 120s}
preserve: [volumes, fixed_ips]
steps:
  - {action: server.reboot, type: soft, verify: 90s}
  - {action: server.reboot, type: hard, verify: 120s}
  - {action: server.rebuild, verify: 300s}
"""

LADDER = Policy(
    name='ladder',
    version=1,
    steps=(
        Step('server.reboot', 'soft', 1, 90.0),
        Step('server.reboot', 'hard', 1, 120.0),
        Step('server.rebuild', None, 1, 300.0),
    ),
    preserve=frozenset({'volumes', 'fixed_ips'}),
    document=DOCUMENT,
)


def policy(**changes: Any) -> Policy:
    """LADDER, changed; the document stays as it is."""
    return replace(LADDER, **changes)


def pending(connection: Connection, server_id: str, now: float) -> list[Command]:
    """What the guest's next reply carries."""
    return commands.pending_of(connection, [server_id], now).get(server_id, [])


def guest(**changes: Any) -> Guest:
    """A guest that was last heard a minute before START."""
    values: dict[str, Any] = {
        'server_id': SERVER_ID,
        'project_id': PROJECT,
        'status': ENROLLED,
        'status_reason': '',
        'name': 'db1',
        'generation': 1,
        'interval': 10.0,
        'missed_limit': 3,
        'boot_grace': 120.0,
        'policy': 'ladder',
        'enrolled_at': START - 3600,
        'last_seen': START - 60,
        'sequence': 100,
        'beats': 100,
        'boot_id': 'boot-1',
        'services': (),
        'failures': 0,
        'failing_since': None,
        'seen_by': 'agent',
    }
    return Guest(**(values | changes))


def server(**changes: Any) -> Server:
    """A server that Nova finds nothing wrong with."""
    values: dict[str, Any] = {
        'id': SERVER_ID,
        'project_id': PROJECT,
        'name': 'db1',
        'status': 'ACTIVE',
        'vm_state': 'active',
        'task_state': None,
        'power_state': 1,
        'locked': False,
        'host': 'host1',
        'image_id': '11111111-1111-4111-8111-111111111111',
    }
    return Server(**(values | changes))


def evidence(seen: Server | None = None, **changes: Any) -> Evidence:
    """Evidence taken at START: six beats missed, and the server as seen."""
    values: dict[str, Any] = {
        'taken_at': START,
        'missed': 5,
        'last_seen': START - 60,
        'server': seen or server(),
        'last_request_id': 'req-create',
        'listening_since': START - 3600,
    }
    return Evidence(**(values | changes))


def volume(**changes: Any) -> Volume:
    """A volume of the server's stack, on its second disk."""
    return Volume(**({'id': 'vol-data', 'device': '/dev/vdb', 'made_by': HEAT} | changes))


def port(**changes: Any) -> Port:
    """A port of the server's stack with a floating IP."""
    values: dict[str, Any] = {
        'id': 'port-1',
        'mac': 'fa:16:3e:00:00:01',
        'fixed_ips': ('10.0.0.5',),
        'floating_ips': ('203.0.113.5',),
        'made_by': HEAT,
    }
    return Port(**(values | changes))


def holdings(**changes: Any) -> Holdings:
    """A root disk from an image, one volume and one port."""
    values: dict[str, Any] = {'root_disk': IMAGE, 'volumes': (volume(),), 'ports': (port(),)}
    return Holdings(**(values | changes))


def member(**changes: Any) -> Member:
    """Alone in a stack that Heat is done with."""
    values: dict[str, Any] = {
        'stack_id': 'stack-1',
        'stack_name': 'shop',
        'resource_name': 'db',
        'root_id': 'stack-1',
        'root_name': 'shop',
        'project_id': PROJECT,
        'status': 'CREATE_COMPLETE',
        'siblings': ((SERVER_ID, 'db'),),
    }
    return Member(**(values | changes))


def recovery(**changes: Any) -> Recovery:
    """The recovery of guest(), as a worker holds it."""
    values: dict[str, Any] = {
        'id': '00000000-0000-4000-8000-000000000001',
        'server_id': SERVER_ID,
        'project_id': PROJECT,
        'trigger': 'heartbeat',
        'episode': guest().episode('heartbeat'),
        'alarm_id': None,
        'status': RUNNING,
        'reason': 'the alarm fired',
        'policy': LADDER,
        'created_at': START,
        'updated_at': START,
        'finished_at': None,
        'not_before': 0.0,
        'lease_owner': 'worker',
        'lease_until': START + 15,
        'fence': 1,
        'callbacks': 1,
    }
    return Recovery(**(values | changes))


def attempt(step: int, status: str, at: float, number: int = 1, **changes: Any) -> Attempt:
    """An attempt of a step of LADDER that was intended and sent at this time."""
    values: dict[str, Any] = {
        'id': f'{step}-{number}',
        'recovery_id': recovery().id,
        'step': step,
        'number': number,
        'action': LADDER.steps[step].name,
        'status': status,
        'intended_at': at,
        'sent_at': at,
        'verify_until': at + LADDER.steps[step].verify,
    }
    return Attempt(**(values | changes))
