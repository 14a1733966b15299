"""Run by alembic; the engine comes from db.migrate."""

from alembic import context

from aodh_ha.db.models import metadata

connection = context.config.attributes['connection']
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
