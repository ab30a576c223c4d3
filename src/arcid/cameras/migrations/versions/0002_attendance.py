"""Whether a camera serves attendance. A released migration is never edited."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "cameras", sa.Column("attendance", sa.SmallInteger, nullable=False, server_default="1")
    )
