"""Alembic environment of the console's tables; runs inside a transaction that is open already."""

from __future__ import annotations

from alembic import context

from arcid.server.console.auth.schema import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
