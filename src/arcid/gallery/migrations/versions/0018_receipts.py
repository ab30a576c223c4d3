"""Receipts of erasures, and who was told what about whom."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "erasures",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("uid", sa.String(32), nullable=False),
        sa.Column("collection_uid", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("statement", sa.Text, nullable=False),
        sa.Column("signed", sa.Text, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_erasures"),
        sa.UniqueConstraint("uid", name="uq_erasures_uid"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_erasures_subject", "erasures", ["subject"])
    op.create_table(
        "disclosures",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("collection_uid", sa.String(32), nullable=True),
        sa.Column("person_uid", sa.String(32), nullable=True),
        sa.Column("what", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_disclosures"),
        sqlite_autoincrement=True,
    )
    for name in ("person_uid", "at"):
        op.create_index(f"ix_disclosures_{name}", "disclosures", [name])
