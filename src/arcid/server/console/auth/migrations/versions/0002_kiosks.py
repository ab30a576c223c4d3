"""A kiosk belongs to its account; a camera follows its collection by id, not by name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("console_accounts", sa.Column("kiosk_collection", sa.String(32), nullable=True))
    op.add_column(
        "console_accounts",
        sa.Column("kiosk_challenge", sa.SmallInteger, nullable=False, server_default="1"),
    )
    op.add_column("console_cameras", sa.Column("collection_uid", sa.String(32), nullable=True))
    if not sa.inspect(op.get_bind()).has_table("collections"):
        return  # a database that has no gallery yet
    op.execute(
        "UPDATE console_cameras SET collection_uid = (SELECT collections.uid FROM collections"
        " WHERE collections.name = console_cameras.collection)"
    )
