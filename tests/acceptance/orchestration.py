"""Heat as a tenant of devcloud uses it: stacks made, updated, checked, deleted."""

from typing import Any

import openstack

from tests.acceptance.devcloud import Devcloud, wait


class Stacks:
    """Stacks of the tenant."""

    def __init__(self, cloud: Devcloud) -> None:
        self.cloud = cloud
        self.heat = cloud.demo.orchestration

    def create(self, name: str, template: str, **parameters: Any) -> str:
        """Returns its id."""
        made = self.heat.create_stack(name=name, template=template, parameters=parameters)
        return str(made.id)

    def settled(self, name: str, seconds: float = 300) -> Any:
        """The stack once nothing is under way."""

        def look() -> Any:
            # Not with its outputs: who asks for these asks each resource. get_stack always does.
            found = self.heat.find_stack(name, resolve_outputs=False)
            return None if found.status.endswith('IN_PROGRESS') else found

        return wait(look, f'the stack {name} is settled', seconds)

    def begin_update(self, name: str, template: str, **parameters: Any) -> None:
        """Update it, and wait until that is under way, or over."""
        before = self.heat.get_stack(name).updated_at
        self.heat.update_stack(self.heat.find_stack(name), template=template, parameters=parameters)
        wait(lambda: self.heat.get_stack(name).updated_at != before, f'{name} is being updated')

    def created(self, name: str) -> None:
        """Wait until it is."""
        found = self.settled(name)
        assert found.status == 'CREATE_COMPLETE', found.status_reason

    def updated(self, name: str) -> None:
        """Wait until it is."""
        found = self.settled(name)
        assert found.status == 'UPDATE_COMPLETE', found.status_reason

    def update(self, name: str, template: str, **parameters: Any) -> None:
        """Update it, and wait until that is complete."""
        self.begin_update(name, template, **parameters)
        self.updated(name)

    def check(self, name: str) -> Any:
        """Check it; the stack as it is then."""
        found = self.heat.find_stack(name)

        def checks() -> int:
            events = [e for e in self.heat.stack_events(found) if e.resource_name == name]
            return sum(e.resource_status in ('CHECK_COMPLETE', 'CHECK_FAILED') for e in events)

        before = checks()
        self.heat.post(f'/stacks/{found.name}/{found.id}/actions', json={'check': None})
        wait(lambda: checks() > before, f'{name} is checked')
        return self.settled(name)

    def unhealthy(self, name: str, resource: str) -> None:
        """Mark one of its resources."""
        found = self.heat.find_stack(name)
        path = f'/stacks/{found.name}/{found.id}/resources/{resource}'
        self.heat.patch(path, json={'mark_unhealthy': True})

    def delete(self, stack_id: str) -> str:
        """Delete it; returns the status in the end."""
        self.heat.delete_stack(stack_id)

        def look() -> str | None:
            try:
                status = str(self.heat.get_stack(stack_id).status)
            except openstack.exceptions.NotFoundException:
                return 'DELETE_COMPLETE'
            return None if status.endswith('IN_PROGRESS') else status

        return wait(look, f'the stack {stack_id} is deleted', 300)  # type: ignore[return-value]

    def outputs(self, name: str) -> dict[str, Any]:
        """By their names."""
        return {o['output_key']: o['output_value'] for o in self.heat.get_stack(name).outputs}
