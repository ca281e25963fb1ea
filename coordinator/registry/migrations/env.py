"""Alembic's entry point: runs the migrations on the connection that `coordinator.registry.schema` opened."""

from alembic import context

from coordinator.registry import identities, incidents, policies, release_metadata, rollouts, totals
from coordinator.registry.entities import Entity

TABLES = (identities, incidents, policies, release_metadata, rollouts, totals)
"""Modules whose tables are part of the schema, besides those of `entities`."""

context.configure(connection=context.config.attributes["connection"], target_metadata=Entity.metadata)
with context.begin_transaction():
    context.run_migrations()
