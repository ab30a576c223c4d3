"""Alembic environment: runs inside the transaction that ``database`` opened."""

from __future__ import annotations

from alembic import context

from arcid.gallery.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
