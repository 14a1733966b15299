"""Who may see and do what, with real Keystone tokens; and a host that dies."""

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


@pytest.mark.disruptive
def test_on_a_dead_host_a_policy_without_evacuation_waits_for_a_person(cloud: Devcloud) -> None:
    """No reboot heals a dead host, though the API takes it all the same: none is tried."""
    guest = cloud.watch('on-host2', host='host2')
    try:
        cloud.run('fault', 'host-dies', 'host2')
        wait(
            lambda: any(r['guard'] == 'host' for r in guest.recoveries()),
            'the recovery waits for the host',
            90,
        )
        service = next(iter(cloud.admin.compute.services(binary='nova-compute', host='host2')))
        cloud.admin.compute.update_service_forced_down(service, forced=True)
        cloud.admin.compute.evacuate_server(guest.id)
        ended = guest.ended(180)
        assert ended['recovery']['reason'] == 'heard again by itself'
        assert ended['attempts'] == []
        assert guest.actions() == ['evacuate'], "the person's, and no other"
        assert guest.server().compute_host == 'host1'
    finally:
        cloud.host_back('host2')
        cloud.remove([guest])
