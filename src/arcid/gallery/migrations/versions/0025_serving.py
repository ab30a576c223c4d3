"""Which processes of older versions may go on while a gallery has a newer schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None
older_go_on = True  # a process of 0024 does not look at the table


def upgrade() -> None:
    serving = op.create_table(
        "serving",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("oldest_schema", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_serving"),
    )
    op.bulk_insert(serving, [{"id": 1, "oldest_schema": "0024"}])
