"""How many people an approximate index misses, as measured."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "index_misses",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("collection_id", BigInt, nullable=False),
        sa.Column("contract_id", BigInt, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("searches", sa.Integer, nullable=False),
        sa.Column("missed", sa.Integer, nullable=False),
        sa.Column("low", sa.Float, nullable=False),
        sa.Column("high", sa.Float, nullable=False),
        sa.Column("faces", sa.BigInteger, nullable=False),
        sa.Column("change", sa.BigInteger, nullable=False),
        sa.Column("measured_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_misses"),
        sa.UniqueConstraint(
            "collection_id", "contract_id", name="uq_index_misses_collection_id_contract_id"
        ),
        sa.ForeignKeyConstraint(
            ["collection_id"], ["collections.id"], ondelete="CASCADE",
            name="fk_index_misses_collection_id_collections",
        ),
        sa.ForeignKeyConstraint(
            ["contract_id"], ["contracts.id"], ondelete="CASCADE",
            name="fk_index_misses_contract_id_contracts",
        ),
        sqlite_autoincrement=True,
    )  # fmt: skip
