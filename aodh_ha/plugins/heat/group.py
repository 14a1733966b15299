"""OS::AodhHA::Group."""

import json
from functools import partial
from typing import Any

from heat.engine import constraints
from heat.engine.attributes import Schema as Attribute
from heat.engine.properties import Schema

from aodh_ha.plugins.heat import base, bodies
from aodh_ha.plugins.heat.guests import EnrollingResource
from aodh_ha.plugins.heat.work import Work
from aodh_ha.rules.guest import ENROLLED

MEMBERS, RULES = 'members', 'rules'
"""What is kept with the resource: servers that it has enrolled itself, in their order; and the
enrolment rules that it has made, by stack."""


class Group(EnrollingResource):
    """Servers that are watched together: one group, one recovery policy, an alarm each.

    Servers are members by reference. Of an autoscaling group, a resource group or any nested
    stack all servers are members, those that come later, too: aodh-ha looks for them once a
    minute. Every member is enrolled and gets its key by its server's metadata; it gets its
    alarms, on missed heartbeats and on failing services, once it was heard. Policies and
    maintenance windows may be for the group by its name. A reference to it is that name.
    Deleting it forgets the members with their alarms.
    """

    PROPERTIES = (NAME, POLICY, SERVERS, STACKS) = ('name', 'policy', 'servers', 'stacks')
    properties_schema = {  # noqa: RUF012 (Heat's own shape of a class)
        NAME: base.text(
            "The group's name; else one made from the stack's and the resource's. A new name is a "
            'new group.',
            update=False,
            constraints=[constraints.AllowedPattern('^[A-Za-z0-9][A-Za-z0-9_.-]{0,49}$')],
        ),
        POLICY: base.policy_name(
            'The recovery policy of its members; else one that matches the group, or their stack, '
            'else "stateful".'
        ),
        SERVERS: Schema(
            Schema.LIST,
            'Members: references to servers, or lists of them, such as "get_attr: [group, refs]".',
            default=[],
            update_allowed=True,
        ),
        STACKS: Schema(
            Schema.LIST,
            'References to autoscaling groups, resource groups and nested stacks; their servers '
            'are members.',
            schema=Schema(
                Schema.STRING,
                constraints=[
                    constraints.AllowedPattern(
                        '^(.*/)?[0-9a-f-]{36}$', description='The id of a stack.'
                    )
                ],
            ),
            default=[],
            update_allowed=True,
        ),
    }
    attributes_schema = {  # noqa: RUF012
        'members': base.attribute('Ids of the servers that are in it now.', Attribute.LIST),
        'silent': base.attribute('Ids of those that miss heartbeats now.', Attribute.LIST),
    }

    physical_resource_name_limit = 50

    def handle_create(self) -> Work:
        """See Resource."""
        return self.work(self._name, self._follow_stacks, self._enroll, self._settled)

    def handle_update(self, json_snippet: Any, tmpl_diff: Any, prop_diff: Any) -> Work:
        """See Resource; who is no member any more is forgotten."""
        self.become(json_snippet)
        renewed = self.POLICY in prop_diff
        return self.work(
            self._name,
            lambda: self._follow_stacks(renewed=renewed),
            self._enroll,
            self._settled,
        )

    def handle_delete(self) -> Work | None:
        """See Resource."""
        if not self.resource_id:
            return None
        self._servers, self._stacks = [], []
        return self.work(self._follow_stacks, self._settled)

    def handle_check(self) -> None:
        """See Resource."""
        known = {r['id'] for r in self.client().enrolment_rules()}
        for stack_id, rule_id in self._kept(RULES, {}).items():
            base.need(rule_id if rule_id in known else None, f'the rule for stack {stack_id}')
        for server_id in self._kept(MEMBERS, []):
            guest = base.need(self.guest(server_id), f'the guest {server_id}')
            if guest['status'] != ENROLLED:
                raise base.failure(f'the guest {server_id} is {guest["status"]}')

    def _resolve_attribute(self, name: str) -> Any:
        if not self.resource_id:
            return None
        found = [g for g in self.client().guests() if g['group'] == self.resource_id]
        if name == 'silent':
            found = [g for g in found if (g['missed'] or 0) >= g['missed_limit']]
        return [g['id'] for g in found]

    # ---- what it is to have

    _servers: list[str] | None = None
    _stacks: list[str] | None = None

    def _wanted_servers(self) -> list[str]:
        if self._servers is None:
            return bodies.server_ids(self.properties[self.SERVERS] or [])
        return self._servers

    def _wanted_stacks(self) -> list[str]:
        if self._stacks is None:
            return [s.rpartition('/')[2] for s in self.properties[self.STACKS] or [] if s]
        return self._stacks

    def _kept(self, key: str, default: Any) -> Any:
        return json.loads(self.data().get(key) or 'null') or default

    def _keep(self, key: str, value: Any) -> None:
        self.data_set(key, json.dumps(value))

    # ---- steps

    def _name(self) -> None:
        if self.resource_id is None:
            given = self.properties[self.NAME]
            self.resource_id_set(given or bodies.name(self.physical_resource_name()))

    def _settings(self) -> dict[str, Any]:
        return {'policy': self.properties[self.POLICY] or '', 'group': self.resource_id}

    def _follow_stacks(self, *, renewed: bool = False) -> None:
        """A rule for each stack; what only a rule wanted that is gone is forgotten."""
        rules: dict[str, str] = self._kept(RULES, {})
        wanted = self._wanted_stacks()
        gone = [s for s in rules if s not in wanted]
        for stack_id in [*gone, *(rules if renewed else ())]:
            if stack_id in rules:
                rule_id = rules.pop(stack_id)
                self.unless_gone(partial(self.client().delete_enrolment_rule, rule_id))
                self._keep(RULES, rules)
        for stack_id in wanted:
            if stack_id not in rules:
                made = self.client().create_enrolment_rule(
                    name=self._rule_name(stack_id), match={'stack': stack_id}, **self._settings()
                )
                rules[stack_id] = made['id']
                self._keep(RULES, rules)
        for guest in list(self.client().guests()):
            stack_id = self._of_rule(guest, [*gone, *wanted])
            if stack_id in gone and guest['id'] not in self._wanted_servers():
                self.forget(guest['id'])
            elif stack_id and renewed:
                self.client().enroll(guest['id'], **self._settings())

    def _rule_name(self, stack_id: str) -> str:
        return f'{self.resource_id}-{stack_id.replace("-", "")[:12]}'

    def _of_rule(self, guest: dict[str, Any], stacks: list[str]) -> str:
        rules = {f'rule {self._rule_name(s)}': s for s in stacks}
        return rules.get(guest['enrolled_by'], '')

    def _enroll(self) -> None:
        wanted, before = self._wanted_servers(), self._kept(MEMBERS, [])
        for server_id in wanted:
            self.client().enroll(server_id, alarms=True, **self._settings())
        # Until the old ones are seen to, they are its members, too.
        self._keep(MEMBERS, wanted + [s for s in before if s not in wanted])

    def _settled(self) -> bool:
        """The new ones get their keys, and the old ones give way to them."""
        wanted = self._wanted_servers()
        if not all(self.settled(server_id) for server_id in wanted):
            return False
        for server_id in wanted:
            self.deliver(server_id)
        for server_id in [s for s in self._kept(MEMBERS, []) if s not in wanted]:
            self._give_way(server_id)
        self._keep(MEMBERS, wanted)
        return True

    def _give_way(self, server_id: str) -> None:
        """One that is recovered by being replaced goes on in the new server, which the worker
        that does it knows; its guest is forgotten otherwise."""
        under_way = self._servers is None and any(
            self.client().recoveries(server_id, active=True, limit=1)
        )
        if not under_way:
            self.forget(server_id)


def resource_mapping() -> dict[str, Any]:
    """For the plugin."""
    return {'OS::AodhHA::Group': Group}
