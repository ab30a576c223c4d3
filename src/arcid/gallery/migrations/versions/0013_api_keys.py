"""API keys that are stored, and from where somebody acted whom the audit names."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("audit", sa.Column("address", sa.String(64), nullable=True))
    op.create_table(
        "api_keys",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("old_digest", sa.String(64), nullable=True),
        sa.Column("old_until", sa.BigInteger, nullable=True),
        sa.Column("verbs", sa.Text, nullable=False),
        sa.Column("collections", sa.Text, nullable=True),
        sa.Column("per_minute", sa.Integer, nullable=True),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=True),
        sa.Column("revoked_at", sa.BigInteger, nullable=True),
        sa.Column("used_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("uid", name="uq_api_keys_uid"),
        sa.UniqueConstraint("name_key", name="uq_api_keys_name_key"),
        sqlite_autoincrement=True,
    )
