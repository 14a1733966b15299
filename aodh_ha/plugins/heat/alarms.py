"""OS::AodhHA::HeartbeatAlarm and OS::AodhHA::ServiceAlarm."""

from typing import Any

from heat.engine import constraints

from aodh_ha.osc import carriers
from aodh_ha.osc.alarm import SEVERITIES
from aodh_ha.plugins.heat import base
from aodh_ha.plugins.heat.work import Work


class _Alarm(base.AodhHAResource):
    """Ours, and the Aodh alarm that carries it."""

    TRIGGER = ''

    PROPERTIES = (GUEST, THRESHOLD, SEVERITY, WATCH) = ('guest', 'threshold', 'severity', 'watch')

    ATTRIBUTES = ('state', 'problem', 'aodh_alarm_id', 'server_id')
    attributes_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        'state': base.attribute('As Aodh last told: ok, alarm, or insufficient data.'),
        'problem': base.attribute('Why it will never fire, where that was found.'),
        'aodh_alarm_id': base.attribute('The alarm in Aodh.'),
        'server_id': base.attribute('The server whose guest it watches now.'),
    }

    @classmethod
    def schema(cls, threshold: str) -> dict[str, Any]:
        """The properties, with what the threshold counts."""
        return {
            cls.GUEST: base.text(
                'The guest: a reference to an OS::AodhHA::GuestHeartbeat, or the id of a server '
                'that is enrolled.',
                required=True,
                constraints=[
                    constraints.AllowedPattern(
                        '^[0-9A-Fa-f-]{36}$', description='The id of a server.'
                    )
                ],
            ),
            cls.THRESHOLD: base.whole(threshold, 1, 1000),
            cls.SEVERITY: base.text(
                'As Aodh shows it.',
                default='critical',
                constraints=[constraints.AllowedValues(list(SEVERITIES))],
            ),
            cls.WATCH: base.text(
                'What "cfn-push-stats --watch" in the guest calls it; else the name of the '
                'resource in the template.',
                constraints=[constraints.Length(max=255)],
            ),
        }

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._register, self._carry)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource; it goes on watching, by the new threshold or the new server."""
        self.become(json_snippet)
        return self.work(self._follow, self._register, self._carry)

    def handle_check(self) -> None:
        """See Resource."""
        alarm = base.need(self.alarm(), f'the alarm {self.resource_id}')
        if alarm['problem']:
            raise base.failure(f'the alarm {self.resource_id}: {alarm["problem"]}')
        base.need(carriers.find(self.plugin.aodh, alarm), 'its Aodh alarm')

    def _resolve_attribute(self, name: str) -> Any:
        alarm = self.alarm()
        return alarm[name] if alarm else None

    def _show_resource(self) -> Any:
        return self.alarm()

    @property
    def _server_id(self) -> str:
        return str(self.properties[self.GUEST]).lower()

    @property
    def _watch(self) -> str:
        return str(self.properties[self.WATCH] or self.name)

    def _follow(self) -> None:
        """An alarm of a server that is not this guest's any more goes; another one comes.

        Usually it is this guest's already: it followed when the guest did.
        """
        alarm = self.alarm()
        if alarm and alarm['server_id'] != self._server_id:
            self._end(alarm)
            alarm = None
        if alarm is None:
            self.resource_id_set(None)

    def _register(self) -> None:
        if self.resource_id:
            return
        answer = self.client().create_alarm(
            self._server_id, self.TRIGGER, self.properties[self.THRESHOLD], self._watch
        )
        self.resource_id_set(answer['alarm']['id'])

    def _carry(self) -> None:
        threshold = self.properties[self.THRESHOLD]
        answer = self.client().change_alarm(self.resource_id, threshold, self._watch)
        named = {'name': self._carrier_name, 'severity': self.properties[self.SEVERITY]}
        carriers.carry(
            self.client(), self.plugin.aodh, answer['alarm'], answer['definition'] | named
        )

    @property
    def _carrier_name(self) -> str:
        return str(self.physical_resource_name())

    def _delete(self) -> None:
        """Nothing of it is left in Aodh."""
        alarm = self.alarm()
        # Ours may be gone with its guest; what carried it is found by its name then.
        if alarm is None:
            alarm = {'id': self.resource_id, 'aodh_alarm_id': None}
        self._end(alarm)

    def _end(self, alarm: dict[str, Any]) -> None:
        self.unless_gone(
            lambda: carriers.delete(self.client(), self.plugin.aodh, alarm, self._carrier_name)
        )


class HeartbeatAlarm(_Alarm):
    """Recovers a guest when it misses heartbeats, by its recovery policy.

    It is an alarm in Aodh, in the stack's project, on the heartbeats that the guest has missed;
    what it calls is a signed URL of aodh-ha, which is void when the stack is deleted. When the
    guest goes on in another server, so does the alarm. While telemetry is away it recovers
    nothing. A reference to it is its id in aodh-ha.
    """

    TRIGGER = 'heartbeat'
    properties_schema = _Alarm.schema("Heartbeats missed before it fires (the guest's limit).")


class ServiceAlarm(_Alarm):
    """Recovers a guest when a service in it fails, by its recovery policy.

    It is an alarm in Aodh, in the stack's project, on the failed checks in a row of the guest's
    worst service, as its agent reports them. When the guest goes on in another server, so does
    the alarm. A reference to it is its id in aodh-ha.
    """

    TRIGGER = 'service'
    properties_schema = _Alarm.schema('Failed checks in a row before it fires (3).')


def resource_mapping() -> dict[str, Any]:
    """For the plugin."""
    return {
        'OS::AodhHA::HeartbeatAlarm': HeartbeatAlarm,
        'OS::AodhHA::ServiceAlarm': ServiceAlarm,
    }
