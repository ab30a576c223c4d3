"""Answers to enrolments, so that a request sent again is not done again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "receipts",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("person_id", _BIG, nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("results", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_receipts"),
        sa.UniqueConstraint("collection_id", "key_hash", name="uq_receipts_collection_id_key_hash"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_receipts_collection_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["person_id"], ["people.id"], "fk_receipts_person_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_receipts_person_id", "receipts", ["person_id"])
    op.create_index("ix_receipts_created_at", "receipts", ["created_at"])
