"""A devcloud of the tests' own, and guests on it, driven as an operator and a tenant would."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import openstack
from gnocchiclient import exceptions as gnocchi
from gnocchiclient.v1 import client as gnocchiclient

from aodh_ha.clients.aodh import Aodh
from aodh_ha.exceptions import AodhHAError, NotFound
from aodh_ha.osc.client import Client
from aodh_ha.rules import alarm as alarm_rules
from tests.waiting import wait_for

T = TypeVar('T')

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
COMMAND = REPOSITORY / 'deploy' / 'devcloud' / 'devcloud'

STATE = os.environ.get('DEVCLOUD_STATE', '.devcloud-acceptance')
PORT = int(os.environ.get('DEVCLOUD_PORT', '24000'))

# Shorter than an operator's, so that a silence is known within seconds.
INTERVAL = 2
POLICY = f"""
name: ladder
heartbeat: {{interval: {INTERVAL}s, missed: 4, boot_grace: 20s}}
preserve: [volumes, fixed_ips]
steps:
  - {{action: server.reboot, type: soft, verify: 20s}}
  - {{action: server.reboot, type: hard, verify: 30s}}
  - {{action: server.rebuild, verify: 40s}}
"""
UP_LIMIT = 600.0
"""Seconds until a devcloud is up, its installation included."""
ENDED = ('recovered', 'failed', 'left_alone')


PATIENCE = 3
"""How much slower than a quiet one a machine may be. Only what fails waits for so long."""


def wait(condition: Callable[[], T], what: str, seconds: float = 60, every: float = 0.5) -> T:
    """As wait_for, at the pace of a cloud; ``seconds`` are those of a quiet machine."""
    return wait_for(condition, seconds * PATIENCE, what, every)


class Devcloud:
    """One devcloud, by its own state folder and ports."""

    def __init__(self, state: pathlib.Path, port: int, seconds: int = 2) -> None:
        """``seconds`` between two evaluations of Aodh, and between two samples."""
        self.state = state
        self.url = f'http://127.0.0.1:{port + 87}'
        venv = os.environ.get('DEVCLOUD_VENV', str(REPOSITORY / '.devcloud-venv'))
        # What a developer set for a devcloud of his own is not meant for this one.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith('DEVCLOUD_')}
        self.environment = inherited | {
            'DEVCLOUD_STATE': str(state),
            'DEVCLOUD_VENV': venv,
            'DEVCLOUD_PORT': str(port),
            'DEVCLOUD_EVAL': str(seconds),
            'DEVCLOUD_INTERVAL': str(seconds),
            'DEVCLOUD_HA': 'split',
            'DEVCLOUD_HA_BIN': str(pathlib.Path(sys.executable).parent),
            'DEVCLOUD_DATABASE': 'sqlite',
            'DEVCLOUD_PUBLISHER': 'ceilometer',
            'DEVCLOUD_STORM': '1000',  # the tests break dozens of guests at once
        }

    def run(self, *arguments: str, **environment: str) -> str:
        """A verb of devcloud; fails with its output."""
        done = subprocess.run(
            [str(COMMAND), *arguments],
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f'devcloud {" ".join(arguments)}: {done.stdout}{done.stderr}'
        return done.stdout

    def up(self) -> None:
        """Everything up; its progress goes to the terminal."""
        subprocess.run([str(COMMAND), 'up'], env=self.environment, check=True, timeout=UP_LIMIT)

    def wipe(self) -> None:
        """Stop and remove it; its logs are kept where CI_LOGS says."""
        log = self.state / 'log'
        try:
            if 'CI_LOGS' in os.environ and log.exists():
                shutil.copytree(log, os.environ['CI_LOGS'], dirs_exist_ok=True)
        finally:
            self.run('wipe')

    @contextlib.contextmanager
    def stopped(self, *names: str) -> Iterator[None]:
        """These services are stopped meanwhile, and run again whatever comes of it."""
        try:
            self.run('stop', *names)
            yield
        finally:
            self.run('start', *names)

    @contextlib.contextmanager
    def unscheduled(self, host: str) -> Iterator[None]:
        """Nova places no server on a compute host meanwhile; those that it has run on."""
        compute = self.admin.compute
        service = next(iter(compute.services(binary='nova-compute', host=host)))
        compute.disable_service(service)
        try:
            yield
        finally:
            compute.enable_service(service)

    def host_back(self, host: str) -> None:
        """A compute host that died, and was fenced or not, takes servers again."""
        self.run('start', f'nova-compute-{host}')

        def up() -> bool:
            service = next(iter(self.admin.compute.services(binary='nova-compute', host=host)))
            if not service.is_forced_down:
                return bool(service.state == 'up')
            try:
                self.admin.compute.update_service_forced_down(service, forced=False)
            except openstack.exceptions.BadRequestException:
                pass  # until the host has cleared up what was evacuated from it
            return False

        wait(up, f'{host} is up', 120)

    def pages(self) -> list[dict[str, Any]]:
        """What the operator was told, by the hook `page`; oldest first."""
        path = self.state / 'data' / 'pages.jsonl'
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def connect(self) -> None:
        """Log in as admin, as the tenant `demo`, and as a stranger."""
        os.environ['OS_CLIENT_CONFIG_FILE'] = str(self.state / 'etc' / 'clouds.yaml')
        self.admin = openstack.connect(cloud='devcloud-admin')
        # From 2.95 on an evacuated server lands stopped.
        self.admin.compute.default_microversion = '2.90'
        self.demo = openstack.connect(cloud='devcloud')
        self.other = openstack.connect(cloud='devcloud-other')
        self.api = Client(self.demo.session)
        self.operator = Client(self.admin.session)
        self.aodh = Aodh(self.demo.session)
        self.gnocchi = gnocchiclient.Client(self.admin.session)
        # Naming a host is an administrator's right; the server is the tenant's all the same.
        self.placing = self.admin.connect_as_project('demo')
        self.placing.compute.default_microversion = '2.74'
        # Looked up once, not for every guest: each is several requests.
        self.made_of: dict[str, Any] = {
            'image_id': self.demo.image.find_image('tiny').id,
            'flavor_id': self.demo.compute.find_flavor('m1.nano').id,
            'networks': [{'uuid': self.demo.network.find_network('net').id}],
        }

    def log(self, name: str) -> str:
        """A service's whole log."""
        return (self.state / 'log' / f'{name}.log').read_text(errors='replace')

    def guest(self, name: str, *, host: str | None = None, volume: bool = False) -> 'Guest':
        """A running server of the tenant, with or without a volume; not enrolled yet."""
        wanted = self.made_of | {'name': name}
        if host:
            server = self.placing.compute.create_server(**wanted, host=host)
        else:
            server = self.demo.compute.create_server(**wanted)
        self.demo.compute.wait_for_server(server, wait=120)
        guest = Guest(self, server.id, name)
        if volume:
            made = self.demo.block_storage.create_volume(size=1, name=f'{name}-data')
            self.demo.block_storage.wait_for_status(made, 'available', wait=60)
            self.demo.compute.create_volume_attachment(server.id, volume_id=made.id)
            self.demo.block_storage.wait_for_status(made, 'in-use', wait=60)
        return guest

    def watch(
        self,
        name: str,
        *,
        policy: str = 'ladder',
        volume: bool = False,
        trigger: str = 'heartbeat',
        host: str | None = None,
    ) -> 'Guest':
        """One enrolled guest with an alarm, heard, and healthy in Gnocchi."""
        guest = self.guest(name, host=host, volume=volume)
        guest.enroll(policy)
        guest.alarm(trigger)
        wait(lambda: guest.measures()[-1:] == [0.0], f'a measure of {name}', 120, every=1)
        return guest

    def watched(
        self,
        names: Iterable[str],
        *,
        policy: str | dict[str, str] = 'ladder',
        volume: bool = False,
        triggers: dict[str, str] | None = None,
        host: str | None = None,
    ) -> dict[str, 'Guest']:
        """Enrolled guests with an alarm each, heard, and healthy in Gnocchi; made side by side."""

        def make(name: str) -> Guest:
            return self.watch(
                name,
                policy=policy if isinstance(policy, str) else policy[name],
                volume=volume,
                trigger=(triggers or {}).get(name, 'heartbeat'),
                host=host,
            )

        names = list(names)
        with ThreadPoolExecutor(4) as pool:
            return dict(zip(names, pool.map(make, names), strict=True))

    def remove(self, guests: Iterable['Guest']) -> None:
        """Forget and delete them."""

        def end(guest: Guest) -> None:
            guest.forget()
            self.demo.compute.delete_server(guest.id)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(end, guests))


@contextlib.contextmanager
def running(name: str, port: int, seconds: int = 2) -> Iterator[Devcloud]:
    """A devcloud that is up, in a state folder of this name in the repository.

    DEVCLOUD_KEEP=1 leaves it up, and takes one that is left: for a short loop, on the devcloud
    that DEVCLOUD_STATE and DEVCLOUD_PORT name. CI_LOGS names a folder for its logs.
    DEVCLOUD_PREPARED=1 says that prepare.py brings it up and removes it: several processes of
    tests may share it.
    """
    keep = '1' in (os.environ.get('DEVCLOUD_KEEP'), os.environ.get('DEVCLOUD_PREPARED'))
    devcloud = Devcloud(REPOSITORY / name, port, seconds)
    if not keep:
        devcloud.run('wipe')
    try:
        devcloud.up()
        devcloud.connect()
        yield devcloud
    finally:
        if not keep:
            devcloud.wipe()


class Guest:
    """One server and what runs in it."""

    def __init__(self, cloud: Devcloud, server_id: str, name: str) -> None:
        self.cloud = cloud
        self.id = server_id
        self.name = name
        self._resource_id = ''
        self._earlier: set[str] = set()
        self._actions_before = 0

    def take(self) -> None:
        """From here on it is one test's: what came over it before does not count.

        The gateway that nobody reaches is every guest's, and one that a busy machine kept from
        sending for some seconds was rebooted; that is said.
        """
        wait(lambda: all(r['finished_at'] for r in self.recoveries()), f'{self.name} is well', 120)
        if self.told():
            print(f'{self.name}, before its test: {self.told()}, {self.actions()}')
        self._earlier |= {r['id'] for r in self.recoveries()}
        self._actions_before += len(self.actions())

    def enroll(self, policy: str = 'ladder') -> None:
        """Enrol it, hand the credentials over by the server's metadata, wait for two beats."""
        answer = self.cloud.api.enroll(self.id, policy=policy)
        credentials = answer['credentials']
        self.cloud.demo.compute.set_server_metadata(
            self.id,
            aodh_ha_gateways=','.join(credentials['gateways']),
            aodh_ha_key=credentials['key'],
            aodh_ha_generation=str(credentials['generation']),
        )
        wait(lambda: self.shown()['status'] == 'enrolled', f'{self.name} is enrolled')
        wait(lambda: self.shown()['beats'] >= 2, f'two heartbeats of {self.name}')

    def alarm(self, trigger: str = 'heartbeat') -> str:
        """Create the alarm as `aodh-ha alarm create` does; returns Aodh's id."""
        answer = self.cloud.api.create_alarm(self.id, trigger, None)
        made = self.cloud.aodh.create(answer['definition'])
        self.cloud.api.link_alarm(answer['alarm']['id'], made['alarm_id'])
        return str(made['alarm_id'])

    def forget(self) -> None:
        """Forget it with its alarms, as `aodh-ha guest forget` does."""
        for alarm in self.cloud.api.alarms(self.id):
            if alarm['aodh_alarm_id']:
                try:
                    self.cloud.aodh.delete(alarm['aodh_alarm_id'])
                except NotFound:
                    pass
        self.cloud.api.forget_guest(self.id)

    def fault(self, fault: str, *arguments: str) -> None:
        """Break it."""
        self.cloud.run('fault', fault, self.id, *arguments)

    def shown(self) -> dict[str, Any]:
        """As the API shows it."""
        return dict(self.cloud.api.guest(self.id)['guest'])

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Of the audit trail."""
        return [e for e in self.cloud.api.guest(self.id)['events'] if e['kind'] == kind]

    def recoveries(self) -> list[dict[str, Any]]:
        """Newest first."""
        found = self.cloud.api.recoveries(self.id)
        return [r for r in found if r['id'] not in self._earlier]

    def told(self) -> list[str]:
        """Its recoveries in a line each, newest first: what a failed assertion should say."""
        return [f'{r["created_at"]} {r["status"]}: {r["reason"]}' for r in self.recoveries()]

    def ended(self, seconds: float = 120) -> dict[str, Any]:
        """Its only recovery with attempts and events, once it has ended."""

        def look() -> dict[str, Any] | None:
            try:
                found = self.recoveries()
            except AodhHAError:  # the webhook is being restarted
                return None
            if not found or found[0]['status'] not in ENDED:
                return None
            return self.cloud.api.recovery(found[0]['id'])

        return wait(look, f'the recovery of {self.name} ends', seconds)  # type: ignore[return-value]

    def actions(self) -> list[str]:
        """Nova's log of what was done to the server, oldest first, without its birth."""
        found = list(self.cloud.admin.compute.server_actions(self.id))
        found.sort(key=lambda a: a.start_time)
        made = [a.action for a in found if a.action not in ('create', 'attach_volume')]
        return made[self._actions_before :]

    def server(self) -> Any:
        """As Nova shows it to the administrator."""
        return self.cloud.admin.compute.get_server(self.id)

    def addresses(self) -> list[str]:
        """Its fixed IPs."""
        return sorted(a['addr'] for net in self.server().addresses.values() for a in net)

    def folder(self) -> pathlib.Path:
        """What a hypervisor's host holds of it: root/, volumes/, console.log."""
        hosts = (self.cloud.state / 'data' / 'hosts').iterdir()
        found = [
            h / 'guests' / self.id for h in hosts if (h / 'guests' / self.id / 'root').exists()
        ]
        return max(found, key=lambda f: (f / 'console.log').stat().st_mtime)

    def measures(
        self,
        meter: str = alarm_rules.MISSED,
        since: float | None = None,
        granularity: float = alarm_rules.GRANULARITY,
    ) -> list[float]:
        """What Gnocchi has of a meter, in spans of so many seconds; since then, epoch seconds."""
        self._resource_id = self._resource_id or self.shown()['resource_id']
        try:
            found = self.cloud.gnocchi.metric.get_measures(
                meter,
                resource_id=self._resource_id,
                start=since,
                aggregation='max',
                granularity=granularity,
            )
        except gnocchi.NotFound:
            return []  # not published yet
        return [value for _, _, value in found]
