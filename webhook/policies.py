"""Who may do what, by oslo.policy: readers look, members act, in their own project."""

from oslo_policy import policy

ALL_PROJECTS = 'aodh_ha:all_projects'

_READ = 'role:reader or role:member or role:admin'
_WRITE = 'role:member or role:admin'

_RULES: dict[str, tuple[str, str, str, str]] = {
    'aodh_ha:guest:enroll': (_WRITE, 'Enrol a guest and get its key', 'POST', '/v1/guests'),
    'aodh_ha:guest:get': (_READ, 'List and show guests', 'GET', '/v1/guests'),
    'aodh_ha:guest:forget': (_WRITE, 'Forget a guest', 'DELETE', '/v1/guests/{id}'),
    'aodh_ha:alarm:create': (_WRITE, 'Create and link an alarm', 'POST', '/v1/alarms'),
    'aodh_ha:alarm:get': (_READ, 'List and show alarms', 'GET', '/v1/alarms'),
    'aodh_ha:alarm:delete': (_WRITE, 'Delete an alarm', 'DELETE', '/v1/alarms/{id}'),
    'aodh_ha:policy:get': (_READ, 'List and show recovery policies', 'GET', '/v1/policies'),
    'aodh_ha:policy:save': (_WRITE, 'Write a recovery policy', 'PUT', '/v1/policies/{name}'),
    'aodh_ha:policy:delete': (_WRITE, 'Delete a policy', 'DELETE', '/v1/policies/{name}'),
    'aodh_ha:recovery:get': (_READ, 'List and show recoveries', 'GET', '/v1/recoveries'),
    ALL_PROJECTS: ('role:admin', 'See every project', 'GET', '/v1/guests?all_projects=1'),
}


def list_rules() -> list[policy.RuleDefault]:
    """For oslopolicy-sample-generator and the enforcer."""
    return [
        policy.DocumentedRuleDefault(name, check, text, [{'method': method, 'path': path}])
        for name, (check, text, method, path) in _RULES.items()
    ]
