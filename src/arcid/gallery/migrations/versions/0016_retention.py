"""What was erased because it was too old, turn by turn."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from arcid.gallery.schema import BigInt

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "retention_runs",
        sa.Column("id", BigInt, nullable=False, autoincrement=True),
        sa.Column("began_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=True),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("erased", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_retention_runs"),
        sqlite_autoincrement=True,
    )
