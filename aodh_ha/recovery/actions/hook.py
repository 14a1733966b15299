"""Hook: a command or URL of the operator's, by the name that the configuration gives it."""

from aodh_ha.exceptions import ActionRefused
from aodh_ha.recovery.actions.base import Action, Context
from aodh_ha.rules.evidence import Evidence
from aodh_ha.rules.recovery import Recovery


class Hook(Action):
    """``hook``. What it does is not known here, so it is never done twice for one attempt."""

    repeatable = False

    def act(self, context: Context) -> str | None:
        """See Action. A hook that failed counts as refused, and the ladder goes on."""
        told = facts(context.recovery, context.evidence, context.attempt.detail)
        told['attempt'] = str(context.attempt.number)
        result = context.hooks.run(context.step.name_of_hook, told)
        if not result.ok:
            raise ActionRefused(f'the hook failed: {result.output}')
        return None


def facts(recovery: Recovery, evidence: Evidence | None, reason: str) -> dict[str, str]:
    """What a hook is told: who is in trouble, where, and why."""
    server = evidence.server if evidence else None
    return {
        'kind': 'step',
        'recovery_id': recovery.id,
        'server_id': recovery.server_id,
        'server_name': server.name if server else '',
        'project_id': recovery.project_id,
        'host': (server.host if server else recovery.host) or '',
        'zone': (server.zone if server else recovery.zone) or '',
        'trigger': recovery.trigger,
        'policy': recovery.policy.name,
        'reason': reason,
    }
