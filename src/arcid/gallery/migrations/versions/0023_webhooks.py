"""Receivers of events that are managed over REST."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(16), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("shown", sa.Text, nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.Column("kinds", sa.Text, nullable=True),
        sa.Column("enabled", sa.SmallInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_webhooks"),
        sa.UniqueConstraint("uid", name="uq_webhooks_uid"),
        sa.UniqueConstraint("name_key", name="uq_webhooks_name_key"),
        sqlite_autoincrement=True,
    )
