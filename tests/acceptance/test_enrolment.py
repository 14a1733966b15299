"""Guests that nobody enrols by hand, and keys that change while they speak."""

import base64
import contextlib
import http.client
import json
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from aodh_ha.agent.signing import authorization
from tests.acceptance.conftest import Pool
from tests.acceptance.devcloud import INTERVAL, Devcloud, Guest, wait

pytestmark = pytest.mark.disruptive

POOL: dict[str, dict[str, object]] = {'key-1': {}}

OPT_IN = {'aodh_ha:policy': 'ladder'}
OVERLAP = 16.0
"""Seconds that an old key is good; agents look for a new one every 10 s at most."""
WATCHED = OVERLAP + 5 * INTERVAL
"""Seconds that guests are looked at while their keys change."""


def boot(cloud: Devcloud, name: str, image: str, metadata: dict[str, str], drive: bool) -> Guest:
    """A server that is given nothing but this metadata."""
    wanted = cloud.made_of | {
        'name': name,
        'image_id': cloud.demo.image.find_image(image).id,
        'metadata': metadata,
        'config_drive': drive,
    }
    server = cloud.demo.compute.create_server(**wanted)
    cloud.demo.compute.wait_for_server(server, wait=120)
    return Guest(cloud, server.id, name)


def remove(cloud: Devcloud, guests: list[Guest]) -> None:
    """Delete the servers first: while they run they ask for enrolment."""
    for guest in guests:
        cloud.demo.compute.delete_server(guest.id, ignore_missing=True)
    for guest in guests:
        wait(lambda g=guest: not cloud.demo.compute.find_server(g.id), f'{guest.name} is gone')
    known = {g['id'] for g in cloud.api.guests()}
    for guest in guests:
        if guest.id in known:
            guest.forget()


@pytest.fixture(scope='module')
def booted(cloud: Devcloud) -> Iterator[dict[str, Guest]]:
    """By how each gets its metadata; `nobody` did not opt in."""
    wanted: dict[str, tuple[str, dict[str, str], bool]] = {
        'service': ('tiny-metadata', OPT_IN, False),
        'service-2': ('tiny-metadata', OPT_IN, False),
        'drive': ('tiny', {'aodh_ha:enroll': 'true'} | OPT_IN, True),
        'nobody': ('tiny-metadata', {'what': 'ever'}, False),
    }
    with ThreadPoolExecutor(4) as pool:
        made = {
            name: pool.submit(boot, cloud, f'boot-{name}', *how) for name, how in wanted.items()
        }
        found = {name: each.result() for name, each in made.items()}
    yield found
    remove(cloud, list(found.values()))


@pytest.fixture
def keyed(cloud: Devcloud, pool: Pool) -> Iterator[Guest]:
    """A guest that was enrolled by hand, with its key in the server's metadata."""
    guest = pool(POOL)['key-1']
    guest.take()
    yield guest
    cloud.remove([guest])


def credentials(guest: Guest) -> dict[str, Any]:
    """Its key, as whoever may enrol it gets it."""
    return dict(guest.cloud.api.enroll(guest.id)['credentials'])


def beat(guest: Guest, key: dict[str, Any]) -> tuple[int, str]:
    """A heartbeat that anybody who has the key could send; the status, and the code of the error.

    Its sequence is an old one, so the guest itself is not disturbed.
    """
    header = authorization(
        key['key'],
        'POST',
        '/v1/heartbeats',
        guest.id,
        str(key['generation']),
        int(time.time()),
        1,
        b'{}',
    )
    request = urllib.request.Request(
        f'{guest.cloud.url}/v1/heartbeats', b'{}', {'Authorization': header}, method='POST'
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, ''
    except urllib.error.HTTPError as e:
        return e.code, json.load(e)['errors'][0]['code']


def metadata(
    cloud: Devcloud, name: str, headers: dict[str, str], guest: Guest | None = None
) -> dict[str, Any]:
    """What the metadata service answers a process in this guest, or one in no guest."""
    base = int(cloud.environment['DEVCLOUD_PORT'])
    target = f'/openstack/latest/{name}'
    if guest:
        who = base64.b64encode(f'{guest.id}:guest'.encode()).decode()
        headers = headers | {'Proxy-Authorization': f'Basic {who}'}
        target = f'http://127.0.0.1:{base + 75}{target}'
    connection = http.client.HTTPConnection('127.0.0.1', base + (80 if guest else 75), timeout=30)
    with contextlib.closing(connection):
        connection.request('GET', target, headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        return dict(json.load(answer))


@contextlib.contextmanager
def load(guest: Guest) -> Iterator[list[int]]:
    """Meanwhile somebody sends heartbeats with a made-up key, as fast as they are refused."""
    stop = threading.Event()
    refused: list[int] = []
    bad = {'key': 'k' * 43, 'generation': 1}

    def send() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, _ = beat(guest, bad)
                refused.append(status)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield refused
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)


def test_a_server_with_opt_in_metadata_sends_heartbeats_by_itself(
    cloud: Devcloud, booted: dict[str, Guest]
) -> None:
    for how in ('service', 'service-2', 'drive'):
        guest = booted[how]
        wait(
            lambda g=guest: any(each['id'] == g.id for each in cloud.api.guests()),
            f'{guest.name} is enrolled',
            60,
        )
        wait(lambda g=guest: g.shown()['beats'] >= 2, f'two heartbeats of {guest.name}', 60)
        shown = guest.shown()
        assert (shown['status'], shown['enrolled_by']) == ('enrolled', 'metadata')
        assert (shown['policy_in_force'], shown['interval']) == ('ladder', INTERVAL)
        metadata = cloud.demo.compute.get_server_metadata(guest.id).metadata
        assert not [name for name in metadata if name.startswith('aodh_ha_')]
    assert booted['nobody'].id not in [g['id'] for g in cloud.api.guests()]
    told = json.loads(
        (booted['drive'].folder() / 'config/openstack/latest/vendor_data2.json').read_text()
    )
    key = credentials(booted['drive'])
    assert told['aodh-ha'] == {
        'aodh_ha_gateways': cloud.url,
        'aodh_ha_key': key['key'],
        'aodh_ha_generation': str(key['generation']),
    }


def test_a_guest_is_told_by_the_metadata_service_who_it_is_whatever_it_says(
    cloud: Devcloud, booted: dict[str, Guest]
) -> None:
    """The proxy's word counts, as that of Neutron's metadata agent: not the guest's own."""
    lie = {'X-Instance-ID': booted['service'].id, 'X-Tenant-ID': 'x'}
    asked = metadata(cloud, 'meta_data.json', lie, booted['nobody'])
    assert asked['uuid'] == booted['nobody'].id
    assert metadata(cloud, 'vendor_data2.json', lie, booted['nobody'])['aodh-ha'] == {}
    told = metadata(cloud, 'vendor_data2.json', {}, booted['service'])['aodh-ha']
    assert told['aodh_ha_key'] == credentials(booted['service'])['key']
    with pytest.raises(AssertionError, match='400'):
        metadata(cloud, 'vendor_data2.json', lie)


def test_keys_change_under_load_and_nobody_misses_a_heartbeat(
    cloud: Devcloud, booted: dict[str, Guest], keyed: Guest
) -> None:
    """Two guests read vendordata, the third one its server's metadata."""
    guests = [booted['service'], booted['service-2'], keyed]
    before = {g.id: (g.shown(), credentials(g)) for g in guests}
    missed: list[int] = []

    def heard() -> None:
        missed.extend(int(g.shown()['missed'] or 0) for g in guests)

    with load(booted['drive']) as refused:
        began = time.monotonic()
        for guest in guests:
            key = cloud.api.rotate_key(guest.id, OVERLAP)['credentials']
            if guest.name == 'key-1':
                cloud.demo.compute.set_server_metadata(
                    guest.id, aodh_ha_key=key['key'], aodh_ha_generation=str(key['generation'])
                )
            # Both are good, under one sequence.
            assert beat(guest, before[guest.id][1]) == (409, 'replayed_sequence')
            assert beat(guest, key) == (409, 'replayed_sequence')
        while time.monotonic() < began + WATCHED:
            heard()
            time.sleep(0.5)
        passed = time.monotonic() - began
    assert len(refused) > 20
    assert set(refused) == {401}
    assert max(missed) <= 1, missed  # one that is late is the machine's
    for guest in guests:
        shown, old = before[guest.id]
        now = guest.shown()
        assert (now['generation'], now['previous_until']) == (shown['generation'] + 1, None)
        # Jitter and the writer's pace: a tenth less than the interval says.
        assert now['beats'] - shown['beats'] >= 0.9 * passed / INTERVAL - 1
        # The guest has not tried the old one since it ended.
        assert [r for r in now['refusals'] if r['reason'] == 'old_generation'] == []
        assert beat(guest, old) == (401, 'bad_signature')
        assert guest.recoveries() == [], guest.told()
        assert guest.actions() == []


def test_a_revoked_key_is_refused_at_once_and_counted(
    cloud: Devcloud, booted: dict[str, Guest]
) -> None:
    guest = booted['service']
    stolen = credentials(guest)
    assert beat(guest, stolen) == (409, 'replayed_sequence')  # the key is good
    cloud.api.revoke_keys(guest.id)
    assert beat(guest, stolen) == (401, 'bad_signature')
    beats = guest.shown()['beats']
    wait(lambda: guest.shown()['beats'] > beats + 1, 'the guest has read its new key', 30)
    counted = wait(
        lambda: {r['reason']: r['count'] for r in guest.shown()['refusals']}.get('old_generation'),
        'the refusal is counted',
        15,
    )
    assert counted
    assert beat(guest, stolen) == (401, 'bad_signature')
    assert guest.recoveries() == [], guest.told()


def test_a_rule_enrols_a_server_that_runs_already(cloud: Devcloud) -> None:
    guest = cloud.guest('ruled')
    rule = cloud.api.create_enrolment_rule(
        name='tagged', match={'tag': 'aodh-ha'}, policy='ladder', group='ruled'
    )
    try:
        cloud.demo.compute.put(
            f'/servers/{guest.id}/tags/aodh-ha', microversion='2.26'
        ).raise_for_status()
        wait(
            lambda: any(g['id'] == guest.id and g['beats'] >= 2 for g in cloud.api.guests()),
            'the tagged server is enrolled and heard',
            90,
        )
        shown = guest.shown()
        assert (shown['enrolled_by'], shown['group']) == ('rule tagged', 'ruled')
        assert [g['enrolled_by'] for g in cloud.api.guests()].count('rule tagged') == 1
    finally:
        cloud.api.delete_enrolment_rule(rule['id'])
        remove(cloud, [guest])


def test_what_nobody_enrolled_has_its_alarm_and_is_recovered(
    cloud: Devcloud, booted: dict[str, Guest]
) -> None:
    """From opt-in metadata to the reboot, with nobody's help."""
    guest = booted['drive']
    linked = wait(
        lambda: [a for a in cloud.api.alarms(guest.id) if a['aodh_alarm_id']],
        'the service has created an alarm',
        60,
    )
    carrier = cloud.aodh.get(linked[0]['aodh_alarm_id'])
    assert carrier['project_id'] == guest.server().project_id, "the tenant's own"
    wait(lambda: guest.measures()[-1:] == [0.0], 'it is healthy', 60)
    guest.fault('agent-dies')
    ended = guest.ended(180)
    assert ended['recovery']['status'] == 'recovered', ended
    assert ended['recovery']['reason'].startswith('by server.reboot soft')
    assert guest.actions() == ['reboot']
