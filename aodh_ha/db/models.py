"""The schema. Times are seconds since the epoch (UTC) as double precision, on every engine.

What must always hold stands here as unique indexes: one active recovery a guest
(``active_key``), one recovery an episode, one row an attempt.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

metadata = sa.MetaData(
    naming_convention={
        'ix': 'ix_%(table_name)s_%(column_0_name)s',
        'uq': 'uq_%(table_name)s_%(column_0_name)s',
        'pk': 'pk_%(table_name)s',
    }
)

UUID = sa.String(36)
# Text is Unicode on every MariaDB, whatever its default, and names differ by case.
MARIADB: dict[str, Any] = {
    'mysql_engine': 'InnoDB',
    'mysql_charset': 'utf8mb4',
    'mysql_collate': 'utf8mb4_bin',
}
TIME: sa.Double[float] = sa.Double()
# MariaDB's TEXT ends at 64 KiB, and 200 lines of a console may be longer.
LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')

guests = sa.Table(
    'guests',
    metadata,
    sa.Column('server_id', UUID, primary_key=True),
    sa.Column('project_id', sa.String(64), nullable=False, index=True),
    sa.Column('status', sa.String(16), nullable=False, index=True),
    sa.Column('status_reason', sa.String(255), nullable=False, default=''),
    sa.Column('name', sa.String(255), nullable=False, default=''),
    sa.Column('generation', sa.BigInteger, nullable=False, default=1),
    # Keys from this generation on are good besides the newest one, until previous_until.
    sa.Column('oldest_generation', sa.BigInteger, nullable=False, default=0),
    sa.Column('previous_until', TIME, nullable=False, default=0),
    # Who asked for it: 'user', 'metadata', or 'rule NAME'.
    sa.Column('enrolled_by', sa.String(80), nullable=False, default='user'),
    # Triggers, separated by commas, for which the service itself is still to create an alarm.
    sa.Column('to_watch', sa.String(32), nullable=False, default=''),
    sa.Column('interval', TIME, nullable=False),
    sa.Column('missed_limit', sa.Integer, nullable=False),
    sa.Column('boot_grace', TIME, nullable=False),
    sa.Column('policy', sa.String(64), nullable=False),
    sa.Column('enrolled_at', TIME, nullable=False),
    sa.Column('last_seen', TIME),
    sa.Column('sequence', sa.BigInteger, nullable=False, default=0),
    sa.Column('beats', sa.BigInteger, nullable=False, default=0),
    sa.Column('boot_id', sa.String(64)),
    sa.Column('services', sa.Text, nullable=False, default='[]'),
    sa.Column('failures', sa.Integer, nullable=False, default=0),
    sa.Column('failing_since', TIME),
    sa.Column('seen_by', sa.String(80)),
    sa.Column('group_name', sa.String(64), nullable=False, default='', index=True),
    # What a worker saw in Nova and Heat, looked up again from time to time.
    sa.Column('looked_at', TIME, nullable=False, default=0),
    sa.Column('host', sa.String(255), nullable=False, default='', index=True),
    sa.Column('zone', sa.String(255), nullable=False, default=''),
    sa.Column('stack_id', sa.String(64), nullable=False, default=''),
    sa.Column('stack_name', sa.String(255), nullable=False, default=''),
    sa.Column('metadata_policy', sa.String(64), nullable=False, default=''),
    sa.Column('opted_out', sa.Boolean, nullable=False, default=False),
    **MARIADB,
)

# Which servers are enrolled without anybody asking. Empty conditions are met by every server.
enrolment_rules = sa.Table(
    'enrolment_rules',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    # '' is the operator's: for the servers of every project.
    sa.Column('project_id', sa.String(64), nullable=False),
    sa.Column('name', sa.String(64), nullable=False),
    sa.Column('tag', sa.String(64), nullable=False, default=''),
    sa.Column('metadata_key', sa.String(255), nullable=False, default=''),
    sa.Column('metadata_value', sa.String(255), nullable=False, default=''),
    sa.Column('server_name', sa.String(255), nullable=False, default=''),
    sa.Column('stack_id', sa.String(36), nullable=False, default=''),
    sa.Column('policy', sa.String(64), nullable=False, default=''),
    sa.Column('group_name', sa.String(64), nullable=False, default=''),
    sa.Column('author', sa.String(64), nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.UniqueConstraint('project_id', 'name', name='uq_enrolment_rules_name'),
    **MARIADB,
)

# Heartbeats that were refused, counted: a row a guest and reason, however many there are.
refusals = sa.Table(
    'refusals',
    metadata,
    # '' for guests that are not enrolled.
    sa.Column('server_id', UUID, primary_key=True),
    sa.Column('reason', sa.String(32), primary_key=True),
    sa.Column('count', sa.BigInteger, nullable=False),
    sa.Column('first_at', TIME, nullable=False),
    sa.Column('last_at', TIME, nullable=False),
    sa.Column('address', sa.String(64), nullable=False, default=''),
    # When an event of the audit trail last told of it.
    sa.Column('told_at', TIME, nullable=False, default=0),
    **MARIADB,
)

gateways = sa.Table(
    'gateways',
    metadata,
    sa.Column('name', sa.String(255), primary_key=True),
    sa.Column('alive_at', TIME, nullable=False),
    sa.Column('listening_since', TIME, nullable=False),
    **MARIADB,
)

alarms = sa.Table(
    'alarms',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('project_id', sa.String(64), nullable=False, index=True),
    sa.Column('server_id', UUID, nullable=False, index=True),
    # What a template calls it: `cfn-push-stats --watch` names it so. Not unique.
    sa.Column('name', sa.String(255), nullable=False, default='', index=True),
    sa.Column('trigger', sa.String(16), nullable=False),
    sa.Column('threshold', sa.Integer, nullable=False),
    sa.Column('aodh_alarm_id', UUID, unique=True),
    sa.Column('state', sa.String(32), nullable=False),
    sa.Column('state_at', TIME),
    # What is wrong with the Aodh alarm, as the reconciler last saw it; empty: nothing.
    sa.Column('problem', sa.String(255), nullable=False, default=''),
    sa.Column('created_at', TIME, nullable=False),
    **MARIADB,
)

policies = sa.Table(
    'policies',
    metadata,
    # '' is the operator's: visible to every project.
    sa.Column('project_id', sa.String(64), primary_key=True),
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('version', sa.Integer, nullable=False),
    sa.Column('document', sa.Text, nullable=False),
    sa.Column('updated_at', TIME, nullable=False),
    **MARIADB,
)

recoveries = sa.Table(
    'recoveries',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('server_id', UUID, nullable=False, index=True),
    # The server's id while the recovery is active, then NULL: at most one is active.
    sa.Column('active_key', UUID, unique=True),
    sa.Column('project_id', sa.String(64), nullable=False, index=True),
    sa.Column('trigger', sa.String(16), nullable=False),
    sa.Column('episode', sa.String(64), nullable=False),
    sa.Column('alarm_id', UUID),
    sa.Column('status', sa.String(16), nullable=False, index=True),
    sa.Column('reason', sa.Text, nullable=False, default=''),
    sa.Column('policy', sa.Text, nullable=False),
    sa.Column('policy_name', sa.String(64), nullable=False, default=''),
    sa.Column('policy_version', sa.Integer, nullable=False),
    sa.Column('policy_own', sa.Boolean, nullable=False, default=False),
    sa.Column('created_at', TIME, nullable=False, index=True),
    sa.Column('updated_at', TIME, nullable=False),
    sa.Column('finished_at', TIME),
    sa.Column('not_before', TIME, nullable=False, default=0),
    sa.Column('lease_owner', sa.String(255)),
    sa.Column('lease_until', TIME),
    sa.Column('fence', sa.Integer, nullable=False, default=0),
    sa.Column('callbacks', sa.Integer, nullable=False, default=1),
    sa.Column('group_name', sa.String(64), nullable=False, default=''),
    sa.Column('host', sa.String(255), nullable=False, default=''),
    sa.Column('zone', sa.String(255), nullable=False, default=''),
    sa.Column('stack_id', sa.String(64), nullable=False, default=''),
    sa.Column('priority', sa.Integer, nullable=False, default=50),
    sa.Column('admitted_at', TIME, index=True),
    sa.Column('approved_step', sa.Integer),
    sa.Column('incident_id', UUID, index=True),
    # What holds it back, one of rules.guards.GUARDS; empty: nothing does.
    sa.Column('guard', sa.String(16), nullable=False, default=''),
    sa.UniqueConstraint('server_id', 'episode', name='uq_recoveries_episode'),
    **MARIADB,
)

attempts = sa.Table(
    'attempts',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('recovery_id', UUID, sa.ForeignKey('recoveries.id'), nullable=False),
    sa.Column('step', sa.Integer, nullable=False),
    sa.Column('number', sa.Integer, nullable=False),
    sa.Column('action', sa.String(64), nullable=False),
    sa.Column('status', sa.String(16), nullable=False),
    sa.Column('intended_at', TIME, nullable=False),
    sa.Column('broke_off_at', TIME),
    sa.Column('sent_at', TIME),
    sa.Column('verify_until', TIME),
    sa.Column('finished_at', TIME),
    sa.Column('request_id', sa.String(64)),
    sa.Column('detail', sa.Text, nullable=False, default=''),
    sa.Column('evidence', LONG_TEXT, nullable=False, default='{}'),
    sa.Column('heard_at', TIME),
    sa.Column('dry_run', sa.Boolean, nullable=False, default=False),
    sa.Column('proof', LONG_TEXT, nullable=False, default='{}'),
    sa.UniqueConstraint('recovery_id', 'step', 'number', name='uq_attempts_try'),
    **MARIADB,
)

events = sa.Table(
    'events',
    metadata,
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True),
    sa.Column('at', TIME, nullable=False, index=True),
    sa.Column('kind', sa.String(32), nullable=False),
    sa.Column('project_id', sa.String(64), index=True),
    sa.Column('server_id', UUID, index=True),
    sa.Column('recovery_id', UUID, index=True),
    sa.Column('message', sa.Text, nullable=False),
    sa.Column('data', LONG_TEXT, nullable=False, default='{}'),
    **MARIADB,
)

# Whose resources are to be deleted from Gnocchi: servers' ids and watches', forgotten here.
leftovers = sa.Table(
    'leftovers',
    metadata,
    sa.Column('owner_id', UUID, primary_key=True),
    # When a worker first saw it; 0: none has.
    sa.Column('since', TIME, nullable=False, index=True),
    **MARIADB,
)

leases = sa.Table(
    'leases',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('owner', sa.String(255), nullable=False),
    sa.Column('until', TIME, nullable=False),
    **MARIADB,
)

silences = sa.Table(
    'silences',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('project_id', sa.String(64), nullable=False, index=True),
    sa.Column('scope', sa.String(16), nullable=False),
    sa.Column('value', sa.String(255), nullable=False, default=''),
    sa.Column('starts_at', TIME, nullable=False),
    sa.Column('ends_at', TIME, nullable=False, index=True),
    sa.Column('author', sa.String(64), nullable=False),
    sa.Column('reason', sa.String(255), nullable=False, default=''),
    sa.Column('created_at', TIME, nullable=False),
    **MARIADB,
)

incidents = sa.Table(
    'incidents',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('kind', sa.String(16), nullable=False),
    sa.Column('name', sa.String(255), nullable=False),
    # 'kind:name' while it is open, then NULL: a host has one open incident at most.
    sa.Column('active_key', sa.String(255), unique=True),
    sa.Column('reason', sa.Text, nullable=False),
    sa.Column('opened_at', TIME, nullable=False, index=True),
    sa.Column('closed_at', TIME),
    sa.Column('fenced_at', TIME),
    sa.Column('fenced_by', sa.String(255), nullable=False, default=''),
    sa.Column('notified', sa.Boolean, nullable=False, default=False),
    **MARIADB,
)

commands = sa.Table(
    'commands',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('server_id', UUID, nullable=False, index=True),
    sa.Column('recovery_id', UUID),
    sa.Column('kind', sa.String(32), nullable=False),
    sa.Column('arguments', sa.Text, nullable=False, default='{}'),
    sa.Column('status', sa.String(16), nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('expires_at', TIME, nullable=False),
    sa.Column('handed_at', TIME),
    sa.Column('finished_at', TIME),
    sa.Column('result', sa.Text, nullable=False, default=''),
    **MARIADB,
)

notifications = sa.Table(
    'notifications',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('at', TIME, nullable=False),
    sa.Column('kind', sa.String(32), nullable=False),
    sa.Column('project_id', sa.String(64)),
    sa.Column('server_id', UUID),
    sa.Column('recovery_id', UUID),
    sa.Column('message', sa.Text, nullable=False),
    sa.Column('hook', sa.String(64), nullable=False, default=''),
    sa.Column('tries', sa.Integer, nullable=False, default=0),
    sa.Column('not_before', TIME, nullable=False, default=0),
    sa.Column('delivered_at', TIME, index=True),
    **MARIADB,
)

# What guests measured: the newest value of each name.
metrics = sa.Table(
    'metrics',
    metadata,
    sa.Column('server_id', UUID, primary_key=True),
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('value', sa.Double, nullable=False),
    sa.Column('unit', sa.String(32), nullable=False, default=''),
    # When it was measured, and when it came to us.
    sa.Column('at', TIME, nullable=False),
    sa.Column('recorded_at', TIME, nullable=False, index=True),
    **MARIADB,
)

# Signed requests of the CloudWatch bridge that had an effect: each has it once.
cloudwatch_requests = sa.Table(
    'cloudwatch_requests',
    metadata,
    sa.Column('digest', sa.String(64), primary_key=True),
    sa.Column('at', TIME, nullable=False, index=True),
    # Of a ServiceFailure, the guest that told of it; else NULL.
    sa.Column('failed_server_id', UUID, index=True),
    **MARIADB,
)

# CloudWatch alarms of templates: what they look at. See rules.watch.
watches = sa.Table(
    'watches',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    sa.Column('project_id', sa.String(64), nullable=False, index=True),
    sa.Column('name', sa.String(255), nullable=False),
    sa.Column('stack_id', sa.String(64), nullable=False, default=''),
    sa.Column('stack_name', sa.String(255), nullable=False, default=''),
    sa.Column('namespace', sa.String(255), nullable=False),
    sa.Column('metric', sa.String(64), nullable=False),
    sa.Column('dimensions', sa.Text, nullable=False, default='[]'),
    sa.Column('statistic', sa.String(16), nullable=False),
    sa.Column('period', sa.Integer, nullable=False),
    sa.Column('evaluation_periods', sa.Integer, nullable=False),
    sa.Column('comparison', sa.String(32), nullable=False),
    sa.Column('threshold', sa.Double, nullable=False),
    # Ids of the alarms of ours that its actions call, as JSON.
    sa.Column('restarters', sa.Text, nullable=False, default='[]'),
    sa.Column('aodh_alarm_id', UUID, unique=True),
    # What is wrong with the Aodh alarm, as the reconciler last saw it; empty: nothing.
    sa.Column('problem', sa.String(255), nullable=False, default=''),
    sa.Column('created_at', TIME, nullable=False),
    **MARIADB,
)

# What came for a watch in the time that it looks back.
watch_samples = sa.Table(
    'watch_samples',
    metadata,
    sa.Column('id', sa.BigInteger().with_variant(sa.Integer, 'sqlite'), primary_key=True),
    sa.Column('watch_id', UUID, nullable=False),
    sa.Column('at', TIME, nullable=False),
    sa.Column('count', sa.Double, nullable=False),
    sa.Column('total', sa.Double, nullable=False),
    sa.Column('low', sa.Double, nullable=False),
    sa.Column('high', sa.Double, nullable=False),
    sa.Index('ix_watch_samples_watch_id_at', 'watch_id', 'at'),
    **MARIADB,
)

# Application credentials and trusts that projects handed over; secrets sealed with the master key.
credentials = sa.Table(
    'credentials',
    metadata,
    sa.Column('id', UUID, primary_key=True),
    # One of a project: which would be used of two?
    sa.Column('project_id', sa.String(64), nullable=False, unique=True),
    sa.Column('kind', sa.String(32), nullable=False),
    sa.Column('reference', sa.String(64), nullable=False),
    sa.Column('sealed', LONG_TEXT, nullable=False),
    sa.Column('author', sa.String(64), nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    sa.Column('status', sa.String(16), nullable=False),
    sa.Column('status_reason', sa.String(255), nullable=False, default=''),
    sa.Column('checked_at', TIME),
    sa.Column('used_at', TIME),
    **MARIADB,
)

# Tokens that alarms' callbacks brought, sealed likewise; gone when the recovery has ended.
callback_tokens = sa.Table(
    'callback_tokens',
    metadata,
    sa.Column('recovery_id', UUID, primary_key=True),
    sa.Column('sealed', LONG_TEXT, nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    **MARIADB,
)

# Stacks under way from deletion to creation; sealed with the master key.
definitions = sa.Table(
    'definitions',
    metadata,
    sa.Column('attempt_id', UUID, primary_key=True),
    sa.Column('sealed', LONG_TEXT, nullable=False),
    sa.Column('created_at', TIME, nullable=False),
    **MARIADB,
)

# Attempts that have Heat mark servers unhealthy, recorded before; gone once no mark is left.
marks = sa.Table(
    'marks',
    metadata,
    sa.Column('attempt_id', UUID, primary_key=True),
    sa.Column('root_id', UUID, nullable=False, index=True),
    sa.Column('created_at', TIME, nullable=False),
    # Not looked at before then.
    sa.Column('not_before', TIME, nullable=False),
    sa.Column('tries', sa.Integer, nullable=False),
    # A person knows.
    sa.Column('told', sa.Boolean, nullable=False),
    **MARIADB,
)

# One row, written by whoever admits a recovery: so budgets are counted by one at a time.
admissions = sa.Table(
    'admissions',
    metadata,
    sa.Column('name', sa.String(64), primary_key=True),
    sa.Column('number', sa.BigInteger, nullable=False, default=0),
    **MARIADB,
)
