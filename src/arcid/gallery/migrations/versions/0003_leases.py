"""Leases on cameras, and which arrival began a visit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("visits", sa.Column("arrival_uid", sa.String(32), nullable=True))
    op.create_index("ix_visits_arrival_uid", "visits", ["arrival_uid"])
    op.create_table(
        "leases",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("collection_id", _BIG, nullable=False),
        sa.Column("camera", sa.Text, nullable=False),
        sa.Column("owner", sa.String(32), nullable=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("taken_at", sa.BigInteger, nullable=False),
        sa.Column("until", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_leases"),
        sa.UniqueConstraint("collection_id", "camera", name="uq_leases_collection_id_camera"),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], "fk_leases_collection_id", ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )
