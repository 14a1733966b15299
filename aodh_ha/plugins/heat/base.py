"""What our resource types have in common."""

from collections.abc import Callable
from typing import Any, TypeVar

from heat.common import exception
from heat.engine import constraints, resource
from heat.engine.attributes import Schema as Attribute
from heat.engine.properties import Schema
from oslo_config import cfg

from aodh_ha.exceptions import AodhHAError
from aodh_ha.plugins.heat import bodies
from aodh_ha.plugins.heat.client import CLIENT_NAME, GROUP, AodhHAClientPlugin
from aodh_ha.plugins.heat.work import Step, Work
from aodh_ha.rules.policy import NAME

T = TypeVar('T')

POLICY_CONSTRAINT = 'aodh_ha.policy'


def text(description: str, *, update: bool = True, **more: Any) -> Schema:
    """A string."""
    return Schema(Schema.STRING, description, update_allowed=update, **more)


def whole(description: str, low: int, high: int, **more: Any) -> Schema:
    """A whole number within bounds."""
    between = constraints.Range(low, high)
    return Schema(Schema.INTEGER, description, constraints=[between], update_allowed=True, **more)


def duration(description: str, **more: Any) -> Schema:
    """A time with its unit."""
    with_unit = constraints.AllowedPattern(
        f'^{bodies.DURATION}$', description='A time with its unit, such as 10s, 2m or 1h.'
    )
    return text(description, constraints=[with_unit], **more)


def name(description: str, **more: Any) -> Schema:
    """A name as policies and groups have it."""
    pattern = constraints.AllowedPattern(f'^({NAME.pattern})?$')
    return text(description, constraints=[pattern], **more)


def policy_name(description: str) -> Schema:
    """A policy that the project may use."""
    exists = constraints.CustomConstraint(POLICY_CONSTRAINT)
    return text(description, constraints=[exists])


def server(description: str, **more: Any) -> Schema:
    """A server that Nova has."""
    exists = constraints.CustomConstraint('nova.server')
    return text(description, constraints=[exists], **more)


def attribute(description: str, kind: str = Attribute.STRING) -> Attribute:
    """An attribute that is asked for anew each time: heartbeats come and go without Heat."""
    return Attribute(description, cache_mode=Attribute.CACHE_NONE, type=kind)


class AodhHAResource(resource.Resource):
    """A thing of our API. What went wrong with it is put right in place, never by replacing it."""

    default_client_name = CLIENT_NAME
    # Replacing it would create before it deletes, and delete then what was just created: both
    # have the server's id.
    always_replace_on_check_failed = False

    def _needs_update(self, after: Any, before: Any, *others: Any, **more: Any) -> bool:
        differs = super()._needs_update(after, before, *others, **more)
        return bool(differs or (self.status == self.FAILED and self.resource_id))

    def needs_replace_failed(self) -> bool:
        """See Resource: only what was never made."""
        return self.resource_id is None

    def get_live_state(self, resource_properties: Any) -> dict[str, Any]:
        """See Resource: nothing is read back. What is found changed is a check's to tell."""
        return {}

    @property
    def plugin(self) -> AodhHAClientPlugin:
        """Our client plugin."""
        plugin: AodhHAClientPlugin = self.client_plugin()
        return plugin

    def work(self, *steps: Step) -> Work:
        """Steps for check_*_complete."""
        patience = cfg.CONF[GROUP].retry_for
        return Work(list(steps), self.plugin.is_away, patience)

    def become(self, snippet: Any) -> None:
        """Take over what an update says."""
        self.properties = snippet.properties(self.properties_schema, self.context)

    def handle_delete(self) -> Work | None:
        """See Resource; of what was never made nothing is to be deleted."""
        return self.work(self._delete) if self.resource_id else None

    def _delete(self) -> None:
        raise NotImplementedError

    def check_create_complete(self, work: Work) -> bool:
        """See Resource."""
        return _advance(work)

    def check_update_complete(self, work: Work) -> bool:
        """See Resource."""
        return _advance(work)

    def check_delete_complete(self, work: Work | None) -> bool:
        """See Resource."""
        return work is None or _advance(work)

    def invalid(self, path: list[str], problem: str) -> exception.StackValidationFailed:
        """The error for one of its properties."""
        section = self.stack.t.get_section_name(self.stack.t.RESOURCES)
        return exception.StackValidationFailed(
            error='Property error',
            path=[section, self.name, 'properties', *path],
            message=problem,
        )

    def unless_gone(self, call: Callable[[], T]) -> T | None:
        """What a call returns; None when there is no such thing (any more)."""
        found: T | None = None
        with self.plugin.ignore_not_found:
            found = call()
        return found

    def alarm(self) -> dict[str, Any] | None:
        """The alarm of ours that this resource has made; None when there is none (any more)."""
        if not self.resource_id:
            return None
        return self.unless_gone(lambda: self.client().alarm(self.resource_id))


def _advance(work: Work) -> bool:
    try:
        return work.advance()
    except AodhHAError as e:
        # With what it is first: Heat shows nothing but the text.
        raise exception.Error(f'{e.title}: {e.detail}') from e


def failure(reason: str) -> exception.Error:
    """What a resource fails with."""
    return exception.Error(reason)


def need(found: Any, what: str) -> Any:
    """``found``, or the error that a check ends with."""
    if found is None:
        raise failure(f'{what} no longer exists; update the stack to have it again')
    return found
