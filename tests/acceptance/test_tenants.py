"""Who may see and do what, with real Keystone tokens; and a host that dies."""

from typing import Any

import openstack
import pytest

from aodh_ha.osc.client import APIError, Client
from tests.acceptance.devcloud import Devcloud, wait


def test_another_project_sees_nothing_and_cannot_enrol_a_stranger(cloud: Devcloud) -> None:
    guest = cloud.guest('private')
    stranger = Client(cloud.other.session)
    try:
        # Pending first, because the webhook does not ask Nova; refused as soon as a worker did.
        stranger.enroll(guest.id)
        wait(lambda: stranger.guest(guest.id)['guest']['status'] == 'refused', 'it is refused')
        with pytest.raises(APIError, match='refused'):
            stranger.create_alarm(guest.id, 'heartbeat', None)
        guest.enroll()
        with pytest.raises(APIError) as hidden:
            stranger.guest(guest.id)
        assert hidden.value.status == 404
        assert guest.id not in [g['id'] for g in stranger.guests()]
        with pytest.raises(APIError) as taken:
            stranger.enroll(guest.id)
        assert taken.value.status == 409
        with pytest.raises(APIError) as forbidden:
            list(stranger.guests(all_projects=True))
        assert forbidden.value.status == 403
        everybody = Client(cloud.admin.session).guests(all_projects=True)
        assert guest.id in [g['id'] for g in everybody]
    finally:
        guest.forget()
        cloud.demo.compute.delete_server(guest.id)


def host2(cloud: Devcloud) -> Any:
    """The compute service of the host that dies."""
    return next(cloud.admin.compute.services(binary='nova-compute', host='host2'))


def back(cloud: Devcloud) -> bool:
    """Host2 is up again; Nova says 400 until the host has cleared up its evacuations."""
    try:
        cloud.admin.compute.update_service_forced_down(host2(cloud), forced=False)
    except openstack.exceptions.BadRequestException:
        return False
    return bool(host2(cloud).state == 'up')


def test_a_dead_host_ends_failed_and_an_evacuated_guest_is_heard_again(cloud: Devcloud) -> None:
    """No reboot heals a dead host; the API takes them all the same (202 proves nothing)."""
    guest = cloud.guest('on-host2', host='host2')
    try:
        guest.enroll()
        guest.alarm()
        wait(lambda: guest.measures()[-1:] == [0.0], 'a measure', 90)
        cloud.run('fault', 'host-dies', 'host2')
        ended = guest.ended(240)
        assert ended['recovery']['status'] == 'failed'
        assert 'every step was tried' in ended['recovery']['reason']
        cloud.admin.compute.update_service_forced_down(host2(cloud), forced=True)
        beats = guest.shown()['beats']
        cloud.admin.compute.evacuate_server(guest.id)
        wait(lambda: guest.shown()['beats'] > beats, 'it is heard on the other host', 120)
        assert guest.server().compute_host == 'host1'
    finally:
        cloud.run('start', 'nova-compute-host2')
        wait(lambda: back(cloud), 'host2 is back', 120)
        guest.forget()
        cloud.demo.compute.delete_server(guest.id)
