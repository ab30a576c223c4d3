"""What another system calls somebody."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("people", sa.Column("external_id", sa.Text, nullable=True))
    op.create_index(
        "ix_people_collection_id_external_id",
        "people",
        ["collection_id", "external_id"],
        unique=True,
    )
    op.add_column("merges", sa.Column("external_id", sa.Text, nullable=True))
