"""The options of the configuration, group by group; aodh_ha.opts loads them."""

import socket

from oslo_config import cfg

from aodh_ha.rules.alarm import GRANULARITY
from aodh_ha.rules.policy import ACTIONS

database_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'connection',
        default='sqlite:////var/lib/aodh-ha/aodh-ha.sqlite',
        secret=True,
        help='SQLAlchemy URL: sqlite:////path, postgresql+psycopg://… or mysql+pymysql://… '
        '(SQLite only while everything runs on one host).',
    ),
    cfg.FloatOpt(
        'keep_events',
        default=30.0,
        min=1,
        help='Days after which entries of the audit trail and notifications are deleted; those of '
        'a recovery stay as long as it does.',
    ),
    cfg.FloatOpt(
        'keep_recoveries',
        default=90.0,
        min=1,
        help='Days after which ended recoveries, their attempts and incidents are deleted.',
    ),
]

secrets_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'master_key_file',
        default='/var/lib/aodh-ha/master.key',
        help="File with the key from which guests' keys and callback URLs are derived. The same on "
        'every host, so it is made by itself only where the database is SQLite; elsewhere run '
        '"aodh-ha secrets create" once and copy it.',
    ),
    cfg.FloatOpt(
        'rotation_overlap',
        default=600.0,
        min=0,
        max=7 * 86400.0,
        help="Seconds for which a guest's old key is good after a rotation, unless the rotation "
        'says otherwise. Guests learn of a new key with their next heartbeat, and read it where '
        "they got the first one; Nova's metadata service keeps what it read for 15 s.",
    ),
]

webhook_opts: list[cfg.Opt] = [
    cfg.HostAddressOpt('host', default='127.0.0.1', help='Address to listen on.'),
    cfg.PortOpt('port', default=8787, help='Port to listen on.'),
    cfg.URIOpt(
        'public_url',
        default='http://127.0.0.1:8787',
        schemes=['http', 'https'],
        help='Where Aodh and the guests reach this service, without /v1.',
    ),
    cfg.ListOpt(
        'gateways',
        default=[],
        help='What guests are told as the addresses of this service, in the order in which they '
        'try them. Empty: public_url.',
    ),
    cfg.IntOpt('threads', default=32, min=2, max=1000, help='Request threads of the process.'),
    cfg.FloatOpt(
        'clock_skew',
        default=300.0,
        min=1,
        help="Seconds that a guest's clock may differ; only for freshness, times are ours.",
    ),
    cfg.FloatOpt(
        'heartbeat_rate',
        default=5.0,
        min=0,
        help='Heartbeats a second that one guest may send to one webhook, four times as many at '
        'once; what is more is refused with 429 before the database is asked. As often Nova may '
        'ask for vendordata of one server. 0: any.',
    ),
    cfg.FloatOpt(
        'callback_lifetime',
        default=0.0,
        min=0,
        help='Seconds after which a callback URL expires; 0: with its alarm.',
    ),
]

cloudwatch_opts: list[cfg.Opt] = [
    cfg.BoolOpt(
        'enabled',
        default=False,
        help="Whether to answer as Heat's CloudWatch API did, for guests that have cfn-push-stats "
        'in their images. Needs [service_credentials] of a user with the role service.',
    ),
    cfg.HostAddressOpt('host', default='127.0.0.1', help='Address to listen on for them.'),
    cfg.PortOpt(
        'port',
        default=8003,
        help='Port to listen on for them, and for nothing else; cfn-push-stats knows no other.',
    ),
    cfg.StrOpt(
        'stack_domain',
        default='heat',
        help="The domain, by name or id, in which Heat makes its stacks' users: "
        'stack_user_domain_name or stack_user_domain_id of heat.conf. A user of its projects '
        'speaks for one stack only.',
    ),
    cfg.FloatOpt(
        'failure_period',
        default=300.0,
        min=1,
        max=86400,
        help='Seconds for which a ServiceFailure counts, as the Period of the alarms in '
        "Heat's templates.",
    ),
    cfg.FloatOpt(
        'remember',
        default=300.0,
        min=0,
        max=3600,
        help='Seconds for which an access key that Keystone vouched for is remembered, in memory. '
        'One that was deleted may be used for as long. 0: Keystone is asked for every request.',
    ),
]

worker_opts: list[cfg.Opt] = [
    cfg.IntOpt('concurrency', default=8, min=1, max=256, help='Recoveries at once.'),
    cfg.FloatOpt('lease', default=15.0, min=3, help='Seconds; renewed every third of it.'),
    cfg.FloatOpt('poll', default=0.5, min=0.1, help='Seconds between two looks at the queue.'),
    cfg.StrOpt('name', default=socket.gethostname(), help='Shown as the holder of leases.'),
    cfg.FloatOpt(
        'reconcile_interval',
        default=60.0,
        min=1,
        help="Seconds between two comparisons of Aodh's alarms, Nova's servers and the heartbeats "
        'with what is being done; by one worker at a time.',
    ),
    cfg.FloatOpt(
        'forget_after',
        default=600.0,
        min=0,
        help='Seconds after which a guest is forgotten whose server Nova no longer knows.',
    ),
]

enrolment_opts: list[cfg.Opt] = [
    cfg.BoolOpt(
        'write_metadata',
        default=True,
        help='Whether a worker writes the credentials of guests that rules enrol into the metadata '
        "of their servers. Not needed where Nova's vendordata brings them, and the guests can "
        'reach the metadata service.',
    ),
]

publisher_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'driver',
        default='gnocchi',
        choices=[
            ('gnocchi', 'the worker writes to Gnocchi directly'),
            ('ceilometer', "Ceilometer's central agent polls; the worker writes nothing"),
        ],
        help='Which way the meters go.',
    ),
    cfg.FloatOpt(
        'interval',
        default=5.0,
        min=1,
        max=GRANULARITY,
        help='Seconds between two writes; alarms look at spans of 10 s, and none may be empty.',
    ),
]

# What a budget is counted by, apart from the whole cloud; see rules.budget.
SCOPES = {
    'project': 'in one project',
    'group': 'in one group of a project',
    'host': 'on one compute host',
    'zone': 'in one availability zone',
    'stack': 'in one Heat stack',
}

budget_opts: list[cfg.Opt] = [
    cfg.IntOpt(
        'concurrent',
        default=20,
        min=0,
        help='Recoveries that may act at once in the whole cloud; the others wait for their turn, '
        'by the priority of their policies. 0: no limit.',
    ),
    *(
        cfg.IntOpt(
            f'concurrent_per_{scope}',
            default=0,
            min=0,
            help=f'Recoveries that may act at once {where}. 0: no limit.',
        )
        for scope, where in SCOPES.items()
    ),
    cfg.StrOpt(
        'per_window',
        default='100 in 10m',
        help='Recoveries that may begin to act in some time, in the whole cloud, such as '
        '"20 in 10m". Empty: no limit.',
    ),
]

guards_opts: list[cfg.Opt] = [
    cfg.BoolOpt(
        'dry_run',
        default=False,
        help='Go through everything but the actions, and record what would have been done.',
    ),
    cfg.FloatOpt(
        'storm_share',
        default=30.0,
        min=1,
        max=100,
        help='Percent of the guests (of all, of a zone, of a way to be heard) that, falling silent '
        'within storm_window, are a storm: recoveries are held and a person is told.',
    ),
    cfg.FloatOpt(
        'storm_window',
        default=60.0,
        min=1,
        max=3600,
        help='Seconds; see storm_share.',
    ),
    cfg.IntOpt(
        'storm_minimum',
        default=5,
        min=2,
        help='Fewer silent guests than these are no storm, whatever their share.',
    ),
]

hooks_opts: list[cfg.Opt] = [
    cfg.ListOpt(
        'names',
        default=[],
        help='Hooks that policies and notifications may name. Each has a group [hook:NAME]; a '
        'policy can never bring a command or an address of its own.',
    ),
]

hook_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'command',
        secret=True,
        help='Program and arguments, quoted as in a shell, but run without one. The facts are in '
        'its environment as AODH_HA_KIND, AODH_HA_SERVER_ID, AODH_HA_HOST and so on; exit code 0 '
        'means done.',
    ),
    cfg.URIOpt(
        'url',
        schemes=['http', 'https'],
        secret=True,
        help='Where to POST the facts as a JSON object, instead of a command; a 2xx answer means '
        'done.',
    ),
    cfg.BoolOpt(
        'for_projects',
        default=False,
        help="Whether projects' own policies may name it. Never let them name one that fences: "
        'they could switch off a host.',
    ),
    cfg.FloatOpt(
        'timeout',
        default=30.0,
        min=0.1,
        max=600,
        help='Seconds after which the program is killed, or the answer given up.',
    ),
]

notifications_opts: list[cfg.Opt] = [
    cfg.StrOpt(
        'hook',
        default='',
        help='The hook that brings notifications to a person, where a policy names no other. '
        "Empty: they are only written to the worker's log.",
    ),
    cfg.FloatOpt(
        'give_up_after',
        default=86400.0,
        min=1,
        help='Seconds for which the delivery of a notification is tried again.',
    ),
]

credentials_opts: list[cfg.Opt] = [
    cfg.BoolOpt(
        'service_user',
        default=True,
        help="Whether recoveries act with the service user's rights for guests of a project that "
        'handed no credential over. What such a project did hand over, and Keystone refuses, is '
        'never made up for by them.',
    ),
    cfg.BoolOpt(
        'callback_tokens',
        default=True,
        help='Whether the token that a trust+http(s) alarm action of Aodh brings is used, where '
        'the project handed nothing else over.',
    ),
    cfg.FloatOpt(
        'check_interval',
        default=3600.0,
        min=60,
        help='Seconds between two questions to Keystone whether a credential is still good.',
    ),
]

policies_opts: list[cfg.Opt] = [
    cfg.ListOpt(
        'allowed_actions',
        default=[a for a, k in ACTIONS.items() if not k.operator_only and not k.data_loss],
        help="Actions that projects' own policies may have. What only an operator's policy may "
        'have (server.evacuate, server.migrate) stays so, whatever stands here.',
    ),
    cfg.IntOpt(
        'most_concurrent',
        default=0,
        min=0,
        help="The most that a project's own policy may write as budget: concurrent. 0: anything.",
    ),
    cfg.StrOpt(
        'most_per_window',
        default='',
        help="The most that a project's own policy may write as budget: per_window, such as "
        '"20 in 10m". Empty: anything.',
    ),
    cfg.StrOpt(
        'most_per_guest',
        default='',
        help="The most that a project's own policy may write as budget: per_guest, such as "
        '"5 in 1h". Empty: anything.',
    ),
]


def _endpoint_opts() -> list[cfg.Opt]:
    return [
        cfg.StrOpt('region_name', help='Region in the catalog.'),
        cfg.StrOpt(
            'interface',
            default='internal',
            choices=['public', 'internal', 'admin'],
            help='Interface in the catalog.',
        ),
    ]


GROUPS: dict[str, list[cfg.Opt]] = {
    'database': database_opts,
    'secrets': secrets_opts,
    'webhook': webhook_opts,
    'cloudwatch': cloudwatch_opts,
    'worker': worker_opts,
    'enrolment': enrolment_opts,
    'publisher': publisher_opts,
    'budget': budget_opts,
    'guards': guards_opts,
    'hooks': hooks_opts,
    'notifications': notifications_opts,
    'credentials': credentials_opts,
    'policies': policies_opts,
    **{
        service: _endpoint_opts()
        for service in ('nova', 'neutron', 'cinder', 'heat', 'aodh', 'gnocchi')
    },
}
