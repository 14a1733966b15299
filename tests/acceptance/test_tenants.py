"""Who may see and do what, with real Keystone tokens."""

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
