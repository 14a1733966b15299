"""Who may do what, by oslo.policy: readers look, members act, in their own project.

What reaches beyond a project (hosts, storms, everybody's policies) is for administrators.
"""

from oslo_policy import policy

ALL_PROJECTS = 'aodh_ha:all_projects'
SILENCE_OPERATOR = 'aodh_ha:silence:operator'
POLICY_SAVE_OPERATOR = 'aodh_ha:policy:save_operator'
POLICY_DELETE_OPERATOR = 'aodh_ha:policy:delete_operator'

ENROLMENT_RULE_OPERATOR = 'aodh_ha:enrolment_rule:operator'
CLOUDWATCH_PUT = 'aodh_ha:cloudwatch:put'
CLOUDWATCH_GET = 'aodh_ha:cloudwatch:get'

_READ = 'role:reader or role:member or role:admin'
_WRITE = 'role:member or role:admin'
_ADMIN = 'role:admin'
# Service users have the role service; before secure RBAC they were administrators.
_NOVA = 'role:service or role:admin'

_RULES: dict[str, tuple[str, str, str, str]] = {
    'aodh_ha:guest:enroll': (_WRITE, 'Enrol a guest and get its key', 'POST', '/v1/guests'),
    'aodh_ha:guest:get': (_READ, 'List and show guests', 'GET', '/v1/guests'),
    'aodh_ha:guest:forget': (_WRITE, 'Forget a guest', 'DELETE', '/v1/guests/{id}'),
    'aodh_ha:guest:rotate': (
        *(_WRITE, 'Give a guest a new key', 'POST', '/v1/guests/{id}/rotate'),
    ),
    'aodh_ha:guest:revoke': (
        *(_WRITE, 'End every key of a guest', 'POST', '/v1/guests/{id}/revoke'),
    ),
    'aodh_ha:alarm:create': (_WRITE, 'Create and link an alarm', 'POST', '/v1/alarms'),
    'aodh_ha:alarm:get': (_READ, 'List and show alarms', 'GET', '/v1/alarms'),
    'aodh_ha:alarm:delete': (_WRITE, 'Delete an alarm', 'DELETE', '/v1/alarms/{id}'),
    'aodh_ha:vendordata': (
        *(_NOVA, "Answer Nova's dynamic vendordata, with guests' keys", 'POST', '/v1/vendordata'),
    ),
    'aodh_ha:enrolment_rule:get': (
        *(_READ, 'List and show enrolment rules', 'GET', '/v1/enrolment-rules'),
    ),
    'aodh_ha:enrolment_rule:create': (
        *(_WRITE, "Have a project's servers enrolled", 'POST', '/v1/enrolment-rules'),
    ),
    'aodh_ha:enrolment_rule:delete': (
        *(_WRITE, 'Delete an enrolment rule', 'DELETE', '/v1/enrolment-rules/{id}'),
    ),
    ENROLMENT_RULE_OPERATOR: (
        *(_ADMIN, 'Create and delete rules for the servers of every project', 'POST'),
        '/v1/enrolment-rules?scope=operator',
    ),
    CLOUDWATCH_PUT: (
        _WRITE,
        "Speak for a project's guests at the CloudWatch bridge, as another than their stack's user",
        'POST',
        '/v1/?Action=PutMetricData',
    ),
    CLOUDWATCH_GET: (
        *(_READ, 'List alarms and metrics at the CloudWatch bridge, likewise', 'GET'),
        '/v1/?Action=DescribeAlarms',
    ),
    'aodh_ha:credential:create': (
        *(_WRITE, "Hand a credential over for the project's recoveries", 'POST', '/v1/credentials'),
    ),
    'aodh_ha:credential:get': (_READ, 'List and show credentials', 'GET', '/v1/credentials'),
    'aodh_ha:credential:delete': (
        *(_WRITE, 'Forget a credential', 'DELETE', '/v1/credentials/{id}'),
    ),
    'aodh_ha:policy:get': (_READ, 'List and show recovery policies', 'GET', '/v1/policies'),
    'aodh_ha:policy:save': (_WRITE, 'Write a recovery policy', 'PUT', '/v1/policies/{name}'),
    'aodh_ha:policy:delete': (_WRITE, 'Delete a policy', 'DELETE', '/v1/policies/{name}'),
    'aodh_ha:policy:replay': (
        *(_READ, 'See what a policy would have done', 'POST', '/v1/policies/replay'),
    ),
    POLICY_SAVE_OPERATOR: (
        _ADMIN,
        'Write a policy that every project may use, without the bounds of projects',
        'PUT',
        '/v1/policies/{name}?scope=operator',
    ),
    POLICY_DELETE_OPERATOR: (
        _ADMIN,
        'Delete a policy that every project may use',
        'DELETE',
        '/v1/policies/{name}?scope=operator',
    ),
    'aodh_ha:recovery:get': (_READ, 'List, show and explain', 'GET', '/v1/recoveries'),
    'aodh_ha:recovery:approve': (
        *(_WRITE, 'Approve a step that waits', 'POST', '/v1/recoveries/{id}/approve'),
    ),
    'aodh_ha:recovery:cancel': (*(_WRITE, 'End a recovery', 'POST', '/v1/recoveries/{id}/cancel'),),
    'aodh_ha:silence:get': (_READ, 'List maintenance windows', 'GET', '/v1/silences'),
    'aodh_ha:silence:create': (_WRITE, 'Plan a maintenance window', 'POST', '/v1/silences'),
    'aodh_ha:silence:end': (_WRITE, 'End a maintenance window', 'DELETE', '/v1/silences/{id}'),
    SILENCE_OPERATOR: (
        _ADMIN,
        'Plan and end windows of hosts, of other projects and of the whole cloud',
        'POST',
        '/v1/silences',
    ),
    'aodh_ha:incident:get': (_ADMIN, 'List and show incidents', 'GET', '/v1/incidents'),
    'aodh_ha:incident:close': (
        *(_ADMIN, 'Close a storm or a dead host', 'POST', '/v1/incidents/{id}/close'),
    ),
    ALL_PROJECTS: (_ADMIN, 'See every project', 'GET', '/v1/guests?all_projects=1'),
}


def list_rules() -> list[policy.RuleDefault]:
    """For oslopolicy-sample-generator and the enforcer."""
    return [
        policy.DocumentedRuleDefault(name, check, text, [{'method': method, 'path': path}])
        for name, (check, text, method, path) in _RULES.items()
    ]
