"""Sessions say from where and in what browser they began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("console_sessions", sa.Column("address", sa.Text, nullable=True))
    op.add_column("console_sessions", sa.Column("browser", sa.Text, nullable=True))
