"""OS::AodhHA::GuestHeartbeat."""

import time
from typing import Any

from heat.engine.attributes import Schema as Attribute
from heat.engine.properties import Schema

from aodh_ha.plugins.heat import base, bodies
from aodh_ha.plugins.heat.guests import EnrollingResource
from aodh_ha.plugins.heat.work import Work
from aodh_ha.rules.guest import ENROLLED


class GuestHeartbeat(EnrollingResource):
    """Enrols a server: heartbeats are expected of its guest from then on.

    The guest's key reaches it by the server's metadata, where the agent looks for it. When the
    server is replaced, the guest goes on in the new one, with its alarms and with a recovery
    that is under way. Alarms are resources of their own. A reference to it is the server's id.
    Deleting it forgets the guest: its key is void then.
    """

    PROPERTIES = (SERVER, POLICY, GROUP, INTERVAL, MISSED, BOOT_GRACE, WRITE_METADATA, WAIT) = (
        'server',
        'policy',
        'group',
        'interval',
        'missed',
        'boot_grace',
        'write_metadata',
        'wait',
    )
    properties_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        SERVER: base.server('The server, which must be of the same project.', required=True),
        POLICY: base.policy_name(
            'Its recovery policy, for instance a reference to an OS::AodhHA::RecoveryPolicy; else '
            'one that matches its group or stack, else "stateful".'
        ),
        GROUP: base.name('The group that it belongs to.'),
        INTERVAL: base.duration("Time between two heartbeats; else the policy's."),
        MISSED: base.whole(
            "Heartbeats missed before it counts as silent; else the policy's.", 1, 1000
        ),
        BOOT_GRACE: base.duration("Time for the first heartbeat after a boot; else the policy's."),
        WRITE_METADATA: Schema(
            Schema.BOOLEAN,
            "Whether the key is written into the server's metadata. Without that it has to reach "
            'the agent otherwise: by vendor data, or by the attribute user_data.',
            default=True,
            update_allowed=True,
        ),
        WAIT: base.duration(
            'The resource is complete when the guest was heard for the first time; if it is not '
            'within this time the resource fails. Without it nothing is waited for.'
        ),
    }

    CREDENTIALS_OF, USER_DATA = 'credentials', 'user_data'
    attributes_schema = {  # noqa: RUF012
        CREDENTIALS_OF: base.attribute(
            'What its agent needs: gateways, guest, generation and key. Keep it secret.',
            Attribute.MAP,
        ),
        USER_DATA: base.attribute(
            "Cloud-config with the credentials, for guests that cannot read the server's "
            'metadata. Keep it secret.'
        ),
        'status': base.attribute('pending, enrolled or refused.'),
        'policy_in_force': base.attribute('The policy by which it would be recovered now.'),
        'last_seen': base.attribute('When it was last heard.'),
        'beats': base.attribute('Heartbeats since it was enrolled.', Attribute.INTEGER),
        'missed': base.attribute('Heartbeats that it has missed by now.', Attribute.INTEGER),
        'resource_id': base.attribute('Its resource in Gnocchi, of the type aodh_ha_guest.'),
    }

    _waiting_since: float | None = None
    _beats_before = 0

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._enroll, self._settled, self._deliver, self._heard)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource; a new server takes over what was under the old one."""
        self.become(json_snippet)
        old = self.resource_id
        steps = [self._enroll, self._settled, self._deliver]
        if old and old != self._server_id:
            steps += [lambda: self._go_on(old), self._heard]
        return self.work(*steps)

    def handle_check(self) -> None:
        """See Resource; whether it is heard is an alarm's to say, not Heat's."""
        guest = base.need(self.guest(self.resource_id), f'the guest {self.resource_id}')
        if guest['status'] != ENROLLED:
            raise base.failure(f'the guest is {guest["status"]}: {guest["status_reason"]}')

    def _resolve_attribute(self, name: str) -> Any:
        guest = self.guest(self.resource_id) if self.resource_id else None
        if guest is None:
            return None
        if name not in (self.CREDENTIALS_OF, self.USER_DATA):
            return guest[name]
        credentials = self.client().credentials(self.resource_id)
        if name == self.CREDENTIALS_OF:
            return credentials
        return bodies.credentials_user_data(credentials, guest['interval'])

    def _show_resource(self) -> Any:
        return self.guest(self.resource_id)

    @property
    def _server_id(self) -> str:
        return str(self.properties[self.SERVER]).lower()

    def _enroll(self) -> None:
        answer = self.client().enroll(self._server_id, **bodies.enrolment(self.properties))
        self._beats_before = answer['guest']['beats']
        if self.resource_id is None:
            self.resource_id_set(self._server_id)

    def _settled(self) -> bool:
        return self.settled(self._server_id)

    def _deliver(self) -> None:
        if self.properties[self.WRITE_METADATA]:
            self.deliver(self._server_id)

    def _go_on(self, old: str) -> None:
        self.succeed(old, self._server_id)
        self.resource_id_set(self._server_id)

    def _delete(self) -> None:
        self.forget(self.resource_id)

    def _heard(self) -> bool:
        patience = bodies.seconds(self.properties[self.WAIT])
        if patience is None:
            return True
        if dict(self.client().guest(self._server_id)['guest'])['beats'] > self._beats_before:
            return True
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since >= patience:
            raise base.failure(
                f'{self.WAIT}: no heartbeat of server {self._server_id} came within '
                f'{patience:g} s; see whether its agent runs, and "aodh-ha refusal list"'
            )
        return False


def resource_mapping() -> dict[str, Any]:
    """For the plugin."""
    return {'OS::AodhHA::GuestHeartbeat': GuestHeartbeat}
