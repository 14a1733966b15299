"""OS::AodhHA::RecoveryPolicy."""

from typing import Any

from heat.common import exception
from heat.engine import constraints
from heat.engine.attributes import Schema as Attribute
from heat.engine.properties import Schema

from aodh_ha.exceptions import InvalidPolicy
from aodh_ha.plugins.heat import base, bodies
from aodh_ha.plugins.heat.work import Work
from aodh_ha.rules.policy import ACTIONS, ANY, GENTLE, PRESERVABLE, WHEN

RATE = 'At most so many times in so long, such as "3 in 1h".'


def _flag(description: str) -> Schema:
    return Schema(Schema.BOOLEAN, description, update_allowed=True)


def _words(description: str, **more: Any) -> Schema:
    word = Schema(Schema.STRING, **more)
    return Schema(Schema.LIST, description, schema=word, update_allowed=True)


def _map(description: str, **schema: Schema) -> Schema:
    return Schema(Schema.MAP, description, schema=schema, update_allowed=True)


_STEP = {
    'action': base.text(
        'What is done.', required=True, constraints=[constraints.AllowedValues(list(ACTIONS))]
    ),
    'type': base.text('Of a reboot.', constraints=[constraints.AllowedValues(['soft', 'hard'])]),
    'name': base.name("Of a hook: as the operator's configuration has it."),
    'attempts': base.whole('How often it is tried.', 1, 10),
    'verify': base.duration('How long a newer heartbeat is waited for after it.'),
    'when': base.text('When it is of use.', constraints=[constraints.AllowedValues(list(WHEN))]),
    'delay': base.duration('To wait before the first attempt.'),
    'backoff': base.duration('To wait before the second attempt; doubled for each further one.'),
    'hold': base.duration('How long the guest must stay well before the step has helped.'),
    'healthy': _flag('Whether the heartbeat must also report every service healthy.'),
    'approval': _flag('Whether a person must approve it first.'),
    'snapshot': _flag('Whether an image of the server is made before it.'),
    'intensity': base.text(f'{RATE} For one guest, over all its recoveries.'),
}


class RecoveryPolicy(base.AodhHAResource):
    """What is done about a guest in trouble, in which order, and what is kept.

    A ladder of steps, from restarting a service to replacing the server or its stack. Each
    counts as having helped only when the guest is heard again. The policy belongs to the stack's
    project; every guest of the project may use it. Recoveries under way keep the version that
    they began with. A reference to it is its name.
    """

    PROPERTIES = (NAME, DOCUMENT, STEPS) = ('name', 'document', 'steps')

    properties_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        NAME: base.name(
            "The policy's name; else one made from the stack's and the resource's. A new name is "
            'a new policy.',
            update=False,
        ),
        DOCUMENT: base.text(
            'The whole policy as YAML, for instance by get_file; instead of all the others but '
            'name.'
        ),
        'heartbeat': _map(
            'What is expected of the guests.',
            interval=base.duration('Time between two heartbeats (10s).'),
            missed=base.whole('Heartbeats missed before a guest counts as silent (3).', 1, 1000),
            boot_grace=base.duration('Time for the first heartbeat after a boot (120s).'),
        ),
        'match': _map(
            'Guests that it is for without being told one by one.',
            groups=_words('Of these groups.'),
            stacks=_words('Of these stacks (ids or names).'),
        ),
        'preserve': _words(
            'What no step may destroy.',
            constraints=[constraints.AllowedValues(list(PRESERVABLE))],
        ),
        STEPS: Schema(
            Schema.LIST,
            'The steps, gentlest first.',
            schema=Schema(Schema.MAP, schema=_STEP),
            constraints=[constraints.Length(1, 20)],
            update_allowed=True,
        ),
        'budget': _map(
            'How much may be done at once.',
            concurrent=base.text('Recoveries at once: a number, or a share such as 10%.'),
            per_window=base.text(f'{RATE} Of all guests under the policy.'),
            per_guest=base.text(f'{RATE} Of one guest (5 in 1h).'),
            storm=base.text('Silent guests that are a storm, such as "30% in 60s".'),
            reset=base.duration('A guest that was well for so long begins anew (30m).'),
        ),
        'priority': base.whole('Higher goes first when the budget is short (50).', 0, 100),
        'suspect': base.text(
            'What a guest gets that is silent but still does I/O.',
            constraints=[constraints.AllowedValues([GENTLE, ANY])],
        ),
        'fencing': base.name('What must be before an evacuation: forced_down, or a hook.'),
        'on_exhausted': base.name('After the last step: notify, or a hook.'),
        'dry_run': _flag('Decide and write down, but do nothing.'),
        'allow_data_loss': _flag('Whether steps may be in it that lose data.'),
    }

    ATTRIBUTES = (VERSION, YAML, USER_DATA) = ('version', 'yaml', 'user_data')
    attributes_schema = {  # noqa: RUF012
        VERSION: base.attribute('How often it was written.', Attribute.INTEGER),
        YAML: base.attribute('The policy as aodh-ha has it.'),
        USER_DATA: base.attribute(
            'Cloud-config for servers whose image has the agent: it sends heartbeats at the '
            "policy's pace. It has no key: that comes by the server's metadata."
        ),
    }

    physical_resource_name_limit = 63

    def validate(self) -> None:
        """See Resource; as aodh-ha would check it, which needs no aodh-ha."""
        super().validate()
        if not self.properties[self.STEPS] and not self.properties[self.DOCUMENT]:
            raise self.invalid([self.STEPS], 'a policy needs steps, or a document')
        try:
            self._document('policy')
        except InvalidPolicy as e:
            path, problem = bodies.place(e, bool(self.properties[self.DOCUMENT]))
            raise self.invalid(path, problem) from None

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._is_new, self._save)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource."""
        self.become(json_snippet)
        return self.work(self._save)

    def handle_check(self) -> None:
        """See Resource."""
        found = self.unless_gone(lambda: self.client().policy(self.resource_id))
        if found and found['scope'] != 'project':
            found = None  # another of that name, which ours has hidden
        base.need(found, f'the policy {self.resource_id}')

    def _resolve_attribute(self, name: str) -> Any:
        if self.resource_id is None:
            return None
        found = self.unless_gone(lambda: self.client().policy(self.resource_id))
        if found is None:
            return None
        if name == self.USER_DATA:
            interval = found['heartbeat']['interval']
            return bodies.user_data(f'[agent]\ninterval = {interval:g}s\n')
        return found['version'] if name == self.VERSION else found['document']

    def _document(self, default: str) -> str:
        return bodies.policy_document(self.properties, default)

    @property
    def _name(self) -> str:
        return self.resource_id or str(bodies.policy_name(self._document(self._own_name())))

    def _own_name(self) -> str:
        return self.resource_id or bodies.name(self.physical_resource_name())

    def _is_new(self) -> None:
        """Not one that somebody else has written: with the stack it would be deleted."""
        document = self._document(self._own_name())
        found = self.unless_gone(lambda: self.client().policy(self._name))
        if found and found['scope'] == 'project' and found['document'] != document:
            raise exception.Error(
                f'the project has a policy called {self._name} already: give it another name, or '
                'use it without this resource'
            )

    def _save(self) -> None:
        name = self._name
        self.client().save_policy(name, self._document(name))
        self.resource_id_set(name)

    def _delete(self) -> None:
        """Guests that are told of it get the standard policy then."""
        self.unless_gone(lambda: self.client().delete_policy(self.resource_id))


def resource_mapping() -> dict[str, Any]:
    """For the plugin."""
    return {'OS::AodhHA::RecoveryPolicy': RecoveryPolicy}
