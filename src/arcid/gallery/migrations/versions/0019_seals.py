"""The audit is sealed at the end of each day."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_seals",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("signed", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_seals"),
        sa.UniqueConstraint("day", name="uq_audit_seals_day"),
        sqlite_autoincrement=True,
    )
