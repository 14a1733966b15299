"""OS::Heat::HARestarter, as templates of 2014 have it."""

from typing import Any

from heat.engine import support

from aodh_ha.plugins.heat import base
from aodh_ha.plugins.heat.guests import EnrollingResource
from aodh_ha.plugins.heat.work import Work
from aodh_ha.rules.guest import REFUSED

POLICY = 'restarter'
"""Of a guest that nobody else has enrolled: reboot, then rebuild, then replace."""

ENROLLED_BY_US, URL = 'enrolled', 'alarm_url'
"""What is kept with the resource."""


class HARestarter(EnrollingResource):
    """Recovers a server when an alarm calls its URL.

    By the recovery policy of the server's guest. A server that nobody has enrolled is enrolled
    under the policy "restarter": reboot, then rebuild, then replace; Nova first. Unlike the
    resource of this name that Heat had until 2018 it deletes nothing that depends on the server.
    It recovers only what aodh-ha itself has not heard, or has heard to fail: a server that is
    well is left as it is, whoever calls. A reference to it, and its attribute AlarmUrl, is a
    signed URL, which is void when the stack is deleted.
    """

    support_status = support.SupportStatus(version='2012.1')

    PROPERTIES = (INSTANCE_ID,) = ('InstanceId',)
    properties_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        INSTANCE_ID: base.server('The server that is recovered.', required=True)
    }

    ATTRIBUTES = (ALARM_URL,) = ('AlarmUrl',)
    attributes_schema = {  # noqa: RUF012
        ALARM_URL: base.attribute('What the actions of an alarm are to call.')
    }

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._enroll, self._settled, self._register)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource; its URL stays when the server has been replaced."""
        self.become(json_snippet)
        return self.work(self._enroll, self._settled, self._follow, self._register)

    def handle_delete(self) -> Work | None:
        """See Resource; a guest that it has enrolled itself is forgotten."""
        return self.work(self._delete, self._forget)

    def handle_check(self) -> None:
        """See Resource."""
        base.need(self.alarm(), f'the restarter {self.resource_id}')

    def get_reference_id(self) -> str:
        """See Resource."""
        return str(self.data().get(URL) or self.name)

    def _resolve_attribute(self, name: str) -> Any:
        return self.data().get(URL)

    def _show_resource(self) -> Any:
        return self.alarm()

    @property
    def _server_id(self) -> str:
        return str(self.properties[self.INSTANCE_ID]).lower()

    def _follow(self) -> None:
        """What was under the old server goes on under the new one, with a recovery that is under
        way. That one must be enrolled by then. A worker that has replaced the server may have
        seen to that already."""
        alarm = self.alarm()
        if alarm and alarm['server_id'] != self._server_id:
            self.succeed(alarm['server_id'], self._server_id)
            alarm = self.alarm()
        if alarm is None:
            self.resource_id_set(None)

    def _enroll(self) -> None:
        guest = self.guest(self._server_id)
        if guest is None or guest['status'] == REFUSED:
            # Written first: what is enrolled twice is forgotten once.
            self.data_set(ENROLLED_BY_US, '1')
            self.client().enroll(self._server_id, policy=self._policy())

    def _policy(self) -> str:
        """That of the server's predecessor, which somebody may have chosen."""
        alarm = self.alarm()
        before = self.guest(alarm['server_id']) if alarm else None
        return str(before['policy']) if before else POLICY

    def _settled(self) -> bool:
        return self.settled(self._server_id)

    def _register(self) -> None:
        if self.resource_id:
            return
        answer = self.client().create_restarter(self._server_id, self.physical_resource_name())
        self.data_set(URL, answer['url'], redact=True)
        self.resource_id_set(answer['alarm']['id'])

    def _delete(self) -> None:
        if self.resource_id:
            self.unless_gone(lambda: self.client().delete_alarm(self.resource_id))

    def _forget(self) -> None:
        if not self.data().get(ENROLLED_BY_US):
            return
        guest = self.guest(self._server_id)
        # Who has given it another policy meanwhile, goes on with it.
        if guest and guest['policy'] == POLICY:
            self.unless_gone(lambda: self.client().forget_guest(self._server_id))


def resource_mapping() -> dict[str, Any]:
    """For the plugin."""
    return {'OS::Heat::HARestarter': HARestarter}
