"""The first schema."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0001'
down_revision = None

LONG_TEXT = sa.Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')


def upgrade() -> None:
    op.create_table(
        'admissions',
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('number', sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_admissions')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'alarms',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('trigger', sa.String(length=16), nullable=False),
        sa.Column('threshold', sa.Integer(), nullable=False),
        sa.Column('aodh_alarm_id', sa.String(length=36), nullable=True),
        sa.Column('state', sa.String(length=32), nullable=False),
        sa.Column('state_at', sa.Double(), nullable=True),
        sa.Column('problem', sa.String(length=255), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_alarms')),
        sa.UniqueConstraint('aodh_alarm_id', name=op.f('uq_alarms_aodh_alarm_id')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('alarms', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_alarms_name'), ['name'], unique=False)
        batch_op.create_index(batch_op.f('ix_alarms_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_alarms_server_id'), ['server_id'], unique=False)

    op.create_table(
        'cloudwatch_requests',
        sa.Column('digest', sa.String(length=64), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('failed_server_id', sa.String(length=36), nullable=True),
        sa.PrimaryKeyConstraint('digest', name=op.f('pk_cloudwatch_requests')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('cloudwatch_requests', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_cloudwatch_requests_at'), ['at'], unique=False)
        batch_op.create_index(
            batch_op.f('ix_cloudwatch_requests_failed_server_id'),
            ['failed_server_id'],
            unique=False,
        )

    op.create_table(
        'commands',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('recovery_id', sa.String(length=36), nullable=True),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('arguments', sa.Text(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.Column('expires_at', sa.Double(), nullable=False),
        sa.Column('handed_at', sa.Double(), nullable=True),
        sa.Column('finished_at', sa.Double(), nullable=True),
        sa.Column('result', sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_commands')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('commands', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_commands_server_id'), ['server_id'], unique=False)

    op.create_table(
        'callback_tokens',
        sa.Column('recovery_id', sa.String(length=36), nullable=False),
        sa.Column('sealed', LONG_TEXT, nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('recovery_id', name=op.f('pk_callback_tokens')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'credentials',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('reference', sa.String(length=64), nullable=False),
        sa.Column('sealed', LONG_TEXT, nullable=False),
        sa.Column('author', sa.String(length=64), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('status_reason', sa.String(length=255), nullable=False),
        sa.Column('checked_at', sa.Double(), nullable=True),
        sa.Column('used_at', sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_credentials')),
        sa.UniqueConstraint('project_id', name=op.f('uq_credentials_project_id')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'definitions',
        sa.Column('attempt_id', sa.String(length=36), nullable=False),
        sa.Column('sealed', LONG_TEXT, nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('attempt_id', name=op.f('pk_definitions')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'events',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('server_id', sa.String(length=36), nullable=True),
        sa.Column('recovery_id', sa.String(length=36), nullable=True),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('data', LONG_TEXT, nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_events')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('events', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_events_at'), ['at'], unique=False)
        batch_op.create_index(batch_op.f('ix_events_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_events_recovery_id'), ['recovery_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_events_server_id'), ['server_id'], unique=False)

    op.create_table(
        'enrolment_rules',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('tag', sa.String(length=64), nullable=False),
        sa.Column('metadata_key', sa.String(length=255), nullable=False),
        sa.Column('metadata_value', sa.String(length=255), nullable=False),
        sa.Column('server_name', sa.String(length=255), nullable=False),
        sa.Column('stack_id', sa.String(length=36), nullable=False),
        sa.Column('policy', sa.String(length=64), nullable=False),
        sa.Column('group_name', sa.String(length=64), nullable=False),
        sa.Column('author', sa.String(length=64), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_enrolment_rules')),
        sa.UniqueConstraint('project_id', 'name', name='uq_enrolment_rules_name'),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'refusals',
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('reason', sa.String(length=32), nullable=False),
        sa.Column('count', sa.BigInteger(), nullable=False),
        sa.Column('first_at', sa.Double(), nullable=False),
        sa.Column('last_at', sa.Double(), nullable=False),
        sa.Column('address', sa.String(length=64), nullable=False),
        sa.Column('told_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('server_id', 'reason', name=op.f('pk_refusals')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'gateways',
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('alive_at', sa.Double(), nullable=False),
        sa.Column('listening_since', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_gateways')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'guests',
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('status_reason', sa.String(length=255), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('generation', sa.BigInteger(), nullable=False),
        sa.Column('oldest_generation', sa.BigInteger(), nullable=False),
        sa.Column('previous_until', sa.Double(), nullable=False),
        sa.Column('enrolled_by', sa.String(length=80), nullable=False),
        sa.Column('to_watch', sa.String(length=32), nullable=False),
        sa.Column('interval', sa.Double(), nullable=False),
        sa.Column('missed_limit', sa.Integer(), nullable=False),
        sa.Column('boot_grace', sa.Double(), nullable=False),
        sa.Column('policy', sa.String(length=64), nullable=False),
        sa.Column('enrolled_at', sa.Double(), nullable=False),
        sa.Column('last_seen', sa.Double(), nullable=True),
        sa.Column('sequence', sa.BigInteger(), nullable=False),
        sa.Column('beats', sa.BigInteger(), nullable=False),
        sa.Column('boot_id', sa.String(length=64), nullable=True),
        sa.Column('services', sa.Text(), nullable=False),
        sa.Column('failures', sa.Integer(), nullable=False),
        sa.Column('failing_since', sa.Double(), nullable=True),
        sa.Column('seen_by', sa.String(length=80), nullable=True),
        sa.Column('group_name', sa.String(length=64), nullable=False),
        sa.Column('looked_at', sa.Double(), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('zone', sa.String(length=255), nullable=False),
        sa.Column('stack_id', sa.String(length=64), nullable=False),
        sa.Column('stack_name', sa.String(length=255), nullable=False),
        sa.Column('metadata_policy', sa.String(length=64), nullable=False),
        sa.Column('opted_out', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('server_id', name=op.f('pk_guests')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('guests', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_guests_group_name'), ['group_name'], unique=False)
        batch_op.create_index(batch_op.f('ix_guests_host'), ['host'], unique=False)
        batch_op.create_index(batch_op.f('ix_guests_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_guests_status'), ['status'], unique=False)

    op.create_table(
        'incidents',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('kind', sa.String(length=16), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('active_key', sa.String(length=255), nullable=True),
        sa.Column('reason', sa.Text(), nullable=False),
        sa.Column('opened_at', sa.Double(), nullable=False),
        sa.Column('closed_at', sa.Double(), nullable=True),
        sa.Column('fenced_at', sa.Double(), nullable=True),
        sa.Column('fenced_by', sa.String(length=255), nullable=False),
        sa.Column('notified', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_incidents')),
        sa.UniqueConstraint('active_key', name=op.f('uq_incidents_active_key')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('incidents', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_incidents_opened_at'), ['opened_at'], unique=False)

    op.create_table(
        'leases',
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('owner', sa.String(length=255), nullable=False),
        sa.Column('until', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('name', name=op.f('pk_leases')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'leftovers',
        sa.Column('owner_id', sa.String(length=36), nullable=False),
        sa.Column('since', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('owner_id', name=op.f('pk_leftovers')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('leftovers', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_leftovers_since'), ['since'], unique=False)

    op.create_table(
        'marks',
        sa.Column('attempt_id', sa.String(length=36), nullable=False),
        sa.Column('root_id', sa.String(length=36), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.Column('not_before', sa.Double(), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('told', sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint('attempt_id', name=op.f('pk_marks')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('marks', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_marks_root_id'), ['root_id'], unique=False)

    op.create_table(
        'metrics',
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('value', sa.Double(), nullable=False),
        sa.Column('unit', sa.String(length=32), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('recorded_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('server_id', 'name', name=op.f('pk_metrics')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('metrics', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_metrics_recorded_at'), ['recorded_at'], unique=False)

    op.create_table(
        'notifications',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('kind', sa.String(length=32), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=True),
        sa.Column('server_id', sa.String(length=36), nullable=True),
        sa.Column('recovery_id', sa.String(length=36), nullable=True),
        sa.Column('message', sa.Text(), nullable=False),
        sa.Column('hook', sa.String(length=64), nullable=False),
        sa.Column('tries', sa.Integer(), nullable=False),
        sa.Column('not_before', sa.Double(), nullable=False),
        sa.Column('delivered_at', sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_notifications')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('notifications', schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f('ix_notifications_delivered_at'), ['delivered_at'], unique=False
        )

    op.create_table(
        'policies',
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=64), nullable=False),
        sa.Column('version', sa.Integer(), nullable=False),
        sa.Column('document', sa.Text(), nullable=False),
        sa.Column('updated_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('project_id', 'name', name=op.f('pk_policies')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    op.create_table(
        'recoveries',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('server_id', sa.String(length=36), nullable=False),
        sa.Column('active_key', sa.String(length=36), nullable=True),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('trigger', sa.String(length=16), nullable=False),
        sa.Column('episode', sa.String(length=64), nullable=False),
        sa.Column('alarm_id', sa.String(length=36), nullable=True),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('reason', sa.Text(), nullable=False),
        sa.Column('policy', sa.Text(), nullable=False),
        sa.Column('policy_name', sa.String(length=64), nullable=False),
        sa.Column('policy_version', sa.Integer(), nullable=False),
        sa.Column('policy_own', sa.Boolean(), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.Column('updated_at', sa.Double(), nullable=False),
        sa.Column('finished_at', sa.Double(), nullable=True),
        sa.Column('not_before', sa.Double(), nullable=False),
        sa.Column('lease_owner', sa.String(length=255), nullable=True),
        sa.Column('lease_until', sa.Double(), nullable=True),
        sa.Column('fence', sa.Integer(), nullable=False),
        sa.Column('callbacks', sa.Integer(), nullable=False),
        sa.Column('group_name', sa.String(length=64), nullable=False),
        sa.Column('host', sa.String(length=255), nullable=False),
        sa.Column('zone', sa.String(length=255), nullable=False),
        sa.Column('stack_id', sa.String(length=64), nullable=False),
        sa.Column('priority', sa.Integer(), nullable=False),
        sa.Column('admitted_at', sa.Double(), nullable=True),
        sa.Column('approved_step', sa.Integer(), nullable=True),
        sa.Column('incident_id', sa.String(length=36), nullable=True),
        sa.Column('guard', sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_recoveries')),
        sa.UniqueConstraint('active_key', name=op.f('uq_recoveries_active_key')),
        sa.UniqueConstraint('server_id', 'episode', name='uq_recoveries_episode'),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('recoveries', schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f('ix_recoveries_admitted_at'), ['admitted_at'], unique=False
        )
        batch_op.create_index(batch_op.f('ix_recoveries_created_at'), ['created_at'], unique=False)
        batch_op.create_index(
            batch_op.f('ix_recoveries_incident_id'), ['incident_id'], unique=False
        )
        batch_op.create_index(batch_op.f('ix_recoveries_project_id'), ['project_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_recoveries_server_id'), ['server_id'], unique=False)
        batch_op.create_index(batch_op.f('ix_recoveries_status'), ['status'], unique=False)

    op.create_table(
        'silences',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('scope', sa.String(length=16), nullable=False),
        sa.Column('value', sa.String(length=255), nullable=False),
        sa.Column('starts_at', sa.Double(), nullable=False),
        sa.Column('ends_at', sa.Double(), nullable=False),
        sa.Column('author', sa.String(length=64), nullable=False),
        sa.Column('reason', sa.String(length=255), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_silences')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('silences', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_silences_ends_at'), ['ends_at'], unique=False)
        batch_op.create_index(batch_op.f('ix_silences_project_id'), ['project_id'], unique=False)

    op.create_table(
        'watches',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('project_id', sa.String(length=64), nullable=False),
        sa.Column('name', sa.String(length=255), nullable=False),
        sa.Column('stack_id', sa.String(length=64), nullable=False),
        sa.Column('stack_name', sa.String(length=255), nullable=False),
        sa.Column('namespace', sa.String(length=255), nullable=False),
        sa.Column('metric', sa.String(length=64), nullable=False),
        sa.Column('dimensions', sa.Text(), nullable=False),
        sa.Column('statistic', sa.String(length=16), nullable=False),
        sa.Column('period', sa.Integer(), nullable=False),
        sa.Column('evaluation_periods', sa.Integer(), nullable=False),
        sa.Column('comparison', sa.String(length=32), nullable=False),
        sa.Column('threshold', sa.Double(), nullable=False),
        sa.Column('restarters', sa.Text(), nullable=False),
        sa.Column('aodh_alarm_id', sa.String(length=36), nullable=True),
        sa.Column('problem', sa.String(length=255), nullable=False),
        sa.Column('created_at', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_watches')),
        sa.UniqueConstraint('aodh_alarm_id', name=op.f('uq_watches_aodh_alarm_id')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('watches', schema=None) as batch_op:
        batch_op.create_index(batch_op.f('ix_watches_project_id'), ['project_id'], unique=False)

    op.create_table(
        'watch_samples',
        sa.Column('id', sa.BigInteger().with_variant(sa.Integer(), 'sqlite'), nullable=False),
        sa.Column('watch_id', sa.String(length=36), nullable=False),
        sa.Column('at', sa.Double(), nullable=False),
        sa.Column('count', sa.Double(), nullable=False),
        sa.Column('total', sa.Double(), nullable=False),
        sa.Column('low', sa.Double(), nullable=False),
        sa.Column('high', sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_watch_samples')),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
    with op.batch_alter_table('watch_samples', schema=None) as batch_op:
        batch_op.create_index('ix_watch_samples_watch_id_at', ['watch_id', 'at'], unique=False)

    op.create_table(
        'attempts',
        sa.Column('id', sa.String(length=36), nullable=False),
        sa.Column('recovery_id', sa.String(length=36), nullable=False),
        sa.Column('step', sa.Integer(), nullable=False),
        sa.Column('number', sa.Integer(), nullable=False),
        sa.Column('action', sa.String(length=64), nullable=False),
        sa.Column('status', sa.String(length=16), nullable=False),
        sa.Column('intended_at', sa.Double(), nullable=False),
        sa.Column('broke_off_at', sa.Double(), nullable=True),
        sa.Column('sent_at', sa.Double(), nullable=True),
        sa.Column('verify_until', sa.Double(), nullable=True),
        sa.Column('finished_at', sa.Double(), nullable=True),
        sa.Column('request_id', sa.String(length=64), nullable=True),
        sa.Column('detail', sa.Text(), nullable=False),
        sa.Column('evidence', LONG_TEXT, nullable=False),
        sa.Column('heard_at', sa.Double(), nullable=True),
        sa.Column('dry_run', sa.Boolean(), nullable=False),
        sa.Column('proof', LONG_TEXT, nullable=False),
        sa.ForeignKeyConstraint(
            ['recovery_id'],
            ['recoveries.id'],
        ),
        sa.PrimaryKeyConstraint('id', name=op.f('pk_attempts')),
        sa.UniqueConstraint('recovery_id', 'step', 'number', name='uq_attempts_try'),
        mysql_charset='utf8mb4',
        mysql_collate='utf8mb4_bin',
        mysql_engine='InnoDB',
    )
