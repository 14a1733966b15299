"""AWS::CloudWatch::Alarm, as templates of 2014 have it."""

from typing import Any

from heat.engine import constraints
from heat.engine.properties import Schema

from aodh_ha.osc import carriers
from aodh_ha.osc.client import Client
from aodh_ha.plugins.heat import base, bodies
from aodh_ha.plugins.heat.work import Work
from aodh_ha.rules.watch import COMPARISONS, LONGEST, STATISTICS


class _Watches:
    """Our API of watches, as carriers.py wants that of alarms."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def link_alarm(self, alarm_id: str, aodh_alarm_id: str) -> dict[str, Any]:
        """See Client.link_watch."""
        return self._client.link_watch(alarm_id, aodh_alarm_id)

    def delete_alarm(self, alarm_id: str) -> None:
        """See Client.delete_watch."""
        self._client.delete_watch(alarm_id)


def _urls(description: str) -> Schema:
    return Schema(
        Schema.LIST,
        description,
        schema=Schema(Schema.STRING),
        default=[],
        constraints=[constraints.Length(max=10)],
        update_allowed=True,
    )


class CloudWatchAlarm(base.AodhHAResource):
    """An alarm on what guests send with cfn-push-stats, or any other CloudWatch client.

    It is an alarm in Aodh, in the stack's project, on a number that aodh-ha makes of the samples
    that come through its CloudWatch bridge. The last EvaluationPeriods are looked at, each of
    Period seconds; it fires when all of them are beyond the threshold. Of SampleCount and Sum no
    data are 0, but never because nobody listened. A sample belongs to it by its --watch name
    (this resource's name in the template, or the physical one), else by metric and stack.
    A reference to it is its physical name.
    """

    # Guests' metadata name the alarm, and the alarm their restarter, which needs the guest.
    strict_dependency = False

    COMPARISON, THRESHOLD = 'ComparisonOperator', 'Threshold'
    METRIC, NAMESPACE, DIMENSIONS = 'MetricName', 'Namespace', 'Dimensions'
    STATISTIC, PERIOD, PERIODS = 'Statistic', 'Period', 'EvaluationPeriods'
    ALARM_ACTIONS, OK_ACTIONS = 'AlarmActions', 'OKActions'
    INSUFFICIENT, DESCRIPTION, UNITS = 'InsufficientDataActions', 'AlarmDescription', 'Units'

    properties_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        COMPARISON: base.text(
            'How the number is compared with the threshold.',
            required=True,
            constraints=[constraints.AllowedValues(list(COMPARISONS))],
        ),
        DESCRIPTION: base.text('What it is for.', constraints=[constraints.Length(max=255)]),
        PERIODS: base.whole('Periods that must all be beyond it.', 1, LONGEST, required=True),
        METRIC: base.text(
            'The metric, such as Heartbeat or ServiceFailure.',
            required=True,
            constraints=[constraints.Length(1, 255)],
        ),
        NAMESPACE: base.text('Of the metric.', default='system/linux'),
        PERIOD: base.whole('Seconds of each period.', 1, LONGEST, required=True),
        STATISTIC: base.text(
            'What is made of the samples of a period.',
            required=True,
            constraints=[constraints.AllowedValues(list(STATISTICS))],
        ),
        ALARM_ACTIONS: _urls('URLs that are called while it fires.'),
        OK_ACTIONS: _urls('URLs that are called when it does no more.'),
        INSUFFICIENT: _urls('URLs that are called when there are no data.'),
        DIMENSIONS: Schema(
            Schema.LIST,
            'What a sample must have, each a map with Name and Value, or a map of several.',
            schema=Schema(Schema.MAP),
            default=[],
            update_allowed=True,
        ),
        THRESHOLD: Schema(
            Schema.NUMBER, 'What is compared with.', required=True, update_allowed=True
        ),
        UNITS: base.text('Of the metric; nothing is converted.'),
    }

    ATTRIBUTES = ('value', 'problem', 'aodh_alarm_id')
    attributes_schema = {  # noqa: RUF012
        'value': base.attribute('The number that is compared now.'),
        'problem': base.attribute('Why it will never fire, where that was found.'),
        'aodh_alarm_id': base.attribute('The alarm in Aodh.'),
    }

    def validate(self) -> None:
        """See Resource."""
        super().validate()
        if self.properties[self.PERIOD] * self.properties[self.PERIODS] > LONGEST:
            raise self.invalid(
                [self.PERIODS], f'{self.PERIOD} times {self.PERIODS} must be at most {LONGEST} s'
            )

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._save)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource; what has come so far counts on."""
        self.become(json_snippet)
        return self.work(self._save)

    def handle_check(self) -> None:
        """See Resource."""
        watch = base.need(self._watch(), f'the watch {self.resource_id}')
        if watch['problem']:
            raise base.failure(f'the watch {self.resource_id}: {watch["problem"]}')
        base.need(carriers.find(self.plugin.aodh, watch), 'its Aodh alarm')

    def get_reference_id(self) -> str:
        """See Resource: what ``--watch`` in a guest says."""
        return str(self.physical_resource_name_or_FnGetRefId())

    def _resolve_attribute(self, name: str) -> Any:
        watch = self._watch()
        return watch[name] if watch else None

    def _show_resource(self) -> Any:
        return self._watch()

    def _watch(self) -> dict[str, Any] | None:
        if not self.resource_id:
            return None
        return self.unless_gone(lambda: self.client().watch(self.resource_id))

    def _save(self) -> None:
        name = str(self.physical_resource_name())
        body = bodies.watch(self.properties) | {
            'name': name,
            'stack_id': self.stack.root_stack_id(),
            'stack_name': self.stack.name,
        }
        if self._watch() is None:
            self.resource_id_set(None)  # somebody deleted it
        answer = self.client().save_watch(self.resource_id, **body)
        if self.resource_id is None:
            self.resource_id_set(answer['watch']['id'])
        more = {'name': name, 'description': self.properties[self.DESCRIPTION] or name}
        api = _Watches(self.client())
        carriers.carry(api, self.plugin.aodh, answer['watch'], answer['definition'] | more)

    def _delete(self) -> None:
        """Nothing of it is left in Aodh."""
        watch = self._watch() or {'id': self.resource_id, 'aodh_alarm_id': None}
        name = str(self.physical_resource_name())
        api = _Watches(self.client())
        self.unless_gone(lambda: carriers.delete(api, self.plugin.aodh, watch, name))


def resource_mapping() -> dict[str, Any]:
    """For the plugin; an environment gives it the name that templates have."""
    return {'OS::AodhHA::CloudWatchAlarm': CloudWatchAlarm}
