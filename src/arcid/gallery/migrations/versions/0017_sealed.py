"""What is stored of a person is sealed with a key of their own."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name, kind in (("protected", sa.SmallInteger), ("shredded", sa.BigInteger)):
        op.add_column("gallery", sa.Column(name, kind, nullable=False, server_default="0"))
    op.add_column("people", sa.Column("key_id", sa.BigInteger, nullable=True))
    keyed = ("traces", "blocks", "onboarding_pictures")
    for table, column in (("events", "note_key"), *((name, "key_id") for name in keyed)):
        op.add_column(table, sa.Column(column, sa.BigInteger, nullable=True))
    op.create_index("ix_traces_key_id", "traces", ["key_id"])
    op.create_table(
        "inherited_keys",
        sa.Column("id", BigInt, primary_key=True, autoincrement=True),
        sa.Column(
            "person_id",
            BigInt,
            sa.ForeignKey("people.id", ondelete="CASCADE"),
            nullable=False,
            index=True,
        ),
        sa.Column("key_id", sa.BigInteger, nullable=False, unique=True),
        sa.Column("origin", sa.String(32), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "shreds",
        sa.Column("id", BigInt, primary_key=True, autoincrement=True),
        sa.Column("key_id", sa.BigInteger, nullable=True),
        sa.Column("collection_uid", sa.String(32), nullable=True),
        sqlite_autoincrement=True,
    )
