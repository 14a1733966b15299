"""The demo's user in the cloud: two servers, a volume, and what each service says about them."""

import json
import os
import pathlib
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import openstack
from shell import CLOUD, DemoError, Devcloud

Object = dict[str, Any]

SERVICES = {
    'nova': 'compute',
    'cinder': 'block-storage',
    'gnocchi': 'metric',
    'aodh': 'alarming',
    'aodh-ha': 'aodh-ha',
}
"""Names and their types in Keystone's catalog."""

IMAGE, FLAVOR, NETWORK = 'tiny', 'm1.nano', 'net'
VOLUME = 'demo-data'
REQUEST_LIMIT = 30.0
BOOT_LIMIT = 180
"""Seconds."""
MARKER = pathlib.Path('etc/demo-marker')
"""On the root disk; a rebuild would lose it."""


@dataclass
class Guest:
    """One of the two servers, and what has to survive in it."""

    name: str
    id: str
    address: str
    data: str
    marker: str
    volume: str = ''
    resource: str = ''
    """Its resource in Gnocchi."""
    alarm: str = ''
    """Its alarm in Aodh."""
    before: Object = field(default_factory=dict)
    """What Cloud.look_inside saw before the fault."""


def seconds(text: str) -> float:
    """Seconds since the epoch, from a time of any of the APIs; Aodh's have no zone: UTC."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def wait_for(what: str, found: Callable[[], Any], limit: float, pause: float = 0.5) -> Any:
    """What `found` returns as soon as that is true; raises DemoError after `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        value = found()
        if value:
            return value
        if time.monotonic() > end:
            raise DemoError(f'{what}: not within {limit:g} s')
        time.sleep(pause)


class Cloud:
    """Everything is asked with the user's own token."""

    def __init__(self, devcloud: Devcloud, state: pathlib.Path) -> None:
        self.devcloud = devcloud
        self._state = state
        self._sdk = openstack.connect(cloud=CLOUD)
        self._session = self._sdk.session

    # ---- asking

    def get(self, service: str, path: str) -> Any:
        """The JSON of an answer; raises DemoError for any other answer."""
        answer = self._session.get(
            path,
            endpoint_filter={'service_type': SERVICES[service]},
            raise_exc=False,
            timeout=REQUEST_LIMIT,
        )
        if answer.status_code != 200:
            raise DemoError(f'{service}: {path}: HTTP {answer.status_code}')
        return answer.json()

    def address(self, service: str) -> str:
        """Where a service listens."""
        return str(self._session.get_endpoint(service_type=SERVICES[service]))

    def addresses(self) -> dict[str, str]:
        """Where each service listens."""
        auth = self._session.auth.auth_url
        return {'keystone': auth} | {name: self.address(name) for name in SERVICES}

    def missed_in_gnocchi(self, resource: str) -> tuple[float, int] | None:
        """The newest guest.heartbeat.missed: its bucket's begin (10 s each) and value."""
        begin = f'{time.time() - 60:.0f}'
        path = (
            f'/v1/resource/aodh_ha_guest/{resource}/metric/guest.heartbeat.missed/measures'
            f'?aggregation=last&granularity=10&start={quote(begin)}'
        )
        measures = self.get('gnocchi', path)
        return (seconds(measures[-1][0]), int(measures[-1][2])) if measures else None

    def instance_actions(self, server: str) -> list[Object]:
        """What Nova logged about a server, oldest first."""
        found = self.get('nova', f'/servers/{server}/os-instance-actions')['instanceActions']
        # The API has whole seconds, and lists the newest first.
        return list(reversed(found))

    # ---- making

    def remove(self, names: set[str]) -> list[str]:
        """Delete the demo's servers, alarms and volume; their guests have been forgotten.

        Returns what there was.
        """
        gone = []
        prefixes = tuple(f'aodh-ha heartbeat {name} ' for name in names)
        for alarm in self.get('aodh', '/v2/alarms'):
            if alarm['name'].startswith(prefixes):
                endpoint = {'service_type': SERVICES['aodh']}
                self._session.delete(f'/v2/alarms/{alarm["alarm_id"]}', endpoint_filter=endpoint)
                gone.append(f'alarm {alarm["name"]}')
        servers = [s for s in self._sdk.compute.servers() if s.name in names]
        for server in servers:
            self._sdk.compute.delete_server(server)
            gone.append(f'server {server.name}')
        for server in servers:
            self._sdk.compute.wait_for_delete(server, interval=0.5, wait=BOOT_LIMIT)
        for volume in self._sdk.block_storage.volumes():
            if volume.name == VOLUME:
                self._free(volume.id)
                self._sdk.block_storage.delete_volume(volume)
                self._sdk.block_storage.wait_for_delete(volume, interval=0.5, wait=BOOT_LIMIT)
                gone.append(f'volume {VOLUME}')
        return gone

    def _free(self, volume: str) -> None:
        """Cinder says a moment later than Nova that a server is gone."""
        get = self._sdk.block_storage.get_volume
        wait_for(f'{VOLUME} is detached', lambda: get(volume).status != 'in-use', BOOT_LIMIT)

    def enrolled(self, names: set[str]) -> list[str]:
        """Server ids of the guests with these names."""
        return [g['id'] for g in self.get('aodh-ha', '/v1/guests')['guests'] if g['name'] in names]

    def boot(self, names: tuple[str, ...]) -> list[Guest]:
        """Boot servers side by side, until each has an address and its service answers."""
        compute = self._sdk.compute
        image = self._sdk.image.find_image(IMAGE, ignore_missing=False).id
        flavor = compute.find_flavor(FLAVOR, ignore_missing=False).id
        network = self._sdk.network.find_network(NETWORK, ignore_missing=False).id
        networks = [{'uuid': network}]
        servers = [
            compute.create_server(name=n, image_id=image, flavor_id=flavor, networks=networks)
            for n in names
        ]
        stamp = f'{datetime.now(UTC):%Y-%m-%d %H:%M:%S}'
        guests = []
        for server in servers:
            ready = compute.wait_for_server(server, interval=0.5, wait=BOOT_LIMIT)
            address = ready.addresses[NETWORK][0]['addr']
            words = (f'{server.name}, {stamp}', f'{server.name}, {stamp}')
            guests.append(Guest(server.name, server.id, address, *words))
        return guests

    def attach_volume(self, guest: Guest) -> None:
        """Create a volume and attach it while the server runs."""
        volume = self._sdk.block_storage.create_volume(name=VOLUME, size=1)
        volume = self._sdk.block_storage.wait_for_status(
            volume, 'available', interval=0.5, wait=BOOT_LIMIT
        )
        self._sdk.compute.create_volume_attachment(guest.id, volume_id=volume.id)
        self._sdk.block_storage.wait_for_status(volume, 'in-use', interval=0.5, wait=BOOT_LIMIT)
        guest.volume = volume.id

    # ---- inside the guests

    def machine(self, guest: Guest) -> Object:
        """The guest as its hypervisor sees it; boots of the newest if it moved."""
        rows = [r for r in self.devcloud.guests() if r['uuid'] == guest.id]
        if not rows:
            raise DemoError(f'no host has the guest of {guest.name}')
        return max(rows, key=lambda r: int(r['boots']))

    def write(self, guest: Guest) -> None:
        """Hand a value to the guest's service, and put a marker on its root disk."""
        self._marker(self.machine(guest)).write_text(guest.marker)
        wait_for(f'the service in {guest.name}', lambda: self._put(guest), BOOT_LIMIT)

    def _put(self, guest: Guest) -> bool:
        port = self.machine(guest)['port']
        if not port:
            return False
        request = urllib.request.Request(
            f'http://127.0.0.1:{port}/data', data=guest.data.encode(), method='PUT'
        )
        try:
            _open(request)
        except OSError:
            return False
        return True

    def look_inside(self, guest: Guest) -> Object:
        """All that a recovery must keep, and what shows whether the guest was booted."""
        row = self.machine(guest)
        try:
            data = _open(urllib.request.Request(f'http://127.0.0.1:{row["port"]}/data'))
        except (OSError, ValueError) as e:
            data = {'value': f'no answer: {e}', 'where': '?'}
        try:
            marker = self._marker(row).read_text()
        except OSError as e:
            marker = f'gone: {e.strerror}'
        server = self.get('nova', f'/servers/{guest.id}')['server']
        attached = self.get('nova', f'/servers/{guest.id}/os-volume_attachments')
        return {
            'status': server['status'],
            'address': server['addresses'][NETWORK][0]['addr'],
            'volumes': {v['device']: v['volumeId'] for v in attached['volumeAttachments']},
            'data': data['value'],
            'where': data['where'],
            'marker': marker,
            'boots': int(row['boots']),
            'boot_id': str(row['boot_id']),
        }

    def _marker(self, row: Object) -> pathlib.Path:
        guests = self._state / 'data' / 'hosts' / str(row['host']) / 'guests'
        return guests / str(row['uuid']) / 'root' / MARKER


def _open(request: urllib.request.Request) -> Object:
    # No proxy of the caller's shell for an address on loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=REQUEST_LIMIT) as answer:
        return dict(json.loads(answer.read()))


def without_proxies() -> None:
    """devcloud is on loopback: a proxy for the outside world must not be asked for it."""
    for name in ('no_proxy', 'NO_PROXY'):
        os.environ[name] = ','.join(filter(None, (os.environ.get(name), '127.0.0.1')))
