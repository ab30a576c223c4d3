"""Commits are numbered, so that one that is gone is missed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    for name in ("writes", "write_stamp", "erased"):
        op.add_column("gallery", sa.Column(name, sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "losses",
        sa.Column("id", _BIG, nullable=False, autoincrement=True),
        sa.Column("found_at", sa.BigInteger, nullable=False),
        sa.Column("acknowledged", sa.BigInteger, nullable=False),
        sa.Column("found", sa.BigInteger, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_losses"),
        sqlite_autoincrement=True,
    )
