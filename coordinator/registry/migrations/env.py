"""Alembic's entry point: runs the migrations on the connection that `coordinator.registry.schema` opened."""

from alembic import context

from coordinator.registry.entities import Entity

context.configure(connection=context.config.attributes["connection"], target_metadata=Entity.metadata)
with context.begin_transaction():
    context.run_migrations()
